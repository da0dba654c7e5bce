//! What outlives the loader: maps and links have names in bpffs, so that enforcement goes on when it dies.
//!
//! `maps/NAME` is shared by all that come after; `N/NAME` are the links of generation N. Who comes next attaches its own
//! links first, and takes away the old ones afterwards: there is no moment without. The folder is guarded by the programs
//! themselves.
//!
//! Trusted: what lies in the folder, because nobody but root ever could write there, and nobody but the enforcer can now.

use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use rustix::fs::statfs;
use rustix::mount::{MountFlags, mount};

use crate::procfs::magic;
use crate::{kernel, procfs};

/// A folder in bpffs.
#[derive(Clone, Debug)]
pub(crate) struct Pins {
    root: PathBuf,
    generation: u64,
}

/// Maps of an enforcer before us.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Before {
    /// Only the enforcer could open them: they are taken over.
    Guarded,
    /// Anybody could: they are not.
    Open,
}

/// Why nothing can be pinned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system is another one.
    #[error(
        "{path}: expected the BPF file system, found another{why}; mount it on the node (`mount -t bpf bpf /sys/fs/bpf`), \
         or say --no-pins"
    )]
    NotBpf {
        /// Where.
        path: String,
        /// Why it was not mounted.
        why: String,
    },
    /// The kernel does not do it.
    #[error("{path}: {source}")]
    File {
        /// Where.
        path: String,
        /// Why not.
        source: io::Error,
    },
}

impl Pins {
    /// A new generation in this folder.
    pub(crate) fn open(root: &Path) -> Result<Self, Error> {
        mounted(root)?;
        let maps = root.join("maps");
        fs::create_dir_all(&maps).map_err(told(&maps))?;
        let last = generations(root)?.into_iter().max().unwrap_or(0);
        let pins = Self { root: root.to_owned(), generation: last.saturating_add(1) };
        fs::create_dir(pins.ours()).map_err(told(&pins.ours()))?;
        Ok(pins)
    }

    /// What becomes of the maps that are there. How many are not taken over.
    pub(crate) fn take_over(&self, before: Before) -> Result<usize, Error> {
        match before {
            Before::Guarded => Ok(0),
            Before::Open => self.forget_maps(),
        }
    }

    /// Takes the names of maps away which anybody could open until now, and may hold on to: whoever does would write to them when
    /// they are guarded. How many there were.
    fn forget_maps(&self) -> Result<usize, Error> {
        let maps = self.root.join("maps");
        let mut count = 0_usize;
        for entry in fs::read_dir(&maps).map_err(told(&maps))? {
            let path = entry.map_err(told(&maps))?.path();
            fs::remove_file(&path).map_err(told(&path))?;
            count = count.saturating_add(1);
        }
        Ok(count)
    }

    /// Whether somebody who may has taken our links away: whoever came after us, or an operator who had us let go.
    pub(crate) fn are_gone(&self) -> bool {
        !self.ours().exists()
    }

    /// Takes our folder away if nothing is in it: an attempt that came to nothing leaves nothing.
    pub(crate) fn give_up(&self) {
        fs::remove_dir(self.ours()).unwrap_or_default();
    }

    /// The folder of all generations.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where a map has its name.
    pub(crate) fn map(&self, name: &str) -> PathBuf {
        // A dot is not allowed in bpffs.
        self.root.join("maps").join(name.trim_start_matches('.'))
    }

    /// Gives a link its name.
    pub(crate) fn link(&self, name: &str, link: BorrowedFd<'_>) -> Result<(), Error> {
        let path = self.path(name);
        kernel::pin(link, &path).map_err(told(&path))
    }

    /// Where a link of this name has its own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.ours().join(name)
    }

    /// Takes away the links of those before us, but those that `wanted` says we should have in their place and have not: what
    /// refused goes on refusing. How many generations there were, and what was left of them.
    pub(crate) fn retire_others(&self, wanted: impl Fn(&str) -> bool) -> Result<(usize, Vec<String>), Error> {
        let others: Vec<u64> =
            generations(&self.root)?.into_iter().filter(|found| *found != self.generation).collect();
        let mut kept = Vec::new();
        for generation in &others {
            let folder = self.root.join(generation.to_string());
            let left = remove_but(&folder, |name| wanted(name) && !self.path(name).exists())?;
            kept.extend(left);
        }
        Ok((others.len(), kept))
    }

    fn ours(&self) -> PathBuf {
        self.root.join(self.generation.to_string())
    }
}

/// The BPF file system is where our folder is, or is to be; where the node has none yet, it gets one.
fn mounted(root: &Path) -> Result<(), Error> {
    let place = root.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let is_there = || statfs(place).is_ok_and(|found| found.f_type == magic::BPF);
    if is_there() {
        return Ok(());
    }
    let why = match mount_it(place) {
        Ok(()) if is_there() => return Ok(()),
        Ok(()) => String::new(),
        Err(error) => format!(", and could not mount it: {error}"),
    };
    Err(Error::NotBpf { path: place.display().to_string(), why })
}

/// At its usual place, among the mounts of the node's first process: what is mounted for a container goes with it.
fn mount_it(place: &Path) -> io::Result<()> {
    if place != Path::new(USUAL) {
        return Err(io::Error::other(format!("its usual place is {USUAL}")));
    }
    let procfs = procfs::ours()?;
    if procfs.link("self/ns/mnt")? != procfs.link("1/ns/mnt")? {
        return Err(io::Error::other("a container's mounts end with it"));
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    Ok(mount("bpf", place, "bpf", flags, c"mode=0700")?)
}

const USUAL: &str = "/sys/fs/bpf";

/// How many links have names there, of whichever generation; none where it cannot be seen.
pub(crate) fn left(root: &Path) -> usize {
    if !statfs(root).is_ok_and(|found| found.f_type == magic::BPF) {
        return 0;
    }
    let folders = generations(root).unwrap_or_default().into_iter();
    folders.filter_map(|number| Some(fs::read_dir(root.join(number.to_string())).ok()?.count())).sum()
}

/// Takes away everything: links first. Nothing is refused any more.
pub(crate) fn clear(root: &Path) -> Result<(), Error> {
    for generation in generations(root)? {
        remove(&root.join(generation.to_string()))?;
    }
    remove(&root.join("maps"))?;
    fs::remove_dir(root).map_err(told(root))
}

fn generations(root: &Path) -> Result<Vec<u64>, Error> {
    let entries = fs::read_dir(root).map_err(told(root))?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// A folder of names, and the names.
fn remove(folder: &Path) -> Result<(), Error> {
    remove_but(folder, |_| false).map(drop)
}

/// Likewise, but for some, which are told; the folder goes with the last.
fn remove_but(folder: &Path, stays: impl Fn(&str) -> bool) -> Result<Vec<String>, Error> {
    let mut kept = Vec::new();
    for entry in fs::read_dir(folder).map_err(told(folder))? {
        let path = entry.map_err(told(folder))?.path();
        match path.file_name().and_then(|name| name.to_str()).filter(|name| stays(name)) {
            Some(name) => kept.push(name.to_owned()),
            None => fs::remove_file(&path).map_err(told(&path))?,
        }
    }
    if kept.is_empty() {
        fs::remove_dir(folder).map_err(told(folder))?;
    }
    Ok(kept)
}

fn told(path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.display().to_string();
    move |source| Error::File { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_that_anybody_could_open_are_not_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let pins = Pins { root: folder.path().to_owned(), generation: 2 };
        for name in ["maps/POLICY", "maps/TAGS", "1/file_open"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        assert_eq!(pins.take_over(Before::Open).unwrap(), 2);
        assert!(!folder.path().join("maps/POLICY").exists() && folder.path().join("1/file_open").exists());
    }

    #[test]
    fn what_we_could_not_attach_stays_with_those_before_us() {
        let folder = tempfile::tempdir().unwrap();
        let pins = Pins { root: folder.path().to_owned(), generation: 2 };
        for name in ["1/file_open", "1/ptrace_traceme", "1/leak_file", "2/file_open"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let left = pins.retire_others(|name| name != "leak_file").unwrap();
        assert_eq!(left, (1, vec!["ptrace_traceme".to_owned()]));
        assert!(
            folder.path().join("1/ptrace_traceme").exists() && !folder.path().join("1/file_open").exists()
        );
        fs::write(folder.path().join("2/ptrace_traceme"), "").unwrap();
        assert_eq!(pins.retire_others(|_| true).unwrap(), (1, vec![]));
        assert!(!folder.path().join("1").exists() && folder.path().join("2/file_open").exists());
    }
}
