//! The Kubernetes API server of the tests: built from `hardware-tests/kubebed/server` by the machine's own Go.
//!
//! The first build takes some ten minutes of CPU time; what it was built from is kept beside it, and it is
//! built again when that has changed. Where Go is absent or too old, its tests are skipped, and say so.
//! Trusted: our sources, and the modules that `go.sum` names.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::child;
use crate::helm;
use crate::house::House;

/// Builds it, unless it is there; `None` where it cannot be built.
pub(crate) fn ensure(house: &House) -> Result<Option<PathBuf>> {
    if let Some(named) = std::env::var_os("CLOUDTASER_KUBEBED") {
        return Ok(Some(named.into()));
    }
    let sources = house.root.join("hardware-tests/kubebed/server");
    let dir = house.target.join("tools/go");
    let (program, origin) = (dir.join("kubebed"), dir.join("kubebed.sources"));
    let wanted = content(&sources)?;
    if program.is_file() && std::fs::read(&origin).is_ok_and(|found| found == wanted) {
        return Ok(Some(program));
    }
    if !helm::has_go()? {
        return Ok(None);
    }
    eprintln!("xtask: building kube-apiserver, which takes minutes the first time");
    std::fs::create_dir_all(&dir)?;
    let dir = dir.canonicalize()?;
    child::twice(|| {
        let mut go = Command::new("go");
        go.args(["build", "-p=2", "-trimpath", "-mod=readonly", "-ldflags=-s -w", "-o"]);
        go.arg(dir.join("kubebed")).arg(".").current_dir(&sources);
        child::read(go.env("CGO_ENABLED", "0").env("GOWORK", "off"))
    })?;
    std::fs::write(&origin, wanted).with_context(|| origin.display().to_string())?;
    Ok(Some(program))
}

/// All files of the folder, with their names, in order.
fn content(folder: &Path) -> Result<Vec<u8>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        files.push(entry?.path());
    }
    files.sort();
    let mut content = Vec::new();
    for file in files {
        content.extend(file.file_name().unwrap_or_default().as_encoded_bytes());
        content.push(b'\n');
        content.extend(std::fs::read(&file).with_context(|| file.display().to_string())?);
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_source_is_another_server() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("main.go"), "package main").unwrap();
        let before = content(folder.path()).unwrap();
        assert_eq!(before, b"main.go\npackage main");
        std::fs::write(folder.path().join("go.mod"), "module m").unwrap();
        assert_ne!(content(folder.path()).unwrap(), before);
    }
}
