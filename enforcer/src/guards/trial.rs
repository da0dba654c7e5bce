//! The node's guards on trial: a wrong list of trusted programs shall not lock an administrator out of a node.
//!
//! Where they refuse, they do so for some minutes at first. Then they only tell, unless an administrator has confirmed them
//! meanwhile, from a session that began after they did: so somebody could still come in. What was confirmed is known by the digest
//! of all that the enforcer was told; the kernel remembers it until the machine restarts, and a file beyond that. Who takes the
//! file away gains nothing before that; and after a restart a trial, in which everything is told.
//!
//! Core: what is remembered, and the time, are arguments. Trusted: both, and the session's beginning (the kernel's word).

use std::time::Duration;

use enforcer_abi::{Guard, Mode, Vector};

/// In the map `TRIAL`: a word, and the digest of the policy that it is about.
pub const LENGTH: usize = 40;
const CONFIRMED: u64 = 1;
const LAPSED: u64 = 2;

/// How things stand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// There is none: nothing is refused, or nobody asked for a trial.
    None,
    /// Since this time (nanoseconds since the machine's start).
    Since(u64),
    /// An administrator has confirmed.
    Confirmed,
    /// Nobody has.
    Lapsed,
}

/// The trial of one policy.
#[derive(Clone, Debug)]
pub struct Trial {
    state: State,
    policy: [u8; 32],
    period: Duration,
}

/// What a trial begins with.
#[derive(Clone, Copy, Debug)]
pub struct Told<'t> {
    /// How long; zero: there is none.
    pub period: Duration,
    /// Whether a guard of the node refuses.
    pub refuses: bool,
    /// The digest of all that the enforcer was told.
    pub policy: [u8; 32],
    /// What the kernel remembers.
    pub remembered: [u8; LENGTH],
    /// What the file says.
    pub file: Option<&'t str>,
    /// Nanoseconds since the machine's start.
    pub now: u64,
}

impl Trial {
    /// Nothing is on trial.
    pub(crate) const NONE: Self = Self { state: State::None, policy: [0; 32], period: Duration::ZERO };

    /// Begins, or goes on with what is remembered of this policy.
    #[must_use]
    pub fn begin(told: &Told<'_>) -> Self {
        let Told { period, refuses, policy, .. } = *told;
        let state = if refuses && !period.is_zero() { known(told) } else { State::None };
        Self { state, policy, period }
    }

    /// For the kernel to remember.
    #[must_use]
    pub fn remember(&self) -> [u8; LENGTH] {
        let word = match self.state {
            State::None => 0,
            State::Confirmed => CONFIRMED,
            State::Lapsed => LAPSED,
            State::Since(since) => since.max(LAPSED.saturating_add(1)),
        };
        let mut bytes = [0; LENGTH];
        let parts = word.to_ne_bytes().into_iter().chain(self.policy);
        bytes.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        bytes
    }

    /// For the file.
    #[must_use]
    pub fn written(&self) -> String {
        format!("{}\n", hex::encode(self.policy))
    }

    /// Whether it has just ended without a confirmation.
    pub fn lapses(&mut self, now: u64) -> bool {
        let State::Since(since) = self.state else { return false };
        let ends = since.saturating_add(u64::try_from(self.period.as_nanos()).unwrap_or(u64::MAX));
        if now < ends {
            return false;
        }
        self.state = State::Lapsed;
        true
    }

    /// What is done about a vector, where the operator wants this.
    #[must_use]
    pub fn mode(&self, vector: Vector, wanted: Mode) -> Mode {
        match self.state {
            State::Lapsed if vector.guard() == Guard::Node => wanted.min(Mode::Detect),
            State::Lapsed | State::None | State::Since(_) | State::Confirmed => wanted,
        }
    }

    /// An administrator confirms, from a session that began at this time (nanoseconds since the machine's start).
    pub fn confirm(&mut self, session: u64) -> Result<(), Refusal> {
        match self.state {
            State::Since(since) if session > since => {
                self.state = State::Confirmed;
                Ok(())
            }
            State::Since(_) => Err(Refusal::Session),
            State::Confirmed => Err(Refusal::Confirmed),
            State::Lapsed => Err(Refusal::Lapsed),
            State::None => Err(Refusal::None),
        }
    }

    /// How it stands, for the log.
    pub(crate) fn said(&self) -> Option<String> {
        match self.state {
            State::None => None,
            State::Since(_) => Some(format!(
                "the node's guards refuse on trial, for {} minutes: log in anew, see that the node works, and run \
                 `cloudtaser-enforcer confirm-guards`; else they only tell from then on",
                self.period.as_secs().div_euclid(60)
            )),
            State::Confirmed => Some("the node's guards refuse, as an administrator confirmed".to_owned()),
            State::Lapsed => Some(
                "the node's guards only tell: nobody confirmed them in time; a restart of the machine, or another \
                 list, begins a new trial"
                    .to_owned(),
            ),
        }
    }
}

/// What is remembered of this policy, in the kernel first.
fn known(told: &Told<'_>) -> State {
    let word = told.remembered.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
    let same = told.remembered.get(8..) == Some(&told.policy[..]);
    match word {
        CONFIRMED if same => State::Confirmed,
        LAPSED if same => State::Lapsed,
        // Never later than now: else it would end later than its period from here on, and nobody could confirm.
        since if since > LAPSED && same => State::Since(since.min(told.now)),
        _ if told.file.is_some_and(|file| file.trim() == hex::encode(told.policy)) => State::Confirmed,
        _ => State::Since(told.now),
    }
}

/// Why it is not confirmed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// Who could come in before need not be able to come in now.
    #[error("expected a session that began after the guards did, found an older one: log in anew")]
    Session,
    /// It is already.
    #[error("the node's guards are confirmed already")]
    Confirmed,
    /// It is too late.
    #[error("the trial has ended, and the node's guards only tell")]
    Lapsed,
    /// There is nothing to confirm.
    #[error("the node's guards are not on trial here")]
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000_000_000;

    fn told() -> Told<'static> {
        Told {
            period: Duration::from_mins(15),
            refuses: true,
            policy: [7; 32],
            remembered: [0; LENGTH],
            file: None,
            now: MINUTE,
        }
    }

    fn modes(trial: &Trial) -> [Mode; 3] {
        [Vector::Mount, Vector::ProcMem, Vector::OwnMap].map(|vector| trial.mode(vector, Mode::Enforce))
    }

    #[test]
    fn who_does_not_confirm_is_not_locked_out() {
        let mut trial = Trial::begin(&told());
        assert!(!trial.lapses(15 * MINUTE));
        assert_eq!(modes(&trial), [Mode::Enforce; 3]);
        assert!(trial.lapses(16 * MINUTE) && !trial.lapses(17 * MINUTE));
        assert_eq!(modes(&trial), [Mode::Detect, Mode::Enforce, Mode::Enforce]);
        assert_eq!(trial.mode(Vector::Mount, Mode::Off), Mode::Off);
        assert_eq!(trial.confirm(20 * MINUTE), Err(Refusal::Lapsed));
    }

    #[test]
    fn only_who_could_come_in_afterwards_confirms() {
        let mut trial = Trial::begin(&told());
        assert_eq!(trial.confirm(MINUTE), Err(Refusal::Session));
        assert_eq!(trial.confirm(MINUTE + 1), Ok(()));
        assert_eq!(trial.confirm(MINUTE + 1), Err(Refusal::Confirmed));
        assert!(!trial.lapses(u64::MAX));
        assert_eq!(modes(&trial), [Mode::Enforce; 3]);
    }

    #[test]
    fn another_start_does_not_begin_it_anew() {
        let mut first = Trial::begin(&told());
        let again =
            |trial: &Trial| Trial::begin(&Told { remembered: trial.remember(), now: 9 * MINUTE, ..told() });
        assert!(again(&first).lapses(16 * MINUTE));
        assert!(first.lapses(16 * MINUTE));
        assert_eq!(again(&first).state, State::Lapsed);
        let mut other = Trial::begin(&told());
        other.confirm(2 * MINUTE).unwrap();
        assert_eq!(again(&other).state, State::Confirmed);
    }

    #[test]
    fn a_trial_never_began_later_than_now() {
        let mut remembered = Trial::begin(&told()).remember();
        remembered[..8].copy_from_slice(&u64::MAX.to_ne_bytes());
        let mut trial = Trial::begin(&Told { remembered, ..told() });
        assert_eq!(trial.clone().confirm(MINUTE + 1), Ok(()));
        assert!(trial.lapses(16 * MINUTE));
    }

    #[test]
    fn another_policy_has_a_trial_of_its_own() {
        let mut first = Trial::begin(&told());
        first.confirm(2 * MINUTE).unwrap();
        let (remembered, file) = (first.remember(), first.written());
        let other = Told { policy: [8; 32], remembered, file: Some(&file), now: 9 * MINUTE, ..told() };
        assert_eq!(Trial::begin(&other).state, State::Since(9 * MINUTE));
    }

    #[test]
    fn after_a_restart_of_the_machine_the_file_tells() {
        let first = Trial::begin(&told());
        let file = first.written();
        assert_eq!(Trial::begin(&Told { file: Some(&file), ..told() }).state, State::Confirmed);
        assert_eq!(Trial::begin(&Told { file: Some("07"), ..told() }).state, State::Since(MINUTE));
    }

    #[test]
    fn nothing_is_on_trial_where_nothing_is_refused_or_nobody_asked() {
        for told in [Told { refuses: false, ..told() }, Told { period: Duration::ZERO, ..told() }] {
            let mut trial = Trial::begin(&told);
            assert!(!trial.lapses(u64::MAX));
            assert_eq!(trial.confirm(u64::MAX), Err(Refusal::None));
            assert_eq!(trial.remember()[..8], [0; 8]);
        }
    }
}
