//! What a program is given when a value is another one than before.
//!
//! Where the operator wants a value exchanged in place, the pages are rewritten first; what cannot be reached in place is
//! reached by a restart, never silently not at all.
//!
//! Trusted: whoever wrote the configuration. Untrusted: the program, which may be another one than it seems.

use crate::config::Strategy;
use crate::graft::Rewritten;
use crate::graft::runtime::Reads;

/// What to do for a program whose values have changed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// Nothing more: it finds the values itself.
    Done,
    /// SIGHUP.
    Signal,
    /// The hook.
    Hook,
    /// End it, and start it anew.
    Restart(Why),
}

/// Why a program is started anew.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Why {
    /// The operator wants it so.
    Asked,
    /// Its runtime copied its environment at start, or does not tell.
    ReadsOnce,
    /// A value has no room where the former one lies.
    Outgrown(String),
    /// Its pages cannot be reached.
    OutOfReach,
}

impl Step {
    /// Whether pages are to be rewritten; if not, what is done instead. `reads` is how the least attentive of the programs
    /// reads its environment; none where there is no program.
    #[must_use]
    pub fn before(strategy: Strategy, reads: Option<Reads>) -> Option<Self> {
        match (strategy, reads) {
            (Strategy::None, _) => Some(Self::Done),
            (Strategy::Restart, _) => Some(Self::Restart(Why::Asked)),
            (Strategy::Live, Some(Reads::Once | Reads::Unknown)) => Some(Self::Restart(Why::ReadsOnce)),
            (Strategy::Live, Some(Reads::Live) | None) | (Strategy::Sighup | Strategy::Exec, _) => None,
        }
    }

    /// What follows once pages were rewritten, or were not.
    #[must_use]
    pub fn after(strategy: Strategy, rewritten: Rewritten) -> Self {
        match rewritten {
            Rewritten::Outgrown(variable) => Self::Restart(Why::Outgrown(variable)),
            Rewritten::OutOfReach => Self::Restart(Why::OutOfReach),
            Rewritten::Everywhere(_) => match strategy {
                Strategy::Sighup => Self::Signal,
                Strategy::Exec => Self::Hook,
                Strategy::Live | Strategy::None | Strategy::Restart => Self::Done,
            },
        }
    }
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Asked => f.write_str("a value has changed"),
            Self::ReadsOnce => {
                f.write_str("a value has changed, and it does not look at its environment again")
            }
            Self::Outgrown(variable) => write!(f, "the new value of {variable} has no room in its memory"),
            Self::OutOfReach => f.write_str("a value has changed, and its memory is out of reach"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_program_that_looks_again_is_left_alone_with_a_rewritten_page() {
        let once = Some(Step::Restart(Why::ReadsOnce));
        for (reads, expected) in [
            (Some(Reads::Live), None),
            (None, None),
            (Some(Reads::Once), once.clone()),
            (Some(Reads::Unknown), once),
        ] {
            assert_eq!(Step::before(Strategy::Live, reads), expected, "{reads:?}");
            assert_eq!(Step::before(Strategy::Sighup, reads), None);
            assert_eq!(Step::before(Strategy::Exec, reads), None);
            assert_eq!(Step::before(Strategy::Restart, reads), Some(Step::Restart(Why::Asked)));
            assert_eq!(Step::before(Strategy::None, reads), Some(Step::Done));
        }
    }

    #[test]
    fn a_rewritten_page_is_followed_by_what_the_operator_wants() {
        let after = |strategy| Step::after(strategy, Rewritten::Everywhere(1));
        let strategies = [Strategy::Live, Strategy::Sighup, Strategy::Exec];
        assert_eq!(strategies.map(after), [Step::Done, Step::Signal, Step::Hook]);
    }

    #[test]
    fn what_is_not_reached_in_place_is_reached_by_a_restart() {
        for strategy in [Strategy::Live, Strategy::Sighup, Strategy::Exec] {
            let outgrown = Step::after(strategy, Rewritten::Outgrown("PGPASSWORD".to_owned()));
            assert_eq!(outgrown, Step::Restart(Why::Outgrown("PGPASSWORD".to_owned())));
            assert_eq!(Step::after(strategy, Rewritten::OutOfReach), Step::Restart(Why::OutOfReach));
        }
        let told = Why::Outgrown("PGPASSWORD".to_owned()).to_string();
        assert_eq!(told, "the new value of PGPASSWORD has no room in its memory");
    }
}
