//! The rule about what a system said of itself.
//!
//! `{ lockdown = { any_of = ["integrity", "confidentiality"] } }`: names with the values that each may have. Asked of every
//! text that was measured, because only the first is the agent's for certain; what the policy does not name may be
//! anything. A log need not tell a text as a text: so nothing may stand beside the texts that could be one, and that no other rule
//! knows.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer};

use super::super::operators::{Among, AnyOf, AnyWord};
use super::super::snp::ask;
use super::command_line::CommandLineRule;
use super::{Asking, BootPolicy, some, values, with};
use crate::eventlog::{Boot, Facts, Layout, Measurement};

/// `"any"`, or the values that each of these may have.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub(super) enum FactRules {
    Any(AnyWord),
    Listed(#[serde(deserialize_with = "full")] BTreeMap<String, AnyOf<String>>),
}

/// Asks about the facts.
pub(super) fn appraise(policy: &BootPolicy, asking: &mut Asking<'_>) {
    let rules = policy.facts.as_ref();
    let problem = match (rules, asking.booted.boot) {
        (Some(FactRules::Listed(rules)), Some(boot)) => asking
            .untold(&[14])
            .or_else(|| unmeasured(boot))
            .or_else(|| wrong(rules, &boot.facts))
            .or_else(|| hidden(policy, boot, asking)),
        (Some(FactRules::Listed(_)), None) => Some("no event log".to_owned()),
        (Some(FactRules::Any(AnyWord::Any)) | None, _) => None,
    };
    let times = asking.booted.boot.map_or(0, |boot| boot.facts.len());
    let found = if times == 0 { "none".to_owned() } else { format!("measured {times} time(s)") };
    let id = asking.booted.section.id("facts");
    ask(
        asking.checks,
        &id,
        rules,
        |_| problem.is_none(),
        |rules| rules.words(),
        with(&found, problem.as_ref()),
    );
}

fn unmeasured(boot: &Boot) -> Option<String> {
    boot.facts.is_empty().then(|| "nothing was measured".to_owned())
}

fn wrong(rules: &BTreeMap<String, AnyOf<String>>, measured: &[Facts]) -> Option<String> {
    let each = measured.iter().flat_map(|facts| rules.iter().map(move |rule| (facts, rule)));
    each.into_iter().find_map(|(facts, (name, values))| match facts.get(name) {
        Some(value) if values.any_of.iter().any(|allowed| allowed == value) => None,
        Some(value) => Some(format!("{name} is {value:.200}")),
        None => Some(format!("{name} is not among them")),
    })
}

/// What stands in the register of the texts and is of an unknown meaning: an owner's key in PCR 14, a file or a command
/// line in RTMR 2. Whoever has the machine can have the log call a text so, to have another read instead.
fn hidden(policy: &BootPolicy, boot: &Boot, asking: &Asking<'_>) -> Option<String> {
    let among = |rule: Option<&Among<String>>, found: &[Measurement]| -> Vec<Measurement> {
        let known = match rule {
            Some(Among::Listed(set)) => values(&set.any_of, asking.references),
            Some(Among::Any(AnyWord::Any)) | None => BTreeSet::new(),
        };
        found.iter().filter(|digest| !known.contains(&digest.to_string())).copied().collect()
    };
    let (rule, hidden) = match boot.layout {
        Layout::Tpm => ("owner_keys", among(policy.owner_keys.as_ref(), &boot.owner_keys)),
        Layout::Cc => {
            let files: Vec<Measurement> = boot.opaque.iter().map(|opaque| opaque.digest).collect();
            ("files", among(policy.files.as_ref(), &files))
        }
    };
    if !hidden.is_empty() {
        return Some(format!("beside them, measured and not among {rule}: {}", some(&hidden)));
    }
    let lines =
        matches!(policy.kernel_cmdline, Some(CommandLineRule::Lines(_))) || boot.layout == Layout::Tpm;
    let textless = boot.command_lines.iter().find(|line| !lines && line.text.is_none());
    textless.map(|line| format!("beside them, and kernel_cmdline does not say which: {}", line.digest))
}

impl FactRules {
    fn words(&self) -> String {
        match self {
            Self::Any(AnyWord::Any) => "any".to_owned(),
            Self::Listed(rules) => {
                let rules = rules.iter().map(|(name, values)| format!("{name} {values}"));
                rules.collect::<Vec<_>>().join("; ")
            }
        }
    }
}

/// A rule without names would say nothing.
fn full<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, AnyOf<String>>, D::Error> {
    let rules = BTreeMap::<String, AnyOf<String>>::deserialize(deserializer)?;
    if rules.is_empty() {
        return Err(serde::de::Error::custom("expected at least one name"));
    }
    Ok(rules)
}
