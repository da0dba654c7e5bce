//! Rust source, as much of it as our rules need: tokens, functions, and which lines are tests.
//!
//! A lexer and bracket counting, not a parser: it builds in a moment, and a rule that is written
//! over tokens cannot be fooled by a comment or a string. Macro bodies count as ordinary code.

use std::collections::BTreeSet;
use std::path::Path;

pub(crate) use lex::{Kind, Token, lex};

mod lex;

/// A function with a body.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Function<'a> {
    pub(crate) name: &'a str,
    pub(crate) line: usize,
    /// Lines from `fn` to the closing brace that hold code: comments and blank lines are free.
    pub(crate) lines: usize,
}

/// The parts of a file that its tests take up.
#[derive(Debug, Default)]
pub(crate) struct Tests {
    lines: BTreeSet<usize>,
}

impl Tests {
    /// Finds the items under `#[cfg(test)]` and `#[test]`.
    pub(crate) fn find(tokens: &[Token<'_>]) -> Self {
        let mut tests = Self::default();
        for (at, token) in tokens.iter().enumerate() {
            let attribute = bracketed(tokens, at.saturating_add(1));
            if token.text == "#" && is_test(attribute) {
                let item = item(tokens, at.saturating_add(2).saturating_add(attribute.len()));
                let last = item.last().map_or(token.line, Token::last_line);
                tests.lines.extend(token.line..=last);
            }
        }
        tests
    }

    /// Is this line part of a test?
    pub(crate) fn contain(&self, line: usize) -> bool {
        self.lines.contains(&line)
    }

    /// How many lines are.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }
}

/// Integration tests, benchmarks, examples, fuzz targets, and a module of tests in a file of its own.
pub(crate) fn is_test_file(name: &str) -> bool {
    let path = Path::new(name);
    let folders = ["tests", "benches", "examples", "fuzz"];
    path.file_name().is_some_and(|file| file == "tests.rs")
        || path.parent().is_some_and(|dir| dir.iter().any(|part| folders.iter().any(|test| part == *test)))
}

/// All functions with a body, nested ones too.
pub(crate) fn functions<'a>(tokens: &[Token<'a>]) -> Vec<Function<'a>> {
    let starts = tokens.windows(2).enumerate();
    starts
        .filter_map(|(at, pair)| match pair {
            [word, name] if word.text == "fn" && name.kind == Kind::Word => {
                let body = item(tokens, at);
                let ends_in_body = body.last().is_some_and(|last| last.text == "}");
                ends_in_body.then(|| Function { name: name.text, line: word.line, lines: code_lines(body) })
            }
            _ => None,
        })
        .collect()
}

/// Every path that is written in the file, groups of a `use` spelled out: `std::{fs, net}` is two.
pub(crate) fn paths(tokens: &[Token<'_>]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut rest = tokens;
    while let Some((first, after)) = rest.split_first() {
        rest = if first.kind == Kind::Word { path(String::new(), rest, &mut found) } else { after };
    }
    found
}

// Reads one path (or one branch of a group) and returns what follows it.
fn path<'t, 'a>(
    prefix: String,
    tokens: &'t [Token<'a>],
    found: &mut Vec<(usize, String)>,
) -> &'t [Token<'a>] {
    let mut whole = prefix;
    let mut rest = tokens;
    while let [segment, after @ ..] = rest {
        if segment.text == "{" {
            return group(&whole, after, found);
        }
        if segment.kind != Kind::Word && segment.text != "*" {
            break;
        }
        whole.push_str(segment.text);
        let [one, two, next @ ..] = skip_generics(after) else { return end(whole, segment, after, found) };
        if (one.text, two.text) != (":", ":") {
            return end(whole, segment, after, found);
        }
        whole.push_str("::");
        rest = next;
    }
    rest.split_first().map_or(rest, |(_, after)| after)
}

fn end<T>(whole: String, last: &Token<'_>, after: T, found: &mut Vec<(usize, String)>) -> T {
    found.push((last.line, whole));
    after
}

fn group<'t, 'a>(prefix: &str, tokens: &'t [Token<'a>], found: &mut Vec<(usize, String)>) -> &'t [Token<'a>] {
    let mut rest = tokens;
    while let [first, after @ ..] = rest {
        rest = match first.text {
            "}" => return after,
            "," => after,
            _ => path(prefix.to_owned(), rest, found),
        };
    }
    rest
}

// `Verified::<Claims>::assertion` is `Verified::assertion`.
fn skip_generics<'t, 'a>(tokens: &'t [Token<'a>]) -> &'t [Token<'a>] {
    let [one, two, open, ..] = tokens else { return tokens };
    if (one.text, two.text, open.text) != (":", ":", "<") {
        return tokens;
    }
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(2) {
        match token.text {
            "<" => depth = depth.saturating_add(1),
            ">" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return tokens.get(at.saturating_add(1)..).unwrap_or_default();
        }
    }
    tokens
}

// The tokens between the brackets that open at `at`; none if no bracket opens there.
fn bracketed<'t, 'a>(tokens: &'t [Token<'a>], at: usize) -> &'t [Token<'a>] {
    let rest = tokens.get(at..).unwrap_or_default();
    if rest.first().is_none_or(|open| open.text != "[") {
        return &[];
    }
    let mut depth = 0_usize;
    for (end, token) in rest.iter().enumerate() {
        match token.text {
            "[" => depth = depth.saturating_add(1),
            "]" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return rest.get(1..end).unwrap_or_default();
        }
    }
    &[]
}

// `test`, `tokio::test`, `cfg(test)`, `cfg(all(test, …))`; not `cfg(not(test))`, not `cfg_attr(test, …)`.
fn is_test(attribute: &[Token<'_>]) -> bool {
    let words: Vec<&str> =
        attribute.iter().filter(|token| token.kind == Kind::Word).map(|token| token.text).collect();
    match words.as_slice() {
        ["cfg", conditions @ ..] => conditions.contains(&"test") && !conditions.contains(&"not"),
        [.., "test"] => attribute.iter().all(|token| token.kind == Kind::Word || token.text == ":"),
        _ => false,
    }
}

// The item that starts at `at`, to its closing brace or semicolon, its further attributes included.
fn item<'t, 'a>(tokens: &'t [Token<'a>], at: usize) -> &'t [Token<'a>] {
    let rest = tokens.get(at..).unwrap_or_default();
    let (mut round, mut curly) = (0_usize, 0_usize);
    for (end, token) in rest.iter().enumerate() {
        match token.text {
            "(" | "[" => round = round.saturating_add(1),
            ")" | "]" => round = round.saturating_sub(1),
            "{" => curly = curly.saturating_add(1),
            "}" => curly = curly.saturating_sub(1),
            _ => {}
        }
        if curly == 0 && round == 0 && matches!(token.text, "}" | ";") {
            return rest.get(..=end).unwrap_or_default();
        }
    }
    rest
}

fn code_lines(tokens: &[Token<'_>]) -> usize {
    tokens.iter().flat_map(|token| token.line..=token.last_line()).collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_functions_comments_and_blank_lines_are_free() {
        let tokens = lex("fn one() {\n    // why\n\n    call();\n}\ntrait T { fn none(&self) -> [u8; 2]; }");
        let found = functions(&tokens);
        assert_eq!(found, [Function { name: "one", line: 1, lines: 3 }]);
    }

    #[test]
    fn test_items_are_told_from_code() {
        let tokens = lex(
            "fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() {}\n}\n#[cfg(not(test))]\nfn c() {}\n#[test]\n#[x]\nfn d() {\n}",
        );
        let tests = Tests::find(&tokens);
        let marked: Vec<usize> = (1..12).filter(|line| tests.contain(*line)).collect();
        assert_eq!(marked, [2, 3, 4, 5, 8, 9, 10, 11]);
    }

    #[test]
    fn groups_and_generics_in_paths_are_spelled_out() {
        let tokens = lex("use std::{fs, io::{self, Read}};\nVerified::<Claims<u8>>::assertion(x.len(), *y);");
        let found: Vec<String> = paths(&tokens).into_iter().map(|(_, path)| path).collect();
        for expected in ["std::fs", "std::io::self", "std::io::Read", "Verified::assertion", "x", "len", "y"]
        {
            assert!(found.iter().any(|path| path == expected), "{expected} in {found:?}");
        }
    }
}
