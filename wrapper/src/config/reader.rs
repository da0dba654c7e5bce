//! Variables, and what is wrong with them.
//!
//! For `VAULT_X`, `BAO_X` is asked first. Every problem is remembered and none ends the reading; a value is never
//! repeated in one, because a token may stand where something else should.
//!
//! Trusted: whoever wrote the environment, to say what they want. Untrusted: that it has the right form.

use std::ffi::{OsStr, OsString};
use std::ops::RangeInclusive;
use std::time::Duration;

/// Reads variables and remembers what was wrong with them.
pub(super) struct Reader<'a> {
    environment: &'a [(OsString, OsString)],
    problems: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(environment: &'a [(OsString, OsString)]) -> Self {
        Self { environment, problems: Vec::new() }
    }

    pub(super) fn into_problems(self) -> Vec<String> {
        self.problems
    }

    pub(super) fn problem(&mut self, text: impl Into<String>) {
        self.problems.push(text.into());
    }

    /// A variable that is set and not empty.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let preferred = name.strip_prefix("VAULT_").map(|rest| format!("BAO_{rest}"));
        for name in preferred.as_deref().into_iter().chain([name]) {
            match self.lookup(name).map(OsStr::to_str) {
                Some(Some(text)) => return Some(text.to_owned()),
                Some(None) => self.problem(format!("{name}: not UTF-8")),
                None => {}
            }
        }
        None
    }

    fn lookup(&self, name: &str) -> Option<&OsStr> {
        let set = self.environment.iter().find(|(key, _)| key == name);
        set.map(|(_, value)| value.as_os_str()).filter(|value| !value.is_empty())
    }

    pub(super) fn required(&mut self, name: &str) -> String {
        self.text(name).unwrap_or_else(|| {
            self.problem(format!("{name}: not set"));
            String::new()
        })
    }

    /// Booleans as Go's `strconv.ParseBool` reads them, because OpenBao's own client does.
    pub(super) fn flag(&mut self, name: &str, default: bool) -> bool {
        match self.text(name).as_deref() {
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => true,
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => false,
            None => default,
            Some(_) => {
                self.problem(format!("{name}: expected true or false"));
                default
            }
        }
    }

    /// Whole seconds; none where the variable is not set.
    pub(super) fn seconds(&mut self, name: &str, allowed: RangeInclusive<u64>) -> Option<Duration> {
        let text = self.text(name)?;
        let seconds = text.parse().ok().filter(|seconds| allowed.contains(seconds));
        if seconds.is_none() {
            let (least, most) = (allowed.start(), allowed.end());
            self.problem(format!("{name}: expected {least} to {most} seconds"));
        }
        seconds.map(Duration::from_secs)
    }

    /// One of several words; none where the variable is not set.
    pub(super) fn choice<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        let chosen = chosen(&text, words);
        if chosen.is_none() {
            self.problem(format!("{name}: expected {}", listed(words)));
        }
        chosen
    }

    /// Several of several words, each once, in the order given.
    pub(super) fn choices<T: Copy + PartialEq>(&mut self, name: &str, words: &[(&str, T)]) -> Option<Vec<T>> {
        let text = self.text(name)?;
        let found: Option<Vec<T>> = text.split(',').map(|word| chosen(word.trim(), words)).collect();
        let found = found.filter(|found| {
            found.iter().enumerate().all(|(at, one)| !found.iter().take(at).any(|earlier| earlier == one))
        });
        if found.is_none() {
            self.problem(format!("{name}: expected a list of {}, each once", listed(words)));
        }
        found
    }
}

fn chosen<T: Copy>(text: &str, words: &[(&str, T)]) -> Option<T> {
    words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning)
}

fn listed<T>(words: &[(&str, T)]) -> String {
    let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}
