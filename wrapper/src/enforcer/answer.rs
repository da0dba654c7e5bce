//! What the matrix is worth: which of the ways to our memory are refused to everybody outside, as an attack has proved. Pure.
//!
//! Trusted: the enforcer. Its word on what was not tried, or tried in vain, is not taken for a defence.

use std::fmt;

use protocol::enforcer::{Defence, Matrix, Verified};

/// The vectors by which a secret is taken out of a process; the names are the catalogue's.
pub(crate) const THEFTS: [&str; 7] =
    ["proc-mem", "environ", "proc-view", "descriptor-open", "ptrace", "process-vm", "pidfd-getfd"];

/// How a vector is defended; from the strongest.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Strength {
    /// Refused before it happens.
    Denied,
    /// By kprobes: the system call is refused, or whoever makes it is killed.
    Probed,
    /// Less than that, or not proved.
    Weak,
}

/// What is missing of a protection that was demanded.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Shortfall {
    /// There is no enforcer that protects us.
    #[error("CLOUDTASER_ENFORCER is required: expected an enforcer that protects us, found none: {0}")]
    Absent(String),
    /// It tells, and does not refuse.
    #[error("CLOUDTASER_ENFORCER is required: expected an enforcer in mode enforce, found {0}")]
    Mode(String),
    /// Some ways are open, or not proved to be closed.
    #[error("CLOUDTASER_ENFORCER is required: expected that an attack proved each defence, found {0}")]
    Unproved(Holes),
}

/// Vectors that are not defended, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Holes(Vec<String>);

impl fmt::Display for Holes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

/// What is missing of what `required` asks for.
pub(super) fn shortfall(matrix: &Matrix) -> Option<Shortfall> {
    if matrix.mode != "enforce" {
        return Some(Shortfall::Mode(matrix.mode.clone()));
    }
    let holes: Vec<String> = THEFTS.into_iter().filter_map(|name| hole(matrix, name)).collect();
    (!holes.is_empty()).then_some(Shortfall::Unproved(Holes(holes)))
}

/// Why this vector is not defended.
fn hole(matrix: &Matrix, name: &str) -> Option<String> {
    let Some(defence) = find(matrix, name) else { return Some(format!("{name} unknown")) };
    let Defence { mode, tier, verified, .. } = defence;
    match (mode.as_str(), verified, strength(defence)) {
        ("enforce", Verified::Yes, Strength::Weak) => Some(format!("{name} by {tier}")),
        ("enforce", Verified::Yes, _) => None,
        ("enforce", Verified::No, _) => Some(format!("{name} by {tier} and in vain")),
        ("enforce", Verified::Untried, _) => Some(format!("{name} by {tier} and untried")),
        _ => Some(format!("{name} in mode {mode}")),
    }
}

pub(crate) fn find<'m>(matrix: &'m Matrix, name: &str) -> Option<&'m Defence> {
    matrix.vectors.iter().find(|defence| defence.vector == name)
}

/// How strong this defence has proved to be.
pub(crate) fn strength(defence: &Defence) -> Strength {
    if defence.mode != "enforce" || defence.verified != Verified::Yes {
        return Strength::Weak;
    }
    match defence.tier.as_str() {
        "lsm" | "fmod_ret" => Strength::Denied,
        "override" | "kill" => Strength::Probed,
        _ => Strength::Weak,
    }
}

/// The weakest of the defences against thefts, and its name.
pub(crate) fn weakest(matrix: &Matrix) -> (Strength, &'static str) {
    let of = |name: &'static str| (find(matrix, name).map_or(Strength::Weak, strength), name);
    // Never empty: the list is not.
    THEFTS.into_iter().map(of).max_by_key(|(strength, _)| *strength).unwrap_or((Strength::Weak, ""))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn matrix(tier: &str) -> Matrix {
        let defence = |name: &str| Defence {
            vector: name.to_owned(),
            event: name.to_uppercase(),
            tier: tier.to_owned(),
            mode: "enforce".to_owned(),
            verified: Verified::Yes,
            why: None,
        };
        let vectors = THEFTS.into_iter().chain(["core-dump"]).map(defence).collect();
        let (mode, kernel) = ("enforce".to_owned(), "6.12".to_owned());
        Matrix { mode, kernel, programs: "ab".repeat(32), vectors }
    }

    fn changed(name: &str, change: impl FnOnce(&mut Defence)) -> Matrix {
        let mut matrix = matrix("lsm");
        change(matrix.vectors.iter_mut().find(|defence| defence.vector == name).unwrap());
        matrix
    }

    #[test]
    fn what_an_attack_has_proved_everywhere_is_enough() {
        for tier in ["lsm", "fmod_ret", "override", "kill"] {
            assert_eq!(shortfall(&matrix(tier)), None, "{tier}");
        }
        assert_eq!(
            [weakest(&matrix("fmod_ret")).0, weakest(&matrix("kill")).0],
            [Strength::Denied, Strength::Probed]
        );
    }

    #[test]
    fn one_way_that_is_open_or_unproved_is_named() {
        let said = |matrix: &Matrix| shortfall(matrix).unwrap().to_string();
        let ends = |matrix: Matrix, end: &str| assert!(said(&matrix).ends_with(end), "{}", said(&matrix));
        ends(changed("ptrace", |one| one.verified = Verified::No), "found ptrace by lsm and in vain");
        ends(changed("environ", |one| one.verified = Verified::Untried), "found environ by lsm and untried");
        ends(changed("proc-mem", |one| one.mode = "detect".to_owned()), "found proc-mem in mode detect");
        ends(
            changed("process-vm", |one| one.tier = "tracepoint".to_owned()),
            "found process-vm by tracepoint",
        );
        ends(changed("ptrace", |one| one.vector = "other".to_owned()), "found ptrace unknown");
        ends(Matrix { mode: "detect".to_owned(), ..matrix("lsm") }, "mode enforce, found detect");
        let weak = weakest(&changed("pidfd-getfd", |one| one.verified = Verified::No));
        assert_eq!(weak, (Strength::Weak, "pidfd-getfd"));
    }
}
