//! `[facts]`: what the system shall say of itself.
//!
//! Trusted: whoever may write the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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
        decoy: std::env::current_exe().ok(),
    };
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
