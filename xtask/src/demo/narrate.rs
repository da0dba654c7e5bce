//! The story: numbered steps in plain words, each with the time it took.

use std::time::Instant;

use anyhow::Result;

/// Tells one story from its first step to its last.
#[derive(Debug)]
pub(crate) struct Story {
    began: Instant,
    steps: usize,
}

impl Story {
    /// Begins with a title.
    pub(crate) fn begin(title: &str) -> Self {
        println!("\n{title}\n{}", "=".repeat(title.chars().count()));
        Self { began: Instant::now(), steps: 0 }
    }

    /// Does `task`, and says what was done and how long it took; or says that it was not done.
    pub(crate) fn step<T>(&mut self, what: &str, task: impl FnOnce() -> Result<T>) -> Result<T> {
        self.steps = self.steps.saturating_add(1);
        let start = Instant::now();
        let outcome = task();
        let verdict = if outcome.is_ok() { "" } else { "  NOT DONE" };
        println!("{:>4}. {what}{verdict}  ({})", self.steps, millis(start));
        outcome
    }

    /// Ends the story.
    pub(crate) fn end(self) {
        println!("\n{} steps in {}", self.steps, millis(self.began));
    }
}

/// Opens a chapter.
pub(crate) fn chapter(title: &str) {
    println!("\n{title}");
}

/// Says something more about the last step; long numbers are shortened.
pub(crate) fn note(text: &str) {
    for line in text.lines() {
        println!("      {}", line.split(' ').map(shortened).collect::<Vec<_>>().join(" "));
    }
}

// The ends of a digest are what a person compares.
fn shortened(word: &str) -> String {
    let digits = word.bytes().take_while(u8::is_ascii_hexdigit).count();
    match (word.get(..8), word.get(digits.saturating_sub(4)..digits), word.get(digits..)) {
        (Some(head), Some(tail), Some(rest)) if digits >= 40 => format!("{head}…{tail}{rest}"),
        _ => word.to_owned(),
    }
}

fn millis(since: Instant) -> String {
    let millis = since.elapsed().as_millis();
    if millis < 10_000 { format!("{millis} ms") } else { format!("{:.1} s", since.elapsed().as_secs_f64()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_numbers_are_shortened() {
        assert_eq!(shortened(&format!("{},", "0123456789".repeat(5))), "01234567…6789,");
        assert_eq!(shortened("deadbeef"), "deadbeef");
        assert_eq!(shortened("snp.policy.debug:"), "snp.policy.debug:");
    }
}
