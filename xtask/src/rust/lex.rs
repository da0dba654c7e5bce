//! Tokens of Rust source, with the lines they stand on.
//!
//! Comments vanish; strings, characters and numbers become [`Kind::Literal`]. What is not Rust comes
//! out as single marks, so the lexer never fails and always ends.

/// What a token is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// An identifier or keyword.
    Word,
    /// A string, character, byte string or number.
    Literal,
    /// `'a`.
    Lifetime,
    /// One character of punctuation.
    Mark,
}

/// A piece of source.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) text: &'a str,
    /// The line it starts on, from 1.
    pub(crate) line: usize,
}

impl Token<'_> {
    /// The line it ends on: a string may go over several.
    pub(crate) fn last_line(&self) -> usize {
        self.line.saturating_add(newlines(self.text))
    }
}

/// Takes `source` apart.
pub(crate) fn lex(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = source;
    let mut line = 1_usize;
    while let Some(first) = rest.chars().next() {
        let (kind, length) = next(rest, first);
        let Some((text, after)) = rest.split_at_checked(length) else { break };
        if let Some(kind) = kind {
            tokens.push(Token { kind, text, line });
        }
        line = line.saturating_add(newlines(text));
        rest = after;
    }
    tokens
}

// What stands at the start of `rest`, and how many bytes it takes; no kind for what is dropped.
fn next(rest: &str, first: char) -> (Option<Kind>, usize) {
    if rest.starts_with("//") {
        return (None, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (None, block_comment(rest));
    }
    if let Some(length) = raw_string(rest).or_else(|| string(rest)) {
        return (Some(Kind::Literal), length);
    }
    match first {
        '\'' => quote(rest),
        _ if first.is_whitespace() => (None, first.len_utf8()),
        _ if first.is_ascii_digit() => (Some(Kind::Literal), number(rest)),
        _ if is_word(first) => (Some(Kind::Word), word(rest)),
        _ => (Some(Kind::Mark), first.len_utf8()),
    }
}

// Block comments nest.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0_usize;
    while let Some(here) = rest.get(at..).filter(|here| !here.is_empty()) {
        let step = if here.starts_with("/*") {
            depth = depth.saturating_add(1);
            2
        } else if here.starts_with("*/") {
            depth = depth.saturating_sub(1);
            2
        } else {
            here.chars().next().map_or(1, char::len_utf8)
        };
        at = at.saturating_add(step);
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

// r"…", r#"…"#, br"…", cr"…": the length, if one starts here.
fn raw_string(rest: &str) -> Option<usize> {
    let after = ["br", "cr", "r"].iter().find_map(|prefix| rest.strip_prefix(prefix))?;
    let hashes = after.len().saturating_sub(after.trim_start_matches('#').len());
    let body = after.get(hashes..)?.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let stop = body.find(&end).map_or(body.len(), |at| at.saturating_add(end.len()));
    Some(rest.len().saturating_sub(body.len()).saturating_add(stop))
}

// "…", b"…", c"…": the length, if one starts here.
fn string(rest: &str) -> Option<usize> {
    let body = ["b\"", "c\"", "\""].iter().find_map(|prefix| rest.strip_prefix(prefix))?;
    let stop = closing(body, '"');
    Some(rest.len().saturating_sub(body.len()).saturating_add(stop))
}

// 'x' and '\n' are characters; 'a without a closing quote is a lifetime.
fn quote(rest: &str) -> (Option<Kind>, usize) {
    let body = rest.get(1..).unwrap_or_default();
    let mut letters = body.chars();
    let escaped = letters.next() == Some('\\');
    if escaped || letters.next() == Some('\'') {
        return (Some(Kind::Literal), closing(body, '\'').saturating_add(1));
    }
    (Some(Kind::Lifetime), word(body).saturating_add(1))
}

// How far it is to behind the closing `mark`, escapes skipped.
fn closing(body: &str, mark: char) -> usize {
    let mut escaped = false;
    for (at, letter) in body.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if letter == mark => return at.saturating_add(mark.len_utf8()),
            _ => {}
        }
    }
    body.len()
}

// 0x1f_u8 and 1.5e3; the dots of 0..9 are not part of it.
fn number(rest: &str) -> usize {
    let whole = word(rest);
    let fraction = rest.get(whole..).and_then(|after| after.strip_prefix('.'));
    match fraction.filter(|digits| digits.starts_with(|digit: char| digit.is_ascii_digit())) {
        Some(digits) => whole.saturating_add(1).saturating_add(word(digits)),
        None => whole,
    }
}

fn word(rest: &str) -> usize {
    // r#type is one word.
    let prefix = if rest.starts_with("r#") { 2 } else { 0 };
    let body = rest.get(prefix..).unwrap_or_default();
    body.find(|letter| !is_word(letter)).unwrap_or(body.len()).saturating_add(prefix)
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

fn newlines(text: &str) -> usize {
    text.matches('\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<&str> {
        lex(source).iter().map(|token| token.text).collect()
    }

    #[test]
    fn words_in_comments_and_strings_are_not_code() {
        let source =
            "// unsafe\n/* unsafe /* nested */ unsafe */ let a = \"unsafe \\\" x\"; r#\"un\"safe\"#;";
        assert!(lex(source).iter().all(|token| token.kind != Kind::Word || token.text != "unsafe"));
    }

    #[test]
    fn a_lifetime_is_not_a_character() {
        let kinds: Vec<Kind> = lex("'a '\\'' 'x' b'{'").iter().map(|token| token.kind).collect();
        assert_eq!(kinds, [Kind::Lifetime, Kind::Literal, Kind::Literal, Kind::Word, Kind::Literal]);
    }

    #[test]
    fn ranges_and_fractions_are_told_apart() {
        assert_eq!(texts("0..9 1.5 0x1f"), ["0", ".", ".", "9", "1.5", "0x1f"]);
    }

    #[test]
    fn lines_are_counted_through_strings() {
        let tokens = lex("\"a\nb\" x");
        assert_eq!((tokens[0].last_line(), tokens[1].line), (2, 2));
    }

    #[test]
    fn an_unfinished_file_ends() {
        assert_eq!(texts("/* open"), Vec::<&str>::new());
        assert_eq!(texts("\"open"), ["\"open"]);
        assert_eq!(texts("r##\"open\"#"), ["r##\"open\"#"]);
    }
}
