//! Where trust is created: every call of an `assertion`, and that nothing else makes such a value.
//!
//! The type system keeps the constructors inside their crates; this keeps them inside their files, and lists them.

use std::collections::BTreeSet;

use crate::rust::Token;

use super::Fault;
use super::list::{List, covers};

/// What one file has to do with trust.
#[derive(Debug, Default)]
pub(super) struct Trust {
    pub(super) faults: Vec<Fault>,
    /// Calls that are where they should be, each as `file:line: Type`.
    pub(super) calls: Vec<String>,
}

/// Reads the shipped `tokens` of the file `name`, and the `paths` in them.
pub(super) fn scan(list: &List, name: &str, tokens: &[Token<'_>], paths: &[(usize, String)]) -> Trust {
    let mut trust = Trust::default();
    let at = |line: usize| format!("{name}:{line}");
    for (line, path) in paths {
        match call(list, name, path) {
            Some(Ok(of)) => trust.calls.push(format!("{}: {of}", at(*line))),
            Some(Err(what)) => trust.faults.push(Fault::new(at(*line), what)),
            None => {}
        }
    }
    let rules = [hidden_calls(tokens, paths), open_constructors(tokens), other_ways(list, tokens)];
    trust.faults.extend(rules.into_iter().flatten().map(|(line, what)| Fault::new(at(line), what)));
    trust
}

// `Type::assertion` is a constructor of trust whatever the type is called, so that no alias hides one.
fn call<'p>(list: &List, name: &str, path: &'p str) -> Option<Result<&'p str, String>> {
    let of = path.strip_suffix("::assertion")?;
    let of = of.rsplit("::").next().unwrap_or(of);
    let listed = if of == "Self" {
        list.trust.values().any(|files| covers(files, name))
    } else {
        list.trust.get(of).is_some_and(|files| covers(files, name))
    };
    Some(if listed { Ok(of) } else { Err(format!("{of}::assertion outside its listed files")) })
}

// `<Verified<Claims>>::assertion` is legal Rust, and not readable as a path.
fn hidden_calls(tokens: &[Token<'_>], paths: &[(usize, String)]) -> Vec<(usize, String)> {
    let seen: BTreeSet<usize> =
        paths.iter().filter(|(_, path)| path.ends_with("::assertion")).map(|(line, _)| *line).collect();
    let written = tokens.windows(3).filter_map(|part| match part {
        [one, two, last] if [one.text, two.text, last.text] == [":", ":", "assertion"] => Some(last.line),
        _ => None,
    });
    let hidden = written.filter(|line| !seen.contains(line));
    hidden.map(|line| (line, "a call of assertion that does not name its type".to_owned())).collect()
}

// The constructor of trust is for its own crate.
fn open_constructors(tokens: &[Token<'_>]) -> Vec<(usize, String)> {
    let mut faults = Vec::new();
    for (at, pair) in tokens.windows(2).enumerate() {
        let [word, constructor] = pair else { continue };
        let before = words(tokens.get(at.saturating_sub(2)..at).unwrap_or_default());
        let open = matches!(before.as_slice(), [.., "pub"] | ["pub", "const"]);
        if open && (word.text, constructor.text) == ("fn", "assertion") {
            faults.push((word.line, "a constructor of trust is pub".to_owned()));
        }
    }
    faults
}

// No derive and no impl that makes the value of a type of trust out of something else.
fn other_ways(list: &List, tokens: &[Token<'_>]) -> Vec<(usize, String)> {
    let mut faults = Vec::new();
    for (at, pair) in tokens.windows(2).enumerate() {
        let [word, of] = pair else { continue };
        if !matches!(word.text, "struct" | "for") || !list.trust.contains_key(of.text) {
            continue;
        }
        let before = tokens.get(..at).unwrap_or_default();
        let start = before.iter().rposition(|token| matches!(token.text, ";" | "}")).unwrap_or_default();
        let head = words(before.get(start..).unwrap_or_default());
        if let Some(way) = head.iter().find(|word| MAKERS.contains(word)) {
            faults.push((of.line, format!("{} can be made by {way}", of.text)));
        }
    }
    faults
}

fn words<'a>(tokens: &[Token<'a>]) -> Vec<&'a str> {
    tokens.iter().map(|token| token.text).collect()
}

/// Traits that make a value without its constructor.
const MAKERS: [&str; 5] = ["Decode", "Default", "Deserialize", "From", "TryFrom"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rust;

    fn trust(name: &str, text: &str) -> Trust {
        let list = r#"
            never-shipped = []
            feature-words = []
            unsafe-homes = []
            tables = []
            banned = []
            [rooms]
            [trust]
            Verified = ["attest/src/snp.rs"]
        "#;
        let tokens = rust::lex(text);
        scan(&toml::from_str(list).unwrap(), name, &tokens, &rust::paths(&tokens))
    }

    fn found(name: &str, text: &str) -> Vec<String> {
        trust(name, text).faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn trust_is_created_only_where_it_is_earned() {
        let call = "fn f() { Verified::<Claims>::assertion(claims) }";
        assert!(found("attest/src/snp.rs", call).is_empty());
        assert_eq!(
            found("attest/src/tpm.rs", call),
            ["attest/src/tpm.rs:1: Verified::assertion outside its listed files"]
        );
    }

    #[test]
    fn an_alias_hides_no_constructor() {
        assert_eq!(
            found("attest/src/snp.rs", "use Verified as V; fn f() { V::assertion(c) }"),
            ["attest/src/snp.rs:1: V::assertion outside its listed files"]
        );
        assert_eq!(
            found("attest/src/snp.rs", "fn f() { <Verified<Claims>>::assertion(c) }"),
            ["attest/src/snp.rs:1: a call of assertion that does not name its type"]
        );
    }

    #[test]
    fn places_that_create_trust_are_listed() {
        let calls = trust("attest/src/snp.rs", "fn f() {\n crate::Verified::assertion(c) }").calls;
        assert_eq!(calls, ["attest/src/snp.rs:2: Verified"]);
    }

    #[test]
    fn a_constructor_of_trust_is_not_public() {
        let open = "impl V { pub const fn assertion() {} }";
        assert_eq!(found("attest/src/v.rs", open), ["attest/src/v.rs:1: a constructor of trust is pub"]);
        assert!(found("attest/src/v.rs", "impl V { pub(crate) fn assertion() {} }").is_empty());
    }

    #[test]
    fn a_type_of_trust_is_made_by_its_constructor_alone() {
        assert_eq!(
            found("attest/src/v.rs", "#[derive(Debug, Deserialize)]\npub struct Verified<T>(T);"),
            ["attest/src/v.rs:2: Verified can be made by Deserialize"]
        );
        assert_eq!(
            found("attest/src/v.rs", "struct A;\nimpl<T> From<T> for Verified<T> {}"),
            ["attest/src/v.rs:2: Verified can be made by From"]
        );
        assert!(found("attest/src/v.rs", "#[derive(Debug)]\npub struct Verified<T>(T);").is_empty());
        assert!(found("attest/src/v.rs", "impl<T> fmt::Debug for Verified<T> {}").is_empty());
    }
}
