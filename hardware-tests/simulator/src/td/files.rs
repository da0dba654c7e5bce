//! The mounted files, which go away with their guard.

use std::path::{Path, PathBuf};

use fuser::{BackgroundSession, Config, MountOption, SessionACL};

use super::Td;
use super::fs::TdFs;
use crate::tsm::MountError;

/// A TD's device, event log and registers, shown until dropped.
#[derive(Debug)]
pub struct Files {
    path: PathBuf,
    _session: BackgroundSession,
}

impl Files {
    /// Shows them under `path`, an empty directory that exists.
    pub fn new(td: &Td, path: &Path) -> Result<Self, MountError> {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::FSName("cloudtaser-sim".to_owned()),
            MountOption::Subtype("td".to_owned()),
            MountOption::DefaultPermissions,
            MountOption::NoExec,
        ];
        config.acl = if uid.is_root() { SessionACL::All } else { SessionACL::Owner };
        let fs = TdFs::new(td.clone(), uid.as_raw(), gid.as_raw());
        let session =
            fuser::spawn_mount(fs, path, &config).map_err(|source| MountError::new(path, source))?;
        Ok(Self { path: path.to_owned(), _session: session })
    }

    /// What Linux has at `/dev/tdx_guest`.
    #[must_use]
    pub fn device(&self) -> PathBuf {
        self.path.join("tdx_guest")
    }

    /// What Linux has at `/sys/firmware/acpi/tables/data/CCEL`.
    #[must_use]
    pub fn event_log(&self) -> PathBuf {
        self.path.join("CCEL")
    }

    /// A register, as in `/sys/devices/virtual/misc/tdx_guest/measurements`.
    #[must_use]
    pub fn register(&self, number: usize) -> PathBuf {
        self.path.join("measurements").join(format!("rtmr{number}:sha384"))
    }
}
