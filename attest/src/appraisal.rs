//! The answer: admitted or refused, with every check.
//!
//! [`Admitted`] is what sealing asks for. It is made only by [`crate::Policy::appraise`], cannot be cloned
//! and cannot be read back from a file:
//!
//! ```compile_fail,E0624
//! # fn forge(appraisal: attest::Appraisal, key: attest::AttestedKey, machine: attest::Machine) {
//! let admitted = attest::Admitted::assertion(appraisal, key, machine);
//! # }
//! ```

use minicbor::{Decode, Encode};

use crate::check::{Answer, Check};
use crate::log::{PolicyRef, Subject, Text};
use crate::node::{Ids, Proven};
use crate::protection::{Score, judged};
use crate::workload::Found;
use crate::{AttestedKey, Crypto, Digest, OfferedKey, Platform, Roots, Standing, UnixTime};
use crate::{Workload, catalogue};

/// Everything that was asked about one piece of evidence, and every answer.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode, serde::Serialize)]
pub struct Appraisal {
    /// Which hardware spoke.
    #[n(0)]
    pub platform: Platform,
    /// Whose roots stand behind it.
    #[n(1)]
    pub roots: Roots,
    /// The policy's name.
    #[n(2)]
    pub policy: String,
    /// The policy's version.
    #[n(3)]
    pub policy_version: u64,
    /// SHA-256 of the policy's text.
    #[n(4)]
    pub policy_digest: Digest<32>,
    /// When it was judged.
    #[n(5)]
    pub at: UnixTime,
    /// The first second at which the answer no longer holds.
    #[n(6)]
    pub valid_until: UnixTime,
    /// The checks, in the order in which they ran.
    #[n(7)]
    pub checks: Vec<Check>,
}

impl Appraisal {
    /// Whether no check failed.
    #[must_use]
    pub fn admits(&self) -> bool {
        self.failing().next().is_none()
    }

    /// The checks that failed.
    pub fn failing(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.verdict == Answer::Fail)
    }

    /// The machine and the policy that was asked, by their names.
    #[must_use]
    pub fn subject(&self, crypto: &dyn Crypto, machine: &Machine) -> Subject {
        machine.asking(crypto, &self.policy, self.policy_version, self.policy_digest)
    }

    /// The deterministic CBOR of this appraisal: the same judgement gives the same bytes.
    #[must_use]
    pub fn to_cbor(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // Writing to a Vec does not fail: its error type has no values.
        minicbor::encode(self, &mut bytes).unwrap_or_else(|error| match error.into_write() {
            Some(never) => match never {},
            None => bytes.clear(),
        });
        bytes
    }
}

/// A machine and a key that a policy admits.
#[derive(Debug)]
pub struct Admitted {
    appraisal: Appraisal,
    key: AttestedKey,
    machine: Machine,
    standing: Option<Standing>,
    proven: Proven,
}

impl Admitted {
    /// Says that a policy admits this key.
    pub(crate) fn assertion(appraisal: Appraisal, key: AttestedKey, machine: Machine) -> Self {
        Self { appraisal, key, machine, standing: None, proven: Proven::default() }
    }

    pub(crate) fn knowing(self, standing: Option<Standing>, proven: Proven) -> Self {
        let machine = self.machine.endorsed(&proven.ids);
        Self { machine, standing, proven, ..self }
    }

    /// Which machine it proved to be, and in which start.
    #[must_use]
    pub fn proven(&self) -> &Proven {
        &self.proven
    }

    /// What was known of the machine beside its evidence.
    #[must_use]
    pub fn standing(&self) -> Option<&Standing> {
        self.standing.as_ref()
    }

    /// The workload that asked, if one did: what is admitted has a genuine, current token that is bound to the key, or none.
    #[must_use]
    pub fn workload(&self) -> Option<&Workload> {
        match &self.standing.as_ref()?.workload.as_ref()?.found {
            Found::Genuine(workload) => Some(workload),
            Found::Refused(_) => None,
        }
    }

    /// The score of the protection report that came along, if one did.
    #[must_use]
    pub fn protection(&self) -> Option<Score> {
        let report = self.standing.as_ref()?.protection.as_ref()?.report()?;
        Some(Score::of(&judged(&report, &self.appraisal)))
    }

    /// Which machine was admitted.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The machine and the policy that admitted it, by their names.
    #[must_use]
    pub fn subject(&self, crypto: &dyn Crypto) -> Subject {
        self.appraisal.subject(crypto, &self.machine)
    }

    /// Every check.
    #[must_use]
    pub fn appraisal(&self) -> &Appraisal {
        &self.appraisal
    }

    /// The key that secrets may be sealed to.
    #[must_use]
    pub fn key(&self) -> &OfferedKey {
        self.key.key()
    }

    /// The first second at which the machine must be attested anew.
    #[must_use]
    pub fn valid_until(&self) -> UnixTime {
        self.appraisal.valid_until
    }
}

/// A machine, as an operator knows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Machine {
    /// Which hardware speaks for it.
    pub platform: Platform,
    /// The product line, in the words of [`Selector::ProductLine`](crate::log::Selector::ProductLine).
    pub product: String,
    /// The hardware's stable id; `None` where the hardware hides it.
    pub hardware_id: Option<Vec<u8>>,
    /// What tells this guest, enclave or enrolled node from others on the same hardware; `None` where nothing does.
    pub instance_id: Option<Vec<u8>>,
    /// What was measured, hex.
    pub measurement: String,
}

impl Machine {
    /// A name for the hardware of fixed length, the same wherever it is seen.
    #[must_use]
    pub fn hardware_name(&self, crypto: &dyn Crypto) -> Option<Digest<32>> {
        self.hardware_id.as_ref().map(|id| crypto.sha256(&[b"cloudtaser/machine/v1", id]))
    }

    /// A name for the guest, enclave or node of fixed length, the same wherever it is seen.
    #[must_use]
    pub fn instance_name(&self, crypto: &dyn Crypto) -> Option<Digest<32>> {
        self.instance_id.as_ref().map(|id| crypto.sha256(&[b"cloudtaser/instance/v1", id]))
    }
}

impl Machine {
    /// A TPM that its manufacturer vouches for goes by its endorsement key: another attestation key makes no other machine.
    pub(crate) fn endorsed(self, ids: &Ids) -> Self {
        match ids.ek {
            Some(ek) => Self { hardware_id: Some(ek.0.to_vec()), instance_id: Some(ek.0.to_vec()), ..self },
            None => self,
        }
    }

    /// This machine under a policy, by their names.
    pub(crate) fn asking(
        &self,
        crypto: &dyn Crypto,
        policy: &str,
        version: u64,
        digest: Digest<32>,
    ) -> Subject {
        Subject {
            platform: Some(self.platform),
            product_line: Some(Text::fitting(&self.product)),
            hardware: self.hardware_name(crypto),
            instance: self.instance_name(crypto),
            measurement: self.measurement.parse().ok(),
            policy: Some(PolicyRef { name: Text::fitting(policy), version, digest }),
            ..Subject::default()
        }
    }
}

/// A "no" with its reasons. Not an error: the evidence was judged.
#[derive(Clone, Debug)]
pub struct Refused {
    appraisal: Box<Appraisal>,
    machine: Option<Box<Machine>>,
    answered: Answered,
    standing: Option<Box<Standing>>,
}

/// Whether evidence answered the verifier's own question, just now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Answered {
    Fresh,
    Stale,
}

impl Refused {
    pub(crate) fn new(appraisal: Appraisal, machine: Option<Machine>, answered: Answered) -> Self {
        Self { appraisal: Box::new(appraisal), machine: machine.map(Box::new), answered, standing: None }
    }

    pub(crate) fn knowing(self, standing: Option<Standing>, proven: &Proven) -> Self {
        let machine = self.machine.map(|machine| Box::new(machine.endorsed(&proven.ids)));
        Self { machine, standing: standing.map(Box::new), ..self }
    }

    /// What was known of the machine beside its evidence.
    #[must_use]
    pub fn standing(&self) -> Option<&Standing> {
        self.standing.as_deref()
    }

    /// Which machine it was; `None` if the evidence is not genuine.
    #[must_use]
    pub fn machine(&self) -> Option<&Machine> {
        self.machine.as_deref()
    }

    /// The machine, if it has itself shown that it is not what the policy wants: genuine evidence, in answer to this very
    /// challenge, in a state that the policy does not allow. Nobody else can make a machine fail: not by an old answer, not by
    /// another guest's, not by a list that has run out, and not by a copy of its keys: nothing fails whom the register took for
    /// another, or for an earlier start. Nor does a workload make it fail by the words of a log: these count where the node
    /// itself asked, in its name.
    #[must_use]
    pub fn failed(&self) -> Option<&Machine> {
        let mut failing = self.appraisal.failing();
        let own = self
            .standing()
            .and_then(|standing| standing.node.as_ref())
            .is_some_and(|node| node.name.is_some());
        let fails = self.answered == Answered::Fresh
            && !self
                .appraisal
                .failing()
                .any(|check| catalogue::presented(&check.id) || of_register(&check.id))
            && failing.any(|check| catalogue::about_state(&check.id) && (own || !catalogue::told(&check.id)));
        self.machine().filter(|_| fails)
    }

    /// Every check.
    #[must_use]
    pub fn appraisal(&self) -> &Appraisal {
        &self.appraisal
    }
}

/// Whether a check asks the register whose evidence it is.
fn of_register(id: &str) -> bool {
    id.starts_with("node.")
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let reasons = self.appraisal.failing();
        let reasons: Vec<String> = reasons
            .map(|check| format!("{}: expected {}, found {}", check.id, check.expected, check.found))
            .collect();
        write!(f, "refused: {}", reasons.join("; "))
    }
}
