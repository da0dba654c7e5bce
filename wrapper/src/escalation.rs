//! When asking to end becomes making an end.
//!
//! The first SIGTERM is passed on. The second one is taken to mean it, and so is the time that
//! `CLOUDTASER_KILL_AFTER` gives: the program's process group is killed.
//!
//! Trusted: whoever may send us signals.

use std::time::{Duration, Instant};

/// How often a program was asked to end, and until when it may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Escalation {
    patience: Option<Duration>,
    asked: bool,
    deadline: Option<Instant>,
}

/// What becomes of a SIGTERM.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    /// It is passed on.
    Ask,
    /// The group is killed.
    Kill,
}

impl Escalation {
    pub(crate) const fn new(patience: Option<Duration>) -> Self {
        Self { patience, asked: false, deadline: None }
    }

    /// A SIGTERM came.
    pub(crate) fn terminate(&mut self, now: Instant) -> Answer {
        if self.asked {
            return Answer::Kill;
        }
        self.asked = true;
        self.deadline = self.patience.and_then(|patience| now.checked_add(patience));
        Answer::Ask
    }

    /// When the program's time is up, if it has an end.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether its time is up. True once.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        self.deadline.take_if(|deadline| *deadline <= now).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_request_is_an_order() {
        let mut escalation = Escalation::new(None);
        let now = Instant::now();
        assert_eq!([(); 3].map(|()| escalation.terminate(now)), [Answer::Ask, Answer::Kill, Answer::Kill]);
        assert_eq!(escalation.deadline(), None);
    }

    #[test]
    fn patience_ends_once_and_not_before_its_time() {
        let mut escalation = Escalation::new(Some(Duration::from_secs(10)));
        let now = Instant::now();
        assert!(!escalation.is_due(now + Duration::from_secs(99)), "nobody has asked");
        escalation.terminate(now);
        assert!(!escalation.is_due(now + Duration::from_millis(9_999)));
        assert!(escalation.is_due(now + Duration::from_secs(10)));
        assert!(!escalation.is_due(now + Duration::from_secs(11)));
    }
}
