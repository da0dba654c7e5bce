//! Policy: which genuine machines are admitted.
//!
//! A typed document with a shelf life. What it does not set is refused; an exception is written down with
//! a reason and an end. [`Policy::appraise`] asks every question, in a fixed order, and answers with
//! [`Admitted`] or [`Refused`], both of which carry the whole [`Appraisal`].
//!
//! Trusted: the document (whoever keeps it decided who may change it) and the verified claims.
//! Untrusted: nothing is read here that was not verified before.

mod azure;
mod boot;
mod grant;
#[cfg(feature = "rego")]
mod hook;
mod lists;
mod nitro;
mod operators;
mod problems;
#[cfg(feature = "schema")]
mod schema;
mod signing;
mod snp;
mod tdx;
mod tpm;

use serde::Deserialize;

use crate::appraisal::Answered;
use crate::check::{Answer, Check, Checks};
use crate::workload::{self, Presented, Purpose};
use crate::{Admitted, Appraisal, AttestedKey, Claims, Crypto, Digest, Platform, Refused, Rejected, Roots};
use crate::{Machine, Stale, UnixTime, Verified, Workload, catalogue, oaep, protection};

pub use azure::AzurePolicy;
pub use boot::{BootPolicy, cluster_register};
pub use nitro::{NitroPolicy, NitroTpmPolicy};
pub use operators::{Among, AnyOf, AnyWord, Bit, MaskEq, Min};
pub use problems::BadPolicy;
#[cfg(feature = "schema")]
pub use schema::schema;
pub use signing::{BadSignedPolicy, Edition, NotASuccessor, PolicySigner, SignedPolicy};
pub use snp::SnpPolicy;
pub use tdx::TdxPolicy;
pub use tpm::TpmPolicy;

/// A policy, with the digest of the text that it was parsed from.
#[derive(Clone, Debug)]
pub struct Policy {
    document: Document,
    digest: Digest<32>,
    #[cfg(feature = "rego")]
    hook: Option<hook::Hook>,
}

/// The document as it is written, in TOML.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Document {
    name: String,
    version: u64,
    expires: UnixTime,
    #[serde(default, rename = "insecure-accept-simulated-roots")]
    accept_simulated_roots: bool,
    freshness: Freshness,
    #[serde(default, rename = "reference")]
    references: Vec<Reference>,
    snp: Option<SnpPolicy>,
    tpm: Option<TpmPolicy>,
    tdx: Option<TdxPolicy>,
    nitro: Option<NitroPolicy>,
    #[serde(rename = "nitro-tpm")]
    nitro_tpm: Option<NitroTpmPolicy>,
    azure: Option<AzurePolicy>,
    #[serde(default, rename = "grant")]
    grants: Vec<grant::Grant>,
    rego: Option<Rego>,
    #[serde(default, rename = "waive")]
    waivers: Vec<Waiver>,
}

/// How long things are good.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Freshness {
    /// How long a verdict holds, in seconds.
    verdict_seconds: u64,
    /// How old lists and documents of vendors may be, in days, even if they say that they are current.
    collateral_days: u64,
    /// How old a revocation list may be, in days; `collateral_days` unless set.
    crl_days: Option<u64>,
    /// How old Intel's TCB info may be, in days; `collateral_days` unless set.
    tcb_info_days: Option<u64>,
    /// How old Intel's QE identity may be, in days; `collateral_days` unless set.
    qe_identity_days: Option<u64>,
}

impl Freshness {
    fn ages(&self) -> Ages {
        let general = self.collateral_days;
        Ages {
            crl: self.crl_days.unwrap_or(general),
            tcb_info: self.tcb_info_days.unwrap_or(general),
            qe_identity: self.qe_identity_days.unwrap_or(general),
        }
    }
}

/// How old what vendors sign may be, in days.
#[derive(Clone, Copy, Debug)]
struct Ages {
    crl: u64,
    tcb_info: u64,
    qe_identity: u64,
}

impl Ages {
    /// The first second at which something that `hardware` rests on is too old. What is too old already was refused.
    fn young_until(self, hardware: &Claims, now: UnixTime) -> UnixTime {
        let of = |days: u64, from: UnixTime| from.plus(days.saturating_mul(86_400)).plus(1);
        let ends = match hardware {
            Claims::Snp(claims) => {
                [claims.vek.revocation_list_from.map(|from| of(self.crl, from)), None, None]
            }
            Claims::Tdx(claims) => {
                let issued = claims.platform.issued;
                let lists = issued.revocation_lists.map(|from| of(self.crl, from));
                let tcb_info = of(self.tcb_info, issued.tcb_info);
                [lists, Some(tcb_info), Some(of(self.qe_identity, issued.qe_identity))]
            }
            Claims::Tpm(_) | Claims::Nitro(_) | Claims::Azure(_) => [None; 3],
        };
        ends.into_iter().flatten().filter(|end| *end > now).min().unwrap_or(UnixTime::MAX)
    }
}

/// A known good value, with where it comes from.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The name by which sections refer to it.
    pub id: String,
    /// The value, hex.
    pub value: String,
    /// Who computed it, from what.
    pub provenance: String,
}

/// A veto in another language.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Rego {
    /// A Rego module of package `cloudtaser`. Each message in its set `deny` refuses; it cannot admit.
    #[cfg_attr(
        not(feature = "rego"),
        expect(dead_code, reason = "without that feature the section is refused")
    )]
    module: String,
}

/// What came along with evidence.
#[derive(Clone, Copy, Default)]
pub(crate) struct Along<'a> {
    /// The workload's token.
    pub(crate) workload: Option<&'a Presented>,
    /// The protection report.
    pub(crate) protection: Option<&'a protection::Came<'a>>,
}

/// A written exception.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Waiver {
    check: String,
    reason: String,
    ticket: String,
    until: UnixTime,
}

impl Policy {
    /// The longest text that is parsed, in bytes.
    pub const MAX_BYTES: usize = 256 * 1024;

    /// Parses a policy. Unknown fields, empty sets, dangling references and a document without any
    /// platform are errors.
    pub fn parse(crypto: &dyn Crypto, text: &str) -> Result<Self, BadPolicy> {
        if text.len() > Self::MAX_BYTES {
            return Err(BadPolicy::TooLong { limit: Self::MAX_BYTES, found: text.len() });
        }
        let mut document: Document =
            toml::from_str(text).map_err(|error| BadPolicy::Document(error.to_string().trim().to_owned()))?;
        lists::check(text)?;
        document.problems().into_iter().next().map_or(Ok(()), Err)?;
        if let Some(tpm) = &mut document.tpm {
            tpm.hash(crypto);
        }
        if let Some(tdx) = &mut document.tdx {
            tdx.hash(crypto);
        }
        document.nitro.iter_mut().try_for_each(|section| section.resolve(crypto))?;
        document.nitro_tpm.iter().try_for_each(NitroTpmPolicy::resolve)?;
        Ok(Self {
            digest: crypto.sha256(&[text.as_bytes()]),
            #[cfg(feature = "rego")]
            hook: document.hook()?,
            document,
        })
    }

    /// Everything that is wrong with a text, as far as it can be told together; nothing if it parses. Of what
    /// is not TOML, or has a key or a type that no policy has, only the first place is told.
    #[must_use]
    pub fn problems(crypto: &dyn Crypto, text: &str) -> Vec<BadPolicy> {
        match (Self::parse(crypto, text), toml::from_str::<Document>(text)) {
            (Ok(_), _) => Vec::new(),
            (Err(first), Ok(document)) => {
                let all = document.problems();
                if all.contains(&first) { all } else { [vec![first], all].concat() }
            }
            (Err(first), Err(_)) => vec![first],
        }
    }

    /// The policy's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.document.name
    }

    /// The policy's version; a store takes only higher ones.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.document.version
    }

    /// When the policy ends.
    #[must_use]
    pub fn expires(&self) -> UnixTime {
        self.document.expires
    }

    /// SHA-256 of the text.
    #[must_use]
    pub fn digest(&self) -> Digest<32> {
        self.digest
    }

    /// A machine that asks under this policy, by their names.
    pub(crate) fn subject(&self, crypto: &dyn Crypto, machine: &Machine) -> crate::log::Subject {
        machine.asking(crypto, self.name(), self.version(), self.digest)
    }

    /// Judges genuine claims. The challenge's outcome is one of the checks, so that a stale answer and a
    /// bad configuration are reported together; without an attested key nothing is admitted.
    pub fn appraise(
        &self,
        claims: &Verified<Claims>,
        key: Result<AttestedKey, Stale>,
        now: UnixTime,
    ) -> Result<Admitted, Refused> {
        self.appraise_with(claims, key, Checks::default(), Along::default(), now)
    }

    /// Judges genuine claims after what was asked about the machine's standing, with what came along.
    pub(crate) fn appraise_with(
        &self,
        claims: &Verified<Claims>,
        key: Result<AttestedKey, Stale>,
        standing: Checks,
        along: Along<'_>,
        now: UnixTime,
    ) -> Result<Admitted, Refused> {
        let mut checks = Checks::default();
        checks.extend(claims.checks());
        self.invariants(claims.roots(), now, &mut checks);
        checks.append(standing);
        let purpose = key.as_ref().ok().map(|key| Purpose::parse(key.context()));
        let workload = workload::ask(purpose, along.workload, now, &mut checks);
        match &key {
            Ok(key) => {
                checks.ask("challenge.bound", true, "this nonce, purpose and key", "bound");
                oaep::ask_form(key.key(), &mut checks);
                let path = Purpose::parse(key.context()).path;
                grant::ask(&self.document.grants, path, workload, &mut checks);
            }
            Err(stale @ Stale::Answered) => {
                checks.ask("challenge.unused", false, "a challenge without an answer", stale.to_string());
            }
            Err(stale @ Stale::Expired { .. }) => {
                checks.ask("challenge.current", false, "an answer before the expiry", stale.to_string());
            }
            Err(stale @ Stale::NotBound) => {
                checks.ask("challenge.bound", false, "this nonce, purpose and key", stale.to_string());
            }
        }
        let mut appraisal = self.judge(claims, checks, now);
        // Last: its score counts what the policy found.
        let mut asked = Checks::default();
        protection::ask(purpose, along.protection, &appraisal, &mut asked);
        appraisal.checks.append(&mut asked.into_vec());
        if let Some(workload) = workload {
            appraisal.valid_until = appraisal.valid_until.min(workload.until).max(now);
        }
        match key {
            Ok(key) if appraisal.admits() => Ok(Admitted::assertion(appraisal, key, claims.machine())),
            Ok(_) => Err(Refused::new(appraisal, Some(claims.machine()), Answered::Fresh)),
            Err(_) => Err(Refused::new(appraisal, Some(claims.machine()), Answered::Stale)),
        }
    }

    /// Whether the policy's grants cover a purpose of this workload: the check that an appraisal asks of the
    /// challenge's. For a release that rests on an appraisal of another purpose. `None` if the policy has no grants.
    #[must_use]
    pub fn covers(&self, purpose: &str, workload: Option<&Workload>) -> Option<Check> {
        let mut checks = Checks::default();
        grant::ask(&self.document.grants, purpose, workload, &mut checks);
        checks.into_vec().pop()
    }

    /// Judges genuine claims for somebody who only looks: no challenge is asked for, no key is attested,
    /// and so nothing is admitted, whatever the appraisal says.
    #[must_use]
    pub fn inspect(&self, claims: &Verified<Claims>, now: UnixTime) -> Appraisal {
        let mut checks = Checks::default();
        checks.extend(claims.checks());
        self.invariants(claims.roots(), now, &mut checks);
        self.judge(claims, checks, now)
    }

    /// Puts a rejection on record: evidence that is not genuine is refused by every policy.
    #[must_use]
    pub fn refuse(&self, rejected: &Rejected, now: UnixTime) -> Refused {
        let mut checks = Checks::default();
        checks.extend(rejected.checks());
        self.invariants(rejected.roots(), now, &mut checks);
        Refused::new(
            self.appraisal(rejected.platform(), rejected.roots(), checks, now, now),
            None,
            Answered::Stale,
        )
    }

    /// Asks the policy's own questions after those of the earlier stages.
    fn judge(&self, claims: &Verified<Claims>, mut checks: Checks, now: UnixTime) -> Appraisal {
        let mut valid_until = self.valid_until(claims, now);
        let mut asked = Checks::default();
        self.platform(claims, now, &mut asked);
        self.waive(&mut asked, now, &mut valid_until);
        checks.append(asked);
        self.object(claims, &mut checks);
        self.appraisal(claims.platform(), claims.roots(), checks, now, valid_until)
    }

    fn appraisal(
        &self,
        platform: Platform,
        roots: Roots,
        checks: Checks,
        at: UnixTime,
        valid_until: UnixTime,
    ) -> Appraisal {
        Appraisal {
            platform,
            roots,
            policy: self.document.name.clone(),
            policy_version: self.document.version,
            policy_digest: self.digest,
            at,
            valid_until: valid_until.max(at),
            checks: checks.into_vec(),
        }
    }

    /// What no waiver reaches.
    fn invariants(&self, roots: Roots, now: UnixTime, checks: &mut Checks) {
        let expires = self.document.expires;
        let (expected, found) = (format!("a policy that holds at {now}"), format!("expires {expires}"));
        checks.ask("policy.current", now < expires, expected, found);
        let accepted = roots == Roots::Vendor || self.document.accept_simulated_roots;
        let expected = if self.document.accept_simulated_roots { "vendor or simulated" } else { "vendor" };
        checks.ask("roots.accepted", accepted, expected, roots.to_string());
    }

    fn platform(&self, claims: &Verified<Claims>, now: UnixTime, checks: &mut Checks) {
        let section = self.section(claims, now, checks).is_some();
        let platform = claims.platform();
        checks.ask(
            "policy.platform",
            section,
            "a platform that the policy has a section for",
            platform.name(),
        );
    }

    /// Asks what the policy's section for this platform asks; `None` if it has none.
    fn section(&self, claims: &Verified<Claims>, now: UnixTime, checks: &mut Checks) -> Option<()> {
        let (document, references) = (&self.document, &self.document.references);
        match claims.claims() {
            hardware @ (Claims::Snp(_) | Claims::Tdx(_)) => self.hardware(hardware, now, checks)?,
            Claims::Tpm(claims) => document.tpm.as_ref()?.appraise(claims, references, checks),
            Claims::Nitro(claims) if claims.platform() == Platform::NitroTpm => {
                document.nitro_tpm.as_ref()?.appraise(claims, references, now, checks);
            }
            Claims::Nitro(claims) => {
                document.nitro.as_ref()?.appraise(claims, references, now, checks);
            }
            Claims::Azure(claims) => {
                document.azure.as_ref()?.appraise(claims, checks);
                self.hardware(&claims.hardware, now, checks)?;
                document.tpm.as_ref()?.appraise(&claims.tpm, references, checks);
            }
        }
        Some(())
    }

    /// Asks about the processor: of a machine that speaks for itself, or under a paravisor.
    fn hardware(&self, claims: &Claims, now: UnixTime, checks: &mut Checks) -> Option<()> {
        let (document, references) = (&self.document, &self.document.references);
        let ages = document.freshness.ages();
        match claims {
            Claims::Snp(claims) => {
                document.snp.as_ref()?.appraise(claims, references, checks);
                snp::collateral_age(claims, ages, now, checks);
            }
            Claims::Tdx(claims) => {
                document.tdx.as_ref()?.appraise(claims, references, now, checks);
                tdx::collateral_age(claims, ages, now, checks);
            }
            Claims::Tpm(_) | Claims::Nitro(_) | Claims::Azure(_) => return None,
        }
        Some(())
    }

    fn waive(&self, checks: &mut Checks, now: UnixTime, valid_until: &mut UnixTime) {
        for check in checks.iter_mut().filter(|check| check.verdict == Answer::Fail) {
            let waiver = self.document.waivers.iter().find(|waiver| waiver.check == check.id);
            let Some(waiver) = waiver.filter(|waiver| now < waiver.until && catalogue::waivable(&check.id))
            else {
                continue;
            };
            check.verdict = Answer::Waived;
            let (reason, ticket) = (&waiver.reason, &waiver.ticket);
            check.expected =
                format!("{}; waived until {}: {reason} ({ticket})", check.expected, waiver.until);
            *valid_until = (*valid_until).min(waiver.until);
        }
    }

    /// Runs the policy's own module, which may only refuse.
    #[cfg(feature = "rego")]
    fn object(&self, claims: &Verified<Claims>, checks: &mut Checks) {
        let Some(hook) = &self.hook else { return };
        let earlier = checks.clone().into_vec();
        let policy = hook::About { name: self.name(), version: self.version() };
        hook.ask(&hook::Input { claims: claims.claims(), checks: &earlier, policy }, checks);
    }

    #[cfg(not(feature = "rego"))]
    fn object(&self, _claims: &Verified<Claims>, _checks: &mut Checks) {
        // A policy with a module does not parse without the feature.
        debug_assert!(self.document.rego.is_none());
    }

    fn valid_until(&self, claims: &Verified<Claims>, now: UnixTime) -> UnixTime {
        let verdict = now.plus(self.document.freshness.verdict_seconds);
        let hardware =
            if let Claims::Azure(claims) = claims.claims() { &claims.hardware } else { claims.claims() };
        let grace = match (hardware, &self.document.tdx) {
            (Claims::Tdx(claims), Some(policy)) => policy.holds_until(claims, now),
            _ => UnixTime::MAX,
        };
        let young = self.document.freshness.ages().young_until(hardware, now);
        verdict.min(self.document.expires).min(claims.window().until).min(grace).min(young)
    }
}

/// The known good values with these ids, and the check's words for them.
pub(crate) fn resolve<'r>(ids: &[String], references: &'r [Reference]) -> Vec<&'r Reference> {
    references.iter().filter(|reference| ids.contains(&reference.id)).collect()
}
