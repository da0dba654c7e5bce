//! `[facts]`: what the system shall say of itself.
//!
//! Trusted: whoever may write the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use attest::Platform;
use serde::Deserialize;

use super::Hardware;
use crate::facts::Settings;

/// The section as it was written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFacts {
    enabled: Option<bool>,
    folder: Option<PathBuf>,
    enforcer: Option<PathBuf>,
    enforcer_within: Option<u64>,
    #[serde(default)]
    files: BTreeMap<String, PathBuf>,
}

pub(super) fn facts(
    raw: RawFacts,
    hardware: &mut BTreeMap<Platform, Hardware>,
    problems: &mut Vec<String>,
) -> Option<Settings> {
    if raw.enabled == Some(false) {
        return None;
    }
    let settings = Settings {
        folder: raw.folder.unwrap_or_else(|| Settings::FOLDER.into()),
        files: raw.files,
        enforcer: raw.enforcer.unwrap_or_else(|| Settings::ENFORCER.into()),
        enforcer_within: Duration::from_secs(raw.enforcer_within.unwrap_or(0)),
        decoy: std::env::current_exe().ok(),
    };
    if settings.enforcer_within > LONGEST {
        let found = settings.enforcer_within.as_secs();
        problems.push(format!("facts.enforcer_within: expected at most 3600 seconds, found {found}"));
    }
    let named = settings.files.iter().map(|(name, path)| (format!("files.{name}"), path));
    let paths = [("folder".to_owned(), &settings.folder), ("enforcer".to_owned(), &settings.enforcer)];
    for (name, path) in paths.into_iter().chain(named).filter(|(_, path)| !Path::is_absolute(path)) {
        problems.push(format!("facts.{name}: expected an absolute path, found {}", path.display()));
    }
    for name in settings
        .files
        .keys()
        .filter(|name| name.contains(|letter: char| letter == '=' || letter.is_control()))
    {
        problems
            .push(format!("facts.files: expected a name without = and control characters, found {name:?}"));
    }
    for hardware in hardware.values_mut() {
        hardware.keep_facts(&settings.folder);
    }
    Some(settings)
}

/// Somebody would take an agent that waits longer for one that hangs.
const LONGEST: Duration = Duration::from_hours(1);
