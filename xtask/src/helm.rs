//! Helm, which renders the charts for their tests: built from source by the machine's own Go.
//!
//! There is no package of it. Where Go is absent or too old, those tests are skipped, and say so.
//! Trusted: the version pinned here, which Go checks against its checksum database.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::child::{self, which};
use crate::house::House;

const HELM: &str = "v4.3.1";
/// What that version of Helm asks for, and Kubernetes 1.36.
const LEAST_GO: (u32, u32) = (1, 26);

/// Builds Helm, unless it is there; `None` where it cannot be built.
pub(crate) fn ensure(house: &House) -> Result<Option<PathBuf>> {
    if let Some(named) = std::env::var_os("CLOUDTASER_HELM") {
        return Ok(Some(named.into()));
    }
    let dir = house.target.join("tools/go");
    let program = dir.join("helm");
    if program.is_file() {
        return Ok(Some(program));
    }
    if !has_go()? {
        return Ok(None);
    }
    eprintln!("xtask: building Helm {HELM}");
    std::fs::create_dir_all(&dir)?;
    let package = format!("helm.sh/helm/v4/cmd/helm@{HELM}");
    child::twice(|| {
        let mut go = Command::new("go");
        go.args(["install", "-trimpath", "-ldflags=-s -w", &package]);
        child::read(go.env("GOBIN", dir.canonicalize()?).env("CGO_ENABLED", "0"))
    })?;
    Ok(Some(program))
}

/// Whether this machine has a Go that can build it.
pub(crate) fn has_go() -> Result<bool> {
    let version = || child::read(Command::new("go").args(["env", "GOVERSION"]));
    Ok(which("go").is_some() && is_new_enough(&version()?))
}

/// Reads `go1.26.8`.
fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.trim().trim_start_matches("go").split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= LEAST_GO,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_go_is_as_good_as_none() {
        assert!(is_new_enough("go1.26.8\n") && is_new_enough("go1.27") && is_new_enough("go2.0.0"));
        assert!(!is_new_enough("go1.19.8") && !is_new_enough("go1.27rc1") && !is_new_enough("devel"));
    }
}
