//! Changes in words: which machines, in the language of those who own them.

use super::compare::{Change, Effect};
use super::rules::{Listed, Rule, dotted};

/// One sentence for one change.
pub(super) fn say(key: &str, old: Option<&Rule>, new: Option<&Rule>, effect: Effect) -> String {
    if let Some(said) = of_the_document(key, old, new) {
        return said;
    }
    let what = subject(key);
    match (old, new) {
        (None, Some(rule)) if effect == Effect::Tightens => {
            format!("admits only machines with {what} {rule} (was not asked)")
        }
        (Some(rule), None) if effect == Effect::Loosens => {
            format!("no longer asks for {what} (was {rule})")
        }
        (None, Some(rule)) => format!("admits machines with {what} {rule} (was not set)"),
        (Some(rule), None) => format!("refuses everybody: {what} is not set any more (was {rule})"),
        (Some(old), Some(new)) => between(key, &what, old, new),
        (None, None) => String::new(),
    }
}

fn between(key: &str, what: &str, old: &Rule, new: &Rule) -> String {
    match (old, new) {
        (Rule::Any, new) => format!("admits only machines with {what} {new} (was any)"),
        (old, Rule::Any) => format!("admits machines with any {what} (was {old})"),
        (Rule::AnyOf(old), Rule::AnyOf(new)) => {
            sets(key, what, ["admits machines", "no longer admits machines"], old, new)
        }
        (Rule::NoneOf(old), Rule::NoneOf(new)) => {
            sets(key, what, ["denies machines", "no longer denies machines"], old, new)
        }
        (Rule::All(old), Rule::All(new)) => sets(key, what, ["asks for", "no longer asks for"], old, new),
        (Rule::Least(old), Rule::Least(new)) => floor(what, &dotted(old), &dotted(new), new < old),
        (Rule::Number(old), Rule::Number(new)) => floor(what, &old.to_string(), &new.to_string(), new < old),
        (old, new) => format!("admits machines with {what} {new} (was {old})"),
    }
}

fn floor(what: &str, old: &str, new: &str, lower: bool) -> String {
    if lower {
        format!("admits machines with {what} {new} (was {old})")
    } else {
        format!("refuses machines with {what} below {new} (was {old})")
    }
}

fn sets(key: &str, what: &str, verbs: [&str; 2], old: &[Listed], new: &[Listed]) -> String {
    let missing =
        |from: &[Listed], item: &Listed| !from.iter().any(|other| other.counts(key) == item.counts(key));
    let beside = |items: &[Listed], from: &[Listed]| -> Vec<String> {
        items.iter().filter(|item| missing(from, item)).map(ToString::to_string).collect()
    };
    let (gained, lost) = (beside(new, old), beside(old, new));
    let [gains, loses] = verbs;
    let with = if gains.ends_with("machines") { " with" } else { "" };
    let mut said = Vec::new();
    if !gained.is_empty() {
        said.push(format!("{gains}{with} {what} {}", gained.join(" or ")));
    }
    if !lost.is_empty() {
        said.push(format!("{loses}{with} {what} {}", lost.join(" or ")));
    }
    said.join(", ")
}

/// What is said of the document itself, not of a machine.
fn of_the_document(key: &str, old: Option<&Rule>, new: Option<&Rule>) -> Option<String> {
    let text = |rule: Option<&Rule>| rule.map_or("none".to_owned(), ToString::to_string);
    let (was, is) = (text(old), text(new));
    if let Some(check) = key.strip_prefix("waive.") {
        return Some(match (old, new) {
            (None, _) => format!("admits machines that fail {check}, until {is}"),
            (_, None) => format!("refuses machines that fail {check}: the waiver is gone (was until {was})"),
            _ => format!("admits machines that fail {check}, until {is} (was {was})"),
        });
    }
    if let Some(what) = key.strip_prefix("tdx.grace.") {
        return Some(match (old, new) {
            (None, _) => format!("admits machines with {what}, until {is}"),
            (_, None) => format!("refuses machines with {what}: the grace is gone (was until {was})"),
            _ => format!("admits machines with {what}, until {is} (was {was})"),
        });
    }
    if let Some(grant) = key.strip_prefix("grant.") {
        let verb = if new.is_some() { "grants" } else { "no longer grants" };
        return Some(format!("{verb} {grant}"));
    }
    if key.rsplit('.').next().is_some_and(|last| last.starts_with("insecure-")) {
        let on = new == Some(&Rule::Flag(true));
        return Some(if on {
            format!("admits more: {key} is on")
        } else {
            format!("admits less: {key} is off")
        });
    }
    match key {
        "name" if old.is_none() => Some(format!("is named {is}")),
        "name" => Some(format!("is another policy: {is} (was {was})")),
        "version" => Some(format!("is version {is} (was {was})")),
        "expires" => Some(format!("admits until {is} (was {was})")),
        "freshness.verdict_seconds" => Some(format!("lets a verdict hold for {is} seconds (was {was})")),
        "freshness.collateral_days" => {
            Some(format!("accepts lists and collateral up to {is} days old (was {was})"))
        }
        "freshness.crl_days" => Some(format!("accepts revocation lists up to {is} days old (was {was})")),
        "freshness.tcb_info_days" => Some(format!("accepts TCB info up to {is} days old (was {was})")),
        "freshness.qe_identity_days" => {
            Some(format!("accepts QE identities up to {is} days old (was {was})"))
        }
        "rego.module" => Some(match (old, new) {
            (None, _) => "lets a Rego module refuse".to_owned(),
            (_, None) => "no longer lets the Rego module refuse".to_owned(),
            _ => "has another Rego module: what it refuses may be more or less".to_owned(),
        }),
        _ => None,
    }
}

/// A policy that gets grants, or loses all of them.
pub(super) fn grants(appear: bool) -> Change {
    let (effect, says) = if appear {
        (Effect::Tightens, "admits machines only for purposes that are granted (was any purpose)")
    } else {
        (Effect::Loosens, "admits machines for any purpose (was only what was granted)")
    };
    Change { key: "grant".to_owned(), effect, says: says.to_owned(), old: None, new: None }
}

/// A policy that begins, or ceases, to look into event logs.
pub(super) fn boot(section: &str, appears: bool) -> Change {
    let (effect, says) = if appears {
        (Effect::Tightens, format!("asks what was booted, by an event log (no section {section} before)"))
    } else {
        (Effect::Loosens, format!("no longer asks what was booted: the section {section} is gone"))
    };
    Change { key: section.to_owned(), effect, says, old: None, new: None }
}

/// The thing that a rule is about. What has no name here goes by its key.
fn subject(key: &str) -> String {
    let parts: Vec<&str> = key.split('.').collect();
    match parts.as_slice() {
        ["snp", "tcb", line, which, part] => {
            format!("{which} {line} {}", tcb_part(part))
        }
        ["snp", "guest_policy", bit] => format!("the guest policy's {bit}"),
        ["snp", "platform_info", "unnamed"] => "these unnamed bits of the platform info set:".to_owned(),
        ["snp", "platform_info", bit] => format!("the host's {bit}"),
        ["tdx", "td_attributes", bit] => format!("the TD's attribute {bit}"),
        ["tdx", "modules", major] => format!("a TDX module {major} of minor version"),
        ["tpm" | "tdx", "boot", "uki", .., section] => format!("a kernel image's section .{section}"),
        ["tpm" | "tdx", "boot", "kernel_cmdline", part] => format!("a kernel command line, {part}"),
        ["tpm" | "tdx", "boot", part] => format!("a boot whose {part} is"),
        ["tpm", "pcrs", bank, index] => format!("PCR {index} ({bank})"),
        ["nitro" | "nitro-tpm", "pcrs", index] => format!("PCR {index}"),
        _ => NAMES
            .iter()
            .find(|(name, _)| *name == key)
            .map_or_else(|| key.to_owned(), |(_, said)| (*said).to_owned()),
    }
}

fn tcb_part(part: &str) -> &str {
    match part {
        "snp" => "SNP firmware",
        "ucode" => "microcode",
        "bl" => "boot loader",
        "tee" => "secure operating system",
        "fmc" => "first mutable code",
        other => other,
    }
}

const NAMES: [(&str, &str); 30] = [
    ("snp.products", "a processor of the line"),
    ("snp.report_version", "report version"),
    ("snp.signing_key", "reports signed by a"),
    ("snp.provider", "a key of the provider"),
    ("snp.chips", "chip"),
    ("snp.vmpl", "reports from VMPL"),
    ("snp.measurement", "launch measurement"),
    ("snp.host_data", "host data"),
    ("snp.family_id", "family id"),
    ("snp.image_id", "image id"),
    ("snp.guest_svn", "guest security version"),
    ("snp.id_key_digest", "an ID block signed by"),
    ("snp.author_key_digest", "author key"),
    ("snp.report_id_ma", "migration agent"),
    ("tpm.ak", "an attestation key vouched for by"),
    ("tpm.attestation_keys", "attestation key"),
    ("tpm.signature_hash", "quotes signed over"),
    ("tpm.banks", "PCRs in bank"),
    ("tpm.required", "measured PCRs"),
    ("tpm.firmware_version", "TPM firmware"),
    ("tpm.clock_safe", "a TPM clock whose safe flag is"),
    ("tdx.tcb_status", "TCB status"),
    ("tdx.advisories", "open advisory"),
    ("tdx.mrtd", "firmware measurement (MRTD)"),
    ("tdx.rtmr0", "RTMR 0"),
    ("tdx.rtmr1", "RTMR 1"),
    ("tdx.rtmr2", "RTMR 2"),
    ("tdx.rtmr3", "RTMR 3"),
    ("nitro.role", "IAM role"),
    ("nitro.regions", "region"),
];
