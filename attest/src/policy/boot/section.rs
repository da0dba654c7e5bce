//! The rules about the sections of a unified kernel image.

use serde::Deserialize;

use super::super::operators::{AnyWord, not_empty};
use super::super::snp::ask;
use super::{Asking, values, with};
use crate::eventlog::{Boot, Section};

/// `"any"`, or a rule for each section that is measured.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub(super) enum SectionRules {
    Any(AnyWord),
    Listed(#[serde(deserialize_with = "not_empty")] Vec<SectionRule>),
}

/// `{ section = ".linux", any_of = ["kernel-6.12"] }`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct SectionRule {
    section: String,
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    #[serde(deserialize_with = "not_empty")]
    any_of: Vec<String>,
}

impl SectionRules {
    fn listed(&self) -> &[SectionRule] {
        match self {
            Self::Any(AnyWord::Any) => &[],
            Self::Listed(rules) => rules,
        }
    }

    pub(super) fn reference_ids(&self) -> impl Iterator<Item = &str> {
        self.listed().iter().flat_map(|rule| rule.any_of.iter().map(String::as_str))
    }

    fn words(&self) -> String {
        let rules =
            self.listed().iter().map(|rule| format!("{} among {}", rule.section, rule.any_of.join(", ")));
        match self {
            Self::Any(AnyWord::Any) => "any".to_owned(),
            Self::Listed(_) => rules.collect::<Vec<_>>().join("; "),
        }
    }
}

/// Every rule has its section, and every section its rule.
pub(super) fn appraise(rules: Option<&SectionRules>, asking: &mut Asking<'_>) {
    let problem = match (rules, asking.booted.boot) {
        (Some(SectionRules::Listed(rules)), Some(boot)) => {
            asking.untold(&[11]).or_else(|| wrong(rules, boot, asking)).or_else(|| missing(rules, boot))
        }
        (Some(SectionRules::Listed(_)), None) => Some("no event log".to_owned()),
        (Some(SectionRules::Any(AnyWord::Any)) | None, _) => None,
    };
    let sections = asking.booted.boot.iter().flat_map(|boot| &boot.sections);
    let names: Vec<&str> = sections.map(|section| section.name.as_str()).collect();
    let found = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let id = asking.booted.section.id("uki");
    ask(
        asking.checks,
        &id,
        rules,
        |_| problem.is_none(),
        |rules| rules.words(),
        with(&found, problem.as_ref()),
    );
}

fn wrong(rules: &[SectionRule], boot: &Boot, asking: &Asking<'_>) -> Option<String> {
    let allowed = |section: &&Section| {
        let rule = rules.iter().find(|rule| rule.section == section.name);
        rule.is_some_and(|rule| values(&rule.any_of, asking.references).contains(&section.digest.to_string()))
    };
    let section = boot.sections.iter().find(|section| !allowed(section))?;
    Some(format!("not allowed: {} {}", section.name, section.digest))
}

fn missing(rules: &[SectionRule], boot: &Boot) -> Option<String> {
    let measured = |rule: &&SectionRule| boot.sections.iter().any(|section| section.name == rule.section);
    rules.iter().find(|rule| !measured(rule)).map(|rule| format!("{} not measured", rule.section))
}
