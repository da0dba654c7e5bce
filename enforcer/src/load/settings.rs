//! What the programs are told before they are verified: of the operator's words.
//!
//! Trusted: the configuration, and the control groups' file system.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use enforcer_abi::Settings;

use crate::config::Run;

/// The settings; programs with typed arguments are loaded as this kind.
pub(crate) fn of(config: &Run, typed: u32) -> io::Result<Settings> {
    let (scope_cgroup, scope_level) = config.scope.as_deref().map_or(Ok((0, 0)), scope_of)?;
    Ok(Settings {
        scope_cgroup,
        scope_level,
        loader: std::process::id(),
        typed,
        reactive: u32::from(config.reactive_kill),
        share: config.tasks_per_group,
        reserved: 0,
    })
}

/// The number of a control group, and how deep it lies.
fn scope_of(folder: &Path) -> io::Result<(u64, u32)> {
    let folder = fs::canonicalize(folder)?;
    let number = fs::metadata(&folder)?.ino();
    let device = fs::metadata(&folder)?.dev();
    let above = folder
        .ancestors()
        .skip(1)
        .take_while(|path| fs::metadata(path).is_ok_and(|found| found.dev() == device));
    Ok((number, u32::try_from(above.count()).unwrap_or(u32::MAX)))
}
