//! A policy taken apart: dotted key → rule.
//!
//! Lists of tables get keys of their own: a PCR's rule is `tpm.pcrs.sha256.7`, a waiver `waive.snp.vmpl`, a second one
//! `waive.snp.vmpl (2)`. A name of a reference value has the value beside it, so that a changed value is seen where it
//! counts. Nothing is left out: whoever approves by what is told here must not be told less than was written.

use std::collections::BTreeMap;
use std::fmt;

use toml::{Table, Value};

use crate::answer::NotJudged;

/// All rules of a policy.
#[derive(Debug)]
pub(super) struct Rules(BTreeMap<String, Rule>);

/// One rule, as it is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Rule {
    /// `"any"`.
    Any,
    /// `{ any_of = […] }`.
    AnyOf(Vec<Listed>),
    /// `{ none_of = […] }`.
    NoneOf(Vec<Listed>),
    /// `{ min = … }`.
    Least(Vec<i64>),
    /// `{ mask = …, value = … }`.
    Mask { mask: i64, value: i64 },
    /// A number on its own.
    Number(i64),
    /// `true` or `false`.
    Flag(bool),
    /// Any other text: `"set"`, an instant, a module.
    Text(String),
    /// All of these: `required = […]`.
    All(Vec<Listed>),
}

/// A value in a list, as it is written, and the reference value that has this name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Listed {
    text: String,
    value: Option<String>,
}

impl Listed {
    /// What counts of it under `key`: where names of reference values stand, the value; else the text, for a text that
    /// happens to be such a name is still itself.
    pub(super) fn counts(&self, key: &str) -> (&str, &str) {
        let value = self.value.as_deref().unwrap_or_default();
        if names_references(key) { ("", value) } else { (&self.text, value) }
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        self.value.as_ref().map_or(Ok(()), |value| write!(f, " = {value}"))
    }
}

/// Whether the list under `key` names reference values, and nothing else.
fn names_references(key: &str) -> bool {
    let boot = ["tpm.boot.", "tdx.boot."].iter().find_map(|section| key.strip_prefix(section));
    boot.is_some_and(|rule| BOOT_REFERENCES.contains(&rule) || rule.starts_with("uki."))
        || REFERENCES.contains(&key)
        || ["tpm.pcrs.", "nitro.pcrs.", "nitro-tpm.pcrs."].iter().any(|list| key.starts_with(list))
}

impl Rules {
    /// Takes a policy's text apart.
    pub(super) fn of(text: &str) -> Result<Self, NotJudged> {
        let document: Table =
            toml::from_str(text).map_err(|error| NotJudged::new("policy.malformed", error.to_string()))?;
        let mut rules = BTreeMap::new();
        walk(&document, "", &references(&document), &mut rules);
        Ok(Self(rules))
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// The rule under a key; where the whole list is `"any"`, so is each of its rules.
    pub(super) fn rule(&self, key: &str) -> Option<&Rule> {
        let whole =
            || LISTS.iter().find(|list| key.starts_with(&format!("{list}."))).map(|list| self.0.get(*list));
        self.0.get(key).or_else(|| whole().flatten())
    }

    /// Whether this key is that of a whole list, and there is any rule in it.
    pub(super) fn is_list_of_rules(&self, key: &str) -> bool {
        LISTS.contains(&key) && self.has_under(key)
    }

    /// Whether there is any rule under this key.
    pub(super) fn has_under(&self, key: &str) -> bool {
        let start = format!("{key}.");
        self.0.keys().any(|found| found.starts_with(&start))
    }
}

fn references(document: &Table) -> BTreeMap<String, String> {
    let list = document.get("reference").and_then(Value::as_array);
    let tables = list.into_iter().flatten().filter_map(Value::as_table);
    let text = |table: &Table, key: &str| table.get(key).and_then(Value::as_str).map(str::to_owned);
    tables
        .filter_map(|table| Some((text(table, "id")?, text(table, "value")?.to_ascii_lowercase())))
        .collect()
}

fn walk(table: &Table, under: &str, known: &BTreeMap<String, String>, rules: &mut BTreeMap<String, Rule>) {
    for (name, value) in table {
        let key = if under.is_empty() { name.clone() } else { format!("{under}.{name}") };
        match value {
            Value::Table(inner) => match operator(inner, known) {
                Some(rule) => drop(rules.insert(key, rule)),
                None => walk(inner, &key, known, rules),
            },
            Value::Array(items) if items.iter().any(Value::is_table) => {
                for inner in items.iter().filter_map(Value::as_table) {
                    entry(&key, inner, known, rules);
                }
            }
            Value::Array(_)
            | Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_) => drop(rules.insert(key, plain(name, value, known))),
        }
    }
}

/// A table that is a rule.
fn operator(table: &Table, known: &BTreeMap<String, String>) -> Option<Rule> {
    // More than an operator: a table of rules, of which each is told by itself.
    let list = |key: &str| table.get(key).and_then(Value::as_array).filter(|_| table.len() == 1);
    if let Some(values) = list("any_of") {
        return Some(Rule::AnyOf(texts(values, known)));
    }
    if let Some(values) = list("none_of") {
        return Some(Rule::NoneOf(texts(values, known)));
    }
    match (table.get("min"), table.get("mask"), table.get("value")) {
        (Some(Value::Integer(least)), ..) => Some(Rule::Least(vec![*least])),
        (Some(Value::Array(parts)), ..) => {
            Some(Rule::Least(parts.iter().filter_map(Value::as_integer).collect()))
        }
        (_, Some(Value::Integer(mask)), Some(Value::Integer(value))) => {
            Some(Rule::Mask { mask: *mask, value: *value })
        }
        _ => None,
    }
}

/// One table of a list of tables.
fn entry(list: &str, table: &Table, known: &BTreeMap<String, String>, rules: &mut BTreeMap<String, Rule>) {
    let word = |key: &str| table.get(key).map(|value| shown(value, &BTreeMap::new()).text);
    let named = |keys: &[&str]| keys.iter().filter_map(|key| word(key)).collect::<Vec<_>>().join(".");
    let (key, rule) = match list.rsplit('.').next().unwrap_or(list) {
        // Seen where they are used.
        "reference" => return,
        "waive" => (named(&["check"]), Rule::Text(word("until").unwrap_or_default())),
        "grace" => (named(&["status", "advisory"]), Rule::Text(word("until").unwrap_or_default())),
        "modules" => {
            let least = table.get("min_svn").and_then(Value::as_integer).unwrap_or_default();
            (named(&["version"]), Rule::Least(vec![least]))
        }
        "pcrs" | "uki" => {
            let values = table.get("any_of").and_then(Value::as_array);
            (
                named(&["bank", "index", "section"]),
                Rule::AnyOf(values.map_or(Vec::new(), |values| texts(values, known))),
            )
        }
        // A grant is one thing: who may ask for what.
        _ => (written(table), Rule::Flag(true)),
    };
    let key = format!("{list}.{key}");
    // A second one of the same name is a rule, too: which of them holds, the policy knows.
    let again = (2..).map(|number| format!("{key} ({number})"));
    let free = std::iter::once(key.clone()).chain(again).find(|key| !rules.contains_key(key));
    rules.insert(free.unwrap_or(key), rule);
}

fn written(table: &Table) -> String {
    let mut parts = Vec::new();
    for (key, value) in table {
        let rule = value.as_table().and_then(|inner| operator(inner, &BTreeMap::new()));
        parts.push(rule.map_or_else(|| shown(value, &BTreeMap::new()).text, |rule| format!("{key}: {rule}")));
    }
    parts.join(", ")
}

fn plain(name: &str, value: &Value, known: &BTreeMap<String, String>) -> Rule {
    match value {
        Value::String(word) if word == "any" => Rule::Any,
        Value::String(text) => Rule::Text(text.clone()),
        Value::Integer(number) => Rule::Number(*number),
        Value::Boolean(flag) => Rule::Flag(*flag),
        Value::Array(items) => match name {
            "any_of" => Rule::AnyOf(texts(items, known)),
            "none_of" => Rule::NoneOf(texts(items, known)),
            _ => Rule::All(texts(items, known)),
        },
        Value::Float(_) | Value::Datetime(_) | Value::Table(_) => Rule::Text(value.to_string()),
    }
}

fn texts(values: &[Value], known: &BTreeMap<String, String>) -> Vec<Listed> {
    values.iter().map(|value| shown(value, known)).collect()
}

/// A value; a name of a reference value with what it stands for.
fn shown(value: &Value, known: &BTreeMap<String, String>) -> Listed {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let value = value.as_str().and_then(|text| known.get(text)).cloned();
    Listed { text, value }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::AnyOf(values) => f.write_str(&joined(values, " or ")),
            Self::NoneOf(values) => write!(f, "none of {}", joined(values, ", ")),
            Self::Least(parts) => write!(f, "at least {}", dotted(parts)),
            Self::Mask { mask, value } => write!(f, "{value:#x} under mask {mask:#x}"),
            Self::Number(number) => number.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::All(values) => f.write_str(&joined(values, ", ")),
        }
    }
}

fn joined(values: &[Listed], between: &str) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(between)
}

/// A version: its parts with dots.
pub(super) fn dotted(parts: &[i64]) -> String {
    parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(".")
}

/// Lists and tables that can also be the word `any`.
const LISTS: [&str; 10] = [
    "tpm.pcrs",
    "nitro.pcrs",
    "nitro-tpm.pcrs",
    "tdx.modules",
    "tpm.boot.uki",
    "tdx.boot.uki",
    "tpm.boot.kernel_cmdline",
    "tdx.boot.kernel_cmdline",
    "tpm.boot.facts",
    "tdx.boot.facts",
];
/// Lists of names of reference values.
const REFERENCES: [&str; 6] =
    ["snp.measurement", "tdx.mrtd", "tdx.rtmr0", "tdx.rtmr1", "tdx.rtmr2", "tdx.rtmr3"];
/// The same in the sections about boots.
const BOOT_REFERENCES: [&str; 10] =
    ["pk", "kek", "db", "dbx", "authorities", "drivers", "images", "owner_keys", "files", "ima"];
