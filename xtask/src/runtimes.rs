//! The runtimes and launchers that the wrapper is tested with: which are missing, and how each is had.
//!
//! Debian's packages, and rustup's standard library for musl. What is there already, from wherever, is left
//! alone. Answers with the words by which `REQUIRE` knows what is there, each seen by looking.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::child::{self, which};
use crate::tools;

/// The word, the program that shows it, and the Debian package that brings it.
const PROGRAMS: [(&str, &str, &str); 25] = [
    ("awk", "awk", "mawk"),
    ("bash", "bash", "bash"),
    ("busybox", "busybox", "busybox-static"),
    ("catatonit", "catatonit", "catatonit"),
    ("cc", "cc", "gcc"),
    ("curl", "curl", "curl"),
    ("dash", "dash", "dash"),
    ("dumb-init", "dumb-init", "dumb-init"),
    ("go", "go", "golang-go"),
    ("java", "javac", "default-jdk-headless"),
    ("ksh", "ksh", "ksh"),
    ("lua5.4", "lua5.4", "lua5.4"),
    ("make", "make", "make"),
    ("musl", "musl-gcc", "musl-tools"),
    ("node", "node", "nodejs"),
    ("perl", "perl", "perl"),
    ("php", "php", "php-cli"),
    ("postgres", "pg_ctlcluster", "postgresql"),
    ("printenv", "printenv", "coreutils"),
    ("python3", "python3", "python3"),
    ("ruby", "ruby", "ruby"),
    ("setcap", "setcap", "libcap2-bin"),
    ("setpriv", "setpriv", "util-linux"),
    ("tini", "tini", "tini"),
    ("zsh", "zsh", "zsh"),
];

/// The target that static programs in Rust are built for.
const MUSL: &str = "x86_64-unknown-linux-musl";

/// Installs what is missing, and names all that there is.
pub(crate) fn ensure() -> Result<Vec<&'static str>> {
    let is_missing = |(_, program, _): &&(&str, &str, &str)| which(program).is_none();
    let missing: Vec<&str> = PROGRAMS.iter().filter(is_missing).map(|(_, _, package)| *package).collect();
    tools::debian(&missing)?;
    if !has_musl() && which("rustup").is_some() {
        child::twice(|| child::run(Command::new("rustup").args(["target", "add", MUSL])))?;
    }
    let there = PROGRAMS.iter().filter(|(_, program, _)| which(program).is_some()).map(|(word, _, _)| *word);
    let rust = ["rust"].into_iter().chain(has_musl().then_some("rust-musl"));
    let root = child::read(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0").then_some("root");
    Ok(there.chain(rust).chain(root).collect())
}

fn has_musl() -> bool {
    let folder = child::read(Command::new("rustc").args(["--print", "target-libdir", "--target", MUSL]));
    folder.is_ok_and(|folder| Path::new(folder.trim()).is_dir())
}
