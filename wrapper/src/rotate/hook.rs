//! The command that is run when values have changed: when it runs, and when again.
//!
//! One at a time. A change while it runs has it run once more. Where it fails it is tried again, later and later, and
//! given up after [`TRIES`]: the next change tries anew. One that does not end is ended.
//!
//! Trusted: whoever wrote the configuration. Untrusted: that the command ends, and how.

use std::time::Duration;

use release_client::pace::{Moment, Uptime};

use super::schedule;

/// How often a failing hook is run for one change.
pub const TRIES: u32 = 5;
/// How long it may run.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// The state of the hook.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hook {
    running: Option<Running>,
    next: Option<Uptime>,
    failures: u32,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    until: Uptime,
    is_outdated: bool,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Deed {
    /// Run it.
    Run,
    /// End it; its end is then reported as any other.
    Kill,
    /// Tell that it failed; it runs again after so long, or not before the next change.
    Tell(Option<Duration>),
}

impl Hook {
    /// Values have changed.
    pub fn changed(&mut self, moment: &Moment) -> Option<Deed> {
        self.failures = 0;
        if let Some(running) = &mut self.running {
            running.is_outdated = true;
            return None;
        }
        self.next = Some(moment.now);
        self.woke(moment)
    }

    /// Time passed.
    pub fn woke(&mut self, moment: &Moment) -> Option<Deed> {
        if let Some(running) = &mut self.running {
            let late = running.until <= moment.now;
            if late {
                running.until = moment.now.plus(PATIENCE);
            }
            return late.then_some(Deed::Kill);
        }
        self.next.take_if(|next| *next <= moment.now)?;
        self.running = Some(Running { until: moment.now.plus(PATIENCE), is_outdated: false });
        Some(Deed::Run)
    }

    /// It ended, or could not be started.
    pub fn ended(&mut self, succeeded: bool, moment: &Moment) -> Option<Deed> {
        let running = self.running.take()?;
        if running.is_outdated {
            self.next = Some(moment.now);
        }
        if succeeded {
            return None;
        }
        if running.is_outdated {
            return Some(Deed::Tell(Some(Duration::ZERO)));
        }
        self.failures = self.failures.saturating_add(1);
        let wait = schedule::after_silence(self.failures.saturating_add(1), moment);
        let again = (self.failures < TRIES).then_some(wait);
        self.next = again.map(|wait| moment.now.plus(wait));
        Some(Deed::Tell(again))
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// When to come back.
    #[must_use]
    pub fn wake(&self) -> Option<Uptime> {
        self.running.map(|running| running.until).or(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment { now: Uptime(seconds.saturating_mul(1000)), dice: u64::MAX }
    }

    #[test]
    fn a_change_runs_it_once() {
        let mut hook = Hook::default();
        assert_eq!((hook.wake(), hook.woke(&at(1))), (None, None));
        assert_eq!(hook.changed(&at(2)), Some(Deed::Run));
        assert_eq!(hook.ended(true, &at(3)), None);
        assert_eq!((hook.wake(), hook.woke(&at(900))), (None, None));
    }

    #[test]
    fn a_change_while_it_runs_runs_it_once_more() {
        let mut hook = Hook::default();
        hook.changed(&at(2));
        assert_eq!([at(3), at(4)].map(|moment| hook.changed(&moment)), [None, None]);
        assert_eq!(hook.ended(true, &at(5)), None);
        assert_eq!((hook.wake(), hook.woke(&at(5))), (Some(at(5).now), Some(Deed::Run)));
        assert_eq!(hook.ended(true, &at(6)), None);
        assert_eq!(hook.wake(), None);
    }

    #[test]
    fn one_that_fails_is_tried_again_later_and_later_and_given_up_until_the_next_change() {
        let mut hook = Hook::default();
        let mut moment = at(1);
        hook.changed(&moment);
        let mut waits = Vec::new();
        while let Some(Deed::Tell(Some(wait))) = hook.ended(false, &moment) {
            waits.push(wait.as_millis() / 1000);
            moment.now = hook.wake().unwrap();
            assert_eq!(hook.woke(&moment), Some(Deed::Run));
        }
        assert_eq!(waits.len(), 4);
        assert!(waits.is_sorted(), "{waits:?}");
        assert_eq!(hook.wake(), None);
        assert_eq!(hook.changed(&at(900)), Some(Deed::Run));
    }

    #[test]
    fn one_that_does_not_end_is_ended() {
        let mut hook = Hook::default();
        hook.changed(&at(1));
        assert_eq!(hook.wake(), Some(at(61).now));
        assert_eq!(hook.woke(&at(61)), Some(Deed::Kill));
        assert!(matches!(hook.ended(false, &at(61)), Some(Deed::Tell(Some(_)))));
    }
}
