//! `cargo xtask package`: the libraries that others build on, as they would be published.
//!
//! Each is packed, unpacked and built from nothing but the package and its published dependencies; and
//! `attest` builds with every choice of its features, the empty one included.

use anyhow::Result;

use crate::child;
use crate::house::House;

/// In the order of their dependencies.
const LIBRARIES: [&str; 2] = ["cloudtaser-attest", "cloudtaser-protocol"];
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
    child::run(pack().args(LIBRARIES.iter().flat_map(|library| ["--package", library])))?;
    child::run(pack().args(["--no-verify", "--package", PLUGIN]))?;
    println!("{} and {PLUGIN} pack; the first two build from their packages", LIBRARIES.join(", "));
    Ok(())
}
