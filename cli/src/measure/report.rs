//! What was measured: for people, for programs, and as the blocks that a policy takes in.
//!
//! Every value says which files it comes from, by their SHA-256, and which version of this program computed it.
//! What is not exact is said beside the values, never left out.
//!
//! Untrusted: names of files and what is in them; text is escaped before a terminal or a policy sees it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::ValueEnum;
use serde::Serialize;

use super::artifact::Artifact;
use crate::answer::{Answer, NotJudged, Verdict};
use crate::layout::{self, Section};

/// How reference values are written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
    /// For a policy: [[reference]] blocks
    Toml,
}

/// Words that every `measure` verb takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Words {
    /// What the ids of the reference values begin with
    #[arg(long, value_name = "NAME", value_parser = name)]
    name: Option<String>,
    /// How to write the answer
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

impl Words {
    /// Writes what came out, or why nothing did.
    pub(crate) fn answer(&self, measured: Result<Report, NotJudged>) -> Answer {
        match (measured, self.output) {
            (Ok(report), Format::Text) => Answer::text(Verdict::Accepted, report.text()),
            (Ok(report), Format::Json) => Answer::json(Verdict::Accepted, &report),
            (Ok(report), Format::Toml) => Answer::text(Verdict::Accepted, report.toml()),
            (Err(error), Format::Json) => Answer::json(Verdict::NotJudged, &Unmeasured { error }),
            (Err(error), Format::Text | Format::Toml) => Answer::complaint(&error),
        }
    }

    /// An empty report on this target.
    pub(crate) fn report(&self, target: &'static str) -> Report {
        Report {
            measured: target,
            version: env!("CARGO_PKG_VERSION"),
            name: self.name.clone().unwrap_or_else(|| target.to_owned()),
            inputs: Vec::new(),
            settings: Vec::new(),
            references: Vec::new(),
            not_exact: Vec::new(),
            sections: Vec::new(),
        }
    }
}

fn name(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if text.is_empty() || text.len() > 64 || !text.bytes().all(fits) {
        return Err("expected 1 to 64 letters, digits, '-', '_' or '.'".to_owned());
    }
    Ok(text.to_owned())
}

#[derive(Serialize)]
struct Unmeasured {
    error: NotJudged,
}

/// Reference values and where they come from.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    measured: &'static str,
    version: &'static str,
    #[serde(skip)]
    name: String,
    inputs: Vec<Artifact>,
    #[serde(serialize_with = "as_map")]
    settings: Vec<(&'static str, String)>,
    references: Vec<Reference>,
    not_exact: Vec<String>,
    sections: Vec<Section>,
}

/// One value.
#[derive(Debug, Serialize)]
pub(crate) struct Reference {
    id: String,
    value: String,
    /// Which of the possible values it is.
    what: String,
    provenance: String,
    /// Where a policy takes it.
    #[serde(rename = "policy")]
    place: Place,
}

/// Where a policy takes a value.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Place {
    /// A field of a section.
    Field { section: &'static str, field: &'static str },
    /// A rule on a register.
    Pcr { section: &'static str, bank: Option<&'static str>, index: u8 },
    /// A field that takes what the value was computed from, not the value.
    Said { section: &'static str, field: &'static str, text: String },
    /// Nowhere: for comparing with an event log.
    Event,
}

impl Place {
    fn takes_value(&self) -> bool {
        matches!(self, Self::Field { .. } | Self::Pcr { .. })
    }
}

impl Serialize for Place {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&match self {
            Self::Field { section, field } | Self::Said { section, field, .. } => {
                format!("[{section}] {field}")
            }
            Self::Pcr { section, index, .. } => format!("[[{section}.pcrs]] index {index}"),
            Self::Event => "event log".to_owned(),
        })
    }
}

impl Report {
    /// Notes files that the values depend on.
    pub(crate) fn inputs(&mut self, artifacts: impl IntoIterator<Item = Artifact>) {
        self.inputs.extend(artifacts);
    }

    /// Notes a word that the values depend on.
    #[expect(clippy::needless_pass_by_value, reason = "callers pass temporaries")]
    pub(crate) fn setting(&mut self, name: &'static str, value: impl ToString) {
        self.settings.push((name, value.to_string()));
    }

    /// Says what is not exact, or what the values do not cover.
    pub(crate) fn not_exact(&mut self, why: impl Into<String>) {
        self.not_exact.push(why.into());
    }

    /// Adds what a person may want to see as well.
    pub(crate) fn sections(&mut self, sections: impl IntoIterator<Item = Section>) {
        self.sections.extend(sections);
    }

    /// Adds a value. Files and settings must have been noted before.
    pub(crate) fn reference(&mut self, suffix: &str, value: &[u8], what: impl Into<String>, place: Place) {
        let what = what.into();
        self.references.push(Reference {
            id: format!("{}-{suffix}", self.name),
            value: hex::encode(value),
            provenance: self.provenance(&what),
            what,
            place,
        });
    }

    fn provenance(&self, what: &str) -> String {
        let files = self.inputs.iter().map(Artifact::provenance);
        let settings = self.settings.iter().map(|(name, value)| format!("{name} {value:?}"));
        let from: Vec<String> = files.chain(settings).collect();
        format!("{what}: cloudtaser measure {} {} of {}", self.measured, self.version, from.join(", "))
    }

    fn text(&self) -> String {
        let mut sections = Vec::new();
        for input in &self.inputs {
            let mut section = Section::new(input.role);
            section.row("file", input.path.display());
            section.row("bytes", input.length);
            section.row("sha256", input.sha256);
            sections.push(section);
        }
        let mut settings = Section::new("settings");
        for (name, value) in &self.settings {
            settings.row(*name, value);
        }
        sections.extend((!settings.rows.is_empty()).then_some(settings));
        let mut text = format!("measured {}\n", self.measured);
        layout::sections(&mut text, &sections);
        layout::sections(&mut text, &self.sections);
        for reference in &self.references {
            layout::line(&mut text, &format!("\n{}", layout::printable(&reference.id)));
            layout::line(&mut text, &format!("  {}", reference.value));
            layout::line(&mut text, &format!("  {}", layout::printable(&reference.what)));
        }
        if !self.not_exact.is_empty() {
            layout::line(&mut text, "\nnot exact, or not covered");
        }
        for why in &self.not_exact {
            layout::line(&mut text, &format!("  {}", layout::printable(why)));
        }
        text
    }

    fn toml(&self) -> String {
        let mut text = format!("# cloudtaser measure {}, version {}\n", self.measured, self.version);
        for why in &self.not_exact {
            layout::line(&mut text, &format!("# not exact, or not covered: {}", layout::printable(why)));
        }
        for reference in self.references.iter().filter(|reference| reference.place.takes_value()) {
            layout::line(&mut text, "\n[[reference]]");
            for (name, value) in
                [("id", &reference.id), ("value", &reference.value), ("provenance", &reference.provenance)]
            {
                layout::line(&mut text, &format!("{name} = {}", basic_string(value)));
            }
        }
        for (place, ids) in self.places() {
            layout::line(&mut text, "");
            for line in rule(&place, &ids) {
                layout::line(&mut text, &format!("# {line}"));
            }
        }
        text
    }

    /// Which values go together.
    fn places(&self) -> BTreeMap<Place, Vec<String>> {
        let mut places: BTreeMap<Place, Vec<String>> = BTreeMap::new();
        for reference in &self.references {
            places.entry(reference.place.clone()).or_default().push(basic_string(&reference.id));
        }
        places
    }
}

/// What to write into the policy, beside the values.
fn rule(place: &Place, ids: &[String]) -> Vec<String> {
    let any_of = format!("[{}]", ids.join(", "));
    match place {
        Place::Field { section, field } => {
            vec![format!("[{section}]"), format!("{field} = {{ any_of = {any_of} }}")]
        }
        Place::Pcr { section, bank, index } => {
            let bank = bank.iter().map(|bank| format!("bank = \"{bank}\""));
            let head = std::iter::once(format!("[[{section}.pcrs]]")).chain(bank);
            head.chain([format!("index = {index}"), format!("any_of = {any_of}")]).collect()
        }
        Place::Said { section, field, text } => {
            vec![format!("[{section}]"), format!("{field} = {{ any_of = [{}] }}", basic_string(text))]
        }
        Place::Event => Vec::new(),
    }
}

/// A TOML basic string (TOML 1.0, "String").
fn basic_string(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            // Writing to a String does not fail.
            _ if character.is_control() => write!(out, "\\u{:04X}", u32::from(character)).unwrap_or_default(),
            _ => out.push(character),
        }
    }
    out.push('"');
    out
}

fn as_map<S: serde::Serializer>(rows: &[(&'static str, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(rows.iter().map(|(name, value)| (name, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_cannot_write_a_policy_of_its_own() {
        assert_eq!(basic_string("a\"\n[snp]\u{7f}\\"), "\"a\\\"\\u000A[snp]\\u007F\\\\\"");
    }

    #[test]
    fn values_for_one_field_stand_in_one_rule() {
        let place = Place::Pcr { section: "tpm", bank: Some("sha256"), index: 4 };
        let ids = ["\"a\"".to_owned(), "\"b\"".to_owned()];
        let expected = ["[[tpm.pcrs]]", "bank = \"sha256\"", "index = 4", "any_of = [\"a\", \"b\"]"];
        assert_eq!(rule(&place, &ids), expected);
    }
}
