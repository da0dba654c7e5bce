//! Asks procfs and the control groups who it was: after the fact, and best effort.
//!
//! A record has the number of a control group; its path is found by walking the hierarchy once, and again when a number is not
//! known, though not more than once a second. A process that is gone is not asked any more. All that is remembered is bounded.
//!
//! Trusted: the kernel. Untrusted: how many processes and control groups somebody makes.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::enforcer::Place;

use super::place;
use crate::procfs::Procfs;

/// Control groups by their numbers.
#[derive(Debug)]
pub struct Cgroups {
    root: PathBuf,
    known: HashMap<u64, Place>,
    walked: Option<u64>,
}

impl Cgroups {
    /// Of the hierarchy that is mounted here.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), known: HashMap::new(), walked: None }
    }

    /// Where the control group of this number is. `now` is on the records' clock.
    pub fn place(&mut self, number: u64, now: u64) -> Place {
        if !self.known.contains_key(&number)
            && self.walked.is_none_or(|before| now.saturating_sub(before) >= PAUSE)
        {
            self.walked = Some(now);
            self.walk();
        }
        self.known.get(&number).cloned().unwrap_or_default()
    }

    /// A directory's inode is the control group's number (cgroup v2, kernfs with 64 bits).
    fn walk(&mut self) {
        self.known.clear();
        let mut left = vec![(self.root.clone(), "/".to_owned())];
        while let Some((folder, path)) = left.pop() {
            if self.known.len() >= MOST_CGROUPS {
                return;
            }
            if let Ok(found) = fs::metadata(&folder) {
                self.known.insert(found.ino(), place::of(&path));
            }
            let below = fs::read_dir(&folder).into_iter().flatten().flatten();
            let below = below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            left.extend(below.map(|entry| {
                let name = entry.file_name();
                (entry.path(), format!("{}/{}", path.trim_end_matches('/'), name.to_string_lossy()))
            }));
        }
    }
}

/// Programs of processes.
#[derive(Debug)]
pub struct Programs {
    procfs: Option<&'static Procfs>,
    known: HashMap<u32, Option<Arc<str>>>,
}

impl Programs {
    /// By this procfs; without one, nobody is known.
    #[must_use]
    pub fn new(procfs: Option<&'static Procfs>) -> Self {
        Self { procfs, known: HashMap::new() }
    }

    /// The program of this process, if it is still there.
    pub fn of(&mut self, pid: u32) -> Option<Arc<str>> {
        if let Some(known) = self.known.get(&pid) {
            return known.clone();
        }
        if self.known.len() >= MOST_PROGRAMS {
            self.known.clear();
        }
        let link = self.procfs.and_then(|procfs| procfs.link(&format!("{pid}/exe")).ok());
        let found: Option<Arc<str>> = link.map(|path| shown(&path).into());
        self.known.insert(pid, found.clone());
        found
    }

    /// A number may be another process's by now.
    pub fn forget(&mut self) {
        self.known.clear();
    }

    /// Where the process lives, by its own line of procfs, which stays open for everybody.
    #[must_use]
    pub fn place(&self, pid: u32) -> Place {
        let text =
            self.procfs.and_then(|procfs| procfs.text(&format!("{pid}/cgroup")).ok()).unwrap_or_default();
        let path = text.lines().find_map(|line| line.strip_prefix("0::"));
        path.map(place::of).unwrap_or_default()
    }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

/// In nanoseconds.
const PAUSE: u64 = 1_000_000_000;
const MOST_CGROUPS: usize = 65_536;
const MOST_PROGRAMS: usize = 4096;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_control_group_is_found_by_its_number_and_a_new_one_after_a_pause() {
        let root = tempfile::tempdir().unwrap();
        let pod = "kubepods/pod0f6d8f3a-2c1e-4b7a-9d55-3e1f0a9b8c7d";
        let make = |path: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(&path).unwrap();
            fs::metadata(path).unwrap().ino()
        };
        let (first, top) = (make(pod), make(""));
        let mut all = Cgroups::new(root.path());
        assert_eq!(all.place(first, 0).pod.as_deref(), Some("0f6d8f3a-2c1e-4b7a-9d55-3e1f0a9b8c7d"));
        assert_eq!(all.place(top, 0).cgroup.as_deref(), Some("/"));
        let second = make("system.slice/new.service");
        assert_eq!(all.place(second, PAUSE - 1), Place::default(), "not yet");
        assert_eq!(all.place(second, PAUSE).cgroup.as_deref(), Some("/system.slice/new.service"));
    }

    #[test]
    fn a_process_is_asked_once_and_one_that_is_gone_is_nobody() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("7")).unwrap();
        symlink("/usr/bin/gdb\n(deleted)", root.path().join("7/exe")).unwrap();
        fs::write(root.path().join("7/cgroup"), "1:name=systemd:/x\n0::/docker/y\n").unwrap();
        let mut all = Programs::new(Some(Box::leak(Box::new(Procfs::played(root.path())))));
        assert_eq!(all.of(7).as_deref(), Some("/usr/bin/gdb?(deleted)"));
        assert_eq!(all.place(7).cgroup.as_deref(), Some("/docker/y"));
        fs::remove_dir_all(root.path().join("7")).unwrap();
        assert!(all.of(7).is_some(), "it is remembered");
        all.forget();
        assert_eq!((all.of(7), all.place(7)), (None, Place::default()));
    }
}
