//! A mounted report file system, which goes away with its guard.

use std::io;
use std::path::{Path, PathBuf};

use fuser::{BackgroundSession, Config, MountOption, SessionACL};

use super::fs::ReportFs;
use super::machine::Machine;

/// A machine's report file system, mounted until dropped.
#[derive(Debug)]
pub struct Mount {
    path: PathBuf,
    // Dropping the session unmounts; its thread ends when no mount namespace holds a copy any more.
    _session: BackgroundSession,
}

/// Why the file system could not be mounted.
#[derive(Debug, thiserror::Error)]
#[error("mounting the report file system on {path}: {source}")]
pub struct MountError {
    path: PathBuf,
    source: io::Error,
}

impl MountError {
    pub(crate) fn new(path: &Path, source: io::Error) -> Self {
        Self { path: path.to_owned(), source }
    }
}

impl Mount {
    /// Shows `machine` under `path`, an empty directory that exists.
    ///
    /// Root mounts directly and lets everybody in whom the modes let in; others need `fusermount3` and are
    /// alone.
    pub fn new(machine: Machine, path: &Path) -> Result<Self, MountError> {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::FSName("cloudtaser-sim".to_owned()),
            MountOption::Subtype("tsm".to_owned()),
            MountOption::DefaultPermissions,
            MountOption::NoExec,
        ];
        config.acl = if uid.is_root() { SessionACL::All } else { SessionACL::Owner };
        let fs = ReportFs::new(machine, uid.as_raw(), gid.as_raw());
        let session =
            fuser::spawn_mount(fs, path, &config).map_err(|source| MountError::new(path, source))?;
        Ok(Self { path: path.to_owned(), _session: session })
    }

    /// Where it is mounted: the directory in which report directories are made.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
