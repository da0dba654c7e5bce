//! What the enforcer promises, in the words of the report. Pure.
//!
//! Our attacker is of our own group, which may look into itself; what happens to everybody else the enforcer has tried on
//! a decoy, and says in its matrix. Only what such an attack has proved counts: a theft that worked from inside is told to be
//! refused by the enforcer where the same theft from outside is.
//!
//! Trusted: the enforcer, as far as `enforcer` says.

use protocol::enforcer::Matrix;
use protocol::protection::{Attack, By, Check, Outcome, State, Theft};

use super::blame::plain;
use super::measures::Answer;
use crate::enforcer::{Enforcer, Strength, find, strength, weakest};

/// What there is to be expected of an enforcer.
#[derive(Clone, Debug)]
pub(super) enum Promise {
    /// Nothing, and why.
    None(String),
    /// It has looked at us, and has a matrix.
    Given { matrix: Matrix, looked: String },
}

impl Promise {
    pub(super) fn of(enforcer: &Enforcer) -> Self {
        match enforcer.promised() {
            Err(why) => Self::None(why.to_owned()),
            Ok(bond) => Self::Given { matrix: bond.matrix().clone(), looked: bond.looked().join(", ") },
        }
    }

    /// The answer to one of the enforcer's checks.
    pub(super) fn answer(&self, check: Check) -> Answer {
        let (matrix, looked) = match self {
            Self::None(why) => return (State::Missed, why.clone()),
            Self::Given { matrix, looked } => (matrix, looked),
        };
        let (strength, name) = weakest(matrix);
        let by = |name: &str| find(matrix, name).map_or("none", |defence| defence.tier.as_str());
        let found = match strength {
            Strength::Denied => "every theft was tried on a decoy, and refused before it happened".to_owned(),
            Strength::Probed | Strength::Weak => format!("weakest: {name} by {}", by(name)),
        };
        if check == Check::EbpfEnforceMode {
            return (state(matrix.mode == "enforce"), format!("mode {}", matrix.mode));
        }
        if check == Check::EbpfAgentConnected {
            return (State::Reached, format!("it looked at: {looked}"));
        }
        let enough = if check == Check::EbpfKprobes { Strength::Probed } else { Strength::Denied };
        (state(strength <= enough), found)
    }

    /// Who refuses what our own attacker was not refused.
    pub(super) fn overrule(&self, attacks: &mut [Attack]) {
        let Self::Given { matrix, .. } = self else { return };
        for attack in attacks.iter_mut().filter(|attack| attack.outcome == Outcome::Taken) {
            let Some(defence) = vector(attack.theft).and_then(|name| find(matrix, name)) else { continue };
            if strength(defence) == Strength::Weak {
                continue;
            }
            attack.outcome = Outcome::Refused;
            attack.by = Some(By::Enforcer);
            attack.found =
                plain(&format!("{}, tried on a decoy; from inside: {}", defence.tier, attack.found));
        }
    }
}

const fn state(reached: bool) -> State {
    if reached { State::Reached } else { State::Missed }
}

/// The vector of the catalogue that a theft goes by.
const fn vector(theft: Theft) -> Option<&'static str> {
    Some(match theft {
        Theft::ProcessVmReadv => "process-vm",
        Theft::ProcMem => "proc-mem",
        Theft::PtracePeek | Theft::PtraceDuringGraft | Theft::PtraceAfterGraft => "ptrace",
        Theft::PidfdGetfd | Theft::PidfdGetfdLeftOpen => "pidfd-getfd",
        Theft::ProcFd => "descriptor-open",
        Theft::MapFiles => "proc-view",
        Theft::Environ => "environ",
        // A core is written by the kernel, inside: the decoy's crash has shown it.
        Theft::CoreDump => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enforcer::tests::matrix;

    fn taken() -> Vec<Attack> {
        let theft = |theft| Attack { theft, outcome: Outcome::Taken, by: None, found: "16 bytes".to_owned() };
        vec![theft(Theft::PidfdGetfdLeftOpen), theft(Theft::CoreDump)]
    }

    #[test]
    fn a_theft_from_inside_is_the_enforcers_to_refuse_where_it_was_proved_from_outside() {
        let promise = Promise::Given { matrix: matrix("fmod_ret"), looked: String::new() };
        let mut attacks = taken();
        promise.overrule(&mut attacks);
        assert_eq!((attacks[0].outcome, attacks[0].by), (Outcome::Refused, Some(By::Enforcer)));
        assert_eq!(attacks[0].found, "fmod_ret, tried on a decoy; from inside: 16 bytes");
        assert_eq!(attacks[1], taken()[1], "a core is a core");
    }

    #[test]
    fn what_was_not_proved_stays_taken() {
        for promise in [
            Promise::None("no enforcer".to_owned()),
            Promise::Given { matrix: matrix("observe"), looked: String::new() },
        ] {
            let mut attacks = taken();
            promise.overrule(&mut attacks);
            assert_eq!(attacks, taken());
        }
    }
}
