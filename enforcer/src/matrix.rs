//! The matrix: vector by vector, how strong the hook is, what is done, and whether that was proved.
//!
//! It says what is, and why it is not more. Nobody reads a kernel's configuration here: what counts is what the canary saw.

use enforcer_abi::{Guard, Mode, Tier, Vector};
use protocol::enforcer::{Defence, Matrix, Verified};

use crate::canary::Proof;
use crate::load::{calls, fronts};

/// What is known when the matrix is drawn.
#[derive(Debug)]
pub(crate) struct Known<'k> {
    /// The hooks in use: name and tier.
    pub(crate) hooks: Vec<(&'k str, Tier)>,
    /// Of those, what this kernel does not ask them about.
    pub(crate) unasked: &'k [(&'k str, Vector)],
    /// Those that are not, and why.
    pub(crate) missing: &'k [(String, String)],
    /// SHA-256 over the programs.
    pub(crate) programs: String,
    /// The kernel's release.
    pub(crate) kernel: String,
}

/// Draws it.
pub(crate) fn draw(
    known: &Known<'_>,
    mode: impl Fn(Vector) -> Mode,
    proof: impl Fn(Vector) -> Proof,
) -> Matrix {
    let vectors: Vec<Defence> =
        Vector::ALL.iter().map(|vector| defence(known, *vector, mode(*vector), proof(*vector))).collect();
    // The mode that protected processes have; guards of the node are an operator's decision apart.
    let enforces = vectors
        .iter()
        .any(|defence| defence.vector == Vector::ProcMem.row().name && defence.mode == "enforce");
    let mode = if enforces { "enforce" } else { "detect" };
    Matrix { mode: mode.to_owned(), kernel: known.kernel.clone(), programs: known.programs.clone(), vectors }
}

fn defence(known: &Known<'_>, vector: Vector, mode: Mode, proof: Proof) -> Defence {
    let row = vector.row();
    let tier = tier(known, vector);
    let verified = match proof {
        Proof::Refused | Proof::Killed => Verified::Yes,
        Proof::Went | Proof::Others | Proof::Silent => Verified::No,
        Proof::Untried => Verified::Untried,
    };
    Defence {
        vector: row.name.to_owned(),
        event: row.event.to_owned(),
        tier: tier.map_or("none", word).to_owned(),
        mode: spelled(mode).to_owned(),
        verified,
        why: why(known, vector, tier, mode, proof),
    }
}

/// The strongest of its hooks that is in use.
fn tier(known: &Known<'_>, vector: Vector) -> Option<Tier> {
    let is_asked = |name: &str| fronts::serves(name, vector) && !known.unasked.contains(&(name, vector));
    let in_use = |name: &str| known.hooks.iter().any(|(hook, _)| *hook == name);
    // One call of several is no defence.
    let whole = calls::of(vector).all(|call| in_use(call.name));
    let counts = |(name, tier): &&(&str, Tier)| is_asked(name) && (*tier != Tier::Override || whole);
    let tier = known.hooks.iter().filter(counts).map(|(_, tier)| *tier).min()?;
    // Whom we protect is not killed for what it does itself; but for a core, which is written when it dies anyway.
    let told = vector.guard() == Guard::Inside && vector != Vector::CoreDump && tier == Tier::Kill;
    Some(if told { Tier::Observe } else { tier })
}

fn why(known: &Known<'_>, vector: Vector, tier: Option<Tier>, mode: Mode, proof: Proof) -> Option<String> {
    if tier.is_none() {
        let reasons = known.missing.iter().filter(|(name, _)| fronts::serves(name, vector));
        let reasons: Vec<String> =
            reasons.map(|(name, why)| format!("{name}: {}", first_line(why))).collect();
        return Some(if reasons.is_empty() {
            "no hook of it is in use".to_owned()
        } else {
            reasons.join("; ")
        });
    }
    match (proof, mode) {
        (Proof::Went, Mode::Off) => Some("it is off".to_owned()),
        (Proof::Went, Mode::Detect) => Some("it is told, not refused".to_owned()),
        (Proof::Went, Mode::Enforce) => Some("an attack on the decoy went through".to_owned()),
        (Proof::Others, _) => Some("refused, and not by us".to_owned()),
        (Proof::Silent, _) => Some("the canary could not try it again".to_owned()),
        (Proof::Refused | Proof::Killed | Proof::Untried, _) if tier == Some(Tier::Override) => Some(
            "not what names a process by a descriptor, or all of a group, or is of another architecture"
                .to_owned(),
        ),
        (Proof::Refused | Proof::Killed | Proof::Untried, _) => None,
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// A tier in the matrix's words.
pub(crate) const fn word(tier: Tier) -> &'static str {
    match tier {
        Tier::Lsm => "lsm",
        Tier::ModifyReturn => "fmod_ret",
        Tier::Override => "override",
        Tier::Kill => "kill",
        Tier::Tracepoint => "tracepoint",
        Tier::Observe => "observe",
    }
}

const fn spelled(mode: Mode) -> &'static str {
    match mode {
        Mode::Off => "off",
        Mode::Detect => "detect",
        Mode::Enforce => "enforce",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(hooks: Vec<(&str, Tier)>, missing: &[(String, String)], mode: Mode, proof: Proof) -> Defence {
        let known =
            Known { hooks, unasked: &[], missing, programs: String::new(), kernel: "6.12".to_owned() };
        let matrix = draw(&known, |_| mode, |_| proof);
        matrix.vectors.into_iter().find(|defence| defence.vector == "proc-mem").unwrap()
    }

    #[test]
    fn what_is_attached_counts_as_proved_only_where_the_canary_was_refused() {
        let hooks = || vec![("file_open", Tier::Lsm)];
        let proved = |proof| line(hooks(), &[], Mode::Enforce, proof).verified;
        assert_eq!(proved(Proof::Refused), Verified::Yes);
        assert_eq!(proved(Proof::Killed), Verified::Yes);
        assert_eq!(proved(Proof::Went), Verified::No);
        assert_eq!(proved(Proof::Others), Verified::No);
        assert_eq!(proved(Proof::Silent), Verified::No, "what was proved once may not hold any more");
        assert_eq!(proved(Proof::Untried), Verified::Untried);
    }

    #[test]
    fn the_strongest_hook_in_use_is_the_tier() {
        let hooks = vec![("ptrace_access_check", Tier::Kill), ("file_open", Tier::ModifyReturn)];
        assert_eq!(line(hooks, &[], Mode::Enforce, Proof::Refused).tier, "fmod_ret");
    }

    #[test]
    fn one_overridden_call_of_several_is_no_defence() {
        let tier_of = |calls: &[&'static str]| {
            let hooks = calls.iter().map(|call| (*call, Tier::Override)).collect();
            let known =
                Known { hooks, unasked: &[], missing: &[], programs: String::new(), kernel: String::new() };
            tier(&known, Vector::UserNamespace)
        };
        assert_eq!(tier_of(&["unshare", "clone", "clone3"]), Some(Tier::Override));
        assert_eq!(tier_of(&["unshare", "clone"]), None);
    }

    #[test]
    fn a_hook_that_the_kernel_does_not_ask_about_a_vector_is_no_defence() {
        let hooks = vec![("inode_init_security_anon", Tier::Lsm)];
        let unasked = [("inode_init_security_anon", Vector::IoUring)];
        let known =
            Known { hooks, unasked: &unasked, missing: &[], programs: String::new(), kernel: String::new() };
        assert_eq!(tier(&known, Vector::IoUring), None);
        assert_eq!(tier(&known, Vector::Userfaultfd), Some(Tier::Lsm));
    }

    #[test]
    fn what_is_not_in_use_says_why_in_one_line() {
        let missing = [("file_open".to_owned(), "loading it: not permitted\nand more".to_owned())];
        let found = line(vec![], &missing, Mode::Enforce, Proof::Untried);
        assert_eq!(found.tier, "none");
        assert_eq!(found.why.as_deref(), Some("file_open: loading it: not permitted"));
    }

    #[test]
    fn an_attack_that_went_through_in_detection_is_no_fault() {
        let found = line(vec![("file_open", Tier::Lsm)], &[], Mode::Detect, Proof::Went);
        assert_eq!(found.why.as_deref(), Some("it is told, not refused"));
    }
}
