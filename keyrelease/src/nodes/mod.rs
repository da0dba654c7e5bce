//! Nodes: which machine has which name, and how a TPM that nobody compared comes to be known.
//!
//! A login in a node's name is admitted only to the machine that the register has under it, and binds all that the machine
//! proved; it is stored in the very commit that records the admission ([`register`]). What is decided is decided by
//! [`attest::Node`]. A TPM enrols its attestation key with the certificate of a manufacturer that this mount believes
//! ([`enrol`], [`manufacturers`]).
//!
//! Trusted: the storage, operators, manufacturers' roots. Untrusted: names, certificates, answers, until each was checked.

mod enrol;
pub(crate) mod manufacturers;
mod paths;
mod register;
mod stored;

use attest::node::{Endorsed, Rule};
use attest::{Evidence, UnixTime, crypto::AwsLcRs, tpm};
use openbao_plugin::Error;
use serde::{Deserialize, Serialize};

pub(crate) use enrol::{Enrolments, Proof, begin};
pub(crate) use paths::answer;
pub(crate) use register::{Binding, Nodes, registered};
pub(crate) use stored::KnownKey;

use crate::reply::bad_request;
use crate::state::State;

/// Whether a role lets TPMs enrol.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Enrol {
    /// Only keys that an operator enrolled.
    #[default]
    None,
    /// Also those that a manufacturer's certificate vouches for.
    Manufacturer,
}

/// In which name somebody asks, and by which rules.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asking {
    pub(crate) name: Option<String>,
    pub(crate) rule: Rule,
    pub(crate) enrol: Enrol,
    /// The enrolment that came along.
    pub(crate) proof: Option<Proof>,
}

/// An attestation key that is believed in this judgement. The others are nobody's business: neither the judgement's nor its
/// record's.
#[derive(Clone, Debug)]
pub(crate) struct Believed {
    pub(crate) ak: tpm::Name,
    /// The TPM that holds it, where a manufacturer vouches for it.
    pub(crate) endorsed: Option<Endorsed>,
    /// What the register is to remember of that.
    pub(crate) enrolled: Option<KnownKey>,
}

impl Asking {
    /// Whether anything is asked of the register.
    pub(crate) fn is_asked(&self) -> bool {
        self.name.is_some() || self.rule != Rule::Any
    }

    /// The attestation key of this evidence, if it is enrolled: by an operator, just now, or when its node joined.
    pub(crate) fn believes(
        &self,
        evidence: &Evidence<'_>,
        nodes: &Nodes,
        state: &State,
        now: UnixTime,
    ) -> Result<Option<Believed>, Error> {
        let Some(quote) = evidence.tpm_quote() else {
            let stray = || Err(bad_request("enrolment: expected evidence of a TPM with it"));
            return self.proof.as_ref().map_or(Ok(None), |_| stray());
        };
        let ak = quote.ak_name(&AwsLcRs);
        let by_operator = state.attestation_keys.contains(&ak);
        let enrolled = match (self.enrol, &self.proof) {
            (Enrol::None, _) => None,
            (Enrol::Manufacturer, Some(proof)) if proof.ak == ak => Some(proof.enrolled()),
            (Enrol::Manufacturer, _) => nodes.enrolled(&ak),
        };
        // A root that was taken off takes along what was proven under it, a moment ago too.
        let holds = |enrolled: &KnownKey| now < enrolled.until && state.manufacturers.has(enrolled.root);
        let enrolled = enrolled.filter(|(enrolled, _)| holds(enrolled));
        let believed = by_operator || enrolled.is_some();
        let (enrolled, endorsed) = enrolled.unzip();
        Ok(believed.then_some(Believed { ak, endorsed, enrolled }))
    }
}

/// Whether a change of this key in storage is one of the register, and of nothing else.
pub(crate) fn is_register(key: &str) -> bool {
    key.starts_with(stored::StoredNode::FOLDER) || key.starts_with(register::HOLDERS)
}
