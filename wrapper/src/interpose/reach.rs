//! Whether a library can be loaded into a program: what its file says before it is started.
//!
//! Scripts are followed to what runs them. Shells and other carriers need no value themselves, so whether they can
//! be reached does not matter; what they start later is seen by `tree`.
//!
//! Untrusted: the files. They are read with bounds, and what cannot be read is not reached.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::getxattr;
use rustix::process::{getegid, geteuid};

use crate::graft::program::{Program, Role};

/// Bytes of a file that are looked at. Program headers follow the file's header in every binary that linkers make.
const HEAD: u64 = 64 * 1024;
/// Interpreters of interpreters that the kernel allows (`exec_binprm`).
const SCRIPTS: usize = 5;
/// Where programs are looked for when nobody says where.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// Set-user-id; set-group-id where the group may execute (`bprm_fill_uid`).
const SET_USER_ID: u32 = 0o4000;
const SET_GROUP_ID: u32 = 0o2010;

/// What stands between a library and a program.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Obstacle {
    /// The file.
    pub file: PathBuf,
    /// What it is.
    pub fault: Fault,
}

/// Why no library of ours is loaded into a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// It names no loader.
    Static,
    /// The loader ignores `LD_PRELOAD` for it, where it has its effect.
    Privileged,
    /// A library of 64 bits does not fit.
    Narrow,
    /// It is for another machine, by its number in ELF.
    Foreign(u16),
    /// It may not be read, or not be understood.
    Unreadable,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.file.display(), self.fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static => write!(f, "is linked statically"),
            Self::Privileged => write!(f, "is set-user-id, set-group-id or has capabilities"),
            Self::Narrow => write!(f, "is a 32-bit program"),
            Self::Foreign(machine) => write!(f, "is for another machine (ELF number {machine})"),
            Self::Unreadable => write!(f, "cannot be read"),
        }
    }
}

/// What stands between a library and the program that `words` start; nothing where there is no such program, which
/// its start will tell.
#[must_use]
pub fn obstacle(words: &[OsString], path: Option<&OsStr>) -> Option<Obstacle> {
    let mut words: Vec<Vec<u8>> = words.iter().take(2).map(|word| word.clone().into_vec()).collect();
    let name = words.first()?.clone();
    let mut file = search(&name, path)?;
    for _ in 0..SCRIPTS {
        file = fs::canonicalize(file).ok()?;
        let argument = |index: usize| words.get(index).map(Vec::as_slice).unwrap_or_default();
        let program = Program { file: Some(&file), arguments: [argument(0), argument(1)] };
        if program.role() == Role::Carrier {
            return None;
        }
        let found = match look(&file) {
            Ok(Kind::Dynamic) => return privileged(&file),
            // What no kernel runs, a shell does: a carrier.
            Ok(Kind::Other) => return None,
            Ok(Kind::Script { interpreter, argument }) => {
                let own = file.into_os_string().into_vec();
                file = PathBuf::from(OsString::from_vec(interpreter.clone()));
                words = [Some(interpreter), argument, Some(own)].into_iter().flatten().collect();
                continue;
            }
            Ok(Kind::Unreached(fault)) => fault,
            Err(_unreadable) => Fault::Unreadable,
        };
        return Some(Obstacle { file, fault: found });
    }
    None
}

/// The obstacle that a running program's file is: for those that were started without our knowledge.
pub(super) fn fault_of(file: &Path) -> Option<Fault> {
    match look(file) {
        Ok(Kind::Unreached(fault)) => Some(fault),
        Ok(Kind::Dynamic | Kind::Script { .. } | Kind::Other) => None,
        Err(_unreadable) => Some(Fault::Unreadable),
    }
}

/// Whether the file would make whoever runs it somebody else: then the loader may ignore `LD_PRELOAD` for it.
fn privileged(file: &Path) -> Option<Obstacle> {
    let found = fs::metadata(file).ok()?;
    let (user, group) = (geteuid(), getegid());
    let as_user = found.mode() & SET_USER_ID != 0 && found.uid() != user.as_raw();
    let as_group = found.mode() & SET_GROUP_ID == SET_GROUP_ID && found.gid() != group.as_raw();
    let capable = !user.is_root() && getxattr(file, "security.capability", &mut [0_u8; 64]).is_ok();
    (as_user || as_group || capable).then(|| Obstacle { file: file.to_owned(), fault: Fault::Privileged })
}

/// As a shell looks for a program.
fn search(name: &[u8], path: Option<&OsStr>) -> Option<PathBuf> {
    let name = OsStr::from_bytes(name);
    if name.as_bytes().contains(&b'/') {
        return Some(PathBuf::from(name));
    }
    let path = path.unwrap_or(OsStr::new(DEFAULT_PATH));
    let runs =
        |file: &PathBuf| fs::metadata(file).is_ok_and(|found| found.is_file() && found.mode() & 0o111 != 0);
    std::env::split_paths(path).map(|place| place.join(name)).find(runs)
}

fn look(file: &Path) -> io::Result<Kind> {
    let mut head = Vec::new();
    File::open(file)?.take(HEAD).read_to_end(&mut head)?;
    Ok(Kind::of(&head))
}

/// What a file is to whoever starts it.
#[derive(Debug, Eq, PartialEq)]
enum Kind {
    /// A loader brings it in, with libraries.
    Dynamic,
    /// No library comes in.
    Unreached(Fault),
    /// Another program runs it.
    Script { interpreter: Vec<u8>, argument: Option<Vec<u8>> },
    /// Neither.
    Other,
}

impl Kind {
    fn of(head: &[u8]) -> Self {
        if let Some(line) = head.strip_prefix(b"#!") {
            return Self::script(line);
        }
        if !head.starts_with(b"\x7fELF") {
            return Self::Other;
        }
        // System V gABI, "ELF Header": class at 4, machine at 18.
        if head.get(4) != Some(&2) {
            return Self::Unreached(Fault::Narrow);
        }
        match (number(head, 18, 2), asks_for_a_loader(head)) {
            (Some(machine), _) if machine != MACHINE => {
                Self::Unreached(Fault::Foreign(u16::try_from(machine).unwrap_or(0)))
            }
            (_, Some(true)) => Self::Dynamic,
            (_, Some(false)) => Self::Unreached(Fault::Static),
            (_, None) => Self::Unreached(Fault::Unreadable),
        }
    }

    /// As the kernel reads the line (`load_script`): an interpreter, and the rest as one argument.
    fn script(line: &[u8]) -> Self {
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
        let mut words = line.splitn(2, |byte| matches!(byte, b' ' | b'\t'));
        let interpreter = words.next().unwrap_or_default().to_vec();
        let argument = words.next().map(|rest| rest.trim_ascii().to_vec());
        if interpreter.is_empty() { Self::Other } else { Self::Script { interpreter, argument } }
    }
}

/// `e_machine` of this machine.
const MACHINE: u64 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };

/// Whether a program header is of type `PT_INTERP`; none where the headers are not in `head`.
fn asks_for_a_loader(head: &[u8]) -> Option<bool> {
    const INTERPRETER: u64 = 3;
    let start = usize::try_from(number(head, 32, 8)?).ok()?;
    let size = usize::try_from(number(head, 54, 2)?).ok()?;
    let count = usize::try_from(number(head, 56, 2)?).ok()?;
    let kind = |index: usize| number(head, start.checked_add(index.checked_mul(size)?)?, 4);
    let kinds = (0..count).map(kind).collect::<Option<Vec<u64>>>()?;
    Some(kinds.contains(&INTERPRETER))
}

/// A little-endian number in the file: both machines that we run on have them so.
fn number(head: &[u8], at: usize, len: usize) -> Option<u64> {
    let bytes = head.get(at..at.checked_add(len)?)?;
    Some(bytes.iter().rev().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    /// A header with one program header of this type behind it.
    fn elf(class: u8, machine: u8, kind: u8) -> Vec<u8> {
        let mut head = vec![0; 64 + 56];
        head[..5].copy_from_slice(&[0x7f, b'E', b'L', b'F', class]);
        (head[18], head[32], head[54], head[56], head[64]) = (machine, 64, 56, 1, kind);
        head
    }

    const OURS: u8 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };

    #[test]
    fn a_program_without_a_loader_is_not_reached() {
        assert_eq!(Kind::of(&elf(2, OURS, 3)), Kind::Dynamic);
        assert_eq!(Kind::of(&elf(2, OURS, 1)), Kind::Unreached(Fault::Static));
        assert_eq!(Kind::of(&elf(1, 3, 3)), Kind::Unreached(Fault::Narrow));
        assert_eq!(Kind::of(&elf(2, 243, 3)), Kind::Unreached(Fault::Foreign(243)));
    }

    #[test]
    fn headers_that_are_cut_short_are_not_trusted() {
        let whole = elf(2, OURS, 3);
        for len in 20..whole.len() - 52 {
            assert_eq!(Kind::of(&whole[..len]), Kind::Unreached(Fault::Unreadable), "{len}");
        }
        let mut far = whole.clone();
        far[32..40].fill(0xff);
        assert_eq!(Kind::of(&far), Kind::Unreached(Fault::Unreadable));
    }

    #[test]
    fn the_first_line_of_a_script_names_who_runs_it() {
        let script = |line: &[u8]| match Kind::of(line) {
            Kind::Script { interpreter, argument } => (interpreter, argument),
            other @ (Kind::Dynamic | Kind::Unreached(_) | Kind::Other) => panic!("{other:?}"),
        };
        assert_eq!(script(b"#!/bin/sh\nx"), (b"/bin/sh".into(), None));
        assert_eq!(
            script(b"#! /usr/bin/env  -S node x \n"),
            (b"/usr/bin/env".into(), Some(b"-S node x".into()))
        );
        assert_eq!(Kind::of(b"#!\n"), Kind::Other);
        assert_eq!(Kind::of(b"echo"), Kind::Other);
    }

    fn words(file: &Path) -> [OsString; 1] {
        [file.as_os_str().to_owned()]
    }

    #[test]
    fn a_script_is_as_reachable_as_what_runs_it() {
        let dir = tempfile::tempdir().unwrap();
        let (program, script) = (dir.path().join("static"), dir.path().join("entrypoint.sh"));
        fs::write(&program, elf(2, OURS, 1)).unwrap();
        fs::write(&script, format!("#!{}\n", program.display())).unwrap();
        let file = fs::canonicalize(program).unwrap();
        assert_eq!(obstacle(&words(&script), None), Some(Obstacle { file, fault: Fault::Static }));
        fs::write(&script, "#!/bin/sh\n").unwrap();
        assert_eq!(obstacle(&words(&script), None), None);
        fs::write(&script, format!("#!{}\n", script.display())).unwrap();
        assert_eq!(obstacle(&words(&script), None), None, "the kernel refuses it in the end");
    }

    #[test]
    fn a_set_user_id_program_is_not_reached() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("raised");
        fs::write(&program, elf(2, OURS, 3)).unwrap();
        let mode = |mode, owner| {
            std::os::unix::fs::chown(&program, Some(owner), Some(owner)).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(mode)).unwrap();
            obstacle(&words(&program), None).map(|obstacle| obstacle.fault)
        };
        if !geteuid().is_root() {
            return println!("SKIP a_set_user_id_program_is_not_reached: needs root, to give a file away");
        }
        assert_eq!([mode(0o755, 65_534), mode(0o2745, 65_534)], [None, None], "the second means locking");
        assert_eq!([mode(0o4755, 65_534), mode(0o2755, 65_534)], [Some(Fault::Privileged); 2]);
        assert_eq!(mode(0o4755, geteuid().as_raw()), None, "it changes nobody");
    }

    #[test]
    fn a_program_is_looked_for_where_shells_look() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("app");
        fs::write(&program, elf(2, OURS, 1)).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("/nowhere:{}", dir.path().display());
        assert!(obstacle(&["app".into()], Some(path.as_ref())).is_some());
        assert!(obstacle(&["app".into()], Some("/nowhere".as_ref())).is_none());
    }
}
