//! What a file may say: `unsafe`, the constructors of trust, paths that are banned.
//!
//! Rules look at tokens, so comments and strings (compile-fail examples among them) do not count.
//! `unsafe` is a fault in tests as well; the other rules are about shipped code.

use crate::rust::{self, Kind, Token, is_test_file};

use super::list::{List, covers};
use super::{Fault, trust};

/// What one file shows.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) faults: Vec<Fault>,
    /// The calls that create trust, each as `file:line: Type`.
    pub(crate) trust: Vec<String>,
}

/// Reads the file `name`; `is_root` for the first file of a crate.
pub(crate) fn scan(list: &List, name: &str, text: &str, is_root: bool) -> Scan {
    let tokens = rust::lex(text);
    let tests = rust::Tests::find(&tokens);
    let mut faults = unsafe_faults(list, name, &tokens, is_root);
    let mut calls = Vec::new();
    if !is_test_file(name) {
        let shipped: Vec<_> = tokens.into_iter().filter(|token| !tests.contain(token.line)).collect();
        let paths = rust::paths(&shipped);
        let trust = trust::scan(list, name, &shipped, &paths);
        faults.extend(ban_faults(list, name, &paths));
        faults.extend(trust.faults);
        calls = trust.calls;
    }
    Scan { faults, trust: calls }
}

/// Every room takes the workspace's lints.
pub(crate) fn manifest_faults(room: &str, manifest: &str) -> Option<Fault> {
    let table: toml::Table = toml::from_str(manifest).unwrap_or_default();
    let inherits = table.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
    (inherits != Some(true))
        .then(|| Fault::new(room, "expected lints.workspace = true in Cargo.toml, found none"))
}

fn unsafe_faults(list: &List, name: &str, tokens: &[Token<'_>], is_root: bool) -> Vec<Fault> {
    if covers(&list.unsafe_homes, name) {
        return Vec::new();
    }
    let words = tokens.iter().filter(|token| token.kind == Kind::Word && token.text == "unsafe");
    let mut faults: Vec<Fault> = words
        .map(|word| Fault::new(format!("{name}:{}", word.line), "unsafe outside its listed homes"))
        .collect();
    // A crate that is home to unsafe cannot forbid it; the lints of the workspace deny it elsewhere in there.
    let folder = name.split("src/").next().unwrap_or(name);
    let has_home = list.unsafe_homes.iter().any(|home| home.starts_with(folder));
    if is_root && name.contains("src/") && !has_home && !forbids_unsafe(tokens) {
        faults.push(Fault::new(name, "expected #![forbid(unsafe_code)], found none"));
    }
    faults
}

fn forbids_unsafe(tokens: &[Token<'_>]) -> bool {
    let texts: Vec<&str> = tokens.iter().map(|token| token.text).collect();
    texts.windows(7).any(|part| part == ["#", "!", "[", "forbid", "(", "unsafe_code", ")"])
}

fn ban_faults(list: &List, name: &str, paths: &[(usize, String)]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for ban in list.banned.iter().filter(|ban| covers(&ban.within, name)) {
        for (line, path) in paths {
            if ban.paths.iter().any(|banned| is_within(path, banned)) {
                faults.push(Fault::new(
                    format!("{name}:{line}"),
                    format!("{path} is banned here: {}", ban.why),
                ));
            }
        }
    }
    faults
}

fn is_within(path: &str, banned: &str) -> bool {
    path.strip_prefix(banned).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"
        never-shipped = ["simulator"]
        feature-words = []
        unsafe-homes = ["secretmem/", "wrapper/src/graft.rs"]
        tables = []
        [trust]
        Verified = ["attest/src/snp.rs"]
        [[banned]]
        within = ["attest/src/"]
        paths = ["std::fs", "tokio"]
        why = "attest does no I/O"
        [rooms]
    "#;

    fn found(name: &str, text: &str, is_root: bool) -> Vec<String> {
        let list: List = toml::from_str(LIST).unwrap();
        scan(&list, name, text, is_root).faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn unsafe_has_its_homes_and_no_other() {
        let text = "fn f() { unsafe { g() } }";
        assert_eq!(found("cli/src/f.rs", text, false), ["cli/src/f.rs:1: unsafe outside its listed homes"]);
        assert_eq!(
            found("wrapper/src/run.rs", text, false),
            ["wrapper/src/run.rs:1: unsafe outside its listed homes"]
        );
        assert!(found("wrapper/src/graft.rs", text, false).is_empty());
        assert!(found("secretmem/src/lib.rs", text, true).is_empty());
        assert!(found("cli/src/f.rs", "// unsafe\nconst A: &str = \"unsafe\";", false).is_empty());
    }

    #[test]
    fn a_crate_forbids_unsafe_unless_it_is_a_home() {
        assert_eq!(
            found("cli/src/lib.rs", "//! doc", true),
            ["cli/src/lib.rs: expected #![forbid(unsafe_code)], found none"]
        );
        assert!(found("cli/src/lib.rs", "//! doc\n#![forbid(unsafe_code)]", true).is_empty());
        assert!(found("wrapper/src/lib.rs", "//! doc", true).is_empty());
        assert!(found("cli/tests/all.rs", "//! doc", true).is_empty());
    }

    #[test]
    fn tests_may_make_what_they_need() {
        let list: List = toml::from_str(LIST).unwrap();
        let text = "fn f() { Verified::assertion(c) }\n#[cfg(test)]\nmod tests { fn g() { Verified::assertion(c) } }";
        assert_eq!(scan(&list, "attest/src/snp.rs", text, false).trust, ["attest/src/snp.rs:1: Verified"]);
        assert!(scan(&list, "attest/tests/all.rs", text, false).faults.is_empty());
    }

    #[test]
    fn banned_paths_are_found_inside_groups() {
        assert_eq!(
            found("attest/src/a.rs", "use std::{fmt, fs::File};", false),
            ["attest/src/a.rs:1: std::fs::File is banned here: attest does no I/O"]
        );
        assert!(found("attest/src/a.rs", "#[cfg(test)]\nmod tests {\n use std::fs;\n}", false).is_empty());
        assert!(found("cli/src/a.rs", "use std::fs;", false).is_empty());
    }

    #[test]
    fn a_room_takes_the_workspaces_lints() {
        assert_eq!(manifest_faults("cli", "[lints]\nworkspace = true"), None);
        let fault = manifest_faults("cli", "[package]").unwrap().to_string();
        assert_eq!(fault, "cli: expected lints.workspace = true in Cargo.toml, found none");
    }
}
