//! How things stand, as far as the keeper knows it; its parts add what they know.

use std::time::Instant;

use crate::errand::{Of, Term};
use crate::selftest::Protection;

/// What is told on the local socket.
#[derive(Debug)]
pub struct Standing {
    /// When we began.
    pub began: Instant,
    /// When OpenBao last brought something.
    pub spoke: Option<Instant>,
    /// Times that the program was started.
    pub starts: u64,
    /// Values that were exchanged for new ones.
    pub rotations: u64,
    /// Files that were opened.
    pub files: u64,
    /// What stands between the values and an attacker.
    pub protection: Option<Protection>,
    /// Since when each term runs.
    since: Vec<(Of, Instant)>,
}

impl Standing {
    pub(super) fn new(began: Instant) -> Self {
        Self { began, spoke: None, starts: 0, rotations: 0, files: 0, protection: None, since: Vec::new() }
    }

    /// A fetcher brought these terms.
    pub(super) fn heard(&mut self, terms: &[Term], now: Instant) {
        self.spoke = Some(now);
        self.since.retain(|(of, _)| terms.iter().all(|term| term.of != *of));
        self.since.extend(terms.iter().map(|term| (term.of, now)));
    }

    /// Seconds that are left of a term; none where it has no end.
    #[must_use]
    pub fn left(&self, term: &Term, now: Instant) -> Option<u64> {
        let since = self.since.iter().find(|(of, _)| *of == term.of).map(|(_, since)| *since)?;
        let gone = now.saturating_duration_since(since).as_secs();
        (term.seconds > 0).then(|| term.seconds.saturating_sub(gone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn term(of: Of, seconds: u64) -> Term {
        Term { of, lease: None, seconds, renewable: true, version: None }
    }

    #[test]
    fn a_term_that_came_again_runs_from_then_on() {
        let began = Instant::now();
        let later = |seconds| began.checked_add(Duration::from_secs(seconds)).unwrap();
        let mut standing = Standing::new(began);
        let [token, secret] = [term(Of::Token, 60), term(Of::Secret(0), 100)];
        standing.heard(&[token.clone(), secret.clone()], began);
        standing.heard(std::slice::from_ref(&token), later(50));
        assert_eq!(standing.left(&token, later(70)), Some(40));
        assert_eq!(standing.left(&secret, later(70)), Some(30));
        assert_eq!(standing.left(&secret, later(700)), Some(0));
        assert_eq!(standing.spoke, Some(later(50)));
    }

    #[test]
    fn what_has_no_end_has_nothing_left_to_tell() {
        let began = Instant::now();
        let mut standing = Standing::new(began);
        let endless = term(Of::Secret(0), 0);
        standing.heard(std::slice::from_ref(&endless), began);
        assert_eq!(standing.left(&endless, began), None);
    }
}
