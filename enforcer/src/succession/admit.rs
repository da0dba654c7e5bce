//! `admit`: an enforcer's program lets another into its place, whether it runs at this time or not.
//!
//! The kernel knows the enforcer by its program's file, and gives nobody else what it takes to write that down. So whoever wants
//! to come after has the program before execute this: it looks at the newcomer's file, which nobody may be writing to, takes its
//! digest, and tells the kernel if that is its own or stands on a list ([`crate::succession`]) that is signed with the key which
//! was told when all this began.
//!
//! Trusted: the policy in force. Untrusted: the list, and the newcomer's file with everything in it.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use enforcer_abi::{Known, Place, Trust, trust};
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::elf::{self, Kind};
use crate::events::clock;
use crate::guards::trusted;
use crate::kernel;
use crate::quiet::{Loud, Quiet};
use crate::succession::policy::{self, Policy};

/// What is told.
#[derive(Args, Debug)]
pub struct Admit {
    /// The newcomer's program.
    #[arg(long, value_name = "FILE")]
    pub program: PathBuf,
    /// The signed list.
    #[arg(long, value_name = "FILE")]
    pub successors: Option<PathBuf>,
    /// Where the enforcer's maps and links have their names.
    #[arg(long, value_name = "FOLDER", default_value = "/sys/fs/bpf/cloudtaser")]
    pub pins: PathBuf,
}

/// What comes of it: one line of JSON, for the newcomer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "answer", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    /// Executed from now on, it is the enforcer.
    Admitted {
        /// What the list calls it; without a list: our own program's.
        version: String,
    },
    /// It may not.
    Refused {
        /// What was expected and found.
        why: String,
    },
    /// Nothing is refused here by anybody: there is nothing to be let into.
    Nothing {},
    /// This program is not the enforcer's, or cannot tell.
    Unknown {
        /// Why not.
        why: String,
    },
}

/// Answers on standard output.
pub fn serve(told: &Admit) -> io::Result<()> {
    let line = serde_json::to_string(&answer(told)).map_err(io::Error::other)?;
    writeln!(io::stdout(), "{line}")
}

fn answer(told: &Admit) -> Answer {
    let (force, map) = match policy::in_force() {
        Ok(Some(found)) => found,
        Ok(None) => return Answer::Nothing {},
        Err(error) => return Answer::Unknown { why: error.to_string() },
    };
    match admit(told, &force, &map) {
        Ok(version) => Answer::Admitted { version },
        Err(refusal) => {
            let path = told.program.display();
            Answer::Refused { why: format!("{path}: {refusal}") }
        }
    }
}

/// Why a newcomer is not let in.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Policy(#[from] policy::Error),
    #[error("expected a program, found {0}")]
    Kind(&'static str),
    #[error(transparent)]
    Loud(#[from] Loud),
    #[error("expected a file on the file system that our own program is on, found one on another")]
    Elsewhere,
    #[error("expected a file that root alone may write to, found owner {0}, mode {1:o}")]
    Owner(u32, u32),
    #[error(
        "expected a file that was changed in the past, found one of the future: the clock was turned back"
    )]
    Future,
    #[error("expected a list of successors, for it is another program than ours, SHA-256 {0}")]
    NoList(String),
    #[error("{doing}: {source}")]
    Call { doing: &'static str, source: io::Error },
}

fn admit(told: &Admit, force: &Policy, map: &OwnedFd) -> Result<String, Refusal> {
    let mut quiet = Quiet::hold(open(&told.program)?)?;
    // Whoever brings a file system writes below it as well.
    if quiet.program().place.device != own_device().map_err(call("looking at our own program"))? {
        return Err(Refusal::Elsewhere);
    }
    settle(quiet.file())?;
    let digest = whole(quiet.file())?;
    let own = own_digest().map_err(call("reading our own program"))?;
    let version = match &told.successors {
        _ if digest == own => env!("CARGO_PKG_VERSION").to_owned(),
        None => return Err(Refusal::NoList(hex::encode(digest))),
        Some(list) => {
            let now = clock::now().unix / 1_000_000_000;
            let (serial, successor) = policy::judge(force, list, &digest, now)?;
            Policy { serial, ..*force }.put(map).map_err(call("making lists before this one void"))?;
            successor.version
        }
    };
    let programs = programs(&told.pins).map_err(call("opening the map of programs"))?;
    quiet.tell(programs.as_fd(), Trust { flags: trust::ENFORCER, ..Trust::default() })?;
    Ok(version)
}

/// The map of programs. Who asks says where it is; a name in bpffs may lead to any map, which would be written to as if it were.
fn programs(pins: &Path) -> io::Result<OwnedFd> {
    const NAME: &[u8] = b"TRUSTED\0";
    let map = kernel::open_pin(&pins.join("maps/TRUSTED"))?;
    let told = kernel::map_info(map.as_fd())?;
    let name: Vec<u8> = told.name.iter().flat_map(|letter| letter.to_ne_bytes()).collect();
    let sizes = [size_of::<Place>(), size_of::<Known>()].map(u32::try_from);
    if name.starts_with(NAME) && sizes == [Ok(told.key_size), Ok(told.value_size)] {
        Ok(map)
    } else {
        Err(io::Error::other("expected the map TRUSTED, found another"))
    }
}

/// Opens a file that can be known by its place, size and time of change.
fn open(path: &Path) -> Result<File, Refusal> {
    // Not waited for, should it be a pipe.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty());
    let file = File::from(file.map_err(|error| call("opening it")(error.into()))?);
    let Stat { st_mode, st_uid, .. } = fstat(&file).map_err(|error| call("looking at it")(error.into()))?;
    if FileType::from_raw_mode(st_mode) != FileType::RegularFile {
        return Err(Refusal::Kind("no file"));
    }
    if st_uid != 0 || st_mode & 0o022 != 0 {
        return Err(Refusal::Owner(st_uid, st_mode & 0o7777));
    }
    Ok(file)
}

/// Waits until its time of change is past: what is changed within the same tick of the kernel's clock has the same time.
fn settle(file: &File) -> Result<(), Refusal> {
    let Stat { st_ctime, st_ctime_nsec, .. } =
        fstat(file).map_err(|error| call("looking at it")(error.into()))?;
    let changed = u64::try_from(st_ctime).unwrap_or(0).saturating_mul(1_000_000_000);
    let settled = changed.saturating_add(st_ctime_nsec).saturating_add(TICK);
    let missing = settled.saturating_sub(clock::now().unix);
    if missing > TICK {
        return Err(Refusal::Future);
    }
    std::thread::sleep(Duration::from_nanos(missing));
    Ok(())
}

/// The digest of a program that loads nothing at run time: nothing but its file decides what it does.
fn whole(file: &mut File) -> Result<[u8; 32], Refusal> {
    let mut bytes = Vec::new();
    file.take(LARGEST.saturating_add(1)).read_to_end(&mut bytes).map_err(call("reading it"))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > LARGEST) {
        return Err(Refusal::Kind("a file of more than 64 MiB"));
    }
    match elf::kind(file).map_err(call("reading it"))? {
        Kind::Script | Kind::Other => Err(Refusal::Kind("something else")),
        Kind::Loads => Err(Refusal::Kind("one into which libraries are loaded")),
        Kind::Whole => Ok(Sha256::digest(&bytes).into()),
    }
}

/// SHA-256 of our own program.
pub(crate) fn own_digest() -> io::Result<[u8; 32]> {
    let mut bytes = Vec::new();
    // By our own procfs: another could show the newcomer as us.
    crate::procfs::ours()?.behind("self", "exe")?.read_to_end(&mut bytes)?;
    Ok(Sha256::digest(bytes).into())
}

fn own_device() -> io::Result<u64> {
    Ok(trusted::own()?.place.device)
}

fn call(doing: &'static str) -> impl FnOnce(io::Error) -> Refusal {
    move |source| Refusal::Call { doing, source }
}

/// Longer than between two ticks of any kernel, in nanoseconds.
const TICK: u64 = 100_000_000;
/// The largest program that is read.
const LARGEST: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::elf::tests::program;

    /// `PT_INTERP`.
    const INTERPRETER: u32 = 3;

    #[test]
    fn a_program_that_loads_libraries_a_script_and_half_a_program_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        let told = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            whole(&mut File::open(&path).unwrap()).map_err(|refusal| refusal.to_string())
        };
        let other = || Err("expected a program, found something else".to_owned());
        let loads = || Err("expected a program, found one into which libraries are loaded".to_owned());
        assert_eq!(told(&program(&[1, 1, 2])), Ok(Sha256::digest(program(&[1, 1, 2])).into()));
        assert_eq!(told(&program(&[1, INTERPRETER, 1])), loads());
        assert_eq!(told(b"#!/bin/sh\nexec /bin/true -with-more-than-forty-bytes\n"), other());
        let all = program(&[1, INTERPRETER]);
        for length in 0..all.len() {
            assert_eq!(told(&all[..length]), other(), "{length}");
        }
    }

    #[test]
    fn a_file_that_others_may_change_is_not_let_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        fs::write(&path, program(&[1])).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o775)).unwrap();
        let refusal = open(&path).unwrap_err().to_string();
        assert!(
            refusal.starts_with("expected a file that root alone may write to, found owner ")
                && refusal.ends_with(" mode 775"),
            "{refusal}"
        );
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(open(&link).unwrap_err().to_string().starts_with("opening it: "));
        assert_eq!(open(folder.path()).unwrap_err().to_string(), "expected a program, found no file");
    }

    #[test]
    fn a_file_of_the_future_does_not_settle_and_a_new_one_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        fs::write(&path, "x").unwrap();
        let file = File::open(&path).unwrap();
        settle(&file).unwrap();
        let Stat { st_ctime, .. } = fstat(&file).unwrap();
        let now = clock::now().unix;
        assert!(now >= u64::try_from(st_ctime).unwrap() * 1_000_000_000 + TICK);
    }

    #[test]
    fn an_answer_is_a_line_that_reads_back() {
        let answer = Answer::Refused { why: "because".into() };
        let line = serde_json::to_string(&answer).unwrap();
        assert_eq!(line, r#"{"answer":"refused","why":"because"}"#);
        assert_eq!(serde_json::from_str::<Answer>(&line).unwrap(), answer);
        assert_eq!(serde_json::to_string(&Answer::Nothing {}).unwrap(), r#"{"answer":"nothing"}"#);
    }
}
