//! Text for people: aligned rows, check lists, and marks that nobody overlooks.
//!
//! Untrusted: the values. They may come from a file that somebody made to fool a terminal, so whatever is
//! not printable is escaped.

use std::fmt::Write as _;

use attest::{Answer, Check};
use serde::Serialize;
use serde::ser::SerializeStruct;

/// Rows under a heading.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) title: String,
    pub(crate) rows: Vec<(String, String)>,
}

impl Section {
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), rows: Vec::new() }
    }

    /// Adds a row.
    #[expect(clippy::needless_pass_by_value, reason = "callers pass temporaries")]
    pub(crate) fn row(&mut self, name: impl Into<String>, value: impl ToString) {
        self.rows.push((name.into(), value.to_string()));
    }
}

impl Serialize for Section {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A list, because a certificate may say a thing twice.
        let rows: Vec<Row<'_>> = self.rows.iter().map(|(name, value)| Row { name, value }).collect();
        let mut out = serializer.serialize_struct("Section", 2)?;
        out.serialize_field("title", &self.title)?;
        out.serialize_field("fields", &rows)?;
        out.end()
    }
}

#[derive(Serialize)]
struct Row<'r> {
    name: &'r str,
    value: &'r str,
}

/// Writes sections, the values of all of them in one column.
pub(crate) fn sections(text: &mut String, sections: &[Section]) {
    let names = sections.iter().flat_map(|section| &section.rows).map(|(name, _)| name.chars().count());
    let width = names.max().unwrap_or(0);
    for section in sections {
        line(text, &format!("\n{}", printable(&section.title)));
        for (name, value) in &section.rows {
            line(text, &format!("  {:width$}  {}", printable(name), printable(value)));
        }
    }
}

/// Writes the checks that did not simply pass, then how many did.
pub(crate) fn checks(text: &mut String, checks: &[Check]) {
    for (answer, word) in [(Answer::Fail, "fail"), (Answer::Waived, "waived")] {
        for check in checks.iter().filter(|check| check.verdict == answer) {
            line(text, &format!("{word:<7} {}", printable(&check.id)));
            line(text, &format!("        expected  {}", printable(&check.expected)));
            line(text, &format!("        found     {}", printable(&check.found)));
        }
    }
    line(text, &format!("pass    {} of {}", count(checks, Answer::Pass), of_checks(checks)));
}

/// How many checks had this answer.
pub(crate) fn count(checks: &[Check], answer: Answer) -> usize {
    checks.iter().filter(|check| check.verdict == answer).count()
}

fn of_checks(checks: &[Check]) -> String {
    let plural = if checks.len() == 1 { "check" } else { "checks" };
    format!("{} {plural}", checks.len())
}

/// Appends a line.
pub(crate) fn line(text: &mut String, line: &str) {
    // Writing to a String does not fail.
    writeln!(text, "{line}").unwrap_or_default();
}

/// The text with a mark as first and last line.
pub(crate) fn marked(mark: Option<&str>, text: &str) -> String {
    match mark {
        Some(mark) => format!("{mark}\n{text}{mark}\n"),
        None => text.to_owned(),
    }
}

/// The text with everything escaped that a terminal might obey.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_invisible(character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// The same of a message that shows a place in a text: its lines are kept, those after the first this far to the right.
pub(crate) fn indented(message: &str, width: usize) -> String {
    let lines: Vec<String> = message.lines().map(printable).collect();
    lines.join(&format!("\n{:width$}", ""))
}

/// Characters that change how their neighbours are shown: bidirectional controls and separators.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// What stands first and last when the roots are a simulator's.
pub(crate) const SIMULATED: &str = "SIMULATED ROOTS: no hardware vendor stands behind this verdict";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_obeyed() {
        assert_eq!(printable("a\u{1b}[2Jb\n\u{202e}c"), "a\\u{1b}[2Jb\\n\\u{202e}c");
        assert_eq!(printable("Zürich, CN=x"), "Zürich, CN=x");
    }

    #[test]
    fn a_message_keeps_its_lines_and_nothing_else_that_a_terminal_obeys() {
        assert_eq!(indented("at line 3\n  | x\u{1b}[2J\r", 2), "at line 3\n    | x\\u{1b}[2J\\r");
    }

    #[test]
    fn values_stand_in_one_column() {
        let mut one = Section::new("one");
        one.row("a", 1);
        let mut two = Section::new("two");
        two.row("long name", 2);
        let mut text = String::new();
        sections(&mut text, &[one, two]);
        assert_eq!(text, "\none\n  a          1\n\ntwo\n  long name  2\n");
    }
}
