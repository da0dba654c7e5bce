//! Two policies, rule by rule: what differs, and whether that loosens or tightens.
//!
//! A rule that is not set refuses everybody, but for the few that only add to others ([`Absent`]).

use std::collections::BTreeSet;

use serde::Serialize;

use super::rules::{Listed, Rule, Rules};
use super::words;

/// One rule that differs.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    pub(super) key: String,
    pub(super) effect: Effect,
    pub(super) says: String,
    pub(super) old: Option<String>,
    pub(super) new: Option<String>,
}

/// What a change does to the set of machines that are admitted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Effect {
    /// It can only grow.
    Loosens,
    /// It can only shrink.
    Tightens,
    /// It loses some and gains others.
    Both,
    /// It stays.
    Neutral,
}

/// All rules that differ, in the order of their keys. A platform that goes is one change, and one that appears is told
/// with all its rules.
pub(super) fn changes(old: &Rules, new: &Rules) -> Vec<Change> {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut changes = Vec::new();
    let (mut moved, mut settled) = (BTreeSet::new(), BTreeSet::new());
    let new_platform = |part: &str| part.split('.').next().is_some_and(|platform| !old.has_under(platform));
    let boots = BOOTS.into_iter().filter(|part| old.has_under(part) != new.has_under(part));
    for part in boots.filter(|part| !new_platform(part)) {
        changes.push(words::boot(part, new.has_under(part)));
        moved.insert(part);
    }
    for platform in PLATFORMS {
        match (old.has_under(platform), new.has_under(platform)) {
            (false, true) => changes.push(section(platform, Effect::Loosens)),
            (true, false) => {
                changes.push(section(platform, Effect::Tightens));
                moved.insert(platform);
            }
            (true, true) | (false, false) => {}
        }
    }
    for key in keys {
        let first = key.split('.').next().unwrap_or(key);
        // A list that was "any", or is, is told by its rules.
        let told_below = |rules: &Rules| rules.is_list_of_rules(key);
        let told_above =
            moved.iter().any(|part| key.strip_prefix(part).is_some_and(|rest| rest.starts_with('.')));
        if told_above || told_below(old) || told_below(new) {
            continue;
        }
        if first == "grant" && old.has_under("grant") != new.has_under("grant") {
            if settled.insert("grant") {
                changes.push(words::grants(new.has_under("grant")));
            }
            continue;
        }
        if PLATFORMS.contains(&first) && !old.has_under(first) {
            changes.extend(new.rule(key).map(|rule| told(key, None, Some(rule), Effect::Loosens)));
            continue;
        }
        changes.extend(change(key, effective(old, key), effective(new, key)));
    }
    changes
}

/// The rule that counts: ages of one kind that are not set are the general one.
fn effective<'r>(rules: &'r Rules, key: &str) -> Option<&'r Rule> {
    let is_age = key.starts_with("freshness.") && key.ends_with("_days");
    rules.rule(key).or_else(|| is_age.then(|| rules.rule("freshness.collateral_days")).flatten())
}

fn section(platform: &str, effect: Effect) -> Change {
    let says = match effect {
        Effect::Loosens => format!("admits machines of the platform {platform}, which had no section"),
        Effect::Tightens | Effect::Both | Effect::Neutral => {
            format!("refuses all machines of the platform {platform}: its section is gone")
        }
    };
    Change { key: platform.to_owned(), effect, says, old: None, new: None }
}

fn change(key: &str, old: Option<&Rule>, new: Option<&Rule>) -> Option<Change> {
    if old == new {
        return None;
    }
    effect(key, old, new).map(|effect| told(key, old, new, effect))
}

fn told(key: &str, old: Option<&Rule>, new: Option<&Rule>, effect: Effect) -> Change {
    let says = words::say(key, old, new, effect);
    let text = |rule: Option<&Rule>| rule.map(ToString::to_string);
    Change { key: key.to_owned(), effect, says, old: text(old), new: text(new) }
}

/// `None` where two spellings mean the same.
fn effect(key: &str, old: Option<&Rule>, new: Option<&Rule>) -> Option<Effect> {
    match (old, new) {
        (Some(old), Some(new)) => between(key, old, new),
        (None, Some(rule)) => appears(key, rule),
        (Some(rule), None) => appears(key, rule).map(Effect::reversed),
        (None, None) => None,
    }
}

/// What it does that a rule appears.
fn appears(key: &str, rule: &Rule) -> Option<Effect> {
    match absent(key) {
        Absent::AsksNothing => Some(Effect::Tightens),
        // The same as not set.
        Absent::AllowsNothing if [Rule::Flag(false), Rule::Number(0)].contains(rule) => None,
        Absent::AllowsNothing | Absent::RefusesAll => Some(Effect::Loosens),
    }
}

fn between(key: &str, old: &Rule, new: &Rule) -> Option<Effect> {
    match (old, new) {
        (Rule::Any, _) => Some(Effect::Tightens),
        (_, Rule::Any) => Some(Effect::Loosens),
        (Rule::AnyOf(old), Rule::AnyOf(new)) => sets(&values(key, old), &values(key, new)),
        (Rule::NoneOf(old), Rule::NoneOf(new)) | (Rule::All(old), Rule::All(new)) => {
            sets(&values(key, old), &values(key, new)).map(Effect::reversed)
        }
        (Rule::Least(old), Rule::Least(new)) => Some(grows(new < old)),
        (Rule::Number(old), Rule::Number(new)) => Some(numbers(key, *old, *new)),
        (Rule::Flag(_), Rule::Flag(on)) => Some(grows(*on)),
        (Rule::Mask { mask: old_mask, value: old }, Rule::Mask { mask, value: new }) => {
            masks((*old_mask, *old & *old_mask), (*mask, *new & *mask))
        }
        (Rule::Text(old), Rule::Text(new)) => Some(texts(key, old, new)),
        _ => Some(Effect::Both),
    }
}

fn grows(yes: bool) -> Effect {
    if yes { Effect::Loosens } else { Effect::Tightens }
}

type Values<'r> = BTreeSet<(&'r str, &'r str)>;

fn values<'r>(key: &str, list: &'r [Listed]) -> Values<'r> {
    list.iter().map(|listed| listed.counts(key)).collect()
}

fn sets(old: &Values<'_>, new: &Values<'_>) -> Option<Effect> {
    match (new.difference(old).next().is_some(), old.difference(new).next().is_some()) {
        (true, true) => Some(Effect::Both),
        (true, false) => Some(Effect::Loosens),
        (false, true) => Some(Effect::Tightens),
        (false, false) => None,
    }
}

fn numbers(key: &str, old: i64, new: i64) -> Effect {
    if key.ends_with(".unnamed") {
        // Bits that may be set.
        return match (new & !old != 0, old & !new != 0) {
            (true, true) => Effect::Both,
            (gained, _) => grows(gained),
        };
    }
    match key {
        "version" => Effect::Neutral,
        _ if key.starts_with("freshness.") || key.ends_with("_seconds") => grows(new > old),
        // The parts of a TCB.
        _ => grows(new < old),
    }
}

fn masks(old: (i64, i64), new: (i64, i64)) -> Option<Effect> {
    if old == new {
        return None;
    }
    let same_where = |mask: i64| old.1 & mask == new.1 & mask;
    Some(match (old.0 & new.0 == old.0, old.0 & new.0 == new.0) {
        (true, _) if same_where(old.0) => Effect::Tightens,
        (_, true) if same_where(new.0) => Effect::Loosens,
        _ => Effect::Both,
    })
}

fn texts(key: &str, old: &str, new: &str) -> Effect {
    // Instants of one form are in the order of their texts.
    if key == "expires" || key.starts_with("waive.") || key.contains(".grace.") {
        return grows(new > old);
    }
    if key == "name" { Effect::Neutral } else { Effect::Both }
}

/// What it means that a rule is not set.
enum Absent {
    /// Nobody is admitted: the usual.
    RefusesAll,
    /// Nothing more is asked.
    AsksNothing,
    /// Nothing more is allowed.
    AllowsNothing,
}

fn absent(key: &str) -> Absent {
    let is_pcr = ["tpm.pcrs.", "nitro.pcrs.", "nitro-tpm.pcrs."].iter().any(|start| key.starts_with(start));
    let last = key.rsplit('.').next().unwrap_or(key);
    let is_line = key.contains(".kernel_cmdline.") && last != "by";
    if is_pcr || is_line || ["tdx.pce_svn", "tdx.qe_svn", "rego.module"].contains(&key) {
        Absent::AsksNothing
    } else if ["waive.", "grant.", "tdx.grace."].iter().any(|start| key.starts_with(start))
        || last.starts_with("insecure-")
        || last == "unnamed"
        || key == "tdx.mrservicetd"
    {
        Absent::AllowsNothing
    } else {
        Absent::RefusesAll
    }
}

impl Effect {
    fn reversed(self) -> Self {
        match self {
            Self::Loosens => Self::Tightens,
            Self::Tightens => Self::Loosens,
            Self::Both | Self::Neutral => self,
        }
    }
}

/// The sections that only ask more.
const BOOTS: [&str; 2] = ["tpm.boot", "tdx.boot"];
/// The sections of a policy that stand for machines.
const PLATFORMS: [&str; 6] = ["snp", "tpm", "tdx", "nitro", "nitro-tpm", "azure"];
