//! Checks, their points, and the score.
//!
//! 135 points for what a wrapper can measure of itself, 65 for what only a verdict can give. A check that does not apply
//! counts neither for nor against.
//!
//! Trusted: the appraisal. Untrusted: the report; it is asked about no attested check, and overruled where the verdict knows better.

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::{Measured, Report, State};
use crate::{Answer, Appraisal, Platform, Roots};

/// One protection.
#[derive(
    Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Encode, Decode, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum Check {
    /// Values lie in memory that no system call reads for anybody else.
    #[n(0)]
    MemfdSecret,
    /// They cannot be swapped out.
    #[n(1)]
    Mlock,
    /// A crash leaves no core.
    #[n(2)]
    CoreDumpExclusion,
    /// Who holds them is not dumpable.
    #[n(3)]
    DumpableDisabled,
    /// An overrun faults before and behind them.
    #[n(4)]
    GuardPages,
    /// A write that goes past their end is noticed.
    #[n(5)]
    BufferCanary,
    /// Tokens lie where values lie.
    #[n(6)]
    TokenProtected,
    /// `/proc/PID/environ` has no credential.
    #[n(7)]
    EnvironScrubbed,
    /// Values reach the program by another way than a plain environment.
    #[n(8)]
    GetenvInterposer,
    /// An enforcer is connected.
    #[n(9)]
    EbpfAgentConnected,
    /// The processor has no known weakness that is left open.
    #[n(10)]
    CpuMitigations,
    /// The enforcer refuses, instead of only telling.
    #[n(11)]
    EbpfEnforceMode,
    /// It refuses by BPF LSM.
    #[n(12)]
    EbpfLsmEnforce,
    /// It has kprobes behind that.
    #[n(13)]
    EbpfKprobes,
    /// The memory is encrypted against the host.
    #[n(14)]
    ConfidentialVm,
    /// The evidence is genuine.
    #[n(15)]
    AttestationVerified,
    /// It answers this verifier's own challenge, in time, for the first time.
    #[n(16)]
    AttestationFresh,
    /// The policy pins what was measured, and that is what was measured.
    #[n(17)]
    MeasuredPolicyPinned,
    /// What is released is sealed to a key that the processor vouches for.
    #[n(18)]
    ReleaseSealedToTee,
}

impl Check {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::MemfdSecret,
        Self::Mlock,
        Self::CoreDumpExclusion,
        Self::DumpableDisabled,
        Self::GuardPages,
        Self::BufferCanary,
        Self::TokenProtected,
        Self::EnvironScrubbed,
        Self::GetenvInterposer,
        Self::EbpfAgentConnected,
        Self::CpuMitigations,
        Self::EbpfEnforceMode,
        Self::EbpfLsmEnforce,
        Self::EbpfKprobes,
        Self::ConfidentialVm,
        Self::AttestationVerified,
        Self::AttestationFresh,
        Self::MeasuredPolicyPinned,
        Self::ReleaseSealedToTee,
    ];

    /// Its name and its points.
    const fn row(self) -> (&'static str, u16) {
        match self {
            Self::MemfdSecret => ("memfd_secret", 15),
            Self::Mlock => ("mlock", 10),
            Self::CoreDumpExclusion => ("core_dump_exclusion", 5),
            Self::DumpableDisabled => ("dumpable_disabled", 5),
            Self::GuardPages => ("guard_pages", 5),
            Self::BufferCanary => ("buffer_canary", 5),
            Self::TokenProtected => ("token_protected", 10),
            Self::EnvironScrubbed => ("environ_scrubbed", 5),
            Self::GetenvInterposer => ("getenv_interposer", 10),
            Self::EbpfAgentConnected => ("ebpf_agent_connected", 10),
            Self::CpuMitigations => ("cpu_mitigations", 5),
            Self::EbpfEnforceMode => ("ebpf_enforce_mode", 15),
            Self::EbpfLsmEnforce => ("ebpf_lsm_enforce", 15),
            Self::EbpfKprobes => ("ebpf_kprobes", 10),
            Self::ConfidentialVm => ("confidential_vm", 10),
            Self::AttestationVerified => ("attestation_verified", 20),
            Self::AttestationFresh => ("attestation_fresh", 10),
            Self::MeasuredPolicyPinned => ("measured_policy_pinned", 15),
            Self::ReleaseSealedToTee => ("release_sealed_to_tee", 20),
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// Its points.
    #[must_use]
    pub const fn points(self) -> u16 {
        self.row().1
    }

    /// Whether only a verdict can give it: no process can claim it about itself.
    #[must_use]
    pub fn is_attested(self) -> bool {
        self >= Self::AttestationVerified
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Check {
    type Err = NotACheck;

    fn from_str(text: &str) -> Result<Self, NotACheck> {
        Self::ALL.into_iter().find(|check| check.name() == text).ok_or(NotACheck)
    }
}

/// A word that names no check.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected the name of a protection, like memfd_secret, found another word")]
pub struct NotACheck;

/// What was reached, of what could be.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// The points of what was reached.
    pub points: u16,
    /// The points of all that applies.
    pub most: u16,
    /// What was reached.
    pub reached: Vec<Check>,
    /// What applies and was not reached.
    pub missed: Vec<Check>,
}

impl Score {
    /// The most points that there are.
    pub const MAX: u16 = 200;

    /// Counts.
    #[must_use]
    pub fn of(measures: &[Measured]) -> Self {
        let with = |state: State| -> Vec<Check> {
            measures.iter().filter(|one| one.state == state).map(|one| one.check).collect()
        };
        let (reached, missed) = (with(State::Reached), with(State::Missed));
        let sum =
            |checks: &[Check]| checks.iter().fold(0_u16, |sum, check| sum.saturating_add(check.points()));
        let points = sum(&reached);
        Self { points, most: points.saturating_add(sum(&missed)), reached, missed }
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.points, self.most)?;
        let missed: Vec<&str> = self.missed.iter().map(|check| check.name()).collect();
        if missed.is_empty() { Ok(()) } else { write!(f, ": missed {}", missed.join(", ")) }
    }
}

/// What a report is worth under an appraisal of genuine evidence: its own measures, and those that only a verdict gives.
#[must_use]
pub fn judged(report: &Report, appraisal: &Appraisal) -> Vec<Measured> {
    let own = report.measures.iter().filter(|measured| measured.check != Check::ConfidentialVm);
    let mut all: Vec<Measured> = own.cloned().chain(attested(appraisal)).collect();
    all.sort_by_key(|measured| measured.check);
    all
}

fn attested(appraisal: &Appraisal) -> [Measured; 5] {
    let passes =
        |id: &str| appraisal.checks.iter().any(|check| check.id == id && check.verdict == Answer::Pass);
    let pinned = appraisal.checks.iter().find(|check| check.verdict == Answer::Pass && pins(&check.id));
    let (platform, encrypted) = (appraisal.platform, is_encrypted(appraisal.platform));
    let fresh = passes("challenge.bound");
    let roots = match appraisal.roots {
        Roots::Vendor => String::new(),
        Roots::Simulated => ", of simulated hardware".to_owned(),
    };
    let measured = |check, reached: bool, found: String| {
        let state = if reached { State::Reached } else { State::Missed };
        Measured { check, state, found }
    };
    [
        measured(Check::ConfidentialVm, encrypted, format!("evidence of {platform}{roots}")),
        measured(Check::AttestationVerified, true, format!("genuine evidence of {platform}{roots}")),
        measured(
            Check::AttestationFresh,
            fresh,
            (if fresh { "bound to this challenge" } else { "not an answer to this challenge" }).to_owned(),
        ),
        measured(
            Check::MeasuredPolicyPinned,
            pinned.is_some(),
            pinned.map_or("no value of the policy".to_owned(), |check| format!("by {}", check.id)),
        ),
        measured(Check::ReleaseSealedToTee, fresh && encrypted, format!("a key of {platform}{roots}")),
    ]
}

/// Whether the processor keeps the memory from whoever runs the machine. A TPM, also Nitro's, says what was started, no more.
const fn is_encrypted(platform: Platform) -> bool {
    match platform {
        Platform::SevSnp | Platform::Tdx | Platform::Nitro | Platform::AzureSnp | Platform::AzureTdx => true,
        Platform::Tpm2 | Platform::NitroTpm => false,
    }
}

/// Whether a check compares what was measured with values that the policy lists, so that it passes for no other.
fn pins(id: &str) -> bool {
    let register = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_digit()) && !rest.is_empty();
    let listed = |prefix: &str| id.strip_prefix(prefix).is_some_and(register);
    let banks = ["tpm.pcr.sha1.", "tpm.pcr.sha256.", "tpm.pcr.sha384.", "tpm.pcr.sha512."];
    ["snp.measurement", "tdx.mrtd"].contains(&id)
        || ["nitro.pcr.", "nitro-tpm.pcr."].into_iter().chain(banks).any(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_wrapper_measures_is_135_points_and_all_is_200() {
        let sum = |attested: bool| -> u16 {
            Check::ALL
                .iter()
                .filter(|check| check.is_attested() == attested)
                .map(|check| check.points())
                .sum()
        };
        assert_eq!((sum(false), sum(true)), (135, 65));
        assert_eq!(sum(false) + sum(true), Score::MAX);
    }

    #[test]
    fn every_name_is_read_back_and_the_words_of_json_are_the_same() {
        for check in Check::ALL {
            assert_eq!(check.name().parse(), Ok(check));
            assert_eq!(serde_json::to_value(check).unwrap(), check.name());
        }
        assert_eq!("memfd-secret".parse::<Check>(), Err(NotACheck));
    }

    #[test]
    fn only_checks_that_list_values_pin() {
        let registers = [format!("nitro.pcr.{}", 0), format!("nitro-tpm.pcr.{}", 12)];
        let pcr = format!("tpm.pcr.{}.{}", "sha256", 7);
        for id in registers.iter().map(String::as_str).chain(["snp.measurement", "tdx.mrtd", &pcr]) {
            assert!(pins(id), "{id}");
        }
        for id in ["tpm.pcr.values", "tpm.pcr.digest", "nitro.pcr.image", "nitro.pcr.", "snp.tcb.launch"] {
            assert!(!pins(id), "{id}");
        }
    }

    #[test]
    fn what_does_not_apply_counts_neither_way() {
        let of = |check, state| Measured { check, state, found: String::new() };
        let score = Score::of(&[
            of(Check::MemfdSecret, State::Reached),
            of(Check::TokenProtected, State::NotApplicable),
            of(Check::GuardPages, State::Missed),
        ]);
        assert_eq!((score.points, score.most), (15, 20));
        assert_eq!(score.to_string(), "15 of 20: missed guard_pages");
    }
}
