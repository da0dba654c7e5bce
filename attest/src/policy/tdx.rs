//! What a policy asks of an Intel TD.
//!
//! Every field that is not set refuses, by name, but the two minima that Intel's TCB status already covers.
//! `"any"` is a setting: somebody wrote it. A status or an advisory that is not accepted can have a period of
//! grace, with an end that no verdict outlives.

use serde::Deserialize;

use crate::check::{Check, Checks};
use crate::tdx::{Claims, Kind, PlatformClaims, QuoteChain, TcbStatus, TdReport};
use crate::{Crypto, Digest, UnixTime};

use super::boot::{BootPolicy, Booted, Section};
use super::operators::{Among, AnyOf, AnyWord, Bit, MaskEq, Min, list, not_empty};
use super::snp::{UNSET, among, ask, ask_bit, show};
use super::{Ages, Policy, Reference, resolve};

/// The section `[tdx]`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TdxPolicy {
    tcb_status: Option<AnyOf<TcbStatus>>,
    advisories: Option<Except<String>>,
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<RawGrace>"))]
    grace: Vec<Grace>,
    tcb_evaluation_data_number: Option<Min<u32>>,
    platforms: Option<Except<Digest<16>>>,
    fmspc: Option<Except<Digest<6>>>,
    modules: Option<Modules>,
    pce_svn: Option<Min<u16>>,
    qe_svn: Option<Min<u16>>,
    mrseam: Option<Among<Digest<48>>>,
    report: Option<AnyOf<Kind>>,
    mrtd: Option<AnyOf<String>>,
    rtmr0: Option<Among<String>>,
    rtmr1: Option<Among<String>>,
    rtmr2: Option<Among<String>>,
    rtmr3: Option<Among<String>>,
    mrconfigid: Option<Among<Digest<48>>>,
    mrowner: Option<Among<Digest<48>>>,
    mrownerconfig: Option<Among<Digest<48>>>,
    /// Service TDs that may be bound; none if this is not set.
    mrservicetd: Option<AnyOf<Digest<48>>>,
    td_attributes: Option<AttributeRules>,
    xfam: Option<MaskEq>,
    /// What the event log must prove. Without this section only the registers' values count.
    boot: Option<BootPolicy>,
}

/// `"any"`, an allow list or a deny list.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
enum Except<T> {
    Allowed(Among<T>),
    Denied(NoneOf<T>),
}

#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
struct NoneOf<T> {
    #[serde(deserialize_with = "not_empty")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    none_of: Vec<T>,
}

/// A status or an advisory that is accepted for a while.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "RawGrace")]
struct Grace {
    of: GraceOf,
    until: UnixTime,
}

#[derive(Clone, Debug, PartialEq)]
enum GraceOf {
    Status(TcbStatus),
    Advisory(String),
}

/// `{ status = "OutOfDate", until = … }` or `{ advisory = "INTEL-SA-00960", until = … }`.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct RawGrace {
    status: Option<TcbStatus>,
    advisory: Option<String>,
    until: UnixTime,
}

/// `"any"`, or the least minor version of each major version of the TDX module; another one is refused.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
enum Modules {
    Any(AnyWord),
    Listed(
        #[serde(deserialize_with = "not_empty")]
        #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
        Vec<ModuleRule>,
    ),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct ModuleRule {
    version: u8,
    min_svn: u8,
}

#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct AttributeRules {
    debug: Option<Bit>,
    profiling: Option<Bit>,
    icssd: Option<Bit>,
    servtd_ext: Option<Bit>,
    lass: Option<Bit>,
    sept_ve_disable: Option<Bit>,
    migratable: Option<Bit>,
    pks: Option<Bit>,
    kl: Option<Bit>,
    tpa: Option<Bit>,
    perfmon: Option<Bit>,
    /// Bits without a name that may be set.
    #[serde(default)]
    unnamed: u64,
}

impl TdxPolicy {
    pub(crate) fn reference_ids(&self) -> impl Iterator<Item = &str> {
        let rtmrs = self.rtmrs().into_iter().flatten().filter_map(|rule| match rule {
            Among::Listed(set) => Some(set),
            Among::Any(AnyWord::Any) => None,
        });
        let values = self.mrtd.iter().chain(rtmrs).flat_map(|set| set.any_of.iter().map(String::as_str));
        values.chain(self.boot.iter().flat_map(BootPolicy::reference_ids))
    }

    /// Hashes the texts that stand in the section.
    pub(crate) fn hash(&mut self, crypto: &dyn Crypto) {
        if let Some(boot) = &mut self.boot {
            boot.hash(crypto);
        }
    }

    /// Asks everything, from the platform to the TD.
    pub(crate) fn appraise(
        &self,
        claims: &Claims,
        references: &[Reference],
        now: UnixTime,
        checks: &mut Checks,
    ) {
        self.tcb(&claims.platform, now, checks);
        self.platform(&claims.platform, checks);
        self.module(&claims.report, checks);
        self.td(&claims.report, references, checks);
        if let Some(boot) = &self.boot {
            let [.., rtmr3] = &claims.report.rtmrs;
            let cluster = vec![rtmr3.0.as_slice()];
            let booted = Booted { section: Section::Tdx, boot: claims.boot.as_deref(), files: None, cluster };
            boot.appraise(&booted, references, checks);
        }
    }

    /// When the earliest grace ends that these claims need.
    pub(crate) fn holds_until(&self, claims: &Claims, now: UnixTime) -> UnixTime {
        let tcb = &claims.platform.tcb;
        let advisories = tcb.advisories().filter(|advisory| self.denies(advisory));
        let advisories = advisories.cloned().map(GraceOf::Advisory);
        let status = (!self.accepts(tcb.status)).then_some(GraceOf::Status(tcb.status));
        let needed = status.into_iter().chain(advisories);
        let ends = needed.filter_map(|of| self.grace_for(&of, now));
        ends.min().unwrap_or(UnixTime::MAX)
    }

    fn tcb(&self, platform: &PlatformClaims, now: UnixTime, checks: &mut Checks) {
        let tcb = &platform.tcb;
        let expected = self.tcb_status.as_ref().map_or(UNSET.to_owned(), |set| list(&set.any_of));
        let now_too = tcb.current.as_ref().map_or(String::new(), |current| format!("; now {current}"));
        let found = format!("{}; at launch {}{now_too}", tcb.status, tcb.launch);
        match self.grace_for(&GraceOf::Status(tcb.status), now) {
            Some(until) if !self.accepts(tcb.status) => {
                checks.waive("tdx.tcb.status", format!("{expected}, or {} until {until}", tcb.status), found);
            }
            _ => {
                checks.ask("tdx.tcb.status", self.accepts(tcb.status), expected, found);
            }
        }
        self.advisories(&tcb.advisories().cloned().collect::<Vec<_>>(), now, checks);
        let number = platform.tcb_evaluation_data_number;
        let rule = self.tcb_evaluation_data_number.as_ref();
        ask(checks, "tdx.tcb.evaluation_data_number", rule, |min| min.allows(&number), show, number);
    }

    fn advisories(&self, advisories: &[String], now: UnixTime, checks: &mut Checks) {
        let id = "tdx.tcb.advisories";
        let denied: Vec<&String> = advisories.iter().filter(|advisory| self.denies(advisory)).collect();
        let expected = self.advisories.as_ref().map_or(UNSET.to_owned(), ToString::to_string);
        let found = if advisories.is_empty() { "none".to_owned() } else { advisories.join(", ") };
        let graces =
            denied.iter().map(|advisory| self.grace_for(&GraceOf::Advisory((*advisory).clone()), now));
        let graces: Option<Vec<UnixTime>> = graces.collect();
        match graces.unwrap_or_default().into_iter().min() {
            Some(until) => checks.waive(id, format!("{expected}, with grace until {until}"), found),
            None => {
                checks.ask(id, self.advisories.is_some() && denied.is_empty(), expected, found);
            }
        }
    }

    fn accepts(&self, status: TcbStatus) -> bool {
        self.tcb_status.as_ref().is_some_and(|set| set.allows(&status))
    }

    fn denies(&self, advisory: &String) -> bool {
        !self.advisories.as_ref().is_some_and(|rule| rule.allows(advisory))
    }

    /// Until when this is accepted, if it still is.
    fn grace_for(&self, of: &GraceOf, now: UnixTime) -> Option<UnixTime> {
        let ends = self.grace.iter().filter(|grace| grace.of == *of).map(|grace| grace.until);
        ends.filter(|until| now < *until).max()
    }

    fn platform(&self, platform: &PlatformClaims, checks: &mut Checks) {
        let (ppid, fmspc) = (platform.pck.ppid, platform.pck.fmspc);
        ask(checks, "tdx.platform.ppid", self.platforms.as_ref(), |rule| rule.allows(&ppid), show, ppid);
        ask(checks, "tdx.platform.fmspc", self.fmspc.as_ref(), |rule| rule.allows(&fmspc), show, fmspc);
        // Intel's TCB levels have minima of these, so a policy need not.
        if let Some(min) = &self.pce_svn {
            let svn = platform.pck.tcb.pce_svn;
            checks.ask("tdx.platform.pce_svn", min.allows(&svn), min.to_string(), svn.to_string());
        }
        if let Some(min) = &self.qe_svn {
            let svn = platform.qe.isvsvn;
            checks.ask("tdx.qe.svn", min.allows(&svn), min.to_string(), svn.to_string());
        }
    }

    fn module(&self, report: &TdReport, checks: &mut Checks) {
        let svns = [Some(report.tee_tcb_svn), report.current_tcb_svn()];
        let versions = svns.into_iter().flatten().map(|svn| {
            let [minor, major, ..] = svn.0;
            (major, minor)
        });
        let versions: Vec<(u8, u8)> = versions.collect();
        let words: Vec<String> = versions.iter().map(|(major, minor)| format!("{major}.{minor}")).collect();
        let allows = |rule: &&Modules| versions.iter().all(|(major, minor)| rule.allows(*major, *minor));
        ask(checks, "tdx.module.svn", self.modules.as_ref(), allows, show, words.join(" at launch, now "));
        among(checks, "tdx.mrseam", self.mrseam.as_ref(), report.mrseam);
    }

    /// What is asked of the TD itself, whatever its platform.
    fn td(&self, report: &TdReport, references: &[Reference], checks: &mut Checks) {
        let kind = report.kind;
        ask(checks, "tdx.report.kind", self.report.as_ref(), |set| set.allows(&kind), show, kind);
        let listed = self.mrtd.as_ref().map(|set| set.any_of.as_slice());
        measured(checks, "tdx.mrtd", listed, references, report.mrtd);
        for ((index, rule), found) in self.rtmrs().into_iter().enumerate().zip(report.rtmrs) {
            let id = format!("tdx.rtmr.{index}");
            match rule {
                Some(Among::Any(AnyWord::Any)) => {
                    checks.ask(&id, true, "any", found.to_string());
                }
                Some(Among::Listed(set)) => measured(checks, &id, Some(&set.any_of), references, found),
                None => measured(checks, &id, None, references, found),
            }
        }
        among(checks, "tdx.mrconfigid", self.mrconfigid.as_ref(), report.mrconfigid);
        among(checks, "tdx.mrowner", self.mrowner.as_ref(), report.mrowner);
        among(checks, "tdx.mrownerconfig", self.mrownerconfig.as_ref(), report.mrownerconfig);
        self.service_tds(report, checks);
        attributes(self.td_attributes.as_ref(), report, checks);
        let xfam = report.xfam;
        let expected = "x87 and SSE, and no feature that a TDX module does not know";
        checks.ask("tdx.xfam.fixed", xfam.fixed_bits_hold(), expected, xfam.to_string());
        ask(checks, "tdx.xfam", self.xfam.as_ref(), |rule| rule.allows(xfam.0), show, xfam);
    }

    /// A service TD can read and replace the TD's state: none, unless the policy names it. The extended report
    /// also names those that were bound later.
    fn service_tds(&self, report: &TdReport, checks: &mut Checks) {
        let Some(v15) = &report.v15 else { return };
        let expected = self.mrservicetd.as_ref().map_or("zero".to_owned(), |set| format!("zero, or {set}"));
        let allows = |found: &Digest<48>| {
            found.is_zero() || self.mrservicetd.as_ref().is_some_and(|set| set.allows(found))
        };
        let found = v15.mrservicetd;
        checks.ask("tdx.mrservicetd", allows(&found), expected.clone(), found.to_string());
        if let Some(ex) = &report.ex {
            let found = ex.current_servicetd_hash;
            checks.ask("tdx.mrservicetd.current", allows(&found), expected, found.to_string());
            // What MRTD and RTMRs say of a TD, they do not say of a machine that it runs inside of itself.
            let expected = "0: the TD asked, not a virtual machine in it";
            checks.ask("tdx.vmid", ex.vmid == 0, expected, ex.vmid.to_string());
        }
    }

    fn rtmrs(&self) -> [Option<&Among<String>>; 4] {
        [self.rtmr0.as_ref(), self.rtmr1.as_ref(), self.rtmr2.as_ref(), self.rtmr3.as_ref()]
    }
}

impl Policy {
    /// What this policy asks of a TD itself, for somebody who has a quote without Intel's collateral: nothing is
    /// said of the platform, and nothing is admitted.
    #[must_use]
    pub fn inspect_td(&self, chain: &QuoteChain) -> Vec<Check> {
        let mut checks = Checks::default();
        let section = self.document.tdx.as_ref();
        checks.ask("policy.platform", section.is_some(), "a section for tdx", "tdx");
        if let Some(section) = section {
            section.td(&chain.report, &self.document.references, &mut checks);
        }
        checks.into_vec()
    }
}

fn measured(
    checks: &mut Checks,
    id: &str,
    listed: Option<&[String]>,
    references: &[Reference],
    found: Digest<48>,
) {
    let found = found.to_string();
    let known = listed.map(|ids| resolve(ids, references));
    let named = known.iter().flatten().any(|reference| reference.value.eq_ignore_ascii_case(&found));
    let expected = known.as_ref().map_or(UNSET.to_owned(), |known| {
        let texts: Vec<_> = known.iter().map(|known| format!("{} ({})", known.value, known.id)).collect();
        format!("any of {}", texts.join(", "))
    });
    checks.ask(id, named, expected, found);
}

fn attributes(rules: Option<&AttributeRules>, report: &TdReport, checks: &mut Checks) {
    let found = report.td_attributes;
    let rule = |name: &str| {
        let rules = rules?;
        match name {
            "debug" => rules.debug,
            "icssd" => rules.icssd,
            "servtd_ext" => rules.servtd_ext,
            "lass" => rules.lass,
            "sept_ve_disable" => rules.sept_ve_disable,
            "migratable" => rules.migratable,
            "pks" => rules.pks,
            "kl" => rules.kl,
            "tpa" => rules.tpa,
            "perfmon" => rules.perfmon,
            // The three ways to profile a TD.
            _ => rules.profiling,
        }
    };
    for (bit, name, _) in crate::tdx::TD_ATTRIBUTES {
        ask_bit(checks, &format!("tdx.attributes.{name}"), rule(name), found.bit(bit));
    }
    let allowed = rules.map_or(0, |rules| rules.unnamed);
    let expected = format!("no unnamed bits but {allowed:#x}");
    let good = found.unnamed() & !allowed == 0;
    checks.ask("tdx.attributes.unnamed_bits", good, expected, found.to_string());
}

/// Lists and documents were used, and none is older than the policy allows.
pub(super) fn collateral_age(claims: &Claims, ages: Ages, now: UnixTime, checks: &mut Checks) {
    let issued = claims.platform.issued;
    let found =
        issued.revocation_lists.map_or("none: revocation was waived".to_owned(), |at| format!("of {at}"));
    checks.ask("tdx.crl.present", issued.revocation_lists.is_some(), "revocation lists", found);
    for (id, days, from) in [
        ("tdx.crl.age", ages.crl, issued.revocation_lists),
        ("tdx.tcb_info.age", ages.tcb_info, Some(issued.tcb_info)),
        ("tdx.qe_identity.age", ages.qe_identity, Some(issued.qe_identity)),
    ] {
        let Some(from) = from else { continue };
        let young = now.since(from) <= days.saturating_mul(86_400);
        checks.ask(id, young, format!("at most {days} days old at {now}"), format!("of {from}"));
    }
}

impl TryFrom<RawGrace> for Grace {
    type Error = &'static str;

    fn try_from(raw: RawGrace) -> Result<Self, Self::Error> {
        let of = match (raw.status, raw.advisory) {
            (Some(status), None) => GraceOf::Status(status),
            (None, Some(advisory)) => GraceOf::Advisory(advisory),
            (Some(_), Some(_)) | (None, None) => return Err("grace is for a status or for an advisory"),
        };
        Ok(Self { of, until: raw.until })
    }
}

impl<T: PartialEq> Except<T> {
    fn allows(&self, found: &T) -> bool {
        match self {
            Self::Allowed(among) => among.allows(found),
            Self::Denied(denied) => !denied.none_of.contains(found),
        }
    }
}

impl<T: std::fmt::Display> std::fmt::Display for Except<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Allowed(among) => among.fmt(f),
            Self::Denied(denied) => write!(f, "none of {}", list(&denied.none_of)),
        }
    }
}

impl Modules {
    fn allows(&self, major: u8, minor: u8) -> bool {
        match self {
            Self::Any(AnyWord::Any) => true,
            Self::Listed(rules) => rules.iter().any(|rule| rule.version == major && minor >= rule.min_svn),
        }
    }
}

impl std::fmt::Display for Modules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any(AnyWord::Any) => f.write_str("any"),
            Self::Listed(rules) => {
                let words = rules.iter().map(|rule| format!("{}.{} or later", rule.version, rule.min_svn));
                f.write_str(&words.collect::<Vec<_>>().join(", "))
            }
        }
    }
}
