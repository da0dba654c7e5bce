//! What follows from attacks and facts: each check, reached or missed, with what was found. Pure.
//!
//! Trusted: attacks and facts, which this program found out. Points are counted elsewhere ([`protocol::protection::Score`]).

use protocol::protection::{Attack, Check, Measured, Outcome, State, Theft};

use super::blame::plain;
use super::promise::Promise;
use crate::config::{Method, Way};

/// What was found beside the attacks.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// The flags of the mapping that held the canary, as `smaps` has them, or why there was none.
    pub(super) mapping: Result<Mapping, String>,
    /// Whether the keeper is dumpable.
    pub(super) dumpable: bool,
    /// Whether a write beyond the values would be noticed, and how.
    pub(super) canary: Option<&'static str>,
    /// What the processor's weaknesses are that are left open; none where the kernel does not say.
    pub(super) weaknesses: Option<Vec<String>>,
    /// The device by which a machine with encrypted memory is known.
    pub(super) encrypted: Option<&'static str>,
    /// What the enforcer promises.
    pub(super) enforcer: Promise,
}

/// A mapping of secret memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Mapping {
    /// Whether it is of `memfd_secret(2)`.
    pub(super) secret: bool,
    /// The two-letter words of `VmFlags`.
    pub(super) flags: Vec<String>,
    /// Whether nothing can be touched before and behind it.
    pub(super) guarded: bool,
}

/// How values reach the program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Arrival {
    /// This way is to be tried first, and works as far as was tried.
    Expected(Way),
    /// They went this way.
    Taken(Way),
    /// No way that is allowed works.
    None,
}

/// The checks, in their order.
pub(super) fn measures(
    facts: &Facts,
    attacks: &[Attack],
    method: &Method,
    arrival: Arrival,
) -> Vec<Measured> {
    let own = Check::ALL.into_iter().filter(|check| !check.is_attested());
    let answer = |check: Check| {
        let (state, found) = match check {
            Check::MemfdSecret => memory(facts, attacks),
            Check::Mlock => flag(facts, "lo", "locked"),
            Check::CoreDumpExclusion => cores(facts, attacks),
            Check::DumpableDisabled => either(!facts.dumpable, "not dumpable", "dumpable"),
            Check::GuardPages => guards(facts),
            Check::BufferCanary => facts.canary.map_or_else(
                || (State::Missed, "nothing watches the end of the values".to_owned()),
                |found| (State::Reached, found.to_owned()),
            ),
            Check::TokenProtected => token(facts, attacks, method),
            Check::EnvironScrubbed => environ(attacks),
            Check::GetenvInterposer => delivery(arrival),
            Check::CpuMitigations => mitigations(facts),
            Check::ConfidentialVm => facts.encrypted.map_or_else(
                || (State::Missed, "no device of an encrypted machine in sight".to_owned()),
                |device| (State::Reached, device.to_owned()),
            ),
            Check::EbpfAgentConnected
            | Check::EbpfEnforceMode
            | Check::EbpfLsmEnforce
            | Check::EbpfKprobes => facts.enforcer.answer(check),
            Check::AttestationVerified
            | Check::AttestationFresh
            | Check::MeasuredPolicyPinned
            | Check::ReleaseSealedToTee => (State::NotApplicable, "for a verdict to say".to_owned()),
        };
        Measured { check, state, found: plain(&found) }
    };
    own.map(answer).collect()
}

/// The same with the way that values really went.
pub(super) fn delivered(measures: &mut [Measured], way: Way) {
    for measured in measures.iter_mut().filter(|measured| measured.check == Check::GetenvInterposer) {
        (measured.state, measured.found) = delivery(Arrival::Taken(way));
    }
}

/// The same with what the enforcer promises now.
pub(super) fn enforced(measures: &mut [Measured], promise: &Promise) {
    let of_enforcer =
        [Check::EbpfAgentConnected, Check::EbpfEnforceMode, Check::EbpfLsmEnforce, Check::EbpfKprobes];
    for measured in measures.iter_mut().filter(|measured| of_enforcer.contains(&measured.check)) {
        let (state, found) = promise.answer(measured.check);
        (measured.state, measured.found) = (state, plain(&found));
    }
}

pub(super) type Answer = (State, String);

fn either(reached: bool, yes: &str, no: &str) -> Answer {
    if reached { (State::Reached, yes.to_owned()) } else { (State::Missed, no.to_owned()) }
}

/// The thefts of a page of values, which have to fail for anything to be called secret.
const OF_PAGES: [Theft; 6] = [
    Theft::ProcessVmReadv,
    Theft::ProcMem,
    Theft::PtracePeek,
    Theft::PidfdGetfd,
    Theft::ProcFd,
    Theft::MapFiles,
];

fn memory(facts: &Facts, attacks: &[Attack]) -> Answer {
    let taken = attacks.iter().find(|one| OF_PAGES.contains(&one.theft) && one.outcome == Outcome::Taken);
    match (&facts.mapping, taken) {
        (Err(why), _) => (State::Missed, why.clone()),
        (Ok(_), Some(attack)) => (State::Missed, format!("taken: {}", attack.found)),
        (Ok(mapping), None) if !mapping.secret => {
            (State::Missed, "ordinary memory: the kernel has no memfd_secret here".to_owned())
        }
        (Ok(_), None) if attacks.is_empty() => (State::Missed, "no attack was made".to_owned()),
        (Ok(_), None) => (State::Reached, "no attack had the canary".to_owned()),
    }
}

fn flag(facts: &Facts, flag: &str, word: &str) -> Answer {
    match &facts.mapping {
        Err(why) => (State::Missed, why.clone()),
        Ok(mapping) => either(
            mapping.flags.iter().any(|one| one == flag),
            &format!("{word} (VmFlags {flag})"),
            &format!("not {word} (VmFlags without {flag})"),
        ),
    }
}

fn cores(facts: &Facts, attacks: &[Attack]) -> Answer {
    match attacks.iter().find(|attack| attack.theft == Theft::CoreDump) {
        Some(Attack { outcome: Outcome::Refused, found, .. }) => match flag(facts, "dd", "left out of cores")
        {
            (State::Reached, _) => (State::Reached, found.clone()),
            missed => missed,
        },
        Some(attack) => (State::Missed, attack.found.clone()),
        None => (State::Missed, "no crash was tried".to_owned()),
    }
}

fn guards(facts: &Facts) -> Answer {
    match &facts.mapping {
        Err(why) => (State::Missed, why.clone()),
        Ok(mapping) => either(mapping.guarded, "before and behind the page", "none around the page"),
    }
}

/// Tokens lie in memory of the same kind as the canary, and never in an environment that can be read.
fn token(facts: &Facts, attacks: &[Attack], method: &Method) -> Answer {
    let (kept, why) = memory(facts, attacks);
    let (clean, found) = environ(attacks);
    match (method, kept, clean) {
        (_, State::Reached, State::Reached) => (State::Reached, "in the memory that withstood".to_owned()),
        (Method::Token, State::Reached, _) => (State::Missed, found),
        (_, State::Reached, _) => (State::Missed, format!("environment: {found}")),
        _ => (State::Missed, why),
    }
}

fn environ(attacks: &[Attack]) -> Answer {
    match attacks.iter().find(|attack| attack.theft == Theft::Environ) {
        None => (State::Missed, "nobody looked".to_owned()),
        Some(Attack { outcome: Outcome::Taken, found, .. }) => (State::Missed, found.clone()),
        Some(attack) => (State::Reached, attack.found.clone()),
    }
}

fn delivery(arrival: Arrival) -> Answer {
    let name = |way| match way {
        Way::Graft => "graft",
        Way::Constructor => "constructor",
        Way::Getenv => "getenv",
        Way::Environ => "plain environment",
    };
    match arrival {
        Arrival::Expected(Way::Environ) | Arrival::Taken(Way::Environ) => {
            (State::Missed, "plain environment: whoever reads it has the values".to_owned())
        }
        Arrival::Expected(way) => (State::Reached, format!("{}, as is allowed and works", name(way))),
        Arrival::Taken(way) => (State::Reached, format!("{}, as it was done", name(way))),
        Arrival::None => (State::Missed, "no way that is allowed works here".to_owned()),
    }
}

fn mitigations(facts: &Facts) -> Answer {
    match &facts.weaknesses {
        None => (State::Missed, "the kernel does not say".to_owned()),
        Some(open) if open.is_empty() => (State::Reached, "none is left open".to_owned()),
        Some(open) => (State::Missed, format!("open: {}", open.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enforcer::tests::matrix;
    use protocol::protection::{By, Score};

    fn attack(theft: Theft, outcome: Outcome) -> Attack {
        let by = (outcome == Outcome::Refused).then_some(By::Kernel);
        Attack { theft, outcome, by, found: "as found".to_owned() }
    }

    fn refused() -> Vec<Attack> {
        let thefts = [Theft::Environ, Theft::CoreDump].into_iter().chain(OF_PAGES);
        thefts.map(|theft| attack(theft, Outcome::Refused)).collect()
    }

    fn facts() -> Facts {
        let flags = ["rd", "sh", "lo", "dd"].map(str::to_owned).into();
        Facts {
            mapping: Ok(Mapping { secret: true, flags, guarded: true }),
            dumpable: false,
            canary: None,
            weaknesses: Some(vec![]),
            encrypted: None,
            enforcer: Promise::None("no enforcer".to_owned()),
        }
    }

    fn missed(facts: &Facts, attacks: &[Attack], arrival: Arrival) -> Vec<&'static str> {
        let score = Score::of(&measures(facts, attacks, &Method::Attest, arrival));
        score.missed.iter().map(|check| check.name()).collect()
    }

    const GRAFT: Arrival = Arrival::Expected(Way::Graft);
    /// What is always missed here: no enforcer, no encrypted machine, nothing behind the values.
    const USUAL: [&str; 6] = [
        "buffer_canary",
        "ebpf_agent_connected",
        "ebpf_enforce_mode",
        "ebpf_lsm_enforce",
        "ebpf_kprobes",
        "confidential_vm",
    ];

    #[track_caller]
    fn besides(facts: &Facts, attacks: &[Attack], arrival: Arrival, expected: &[&str]) {
        let mut found = missed(facts, attacks, arrival);
        found.retain(|name| !USUAL.contains(name));
        assert_eq!(found, expected);
    }

    #[test]
    fn attacks_that_fail_reach_what_they_attack() {
        assert_eq!(missed(&facts(), &refused(), GRAFT), USUAL);
    }

    #[test]
    fn one_theft_that_works_is_enough_to_miss() {
        for theft in OF_PAGES {
            let mut attacks = refused();
            attacks.retain(|attack| attack.theft != theft);
            attacks.push(attack(theft, Outcome::Taken));
            besides(&facts(), &attacks, GRAFT, &["memfd_secret", "token_protected"]);
        }
        let taken = |theft| {
            let mut attacks = refused();
            attacks.retain(|attack| attack.theft != theft);
            attacks.push(attack(theft, Outcome::Taken));
            attacks
        };
        besides(&facts(), &taken(Theft::CoreDump), GRAFT, &["core_dump_exclusion"]);
        besides(&facts(), &taken(Theft::Environ), GRAFT, &["token_protected", "environ_scrubbed"]);
    }

    #[test]
    fn without_an_attack_nothing_is_reached_that_an_attack_would_show() {
        let expected = ["memfd_secret", "core_dump_exclusion", "token_protected", "environ_scrubbed"];
        besides(&facts(), &[], GRAFT, &expected);
    }

    #[test]
    fn ordinary_memory_is_locked_and_guarded_and_no_secret() {
        let mapping = Mapping { secret: false, ..facts().mapping.unwrap() };
        let facts = Facts { mapping: Ok(mapping), ..facts() };
        besides(&facts, &refused(), GRAFT, &["memfd_secret", "token_protected"]);
        let none = Facts { mapping: Err("no memory".to_owned()), ..facts };
        let expected = ["memfd_secret", "mlock", "core_dump_exclusion", "guard_pages", "token_protected"];
        besides(&none, &refused(), GRAFT, &expected);
    }

    #[test]
    fn values_in_a_plain_environment_are_missed_whatever_was_expected() {
        let environ = Arrival::Expected(Way::Environ);
        besides(&facts(), &refused(), environ, &["getenv_interposer"]);
        besides(&facts(), &refused(), Arrival::None, &["getenv_interposer"]);
        besides(&facts(), &refused(), Arrival::Expected(Way::Constructor), &[]);
        let mut found = measures(&facts(), &refused(), &Method::Attest, GRAFT);
        delivered(&mut found, Way::Environ);
        assert!(Score::of(&found).missed.contains(&Check::GetenvInterposer));
        delivered(&mut found, Way::Getenv);
        assert!(Score::of(&found).reached.contains(&Check::GetenvInterposer));
    }

    #[test]
    fn weaknesses_are_named_and_a_kernel_that_says_nothing_is_not_believed() {
        let open = Facts { weaknesses: Some(vec!["spectre_v2".to_owned()]), ..facts() };
        besides(&open, &refused(), GRAFT, &["cpu_mitigations"]);
        let found = measures(&open, &refused(), &Method::Attest, GRAFT);
        assert!(found.iter().any(|measured| measured.found == "open: spectre_v2"));
        besides(&Facts { weaknesses: None, ..facts() }, &refused(), GRAFT, &["cpu_mitigations"]);
    }

    #[test]
    fn an_enforcer_counts_for_what_its_attacks_have_proved_and_until_it_has_gone() {
        let enforced = |tier: &str| {
            let looked = "tag, threads, tracer".to_owned();
            Facts { enforcer: Promise::Given { matrix: matrix(tier), looked }, ..facts() }
        };
        let lsm = enforced("lsm");
        assert_eq!(missed(&lsm, &refused(), GRAFT), ["buffer_canary", "confidential_vm"]);
        let expected = ["buffer_canary", "ebpf_lsm_enforce", "confidential_vm"];
        assert_eq!(missed(&enforced("kill"), &refused(), GRAFT), expected);
        let expected = ["buffer_canary", "ebpf_lsm_enforce", "ebpf_kprobes", "confidential_vm"];
        assert_eq!(missed(&enforced("tracepoint"), &refused(), GRAFT), expected);
        let mut found = measures(&lsm, &refused(), &Method::Attest, GRAFT);
        super::enforced(&mut found, &Promise::None("the enforcer has gone".to_owned()));
        let missed: Vec<_> = Score::of(&found).missed.iter().map(|check| check.name()).collect();
        assert_eq!(missed, USUAL);
    }
}
