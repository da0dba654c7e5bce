//! A control group of the victim's own, as a container has; gone when the suite is.

use std::fs::{create_dir, read_to_string, remove_dir, write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

/// The group.
#[derive(Debug)]
pub struct Group {
    path: PathBuf,
    /// Who forked it does not remove it.
    owner: u32,
}

impl Group {
    /// Makes one below our own; none where there is no second version of control groups, or no right.
    #[must_use]
    pub fn make(name: &str) -> Option<Self> {
        let path = place("self")?.join(name);
        create_dir(&path).ok()?;
        Some(Self { path, owner: std::process::id() })
    }

    /// Makes one in it.
    #[must_use]
    pub fn within(&self, name: &str) -> Option<Self> {
        let path = self.path.join(name);
        create_dir(&path).ok()?;
        Some(Self { path, owner: std::process::id() })
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts a process into it.
    pub fn place(&self, pid: i32) -> std::io::Result<()> {
        write(self.path.join("cgroup.procs"), pid.to_string())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for _ in 0..100 {
            if self.owner != std::process::id() || remove_dir(&self.path).is_ok() {
                return;
            }
            // Who was in it is just dying.
            sleep(Duration::from_millis(20));
        }
    }
}

/// The directory of a process's group, in the unified hierarchy.
#[must_use]
pub fn place(pid: &str) -> Option<PathBuf> {
    let line = mount_point()?;
    let groups = read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(line.join(path))
}

fn mount_point() -> Option<PathBuf> {
    let mounts = read_to_string("/proc/self/mounts").ok()?;
    let mut fields = mounts.lines().map(|line| line.split(' '));
    fields.find_map(|mut fields| {
        let (point, kind) = (fields.nth(1)?, fields.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(point))
    })
}
