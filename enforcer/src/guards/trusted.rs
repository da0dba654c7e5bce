//! The list of trusted programs: what an operator lets do what the guards of the node are against; and our own next life.
//!
//! A program is known by its file: its digest is checked here, once, and the kernel then knows the file by its place, size and
//! time of change, at every `execve`. Whoever changes the file makes the entry void. An interpreter that is trusted is
//! everybody: a trusted shell runs anybody's script. So is, for root, a program into which libraries are loaded: an entry has to
//! say that it is meant. What is known of them is told to the kernel by `tell`, beside.
//!
//! Trusted: the list, which is root's. Untrusted: the files that it names.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use enforcer_abi::{Place, Program, State, Trust, Vector, trust};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, Stat, fstat, fstatfs, openat, openat2};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use sha2::{Digest as _, Sha256};

use crate::elf::{self, Kind};
use crate::load::own::device_of;
use crate::procfs::{self, magic};
use crate::quiet::{Loud, Quiet};

/// The most entries; the map of the programs holds one more, ourselves.
pub const MOST: usize = 1_000;

/// The list, as it is written.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// One program each.
    #[serde(default, deserialize_with = "tables")]
    pub trusted: Vec<Entry>,
}

/// One program.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its file.
    pub path: PathBuf,
    /// SHA-256 of it, hexadecimal; without it, whatever is there when the enforcer starts.
    pub sha256: Option<String>,
    /// The control group that it has to be started in, or below.
    pub cgroup: Option<PathBuf>,
    /// The vectors that it may use; without it, all that guard the node.
    pub vectors: Option<Vec<String>>,
    /// Whether what it executes in its control group is trusted as it is: for runtimes, whose helpers have no lasting file.
    #[serde(default)]
    pub children: bool,
    /// Whether it is trusted though libraries are loaded into it, which whoever starts it chooses.
    #[serde(default)]
    pub loads: bool,
}

/// Why an entry, or the list, is void.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Void {
    /// The list cannot be read.
    #[error("{path}: {why}")]
    List {
        /// Which.
        path: String,
        /// Why not.
        why: String,
    },
    /// The file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// The control group is none.
    #[error("{path}: its control group {group}: {source}")]
    Group {
        /// Which entry.
        path: String,
        /// Which group.
        group: String,
        /// Why not.
        source: io::Error,
    },
    /// The file cannot be known.
    #[error("{path}: {loud}")]
    Loud {
        /// Which.
        path: String,
        /// Why not.
        loud: Loud,
    },
    /// The file is another one.
    #[error("{path}: expected SHA-256 {expected}, found {found}")]
    Digest {
        /// Which.
        path: String,
        /// As the list has it.
        expected: String,
        /// As it is.
        found: String,
    },
    /// The file is of another kind.
    #[error("{path}: expected a program that is all in one file, found {found}")]
    Kind {
        /// Which.
        path: String,
        /// What it is, and what can be done about it.
        found: &'static str,
    },
    /// Everything that a runtime starts would be trusted, containers too.
    #[error("{path}: expected a control group beside `children`: what it executes elsewhere is not its own")]
    Children {
        /// Which.
        path: String,
    },
    /// The file is the enforcer's.
    #[error("{path}: expected another's program, found the enforcer's own, which needs no entry")]
    Own {
        /// Which.
        path: String,
    },
    /// No number is left for it.
    #[error("{path}: the list was changed too often since the machine was started: restart it")]
    Unnumbered {
        /// Which.
        path: String,
    },
    /// A vector that is none of the node's.
    #[error("{path}: {vector} is no vector that guards the node")]
    Vector {
        /// Which.
        path: String,
        /// What was written.
        vector: String,
    },
}

impl List {
    /// Of what was read there; without a file, it is empty.
    pub fn of(path: &Path, read: Result<&[u8], &io::Error>) -> Result<Self, Void> {
        let wrong = |why: String| Void::List { path: path.display().to_string(), why };
        let bytes = match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            other => other.map_err(|error| wrong(error.to_string()))?,
        };
        let text = str::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
        let list: Self = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if list.trusted.len() > MOST {
            return Err(wrong(format!("expected at most {MOST} entries, found {}", list.trusted.len())));
        }
        Ok(list)
    }
}

impl Entry {
    /// What the kernel is told of it: the file below `root` as it was when its digest was taken, and what it may. It has no number
    /// yet.
    pub(crate) fn resolve(&self, root: &Path) -> Result<(Quiet, Trust), Void> {
        let file = |source| Void::File { path: self.path.display().to_string(), source };
        let opened = below(root, &self.path).map_err(file)?;
        let mut quiet = Quiet::hold(opened).map_err(|loud| self.loud(loud))?;
        let found = digest(quiet.file()).map_err(file)?;
        if let Some(expected) = self.sha256.as_ref().filter(|expected| !found.eq_ignore_ascii_case(expected))
        {
            let (path, expected) = (self.path.display().to_string(), expected.clone());
            return Err(Void::Digest { path, expected, found });
        }
        self.fits(elf::kind(quiet.file()).map_err(file)?)?;
        let cgroup = self.group()?;
        let children = if self.children { trust::CHILDREN } else { 0 };
        let flags = children | if self.loads { trust::MAY_LOAD } else { 0 };
        Ok((quiet, Trust { vectors: self.allowed()?, cgroup, entry: 0, flags }))
    }

    /// Its control group; 0: any.
    fn group(&self) -> Result<u64, Void> {
        let Some(group) = &self.cgroup else { return Ok(0) };
        let (path, shown) = (self.path.display().to_string(), group.display().to_string());
        number_of(group).map_err(|source| Void::Group { path, group: shown, source })
    }

    pub(crate) fn loud(&self, loud: Loud) -> Void {
        Void::Loud { path: self.path.display().to_string(), loud }
    }

    pub(crate) fn own(&self) -> Void {
        Void::Own { path: self.path.display().to_string() }
    }

    pub(crate) fn unnumbered(&self) -> Void {
        Void::Unnumbered { path: self.path.display().to_string() }
    }

    /// Whether a program of this kind can be what the entry says.
    fn fits(&self, kind: Kind) -> Result<(), Void> {
        let path = || self.path.display().to_string();
        let found = match kind {
            Kind::Whole => None,
            Kind::Loads if self.loads => None,
            Kind::Loads => Some(
                "one into which libraries are loaded: whoever starts it chooses them; `loads = true` accepts that",
            ),
            Kind::Script => Some("a script, which is another program's to run"),
            Kind::Other => Some("no program"),
        };
        if let Some(found) = found {
            return Err(Void::Kind { path: path(), found });
        }
        if self.children && self.cgroup.is_none() { Err(Void::Children { path: path() }) } else { Ok(()) }
    }

    /// The vectors that it may use, a bit each.
    pub fn allowed(&self) -> Result<u64, Void> {
        let Some(named) = &self.vectors else {
            return Ok(node().fold(0, |all, vector| all | bit(vector)));
        };
        named.iter().try_fold(0, |all, name| {
            let vector = Vector::named(name).filter(|vector| node().any(|one| one == *vector));
            let path = || self.path.display().to_string();
            let vector = vector.ok_or_else(|| Void::Vector { path: path(), vector: name.clone() })?;
            Ok(all | bit(vector))
        })
    }
}

fn node() -> impl Iterator<Item = Vector> {
    Vector::ALL.iter().copied().filter(|vector| vector.guard() == enforcer_abi::Guard::Node)
}

fn bit(vector: Vector) -> u64 {
    1_u64.checked_shl(u32::from(vector.number())).unwrap_or(0)
}

/// Entries that are tables. What is derived would take values without their words, too, in the order in which they stand here.
fn tables<'d, D: Deserializer<'d>>(from: D) -> Result<Vec<Entry>, D::Error> {
    let tables = Vec::<Table>::deserialize(from)?;
    Ok(tables.into_iter().map(|Table(entry)| entry).collect())
}

struct Table(Entry);

impl<'d> Deserialize<'d> for Table {
    fn deserialize<D: Deserializer<'d>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Words).map(Self)
    }
}

struct Words;

impl<'d> Visitor<'d> for Words {
    type Value = Entry;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a table with a `path`")
    }

    fn visit_map<A: MapAccess<'d>>(self, words: A) -> Result<Entry, A::Error> {
        Entry::deserialize(MapAccessDeserializer::new(words))
    }
}

/// Whether our program is all in one file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Whole {
    /// It is.
    Yes,
    /// Libraries are loaded into it, whichever its starter wants: its next life is not known.
    No,
}

/// Whether this very program is.
pub(crate) fn ourselves() -> io::Result<Whole> {
    Ok(whole(&procfs::ours()?.read("self/auxv")?))
}

/// `AT_BASE` is 0 where a program has no loader (getauxval(3)).
pub(crate) fn whole(vector: &[u8]) -> Whole {
    const BASE: u64 = 7;
    let word = |bytes: &[u8]| bytes.first_chunk::<8>().map(|bytes| u64::from_ne_bytes(*bytes));
    let base = vector.chunks_exact(16).find_map(|pair| {
        let (kind, value) = pair.split_at_checked(8)?;
        if word(kind)? == BASE { word(value) } else { None }
    });
    if base == Some(0) { Whole::Yes } else { Whole::No }
}

/// A file as the kernel will know it.
pub(crate) fn program(file: &File) -> io::Result<Program> {
    let Stat { st_ino, st_size, st_ctime, st_ctime_nsec, .. } = fstat(file)?;
    let positive = |number: i64| u64::try_from(number).unwrap_or(0);
    let kind = positive(fstatfs(file)?.f_type);
    Ok(Program {
        place: Place { device: device(file)?, kind, inode: st_ino },
        state: State { size: positive(st_size), seconds: positive(st_ctime), nanoseconds: st_ctime_nsec },
    })
}

/// Our own.
pub(crate) fn own() -> io::Result<Program> {
    program(&procfs::ours()?.behind("self", "exe")?)
}

/// The device of a file's file system. Some file systems tell another with each file; mountinfo has the one of the kernel's own.
fn device(file: &File) -> io::Result<u64> {
    let procfs = procfs::ours()?;
    let mount = procfs.told(file.as_fd(), "mnt_id")?;
    let mount = mount.ok_or_else(|| io::Error::other("the kernel tells no mount of a file"))?;
    let table = procfs.text("self/mountinfo")?;
    let line = table.lines().find(|line| line.split(' ').next() == Some(mount.as_str()));
    let numbers = line.and_then(|line| line.split(' ').nth(2)?.split_once(':'));
    let numbers = numbers.and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    if let Some((major, minor)) = numbers {
        return Ok(device_of(major, minor));
    }
    // In another mount name space: as the file tells it.
    let device = fstat(file)?.st_dev;
    Ok(device_of(rustix::fs::major(device), rustix::fs::minor(device)))
}

/// A file as those see it whose topmost folder is `root`: links do not lead out of it.
fn below(root: &Path, path: &Path) -> io::Result<File> {
    let root = openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    Ok(openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)?.into())
}

/// The number of a control group: the kernel knows it by its folder's.
pub(crate) fn number_of(group: &Path) -> io::Result<u64> {
    let folder = openat(CWD, group, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let kind = fstatfs(&folder)?.f_type;
    if kind != magic::CGROUP2 {
        let found =
            format!("expected a folder of the unified hierarchy (cgroup2), found one of kind {kind:x}");
        return Err(io::Error::other(found));
    }
    Ok(fstat(&folder)?.st_ino)
}

/// SHA-256 of what is left of a file, hexadecimal.
pub(crate) fn digest(file: &mut File) -> io::Result<String> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex::encode(digest.finalize()));
        }
        digest.update(buffer.get(..read).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn list(text: &str) -> (tempfile::TempDir, Result<List, Void>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("enforcer.toml");
        fs::write(&path, text).unwrap();
        let read = List::of(&path, Ok(text.as_bytes()));
        (folder, read)
    }

    fn entry(path: &Path) -> Entry {
        Entry { path: path.into(), sha256: None, cgroup: None, vectors: None, children: false, loads: false }
    }

    #[test]
    fn a_list_that_is_not_there_trusts_nobody() {
        let absent = io::Error::from(io::ErrorKind::NotFound);
        let read = |error| List::of(Path::new("/nonexistent/enforcer.toml"), Err(error));
        assert_eq!(read(&absent).unwrap(), List::default());
        assert!(read(&io::Error::from(io::ErrorKind::PermissionDenied)).is_err());
    }

    #[test]
    fn a_word_that_is_not_known_makes_the_list_void() {
        let (_folder, read) = list("[[trusted]]\npath = \"/bin/true\"\nhash = \"00\"\n");
        assert!(read.unwrap_err().to_string().contains("unknown field `hash`"));
    }

    #[test]
    fn values_without_their_words_make_the_list_void() {
        let (_folder, read) = list("trusted = [[\"/bin/true\", \"00\", \"/c\", [\"mount\"], true, true]]\n");
        assert!(read.unwrap_err().to_string().contains("expected a table with a `path`"));
    }

    #[test]
    fn a_program_that_is_another_is_not_trusted() {
        let (folder, _) = list("");
        let path = folder.path().join("program");
        fs::write(&path, elf::tests::program(&[1])).unwrap();
        let expected = "00".repeat(32);
        let error =
            Entry { sha256: Some(expected.clone()), ..entry(&path) }.resolve(Path::new("/")).unwrap_err();
        let found = hex::encode(Sha256::digest(elf::tests::program(&[1])));
        assert_eq!(
            error.to_string(),
            format!("{}: expected SHA-256 {expected}, found {found}", path.display())
        );
        assert!(Entry { sha256: Some(found.to_uppercase()), ..entry(&path) }.resolve(Path::new("/")).is_ok());
    }

    #[test]
    fn whoever_changes_the_file_makes_the_entry_void() {
        let (folder, _) = list("");
        let path = folder.path().join("program");
        fs::write(&path, elf::tests::program(&[1])).unwrap();
        let program = || entry(&path).resolve(Path::new("/")).unwrap().0.program();
        let before = program();
        fs::write(&path, elf::tests::program(&[2])).unwrap();
        let after = program();
        assert_eq!((before.place, before.state.size), (after.place, after.state.size));
        assert_ne!(before, after);
    }

    #[test]
    fn an_entry_is_looked_for_below_the_root_that_is_told_and_not_outside() {
        let (folder, _) = list("");
        let inside = folder.path().join("usr");
        fs::create_dir(&inside).unwrap();
        fs::write(inside.join("program"), elf::tests::program(&[1])).unwrap();
        std::os::unix::fs::symlink("/usr", folder.path().join("bin")).unwrap();
        entry(Path::new("/bin/program")).resolve(folder.path()).unwrap();
        let outside = entry(Path::new("/../../../../bin/true")).resolve(folder.path()).unwrap_err();
        assert_eq!(outside.to_string(), "/../../../../bin/true: No such file or directory (os error 2)");
    }

    #[test]
    fn a_control_group_that_is_none_makes_the_entry_void_by_its_name() {
        let (folder, _) = list("");
        let path = folder.path().join("program");
        fs::write(&path, elf::tests::program(&[1])).unwrap();
        let within = |group: &Path| Entry { cgroup: Some(group.into()), ..entry(&path) };
        let error = within(Path::new("/nowhere")).resolve(Path::new("/")).unwrap_err().to_string();
        let expected =
            format!("{}: its control group /nowhere: No such file or directory (os error 2)", path.display());
        assert_eq!(error, expected);
        let error = within(folder.path()).resolve(Path::new("/")).unwrap_err().to_string();
        assert!(
            error.contains("expected a folder of the unified hierarchy (cgroup2), found one of kind "),
            "{error}"
        );
    }

    #[test]
    fn an_entry_allows_what_guards_the_node_and_no_more() {
        let path = Path::new("/bin/true");
        let all = entry(path).allowed().unwrap();
        assert_ne!(all & bit(Vector::BpfLoad), 0);
        assert_eq!(all & (bit(Vector::Ptrace) | bit(Vector::OwnMap)), 0);
        let some = Entry { vectors: Some(vec!["mount".into()]), ..entry(path) };
        assert_eq!(some.allowed().unwrap(), bit(Vector::Mount));
        let wrong = Entry { vectors: Some(vec!["ptrace".into()]), ..entry(path) };
        assert_eq!(
            wrong.allowed().unwrap_err().to_string(),
            "/bin/true: ptrace is no vector that guards the node"
        );
    }

    #[test]
    fn a_program_with_a_loader_is_not_whole() {
        let pair = |kind: u64, value: u64| [kind.to_ne_bytes(), value.to_ne_bytes()].concat();
        assert_eq!(whole(&[pair(6, 4096), pair(7, 0)].concat()), Whole::Yes);
        assert_eq!(whole(&[pair(6, 4096), pair(7, 0x7f00)].concat()), Whole::No);
        assert_eq!(whole(&[]), Whole::No);
    }
}
