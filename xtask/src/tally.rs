//! What a run of `cargo test` says: how many passed, failed and were skipped, and why.
//!
//! Reads the lines that libtest prints with `--show-output`. A test that cannot run here prints
//! `SKIP <name>: <reason>`; `#[ignore]` is a skip that nobody earned, so it counts as a failure.

use std::fmt;

/// The count so far.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Tally {
    passed: u64,
    pub(crate) failed: u64,
    /// `name: reason`, once each.
    pub(crate) skips: Vec<String>,
    /// What went wrong, in the order in which it was seen.
    pub(crate) faults: Vec<String>,
    part: Part,
    /// A test binary has begun and not said how it went.
    open: bool,
    /// Tests that libtest counts as passed, though they skipped something.
    partly: u64,
}

/// Which part of libtest's output the next line belongs to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Part {
    #[default]
    Outside,
    /// What passing tests printed: kept in the log, not shown.
    Successes,
    /// Likewise, in a test that already said that it skipped something.
    Skipped,
}

/// Is a line for the person who waits, or for the log only?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Show {
    Line,
    Nothing,
}

impl Tally {
    /// Takes in one line.
    pub(crate) fn line(&mut self, line: &str) -> Show {
        if let Some(skip) = line.trim_start().strip_prefix("SKIP ") {
            self.skip(skip.trim());
            return Show::Nothing;
        }
        match line {
            "successes:" => self.part = Part::Successes,
            "failures:" => self.part = Part::Outside,
            _ if line.starts_with("test result: ") => self.result(line),
            _ if self.part == Part::Outside && is_start(line) => self.start(),
            _ if line.starts_with("---- ") && self.part == Part::Skipped => self.part = Part::Successes,
            _ => self.outcome(line),
        }
        if self.part == Part::Outside && !line.is_empty() && !is_routine(line) {
            Show::Line
        } else {
            Show::Nothing
        }
    }

    /// Counts a check of our own as one test.
    pub(crate) fn check(&mut self, name: &str, outcome: &anyhow::Result<()>) {
        match outcome {
            Ok(()) => self.passed = self.passed.saturating_add(1),
            Err(error) => self.fault(format!("{name}: {error:#}")),
        }
    }

    /// Notes a skip, `name: reason`. One without a reason was not earned.
    pub(crate) fn skip(&mut self, skip: &str) {
        let reason = skip.split_once(':').map(|(_, reason)| reason.trim()).unwrap_or_default();
        if reason.is_empty() {
            self.fault(format!("a skip without a reason: {skip}"));
        }
        if self.part == Part::Successes {
            self.part = Part::Skipped;
            self.partly = self.partly.saturating_add(1);
        }
        let skip = skip.to_owned();
        if !self.skips.contains(&skip) {
            self.skips.push(skip);
        }
    }

    fn fault(&mut self, fault: String) {
        self.failed = self.failed.saturating_add(1);
        self.faults.push(fault);
    }

    fn start(&mut self) {
        self.end();
        self.open = true;
    }

    /// The binary that is still open, if any, was taken down by one of its tests.
    pub(crate) fn end(&mut self) {
        if self.open {
            self.fault("a test took its whole process down".to_owned());
        }
        self.open = false;
    }

    fn outcome(&mut self, line: &str) {
        let Some(test) = line.strip_prefix("test ") else { return };
        if let Some((name, _)) = test.split_once(" ... FAILED") {
            self.faults.push(name.to_owned());
        } else if let Some((name, _)) = test.split_once(" ... ignored") {
            self.fault(format!("{name}: ignored; a skip is earned at run time"));
        }
    }

    // test result: ok. 12 passed; 0 failed; 1 ignored; …
    fn result(&mut self, line: &str) {
        self.part = Part::Outside;
        self.open = false;
        self.passed = self.passed.saturating_add(count(line, " passed"));
        self.failed = self.failed.saturating_add(count(line, " failed"));
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passed = self.passed.saturating_sub(self.partly);
        write!(to, "{passed} passed, {} failed, {} skipped", self.failed, self.skips.len())
    }
}

fn count(line: &str, what: &str) -> u64 {
    let before = line.split_once(what).map(|(before, _)| before).unwrap_or_default();
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

fn is_start(line: &str) -> bool {
    line.starts_with("running ") && (line.ends_with(" tests") || line.ends_with(" test"))
}

// Thousands of lines that say that all is well.
fn is_routine(line: &str) -> bool {
    line.starts_with("test ") && (line.ends_with(" ... ok") || line.ends_with("should panic ... ok"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(output: &str) -> Tally {
        let mut tally = Tally::default();
        for line in output.lines() {
            tally.line(line);
        }
        tally
    }

    #[test]
    fn results_of_several_binaries_add_up() {
        let tally = read(
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured\ntest result: FAILED. 2 passed; 1 failed; 0 ignored",
        );
        assert_eq!(tally.to_string(), "5 passed, 1 failed, 0 skipped");
    }

    #[test]
    fn a_test_that_skipped_has_not_passed() {
        let tally = read(
            "successes:\n\n---- a stdout ----\nSKIP a: no /dev/fuse\nSKIP a.two: no /dev/fuse\n\n---- b stdout ----\nhello\n\nsuccesses:\n    a\n    b\n\ntest result: ok. 2 passed; 0 failed; 0 ignored",
        );
        assert_eq!(tally.to_string(), "1 passed, 0 failed, 2 skipped");
        assert_eq!(tally.skips, ["a: no /dev/fuse", "a.two: no /dev/fuse"]);
    }

    #[test]
    fn a_skip_without_a_reason_is_not_earned() {
        let tally = read("SKIP sealed");
        assert_eq!((tally.failed, tally.faults), (1, vec!["a skip without a reason: sealed".to_owned()]));
    }

    #[test]
    fn a_binary_without_a_result_has_failed() {
        let mut tally =
            read("running 2 tests\ntest a ... ok\n\nrunning 1 test\ntest result: ok. 1 passed; 0 failed");
        assert_eq!(tally.to_string(), "1 passed, 1 failed, 0 skipped");
        tally.line("running 1 test");
        tally.end();
        assert_eq!(tally.to_string(), "1 passed, 2 failed, 0 skipped");
    }

    #[test]
    fn an_ignored_test_is_not_earned() {
        let tally = read("test slow ... ignored\ntest result: ok. 0 passed; 0 failed; 1 ignored");
        assert_eq!(tally.faults, ["slow: ignored; a skip is earned at run time"]);
        assert_eq!(tally.to_string(), "0 passed, 1 failed, 0 skipped");
    }

    #[test]
    fn failures_are_named_and_shown_and_successes_are_not() {
        let mut tally = Tally::default();
        assert_eq!(tally.line("test a ... ok"), Show::Nothing);
        assert_eq!(tally.line("test b ... FAILED"), Show::Line);
        assert_eq!(tally.line("successes:"), Show::Nothing);
        assert_eq!(tally.line("chatter"), Show::Nothing);
        assert_eq!(tally.line("failures:"), Show::Line);
        assert_eq!(tally.line("assertion failed"), Show::Line);
        assert_eq!(tally.faults, ["b"]);
    }
}
