//! What is wrong with a policy beyond its keys and types.
//!
//! Untrusted: the document, until nothing is found here. All problems are told together.

use super::{Document, NitroPolicy, NitroTpmPolicy, SnpPolicy, TdxPolicy, TpmPolicy, grant};
#[cfg(feature = "rego")]
use super::{Rego, hook};
use crate::catalogue;

impl Document {
    /// What is wrong beyond keys and types, in the order of the document.
    pub(super) fn problems(&self) -> Vec<BadPolicy> {
        let mut problems = Vec::new();
        let mut no = |fault: bool, problem: BadPolicy| {
            if fault {
                problems.push(problem);
            }
        };
        no(self.name.is_empty() || self.version == 0, BadPolicy::Unnamed);
        no(self.sections() == 0, BadPolicy::Empty);
        let freshness = self.freshness;
        let days = [freshness.crl_days, freshness.tcb_info_days, freshness.qe_identity_days];
        let none =
            freshness.verdict_seconds == 0 || freshness.collateral_days == 0 || days.contains(&Some(0));
        no(none, BadPolicy::NoShelfLife);
        for (at, reference) in self.references.iter().enumerate() {
            let id = &reference.id;
            let twice = self.references.iter().take(at).any(|other| other.id == *id);
            let odd = twice || hex::decode(&reference.value).is_err() || reference.provenance.is_empty();
            no(odd, BadPolicy::Reference(id.clone()));
        }
        for problem in self.grants.iter().filter_map(grant::Grant::problem) {
            no(true, BadPolicy::Grant(problem));
        }
        no(self.rego.is_some() && !cfg!(feature = "rego"), BadPolicy::NoRego);
        for waiver in &self.waivers {
            let check = &waiver.check;
            let known = catalogue::entry(check).is_some();
            no(!known, BadPolicy::UnknownCheck(check.clone()));
            let bare = waiver.reason.is_empty() || waiver.ticket.is_empty();
            no(known && (bare || !catalogue::waivable(check)), BadPolicy::Waiver(check.clone()));
        }
        for id in self.reference_ids() {
            let defined = self.references.iter().any(|reference| reference.id == id);
            no(!defined, BadPolicy::Dangling(id.to_owned()));
        }
        problems
    }

    /// The reference values that the sections name.
    fn reference_ids(&self) -> impl Iterator<Item = &str> {
        let used = self.snp.iter().flat_map(SnpPolicy::reference_ids);
        let used = used.chain(self.tpm.iter().flat_map(TpmPolicy::reference_ids));
        let used = used.chain(self.tdx.iter().flat_map(TdxPolicy::reference_ids));
        let used = used.chain(self.nitro.iter().flat_map(NitroPolicy::reference_ids));
        used.chain(self.nitro_tpm.iter().flat_map(NitroTpmPolicy::reference_ids))
    }

    #[cfg(feature = "rego")]
    pub(super) fn hook(&self) -> Result<Option<hook::Hook>, BadPolicy> {
        let compile = |rego: &Rego| hook::Hook::compile(&rego.module).map_err(BadPolicy::Rego);
        self.rego.as_ref().map(compile).transpose()
    }

    fn sections(&self) -> usize {
        let present = [
            self.snp.is_some(),
            self.tpm.is_some(),
            self.tdx.is_some(),
            self.nitro.is_some(),
            self.nitro_tpm.is_some(),
            self.azure.is_some(),
        ];
        present.into_iter().filter(|present| *present).count()
    }
}

/// Why a text is not a policy.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadPolicy {
    /// Not TOML, an unknown field, a wrong type, an empty set.
    #[error("policy does not parse: {0}")]
    Document(String),
    /// A list of values where named fields are expected, or of the wrong things.
    #[error("policy has a list under {0:?} that is not one of the lists a policy has: name the fields")]
    List(String),
    /// No platform section: it would admit nobody, or, read wrongly, everybody.
    #[error("policy is empty: expected a section for a platform, such as [snp] or [tpm]")]
    Empty,
    /// A role of `[nitro]` that is neither an ARN, nor `none`, nor a register in hex; a PCR above 31.
    #[error("policy section for Nitro: {0} is not one")]
    Nitro(String),
    /// No name, or version 0.
    #[error("policy needs a name and a version of at least 1")]
    Unnamed,
    /// A span of zero.
    #[error("policy freshness: verdict_seconds, collateral_days and those in place of it must be at least 1")]
    NoShelfLife,
    /// A reference value that is not hex, stands twice, or says not where it comes from.
    #[error("policy reference {0:?} needs a unique id, a value in hex and a provenance")]
    Reference(String),
    /// A section names a reference value that is not there.
    #[error("policy names reference {0:?}, which it does not define")]
    Dangling(String),
    /// A waiver without reason or ticket, or for a check that cannot be waived.
    #[error("policy waiver for {0:?} needs a reason and a ticket, and a check that can be waived")]
    Waiver(String),
    /// A waiver for a check that this version does not ask.
    #[error("policy waiver for {0:?}: there is no check of this name")]
    UnknownCheck(String),
    /// A grant with a selector that no workload can match.
    #[error("policy grant has a selector that nothing can match: {0}")]
    Grant(String),
    /// A Rego module that does not compile, or whose `deny` is not a set of texts.
    #[error("policy's rego module: {0}")]
    Rego(String),
    /// A Rego module, in a build without the interpreter.
    #[error("policy has a rego module, which this build cannot run")]
    NoRego,
    /// Longer than anything reasonable.
    #[error("policy is longer than {limit} bytes: found {found}")]
    TooLong {
        /// The limit.
        limit: usize,
        /// The length.
        found: usize,
    },
}
