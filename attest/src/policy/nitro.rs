//! What a policy asks of a Nitro document: `[nitro]` of an enclave, `[nitro-tpm]` of an EC2 instance.
//!
//! Every field that is not set refuses, by name. `"any"` is a setting: somebody wrote it. The IAM role, which AWS
//! hashes into PCR 3, is written as a name and hashed when the policy is parsed. Registers that say that nothing
//! was measured are refused whatever the policy says.

use serde::Deserialize;

use crate::check::Checks;
use crate::nitro::Claims;
use crate::{Crypto, Digest, UnixTime};

use super::operators::{Among, AnyWord, not_empty};
use super::snp::{UNSET, among, ask, show};
use super::{BadPolicy, Reference, resolve};

/// The section `[nitro]`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NitroPolicy {
    pcrs: Option<PcrRules>,
    role: Option<Among<Role>>,
    instances: Option<Among<String>>,
    regions: Option<Among<String>>,
    public_key: Option<KeyRule>,
    max_age_seconds: Option<u64>,
}

/// The section `[nitro-tpm]`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NitroTpmPolicy {
    pcrs: Option<PcrRules>,
    instances: Option<Among<String>>,
    regions: Option<Among<String>>,
    public_key: Option<KeyRule>,
    max_age_seconds: Option<u64>,
}

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

/// `{ index = 0, any_of = ["release-41", "release-42"] }`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct PcrRule {
    index: u8,
    #[serde(deserialize_with = "not_empty")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    any_of: Vec<String>,
}

/// The IAM role of the parent instance: its ARN, `none`, or PCR 3 in hex.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
struct Role(String);

/// What the document's `public_key` may be. The challenge allows none, or the key that is offered.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
enum KeyRule {
    Absent,
    Any,
}

impl NitroPolicy {
    pub(crate) fn reference_ids(&self) -> impl Iterator<Item = &str> {
        listed(self.pcrs.as_ref()).iter().flat_map(|rule| rule.any_of.iter().map(String::as_str))
    }

    /// Hashes the names that stand in registers.
    pub(crate) fn resolve(&mut self, crypto: &dyn Crypto) -> Result<(), BadPolicy> {
        indices(self.pcrs.as_ref())?;
        let Some(Among::Listed(roles)) = &mut self.role else { return Ok(()) };
        for role in &mut roles.any_of {
            role.0 = role.register(crypto)?.to_string();
        }
        Ok(())
    }

    /// Asks everything, in a fixed order.
    pub(crate) fn appraise(
        &self,
        claims: &Claims,
        references: &[Reference],
        now: UnixTime,
        checks: &mut Checks,
    ) {
        for (index, id) in MEASURED_OF_AN_ENCLAVE {
            measured(claims, index, id, checks);
        }
        let rules = self.pcrs.as_ref();
        let names_image = |rules: &&PcrRules| rules.names(0) || rules.names(8);
        let words = |_: &&PcrRules| "a rule for PCR 0 (the image) or PCR 8 (who signed it)".to_owned();
        ask(checks, "nitro.pcr.image", rules, names_image, words, shown(rules));
        values("nitro.pcr", rules, claims, references, checks);
        let role = claims.pcr(3).map_or(Role("no PCR 3".to_owned()), |value| Role(value.to_string()));
        among(checks, "nitro.role", self.role.as_ref(), role);
        self.common().appraise(claims, now, checks);
    }

    fn common(&self) -> Common<'_> {
        Common {
            instances: self.instances.as_ref(),
            regions: self.regions.as_ref(),
            public_key: self.public_key,
            max_age_seconds: self.max_age_seconds,
        }
    }
}

impl NitroTpmPolicy {
    pub(crate) fn reference_ids(&self) -> impl Iterator<Item = &str> {
        listed(self.pcrs.as_ref()).iter().flat_map(|rule| rule.any_of.iter().map(String::as_str))
    }

    /// Refuses a register that there is none of.
    pub(crate) fn resolve(&self) -> Result<(), BadPolicy> {
        indices(self.pcrs.as_ref())
    }

    /// Asks everything, in a fixed order.
    pub(crate) fn appraise(
        &self,
        claims: &Claims,
        references: &[Reference],
        now: UnixTime,
        checks: &mut Checks,
    ) {
        for (index, id) in MEASURED_OF_AN_INSTANCE {
            measured(claims, index, id, checks);
        }
        let rules = self.pcrs.as_ref();
        let together = |rules: &&PcrRules| [4, 7, 12].into_iter().all(|index| rules.names(index));
        let words = |_: &&PcrRules| {
            "rules for PCRs 4, 7 and 12 together: what was started, who may sign it, with which command line"
                .to_owned()
        };
        ask(checks, "nitro-tpm.pcr.together", rules, together, words, shown(rules));
        values("nitro-tpm.pcr", rules, claims, references, checks);
        let (instances, regions) = (self.instances.as_ref(), self.regions.as_ref());
        let (public_key, max_age_seconds) = (self.public_key, self.max_age_seconds);
        Common { instances, regions, public_key, max_age_seconds }.appraise(claims, now, checks);
    }
}

/// What is asked of both kinds.
struct Common<'p> {
    instances: Option<&'p Among<String>>,
    regions: Option<&'p Among<String>>,
    public_key: Option<KeyRule>,
    max_age_seconds: Option<u64>,
}

impl Common<'_> {
    fn appraise(&self, claims: &Claims, now: UnixTime, checks: &mut Checks) {
        let instance = claims.instance().unwrap_or("no instance in the module's id");
        among(checks, "nitro.instance", self.instances, instance.to_owned());
        let region = claims.signer.region.as_deref().unwrap_or("no region in the leaf's name");
        among(checks, "nitro.region", self.regions, region.to_owned());
        let document = &claims.document;
        for (id, attached) in [("nitro.nonce", &document.nonce), ("nitro.user_data", &document.user_data)] {
            checks.ask(id, !attached.bytes().is_empty(), "what the challenge asks for", attached.to_string());
        }
        let key = &document.public_key;
        let allows = |rule: KeyRule| rule == KeyRule::Any || key.bytes().is_empty();
        ask(checks, "nitro.public_key", self.public_key, |rule| allows(*rule), show, key);
        let age = now.since(document.made());
        let words = |limit: &u64| format!("at most {limit} seconds old at {now}");
        let found = format!("{age} seconds");
        ask(checks, "nitro.document.age", self.max_age_seconds, |limit| age <= *limit, words, found);
    }
}

/// A register that is zero, or not there, measured nothing: the enclave runs in debug mode.
fn measured(claims: &Claims, index: u8, id: &str, checks: &mut Checks) {
    let value = claims.pcr(index);
    let good = value.is_some_and(|value| value.0.iter().any(|byte| *byte != 0));
    let found = value.map_or("not in the document".to_owned(), |value| value.to_string());
    checks.ask(id, good, "a measurement", found);
}

fn values(
    prefix: &str,
    rules: Option<&PcrRules>,
    claims: &Claims,
    references: &[Reference],
    checks: &mut Checks,
) {
    match rules {
        None => {
            checks.ask(&format!("{prefix}.values"), false, UNSET, shown(rules));
        }
        Some(PcrRules::Any(AnyWord::Any)) => {
            checks.ask(&format!("{prefix}.values"), true, "any", shown(rules));
        }
        Some(PcrRules::Listed(rules)) => {
            for rule in rules {
                rule.appraise(prefix, claims, references, checks);
            }
        }
    }
}

impl PcrRules {
    fn names(&self, index: u8) -> bool {
        match self {
            Self::Any(AnyWord::Any) => true,
            Self::Listed(rules) => rules.iter().any(|rule| rule.index == index),
        }
    }
}

impl PcrRule {
    fn appraise(&self, prefix: &str, claims: &Claims, references: &[Reference], checks: &mut Checks) {
        let found = claims.pcr(self.index).map(|value| value.to_string());
        let known = resolve(&self.any_of, references);
        let named =
            |found: &String| known.iter().any(|reference| reference.value.eq_ignore_ascii_case(found));
        let texts: Vec<String> =
            known.iter().map(|known| format!("{} ({})", known.value, known.id)).collect();
        let id = format!("{prefix}.{}", self.index);
        let expected = format!("any of {}", texts.join(", "));
        let good = found.as_ref().is_some_and(named);
        checks.ask(&id, good, expected, found.unwrap_or("not in the document".to_owned()));
    }
}

impl Role {
    /// PCR 3: zeros, extended by the role's ARN without another hash in between.
    fn register(&self, crypto: &dyn Crypto) -> Result<Digest<48>, BadPolicy> {
        let text = self.0.as_str();
        if text == "none" {
            Ok(Digest([0; 48]))
        } else if text.starts_with("arn:") {
            Ok(crypto.sha384(&[&[0; 48], text.as_bytes()]))
        } else {
            text.parse().map_err(|_not_hex| BadPolicy::Nitro(format!("role {text:?}")))
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Display for KeyRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Absent => "absent or null",
            Self::Any => "any",
        })
    }
}

fn listed(rules: Option<&PcrRules>) -> &[PcrRule] {
    match rules {
        Some(PcrRules::Listed(rules)) => rules,
        Some(PcrRules::Any(AnyWord::Any)) | None => &[],
    }
}

fn indices(rules: Option<&PcrRules>) -> Result<(), BadPolicy> {
    match listed(rules).iter().find(|rule| rule.index > 31) {
        None => Ok(()),
        Some(rule) => Err(BadPolicy::Nitro(format!("PCR {}", rule.index))),
    }
}

/// The registers that a policy looks at, in words.
fn shown(rules: Option<&PcrRules>) -> String {
    match rules {
        None => "no rule".to_owned(),
        Some(PcrRules::Any(AnyWord::Any)) => "any".to_owned(),
        Some(PcrRules::Listed(rules)) => {
            let indices: Vec<String> = rules.iter().map(|rule| rule.index.to_string()).collect();
            format!("rules for PCRs {}", indices.join(", "))
        }
    }
}

/// The image, its kernel, its applications: all zero in an enclave that was started with `--debug-mode`.
const MEASURED_OF_AN_ENCLAVE: [(u8, &str); 3] =
    [(0, "nitro.pcr0.nonzero"), (1, "nitro.pcr1.nonzero"), (2, "nitro.pcr2.nonzero")];

/// What the firmware started, and the Secure Boot policy: never as after a reset. PCR 12 (a command line that
/// the boot loader was given) may be zero.
const MEASURED_OF_AN_INSTANCE: [(u8, &str); 2] =
    [(4, "nitro-tpm.pcr4.nonzero"), (7, "nitro-tpm.pcr7.nonzero")];
