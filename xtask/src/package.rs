//! `cargo xtask package`: the libraries that others build on, as they would be published.
//!
//! Each is packed, unpacked and built from nothing but the package and its published dependencies; and
//! `attest` builds with every choice of its features, the empty one included.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::Result;

use crate::child;
use crate::house::{House, short};

/// In the order of their dependencies.
const LIBRARIES: [&str; 3] = ["cloudtaser-attest", "cloudtaser-enforcer-abi", "cloudtaser-protocol"];
/// Packed, not built again: it has no features, and a server's worth of dependencies.
const PLUGIN: &str = "cloudtaser-openbao-plugin";
/// The choices of features, besides both cryptographic providers.
const FEATURES: [&str; 4] = ["", "aws-lc-rs", "rustcrypto", "rustcrypto,rego,schema"];

pub(crate) fn run(house: &House) -> Result<()> {
    for features in FEATURES {
        let mut cargo = child::cargo(&house.root);
        cargo.args(["clippy", "--quiet", "--package", "cloudtaser-attest", "--lib"]);
        cargo.args(["--no-default-features", "--features", features, "--", "--deny", "warnings"]);
        child::run(&mut cargo)?;
    }
    let pack = || {
        let mut cargo = child::cargo(&house.root);
        cargo.args(["package", "--quiet", "--locked", "--allow-dirty"]);
        // Profiles are no part of a package: with ours, the dependencies that are built already are used.
        cargo.args(["--config", r#"profile.dev.package."*".opt-level=1"#]);
        cargo.args(["--config", r#"profile.dev.debug="line-tables-only""#]);
        cargo
    };
    forget_unpacked(house)?;
    child::run(pack().args(LIBRARIES.iter().flat_map(|library| ["--package", library])))?;
    child::run(pack().args(["--no-verify", "--package", PLUGIN]))?;
    println!("{} and {PLUGIN} pack; the first three build from their packages", LIBRARIES.join(", "));
    Ok(())
}

/// Removes what cargo unpacked of our libraries, and built from that, at an earlier run: it looks at name and version
/// alone, and would build the second library on what the first one was then.
fn forget_unpacked(house: &House) -> Result<()> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let Some(home) = home.or_else(|| env::home_dir().map(|home| home.join(".cargo"))) else { return Ok(()) };
    let Ok(registries) = fs::read_dir(home.join("registry/src")) else { return Ok(()) };
    for registry in registries {
        let registry = registry?.path();
        for library in LIBRARIES {
            let unpacked = registry.join(format!("{library}-{}", env!("CARGO_PKG_VERSION")));
            if unpacked.is_dir() {
                forget_built(&house.target.join("debug"), library, &unpacked)?;
                fs::remove_dir_all(&unpacked)?;
            }
        }
    }
    Ok(())
}

/// Removes the fingerprints of what was built from this folder.
fn forget_built(built: &Path, library: &str, unpacked: &Path) -> Result<()> {
    let beginning = format!("{}-", short(library));
    for file in fs::read_dir(built.join("deps"))? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        let hash = name.strip_prefix(&beginning).and_then(|rest| rest.strip_suffix(".d"));
        let Some(hash) = hash else { continue };
        if fs::read_to_string(file.path())?.contains(&*unpacked.to_string_lossy()) {
            let fingerprint = built.join(format!(".fingerprint/{library}-{hash}"));
            if fingerprint.is_dir() {
                fs::remove_dir_all(fingerprint)?;
            }
        }
    }
    Ok(())
}
