//! What a policy asks of an SNP machine.
//!
//! Every field that is not set refuses, by name. `"any"` is a setting: somebody wrote it.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::Deserialize;

use crate::check::Checks;
use crate::snp::{Claims, HardwareBinding, Product, SigningKey, Tcb};
use crate::{ChipId, Digest, UnixTime};

use super::operators::{Among, AnyOf, Bit, MaskEq, Min, list};
use super::{Ages, Reference, resolve};

/// The section `[snp]`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SnpPolicy {
    products: Option<AnyOf<Product>>,
    /// Milan's VCEK seed was extracted by software in 2026: the line is refused unless this is true.
    #[serde(default, rename = "insecure-allow-milan")]
    allow_milan: bool,
    report_version: Option<Min<u32>>,
    signing_key: Option<AnyOf<SigningKey>>,
    provider: Option<AnyOf<String>>,
    chips: Option<Chips>,
    vmpl: Option<AnyOf<u32>>,
    measurement: Option<AnyOf<String>>,
    host_data: Option<Among<Digest<32>>>,
    family_id: Option<Among<Digest<16>>>,
    image_id: Option<Among<Digest<16>>>,
    guest_svn: Option<Min<u32>>,
    id_key_digest: Option<Among<Digest<48>>>,
    author_key_digest: Option<Among<Digest<48>>>,
    report_id_ma: Option<Among<Digest<32>>>,
    guest_policy: Option<GuestPolicyRules>,
    platform_info: Option<PlatformInfoRules>,
    mitigations: Option<MitigationRules>,
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("propertyNames" = { "enum": ["milan", "genoa", "turin"] })))]
    tcb: BTreeMap<Product, TcbFloors>,
}

/// `"any"`, an allow list or a deny list.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
enum Chips {
    Allowed(Among<ChipId>),
    Denied(NoneOf),
}

#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct NoneOf {
    #[serde(deserialize_with = "super::operators::not_empty")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    none_of: Vec<ChipId>,
}

#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct GuestPolicyRules {
    abi: Option<Min<Abi>>,
    smt: Option<Bit>,
    migrate_ma: Option<Bit>,
    debug: Option<Bit>,
    single_socket: Option<Bit>,
    cxl: Option<Bit>,
    mem_aes_256_xts: Option<Bit>,
    rapl_dis: Option<Bit>,
    ciphertext_hiding: Option<Bit>,
    page_swap_disable: Option<Bit>,
}

#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct PlatformInfoRules {
    smt: Option<Bit>,
    tsme: Option<Bit>,
    ecc: Option<Bit>,
    rapl_dis: Option<Bit>,
    ciphertext_hiding: Option<Bit>,
    alias_check_complete: Option<Bit>,
    tio: Option<Bit>,
    /// Bits without a name that may be set.
    #[serde(default)]
    unnamed: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct MitigationRules {
    launch: MaskEq,
    current: MaskEq,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct TcbFloors {
    reported: Tcb,
    current: Tcb,
    committed: Tcb,
    launch: Tcb,
}

/// An ABI version: major, minor.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, PartialOrd)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Abi(u8, u8);

impl Display for Abi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl SnpPolicy {
    pub(crate) fn reference_ids(&self) -> impl Iterator<Item = &str> {
        self.measurement.iter().flat_map(|set| set.any_of.iter().map(String::as_str))
    }

    /// Asks everything, in the order of the report's structure.
    pub(crate) fn appraise(&self, claims: &Claims, references: &[Reference], checks: &mut Checks) {
        self.hardware(claims, checks);
        self.tcb(claims, checks);
        self.identity(claims, references, checks);
        guest_policy(self.guest_policy.as_ref(), claims, checks);
        platform_info(self.platform_info.as_ref(), claims, checks);
        self.mitigations(claims, checks);
    }

    fn hardware(&self, claims: &Claims, checks: &mut Checks) {
        let product = claims.vek.product;
        let rule = self.products.as_ref();
        ask(checks, "snp.product", rule, |set| set.allows(&product), |set| list(&set.any_of), product);
        let denied = product == Product::Milan && !self.allow_milan;
        let expected = "a line whose key seed is secret (Milan only with insecure-allow-milan)";
        checks.ask("snp.product.denied", !denied, expected, product.to_string());
        let version = claims.version;
        ask(
            checks,
            "snp.report.version",
            self.report_version.as_ref(),
            |v| v.allows(&version),
            show,
            version,
        );
        let key = claims.vek.kind;
        ask(checks, "snp.signing_key", self.signing_key.as_ref(), |set| set.allows(&key), show, key);
        match &claims.vek.bound_to {
            HardwareBinding::Provider(name) => {
                ask(checks, "snp.provider", self.provider.as_ref(), |set| set.allows(name), show, name);
                // A provider's key speaks for many chips. Where the report names its chip all the same, one
                // that is denied stays denied.
                if let Some(denied @ Chips::Denied(_)) = &self.chips {
                    checks.ask(
                        "snp.chip",
                        denied.allow(claims),
                        denied.to_string(),
                        claims.chip_id.to_string(),
                    );
                }
            }
            HardwareBinding::Chip(_) => {
                ask(checks, "snp.chip", self.chips.as_ref(), |c| c.allow(claims), show, claims.chip_id);
            }
        }
        let vmpl = claims.vmpl;
        ask(checks, "snp.vmpl", self.vmpl.as_ref(), |set| set.allows(&vmpl), show, vmpl);
    }

    fn tcb(&self, claims: &Claims, checks: &mut Checks) {
        let product = claims.vek.product;
        let floors = self.tcb.get(&product);
        for (id, version, floor) in [
            ("snp.tcb.reported", claims.reported_tcb, floors.map(|floors| floors.reported)),
            ("snp.tcb.current", claims.current_tcb, floors.map(|floors| floors.current)),
            ("snp.tcb.committed", claims.committed_tcb, floors.map(|floors| floors.committed)),
            ("snp.tcb.launch", claims.launch_tcb, floors.map(|floors| floors.launch)),
        ] {
            let found = version.parts(product);
            ask(checks, id, floor.as_ref(), |f| found.meets(**f), |f| format!("at least {f}"), found);
        }
    }

    fn identity(&self, claims: &Claims, references: &[Reference], checks: &mut Checks) {
        let found = claims.measurement.to_string();
        let known = self.measurement.as_ref().map(|set| resolve(&set.any_of, references));
        let named = known.iter().flatten().find(|reference| reference.value.eq_ignore_ascii_case(&found));
        let expected = known.as_ref().map_or(UNSET.to_owned(), |known| {
            let texts: Vec<_> = known.iter().map(|known| format!("{} ({})", known.value, known.id)).collect();
            format!("any of {}", texts.join(", "))
        });
        checks.ask("snp.measurement", named.is_some(), expected, found);
        among(checks, "snp.host_data", self.host_data.as_ref(), claims.host_data);
        among(checks, "snp.family_id", self.family_id.as_ref(), claims.family_id);
        among(checks, "snp.image_id", self.image_id.as_ref(), claims.image_id);
        let svn = claims.guest_svn;
        ask(checks, "snp.guest_svn", self.guest_svn.as_ref(), |min| min.allows(&svn), show, svn);
        among(checks, "snp.id_key_digest", self.id_key_digest.as_ref(), claims.id_key_digest);
        among(checks, "snp.author_key_digest", self.author_key_digest.as_ref(), claims.author_key_digest);
        among(checks, "snp.report_id_ma", self.report_id_ma.as_ref(), claims.report_id_ma);
    }

    fn mitigations(&self, claims: &Claims, checks: &mut Checks) {
        let Some(found) = claims.mitigations else {
            // Before version 5 there is nothing to look at; a policy that asks for it gets no answer.
            let asked = self.mitigations.is_some_and(|rules| rules.launch.mask | rules.current.mask != 0);
            let expected = if asked { "mitigation vectors (report version 5)" } else { "none asked for" };
            checks.ask("snp.mitigations", !asked, expected, format!("report version {}", claims.version));
            return;
        };
        for (id, rule, found) in [
            ("snp.mitigations.launch", self.mitigations.map(|rules| rules.launch), found.launch),
            ("snp.mitigations.current", self.mitigations.map(|rules| rules.current), found.current),
        ] {
            ask(checks, id, rule.as_ref(), |mask| mask.allows(found), show, format!("{found:#x}"));
        }
    }
}

fn guest_policy(rules: Option<&GuestPolicyRules>, claims: &Claims, checks: &mut Checks) {
    let policy = claims.policy;
    let (major, minor) = policy.abi();
    let abi = Abi(major, minor);
    let least = rules.and_then(|rules| rules.abi);
    ask(checks, "snp.policy.abi", least.as_ref(), |min| min.allows(&abi), show, abi);
    // AMD 56860 r1.58, table 10.
    let bits: [(&str, u32, Option<Bit>); 9] = [
        ("smt", 16, rules.and_then(|rules| rules.smt)),
        ("migrate_ma", 18, rules.and_then(|rules| rules.migrate_ma)),
        ("debug", 19, rules.and_then(|rules| rules.debug)),
        ("single_socket", 20, rules.and_then(|rules| rules.single_socket)),
        ("cxl", 21, rules.and_then(|rules| rules.cxl)),
        ("mem_aes_256_xts", 22, rules.and_then(|rules| rules.mem_aes_256_xts)),
        ("rapl_dis", 23, rules.and_then(|rules| rules.rapl_dis)),
        ("ciphertext_hiding", 24, rules.and_then(|rules| rules.ciphertext_hiding)),
        ("page_swap_disable", 25, rules.and_then(|rules| rules.page_swap_disable)),
    ];
    for (name, bit, rule) in bits {
        ask_bit(checks, &format!("snp.policy.{name}"), rule, policy.bit(bit));
    }
    let unknown = policy.0 >> 26;
    checks.ask("snp.policy.unknown_bits", unknown == 0, "bits 26 to 63 clear", format!("{:#x}", policy.0));
}

fn platform_info(rules: Option<&PlatformInfoRules>, claims: &Claims, checks: &mut Checks) {
    let info = claims.platform_info;
    // AMD 56860 r1.58, table 24.
    let bits: [(&str, u32, Option<Bit>); 7] = [
        ("smt", 0, rules.and_then(|rules| rules.smt)),
        ("tsme", 1, rules.and_then(|rules| rules.tsme)),
        ("ecc", 2, rules.and_then(|rules| rules.ecc)),
        ("rapl_dis", 3, rules.and_then(|rules| rules.rapl_dis)),
        ("ciphertext_hiding", 4, rules.and_then(|rules| rules.ciphertext_hiding)),
        ("alias_check_complete", 5, rules.and_then(|rules| rules.alias_check_complete)),
        ("tio", 7, rules.and_then(|rules| rules.tio)),
    ];
    for (name, bit, rule) in bits {
        ask_bit(checks, &format!("snp.platform.{name}"), rule, info.bit(bit));
    }
    let allowed = rules.map_or(0, |rules| rules.unnamed);
    let unnamed = info.0 & !0xbf & !allowed;
    let expected = format!("no unnamed bits but {allowed:#x}");
    checks.ask("snp.platform.unnamed_bits", unnamed == 0, expected, format!("{:#x}", info.0));
}

/// A revocation list was used, and it is not older than the policy allows.
pub(super) fn collateral_age(claims: &Claims, ages: Ages, now: UnixTime, checks: &mut Checks) {
    let Some(from) = claims.vek.revocation_list_from else {
        checks.ask("snp.crl.present", false, "a revocation list", "none: revocation was waived");
        return;
    };
    checks.ask("snp.crl.present", true, "a revocation list", format!("of {from}"));
    let days = ages.crl;
    let young = now.since(from) <= days.saturating_mul(86_400);
    checks.ask("snp.crl.age", young, format!("at most {days} days old at {now}"), format!("of {from}"));
}

impl Chips {
    fn allow(&self, claims: &Claims) -> bool {
        match self {
            Self::Allowed(among) => among.allows(&claims.chip_id),
            Self::Denied(denied) => !denied.none_of.contains(&claims.chip_id),
        }
    }
}

impl Display for Chips {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Allowed(among) => among.fmt(f),
            Self::Denied(denied) => write!(f, "none of {}", list(&denied.none_of)),
        }
    }
}

/// One question: an unset rule refuses.
pub(super) fn ask<R>(
    checks: &mut Checks,
    id: &str,
    rule: Option<R>,
    allows: impl Fn(&R) -> bool,
    words: impl Fn(&R) -> String,
    found: impl Display,
) {
    let expected = rule.as_ref().map_or(UNSET.to_owned(), words);
    checks.ask(id, rule.is_some_and(|rule| allows(&rule)), expected, found.to_string());
}

pub(super) fn ask_bit(checks: &mut Checks, id: &str, rule: Option<Bit>, found: bool) {
    ask(checks, id, rule, |bit| bit.allows(found), show, if found { "set" } else { "clear" });
}

pub(super) fn among<T: Display + PartialEq>(
    checks: &mut Checks,
    id: &str,
    rule: Option<&Among<T>>,
    found: T,
) {
    let text = found.to_string();
    ask(checks, id, rule, move |among| among.allows(&found), show, text);
}

pub(super) fn show<R: Display>(rule: &R) -> String {
    rule.to_string()
}

/// The expectation of a check whose rule the policy does not set.
pub(super) const UNSET: &str = "a rule: the policy does not set one";
