//! Attestation vectors: real and forged evidence, walked by a program of its own through the production verifier.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::child;
use crate::house::House;

/// Walks `dir`, a folder with a `MANIFEST.toml`.
pub(crate) fn run(house: &House, dir: &Path) -> Result<()> {
    let here = std::env::current_dir()?;
    let mut walker = child::cargo(&house.root);
    walker.args(["run", "--quiet", "--package", "cloudtaser-vectors", "--"]).arg(here.join(dir));
    child::run(&mut walker)
}

/// The vectors' folder: what `CLOUDTASER_VECTORS` names, else the `shared` folder beside the checkout.
pub(crate) fn folder(house: &House, named: Option<OsString>) -> Option<PathBuf> {
    let beside = house.root.parent().map(|parent| parent.join("shared/vectors"));
    named.map(PathBuf::from).or(beside).filter(|dir| dir.join("MANIFEST.toml").is_file())
}
