//! `cargo xtask wasm`: the verifier for WebAssembly, built, and run where Node.js is installed.
//!
//! First, without any compiler for it, that nothing among its dependencies could need an operating system or
//! C. Then the proof itself, with the standard library of the target if our compiler has it, else with
//! Debian's compiler and the sources of its standard library, unpacked in the target folder. A machine on
//! which neither can be had skips, and says why; `REQUIRE=wasm` makes that a failure.

mod debian;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::child;
use crate::house::House;

const TARGET: &str = "wasm32-unknown-unknown";
const PACKAGE: &str = "cloudtaser-attest-wasm";

pub(crate) fn run(house: &House) -> Result<()> {
    portable(&dependencies(house)?)?;
    let compiler = match Compiler::find(house) {
        Ok(compiler) => compiler,
        Err(why) => {
            let required = std::env::var_os("REQUIRE").unwrap_or_default();
            println!("{}", skip(&why, &required.to_string_lossy())?);
            return Ok(());
        }
    };
    let module = compiler.build(house)?;
    println!("{TARGET}: built by {}", compiler.version()?);
    execute(&module)
}

/// Everything that the library is built from for this target, by name.
fn dependencies(house: &House) -> Result<BTreeSet<String>> {
    let mut cargo = child::cargo(&house.root);
    cargo.args(["tree", "--package", PACKAGE, "--edges", "normal,build", "--target", TARGET]);
    cargo.args(["--prefix", "none", "--format", "{p}"]);
    let lines = child::read(&mut cargo)?;
    Ok(lines.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

/// No C compiler, no system calls, no source of randomness, no JavaScript glue.
fn portable(names: &BTreeSet<String>) -> Result<()> {
    ensure!(names.contains("p384"), "expected RustCrypto among the dependencies, found {names:?}");
    let foreign: Vec<&str> = names.iter().map(String::as_str).filter(|name| is_foreign(name)).collect();
    ensure!(foreign.is_empty(), "attest for {TARGET} depends on {}", foreign.join(", "));
    println!("{TARGET}: {} packages, none of which needs an operating system or C", names.len());
    Ok(())
}

fn is_foreign(name: &str) -> bool {
    const FOREIGN: [&str; 12] = [
        "bindgen",
        "cc",
        "cmake",
        "getrandom",
        "js-sys",
        "libc",
        "mio",
        "rand",
        "ring",
        "rustix",
        "tokio",
        "wasm-bindgen",
    ];
    FOREIGN.contains(&name) || name.ends_with("-sys")
}

/// A compiler that can build for the target.
#[derive(Debug)]
enum Compiler {
    /// The one that builds everything else: it has the target's standard library.
    Ours,
    /// Debian's, unpacked here, which builds the standard library along.
    Debian { root: PathBuf, linker: PathBuf },
}

impl Compiler {
    fn find(house: &House) -> Result<Self> {
        if has_std(&sysroot("rustc".as_ref())?) {
            return Ok(Self::Ours);
        }
        let linker = linker()?;
        let root = debian::unpacked(house)
            .with_context(|| format!("our compiler has no standard library for {TARGET}, and"))?;
        Ok(Self::Debian { root, linker })
    }

    fn build(&self, house: &House) -> Result<PathBuf> {
        let target = house.target.join("wasm");
        let mut cargo = child::cargo(&house.root);
        cargo.args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            PACKAGE,
            "--target",
            TARGET,
            "--target-dir",
        ]);
        cargo.arg(&target);
        // The proof needs no speed.
        cargo.args([
            "--config",
            r#"profile.dev.package."*".opt-level=0"#,
            "--config",
            "profile.dev.debug=false",
        ]);
        if let Self::Debian { root, linker } = self {
            cargo.args(["-Z", "build-std=std,panic_abort"]).env("RUSTC_BOOTSTRAP", "1");
            cargo.env("RUSTC", root.join("usr/bin/rustc")).env("LD_LIBRARY_PATH", debian::libraries(root));
            cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        }
        child::run(&mut cargo)?;
        Ok(target.join(TARGET).join("debug").join(format!("{PACKAGE}.wasm")))
    }

    fn version(&self) -> Result<String> {
        let text = match self {
            Self::Ours => child::read(Command::new("rustc").arg("--version"))?,
            Self::Debian { root, .. } => debian::version(root)?,
        };
        Ok(text.trim().to_owned())
    }
}

fn sysroot(rustc: &Path) -> Result<PathBuf> {
    Ok(PathBuf::from(child::read(Command::new(rustc).args(["--print", "sysroot"]))?.trim()))
}

fn has_std(sysroot: &Path) -> bool {
    sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir()
}

/// The linker that every Rust release carries for its own use, or a system's.
fn linker() -> Result<PathBuf> {
    let lld = |host: PathBuf| host.join("bin/rust-lld");
    let hosts = std::fs::read_dir(sysroot("rustc".as_ref())?.join("lib/rustlib"))?;
    let own = hosts.flatten().map(|host| lld(host.path())).find(|lld| lld.is_file());
    own.or_else(|| child::which("wasm-ld")).context("no linker for WebAssembly: neither rust-lld nor wasm-ld")
}

/// A module without imports, whose `main` keeps every promise.
fn execute(module: &Path) -> Result<()> {
    const HOST: &str = "const bytes = require('fs').readFileSync(process.argv[1]);
        const module = new WebAssembly.Module(bytes);
        const imports = WebAssembly.Module.imports(module).map(i => i.module + '.' + i.name);
        if (imports.length) { console.error('imports ' + imports); process.exit(100); }
        process.exit(new WebAssembly.Instance(module, {}).exports.main(0, 0));";
    if child::which("node").is_none() {
        println!("{TARGET}: built, not run: no Node.js");
        return Ok(());
    }
    child::read(Command::new("node").args(["-e", HOST]).arg(module))?;
    println!(
        "{TARGET}: imports nothing; under Node.js it admits the genuine sample and refuses the changed one"
    );
    Ok(())
}

fn skip(why: &anyhow::Error, required: &str) -> Result<String> {
    if required.split(',').any(|word| word.trim() == "wasm") {
        bail!("REQUIRE=wasm: {why:#}");
    }
    Ok(format!("SKIP wasm: {why:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_dependency_that_needs_c_or_a_system_is_named() {
        portable(&names(&["p384", "x509-parser", "subtle"])).unwrap();
        for foreign in ["aws-lc-sys", "getrandom", "cc"] {
            let error = portable(&names(&["p384", foreign])).unwrap_err().to_string();
            assert_eq!(error, format!("attest for {TARGET} depends on {foreign}"));
        }
        assert!(portable(&names(&["ring"])).is_err());
    }

    #[test]
    fn a_skip_is_a_failure_where_wasm_is_required() {
        let why = anyhow::anyhow!("no such package");
        assert_eq!(skip(&why, "vectors").unwrap(), "SKIP wasm: no such package");
        assert_eq!(skip(&why, "vectors, wasm").unwrap_err().to_string(), "REQUIRE=wasm: no such package");
    }
}
