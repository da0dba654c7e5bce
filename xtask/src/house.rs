//! The house: which rooms (packages) exist, where they are, and what they depend on.
//!
//! Everything comes from `cargo metadata`, so that nothing here has to be kept up to date by hand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::child;

/// The workspace as cargo sees it.
#[derive(Debug, Deserialize)]
pub(crate) struct House {
    /// The checkout.
    #[serde(rename = "workspace_root")]
    pub(crate) root: PathBuf,
    /// `CARGO_TARGET_DIR`, or `target`.
    #[serde(rename = "target_directory")]
    pub(crate) target: PathBuf,
    /// Our packages.
    #[serde(rename = "packages")]
    pub(crate) rooms: Vec<Room>,
}

/// One package of ours.
#[derive(Debug, Deserialize)]
pub(crate) struct Room {
    /// The package's name, with the prefix.
    #[serde(rename = "name")]
    pub(crate) package: String,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) features: BTreeMap<String, Vec<String>>,
    pub(crate) targets: Vec<Target>,
}

/// One line of a `[dependencies]` table.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `None` is a normal one; else `dev` or `build`.
    pub(crate) kind: Option<String>,
    /// Only dependencies of our own have one.
    pub(crate) path: Option<PathBuf>,
}

/// A library, program, test, example or benchmark.
#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: Vec<String>,
    pub(crate) src_path: PathBuf,
}

impl House {
    /// Asks cargo about the workspace that we are run in.
    pub(crate) fn find() -> Result<Self> {
        let here = std::env::current_dir()?;
        let metadata =
            child::read(child::cargo(&here).args(["metadata", "--no-deps", "--format-version", "1"]))?;
        serde_json::from_str(&metadata).context("cargo metadata")
    }

    /// `path` as it is written in our lists: relative to the root, with slashes.
    pub(crate) fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy().into_owned()
    }

    /// The Rust files of `room`, in order, without those of rooms inside it.
    pub(crate) fn sources(&self, room: &Room) -> Result<Vec<PathBuf>> {
        let inner: Vec<&Path> = self.rooms.iter().map(Room::dir).filter(|dir| *dir != room.dir()).collect();
        let mut files = Vec::new();
        collect(room.dir(), &inner, &mut files)?;
        files.sort();
        Ok(files)
    }
}

impl Room {
    /// The name without the prefix that all our packages carry.
    pub(crate) fn name(&self) -> &str {
        short(&self.package)
    }

    /// The room's folder.
    pub(crate) fn dir(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(&self.manifest_path)
    }
}

impl Target {
    /// Is it one of these kinds?
    pub(crate) fn is(&self, kind: &str) -> bool {
        self.kind.iter().any(|found| found == kind)
    }
}

/// A package's name without our prefix.
pub(crate) fn short(package: &str) -> &str {
    package.strip_prefix("cloudtaser-").unwrap_or(package)
}

fn collect(dir: &Path, inner: &[&Path], files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            if !path.ends_with("target") && !inner.contains(&path.as_path()) {
                collect(&path, inner, files)?;
            }
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_inside_another_is_not_counted_with_it() {
        let house = House::find().unwrap();
        let keyrelease = house.rooms.iter().find(|room| room.name() == "keyrelease").unwrap();
        let outer = house.sources(keyrelease).unwrap();
        assert!(!outer.is_empty());
        assert!(outer.iter().all(|file| !house.relative(file).contains("openbao-plugin/")));
    }
}
