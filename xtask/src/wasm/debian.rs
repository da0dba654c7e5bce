//! Debian's Rust compiler with the sources of its standard library, unpacked beside our other tools.
//!
//! Nothing is installed: the packages are downloaded by apt and taken apart. They have to be of one version,
//! and of one that our minimum allows. Trusted: the package sources that the machine is set up with.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::child;
use crate::house::House;
use crate::tools;

/// The compiler and its sources, under the names that Debian's releases have for a recent one.
const PAIRS: [(&str, &str); 2] = [("rustc-web", "rust-web-src"), ("rustc", "rust-src")];
/// The oldest compiler that builds the workspace.
const LEAST: &str = env!("CARGO_PKG_RUST_VERSION");

/// The folder with the compiler, made if it is not there.
pub(super) fn unpacked(house: &House) -> Result<PathBuf> {
    let root = house.target.join("tools/rust-for-wasm");
    if version(&root).is_ok() {
        return Ok(root);
    }
    // Without an index, or with an old one, apt finds nothing; the second look is after an update.
    let (compiler, sources) = chosen().or_else(|_| tools::refresh().and_then(|()| chosen()))?;
    eprintln!("xtask: unpacking Debian's {compiler}");
    let scratch = tempfile::tempdir()?;
    let mut apt = Command::new("apt-get");
    apt.current_dir(scratch.path()).args(["download", "--quiet=2"]).args(parts([compiler, sources])?);
    child::twice(|| child::read(&mut apt).map(drop)).context("Debian's compiler cannot be downloaded")?;
    let fresh = tempfile::tempdir_in(house.target.join("tools"))?;
    for deb in std::fs::read_dir(scratch.path())? {
        child::run(Command::new("dpkg-deb").arg("--extract").arg(deb?.path()).arg(fresh.path()))?;
    }
    version(fresh.path()).context("Debian's compiler does not run here")?;
    std::fs::rename(fresh.keep(), &root)?;
    Ok(root)
}

/// Where the compiler in `root` finds its own libraries.
pub(super) fn libraries(root: &Path) -> OsString {
    let folders = std::fs::read_dir(root.join("usr/lib")).into_iter().flatten().flatten();
    let multiarch = folders.map(|entry| entry.path()).filter(|path| path.to_string_lossy().ends_with("-gnu"));
    std::env::join_paths(multiarch).unwrap_or_default()
}

/// What the compiler in `root` says that it is.
pub(super) fn version(root: &Path) -> Result<String> {
    let mut rustc = Command::new(root.join("usr/bin/rustc"));
    child::read(rustc.arg("--version").env("LD_LIBRARY_PATH", libraries(root)))
}

/// The first pair of one version that is new enough.
fn chosen() -> Result<(&'static str, &'static str)> {
    let mut seen = Vec::new();
    for (compiler, sources) in PAIRS {
        let (Ok(one), Ok(other)) = (candidate(compiler), candidate(sources)) else { continue };
        if one == other && is_at_least(&one, LEAST) {
            return Ok((compiler, sources));
        }
        seen.push(format!("{compiler} {one} with {sources} {other}"));
    }
    let seen = if seen.is_empty() { "none".to_owned() } else { seen.join(", ") };
    bail!("expected a Debian compiler of {LEAST} or later with its sources, found {seen}")
}

/// The version of `package` that apt would download.
fn candidate(package: &str) -> Result<String> {
    let shown = child::read(Command::new("apt-cache").args(["show", "--no-all-versions", package]))?;
    let version = shown.lines().find_map(|line| line.strip_prefix("Version: "));
    version.map(str::to_owned).with_context(|| format!("apt knows no version of {package}"))
}

/// Major and minor number; what cannot be read is not new enough.
fn is_at_least(version: &str, least: &str) -> bool {
    let numbers = |text: &str| {
        let mut parts = text.split('.').map(str::parse::<u32>);
        Some((parts.next()?.ok()?, parts.next()?.ok()?))
    };
    numbers(version).is_some_and(|version| numbers(least).is_some_and(|least| version >= least))
}

/// These packages and what they need beyond a C library: the standard library of the host, and LLVM.
fn parts(packages: [&str; 2]) -> Result<BTreeSet<String>> {
    let mut found: BTreeSet<String> = BTreeSet::new();
    let mut open: Vec<String> = packages.map(str::to_owned).to_vec();
    while let Some(package) = open.pop() {
        let depends = child::read(Command::new("apt-cache").args(["depends", "--important", &package]))?;
        let names = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
        let needed = names.filter(|name| name.starts_with("libstd-rust") || name.starts_with("libllvm"));
        open.extend(needed.filter(|name| !found.contains(*name)).map(str::to_owned));
        found.insert(package);
    }
    ensure!(found.len() > packages.len(), "expected dependencies of {}, found none", packages.join(" and "));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_compiler_is_not_taken() {
        assert!(is_at_least("1.96.0+dfsg1-1~deb12u2", "1.95"));
        assert!(is_at_least("2.0.0", "1.95"));
        assert!(!is_at_least("1.85.0+dfsg3-1~deb12u3", "1.95"));
        assert!(!is_at_least("unknown", "1.95"));
    }
}
