//! What a policy asks of a TPM quote.
//!
//! Every field that is not set refuses, by name. `"any"` is a setting: somebody wrote it. Only PCR values
//! that [`crate::tpm`] found in the signed digest are looked at.

use serde::Deserialize;

use crate::Digest;
use crate::check::Checks;
use crate::crypto::{Crypto, Hash};
use crate::tpm::{AkOrigin, Claims, Name, Pcr};

use super::boot::{BootPolicy, Booted, Section};
use super::operators::{Among, AnyOf, AnyWord, Bit, list, not_empty};
use super::snp::{UNSET, among, ask, ask_bit, show};
use super::{Reference, resolve};

/// The section `[tpm]`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TpmPolicy {
    /// Who may vouch for the key.
    ak: Option<AnyOf<AkOrigin>>,
    /// Whether the root of a certified key must have a revocation list.
    ak_revocation_list: Option<Bit>,
    /// Projects and zones of Compute Engine: Google certifies the keys of every customer's machines.
    gce_projects: Option<Among<String>>,
    gce_zones: Option<Among<String>>,
    attestation_keys: Option<Among<Name>>,
    signature_hash: Option<AnyOf<Hash>>,
    banks: Option<AnyOf<Hash>>,
    required: Option<Required>,
    pcrs: Option<PcrRules>,
    clock_safe: Option<Bit>,
    firmware_version: Option<Among<Digest<8>>>,
    /// What the event log must prove. Without this section only the PCRs' values count.
    boot: Option<BootPolicy>,
}

/// PCRs that must be quoted, and measured: not as they are after a reset.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
struct Required(
    #[serde(deserialize_with = "not_empty")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    Vec<u32>,
);

/// `"any"`, or a rule for each PCR.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
enum PcrRules {
    Any(AnyWord),
    Listed(
        #[serde(deserialize_with = "not_empty")]
        #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
        Vec<PcrRule>,
    ),
}

/// `{ bank = "sha256", index = 7, any_of = ["secure-boot-on"] }`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct PcrRule {
    bank: Hash,
    index: u32,
    #[serde(deserialize_with = "not_empty")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    any_of: Vec<String>,
}

impl TpmPolicy {
    pub(crate) fn reference_ids(&self) -> impl Iterator<Item = &str> {
        let values = self.rules().iter().flat_map(|rule| rule.any_of.iter().map(String::as_str));
        values.chain(self.boot.iter().flat_map(BootPolicy::reference_ids))
    }

    /// Hashes the texts that stand in the section.
    pub(crate) fn hash(&mut self, crypto: &dyn Crypto) {
        if let Some(boot) = &mut self.boot {
            boot.hash(crypto);
        }
    }

    /// Asks everything, in a fixed order.
    pub(crate) fn appraise(&self, claims: &Claims, references: &[Reference], checks: &mut Checks) {
        ask(
            checks,
            "tpm.ak.origin",
            self.ak.as_ref(),
            |set| set.allows(&claims.ak_origin),
            show,
            claims.ak_origin,
        );
        self.certificate(claims, checks);
        among(checks, "tpm.ak.allowed", self.attestation_keys.as_ref(), claims.ak_name.clone());
        let (hash, hashes) = (claims.signature_hash, self.signature_hash.as_ref());
        ask(checks, "tpm.signature.hash", hashes, |set| set.allows(&hash), show, hash);
        let nonce = &claims.extra_data;
        let found = if nonce.is_empty() { "none".to_owned() } else { hex::encode(nonce) };
        checks.ask("tpm.quote.extra_data", !nonce.is_empty(), "a nonce", found);
        ask_bit(checks, "tpm.clock.safe", self.clock_safe, claims.clock.safe);
        let firmware = Digest(claims.firmware_version.to_be_bytes());
        among(checks, "tpm.firmware_version", self.firmware_version.as_ref(), firmware);
        self.bank(claims, checks);
        self.measured_boot(claims, checks);
        self.values(claims, references, checks);
        if let Some(boot) = &self.boot {
            self.log_banks(claims, checks);
            let cluster = self.usable(claims).filter(|pcr| pcr.index == CLUSTER_PCR);
            let cluster = cluster.map(|pcr| pcr.value.as_slice()).collect();
            let files = claims.files.as_ref();
            let booted = Booted { section: Section::Tpm, boot: claims.boot.as_deref(), files, cluster };
            boot.appraise(&booted, references, checks);
        }
    }

    /// The logs are read in an allowed bank.
    fn log_banks(&self, claims: &Claims, checks: &mut Checks) {
        let boot = claims.boot.iter().map(|boot| boot.bank);
        let banks: Vec<Hash> = boot.chain(claims.files.iter().map(|files| files.bank)).collect();
        let allowed = |set: &&AnyOf<Hash>| banks.iter().all(|bank| set.allows(bank));
        let found = if banks.is_empty() { "no logs".to_owned() } else { list(&banks) };
        ask(checks, "tpm.boot.bank", self.banks.as_ref(), allowed, show, found);
    }

    /// The values of allowed banks.
    fn usable<'c>(&self, claims: &'c Claims) -> impl Iterator<Item = &'c Pcr> {
        let allowed = |pcr: &&Pcr| self.banks.as_ref().is_some_and(|set| set.allows(&pcr.bank));
        claims.pcrs.iter().filter(allowed).collect::<Vec<_>>().into_iter()
    }

    /// What is asked of a certified key only.
    fn certificate(&self, claims: &Claims, checks: &mut Checks) {
        let Some(certificate) = &claims.ak_certificate else { return };
        let listed = certificate.revocation_list_from.is_some();
        ask_bit(checks, "tpm.ak.crl.present", self.ak_revocation_list, listed);
        if claims.ak_origin == AkOrigin::Google {
            let instance = certificate.instance.as_ref();
            let named = |name: Option<&String>| name.cloned().unwrap_or("none named".to_owned());
            let project = named(instance.map(|instance| &instance.project));
            among(checks, "tpm.ak.gce.project", self.gce_projects.as_ref(), project);
            let zone = named(instance.map(|instance| &instance.zone));
            among(checks, "tpm.ak.gce.zone", self.gce_zones.as_ref(), zone);
        }
    }

    /// The banks that are appraised are allowed ones: those of the rules, and for the rest at least one quoted.
    fn bank(&self, claims: &Claims, checks: &mut Checks) {
        let mut quoted: Vec<Hash> = claims.pcrs.iter().map(|pcr| pcr.bank).collect();
        quoted.dedup();
        let allowed = |set: &AnyOf<Hash>| {
            let rules = self.rules().iter().all(|rule| set.allows(&rule.bank));
            rules && quoted.iter().any(|bank| set.allows(bank))
        };
        let words = |set: &&AnyOf<Hash>| format!("{set} quoted with values, and no rule for another bank");
        let found = if quoted.is_empty() { "no PCR values".to_owned() } else { list(&quoted) };
        ask(checks, "tpm.pcr.bank", self.banks.as_ref(), |set| allowed(set), words, found);
    }

    fn measured_boot(&self, claims: &Claims, checks: &mut Checks) {
        let usable: Vec<&Pcr> = self.usable(claims).collect();
        let indices = self.required.as_ref().map_or(&[][..], |required| &required.0);
        let faults: Vec<String> = indices.iter().filter_map(|index| fault(*index, &usable)).collect();
        let found = if faults.is_empty() { "measured".to_owned() } else { faults.join(", ") };
        let words = |required: &&Required| format!("PCRs {} quoted and measured", list(&required.0));
        ask(checks, "tpm.pcr.measured_boot", self.required.as_ref(), |_| faults.is_empty(), words, found);
    }

    fn values(&self, claims: &Claims, references: &[Reference], checks: &mut Checks) {
        match &self.pcrs {
            None => {
                checks.ask("tpm.pcr.values", false, UNSET, format!("{} values", claims.pcrs.len()));
            }
            Some(PcrRules::Any(AnyWord::Any)) => {
                checks.ask("tpm.pcr.values", true, "any", format!("{} values", claims.pcrs.len()));
            }
            Some(PcrRules::Listed(rules)) => {
                for rule in rules {
                    rule.appraise(claims, references, checks);
                }
            }
        }
    }

    fn rules(&self) -> &[PcrRule] {
        match &self.pcrs {
            Some(PcrRules::Listed(rules)) => rules,
            Some(PcrRules::Any(AnyWord::Any)) | None => &[],
        }
    }
}

impl PcrRule {
    fn appraise(&self, claims: &Claims, references: &[Reference], checks: &mut Checks) {
        let quoted = claims.pcrs.iter().find(|pcr| pcr.bank == self.bank && pcr.index == self.index);
        let found = quoted.map(|pcr| hex::encode(&pcr.value));
        let known = resolve(&self.any_of, references);
        let named =
            |found: &String| known.iter().any(|reference| reference.value.eq_ignore_ascii_case(found));
        let texts: Vec<String> =
            known.iter().map(|known| format!("{} ({})", known.value, known.id)).collect();
        let id = format!("tpm.pcr.{}.{}", self.bank, self.index);
        let expected = format!("any of {}", texts.join(", "));
        checks.ask(&id, found.as_ref().is_some_and(named), expected, found.unwrap_or(NOT_QUOTED.to_owned()));
    }
}

/// What is wrong with a PCR that must be measured. A PCR starts as zeros, or as ones where only a dynamic launch
/// resets it (PC Client Platform TPM Profile 1.05, section 4.6.2); nothing that is measured leads back there.
fn fault(index: u32, usable: &[&Pcr]) -> Option<String> {
    let mut values = usable.iter().filter(|pcr| pcr.index == index).peekable();
    if values.peek().is_none() {
        return Some(format!("PCR {index} {NOT_QUOTED}"));
    }
    let reset = |byte: u8| move |pcr: &&&Pcr| pcr.value.iter().all(|found| *found == byte);
    let untouched = values.find(|pcr| reset(0)(pcr) || reset(0xff)(pcr))?;
    Some(format!("PCR {index} of {} as after a reset", untouched.bank))
}

/// Where a node measures the cluster that it joins.
const CLUSTER_PCR: u32 = 15;
const NOT_QUOTED: &str = "not quoted with its value";
