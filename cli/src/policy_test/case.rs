//! One case, as it is written down.
//!
//! Paths are relative to the case's folder. What is misspelt is an error that names it.

use std::fmt;
use std::path::{Path, PathBuf};

use attest::crypto::AwsLcRs;
use attest::{Digest, Kem, OfferedKey, Platform, Policy, UnixTime, tpm};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::answer::NotJudged;
use crate::input;

/// A case that was read.
pub(super) struct Case {
    pub(super) about: String,
    pub(super) expected: Expectation,
    pub(super) policy: Policy,
    pub(super) at: Option<UnixTime>,
    pub(super) subject: Subject,
    pub(super) roots: Vec<PathBuf>,
}

/// What is judged.
pub(super) enum Subject {
    /// A recorded decision, judged again under the case's policy.
    Bundle(Vec<u8>),
    /// Evidence with what it is judged by.
    Evidence(Box<Brought>),
}

pub(super) struct Brought {
    pub(super) platform: Option<Platform>,
    pub(super) evidence: Vec<u8>,
    pub(super) endorsements: Vec<PathBuf>,
    pub(super) enrolled: Vec<tpm::Name>,
    pub(super) without_revocation: bool,
    pub(super) asked: Option<Asked>,
}

/// The challenge that the evidence answers, and the key that was offered.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Asked {
    pub(super) nonce: Digest<32>,
    pub(super) context: String,
    pub(super) expires: UnixTime,
    #[serde(default)]
    pub(super) answered: bool,
    kem: String,
    #[serde(with = "hex::serde")]
    public_key: Vec<u8>,
}

/// What must come out.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "expect")]
pub(super) enum Expectation {
    /// No check fails.
    Admit {
        /// Those that only a waiver lets pass, in the order in which they are asked.
        waived: Vec<String>,
    },
    /// Exactly these checks fail, in the order in which they are asked.
    Refuse {
        /// Their names.
        failing: Vec<String>,
    },
    /// There is no verdict, for the reason with this code.
    NotJudged {
        /// The code.
        code: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Raw {
    about: String,
    expect: Word,
    #[serde(default)]
    failing: Vec<String>,
    #[serde(default)]
    waived: Vec<String>,
    code: Option<String>,
    policy: Option<PathBuf>,
    at: Option<UnixTime>,
    bundle: Option<PathBuf>,
    platform: Option<Platform>,
    evidence: Option<PathBuf>,
    #[serde(default)]
    endorsements: Vec<PathBuf>,
    #[serde(default)]
    enrolled: Vec<tpm::Name>,
    #[serde(default)]
    insecure_trust_roots: Vec<PathBuf>,
    #[serde(default)]
    insecure_no_revocation: bool,
    challenge: Option<Asked>,
    #[serde(default)]
    set: Table,
    #[serde(default)]
    unset: Vec<String>,
}

#[derive(Clone, Copy, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Admit,
    Refuse,
    NotJudged,
}

impl Case {
    pub(super) fn read(folder: &Path) -> Result<Self, NotJudged> {
        let path = folder.join("case.toml");
        let raw: Raw =
            toml::from_str(&text(&path)?).map_err(|error| malformed(&path, error.to_string().trim()))?;
        let within = |paths: &[PathBuf]| paths.iter().map(|path| folder.join(path)).collect::<Vec<_>>();
        let expected = raw.expected().map_err(|problem| malformed(&path, problem))?;
        let policy = folder.join(raw.policy.as_deref().unwrap_or(Path::new("policy.toml")));
        let policy = changed(&text(&policy)?, &raw.set, &raw.unset).map_err(|why| malformed(&path, &why))?;
        let policy = Policy::parse(&AwsLcRs, &policy)?;
        let (about, at, roots) = (raw.about.clone(), raw.at, within(&raw.insecure_trust_roots));
        let subject = match (&raw.bundle, &raw.evidence) {
            (Some(bundle), None) if !raw.brings_evidence() => {
                Subject::Bundle(input::read(&folder.join(bundle), attest::Bundle::MAX_BYTES)?)
            }
            (None, Some(evidence)) if raw.at.is_some() => Subject::Evidence(Box::new(Brought {
                platform: raw.platform,
                evidence: input::read(&folder.join(evidence), input::LIMIT)?,
                endorsements: within(&raw.endorsements),
                enrolled: raw.enrolled,
                without_revocation: raw.insecure_no_revocation,
                asked: raw.challenge,
            })),
            _ => {
                return Err(malformed(
                    &path,
                    "expected either `bundle`, or `evidence` with `at` and its endorsements",
                ));
            }
        };
        Ok(Self { about, expected, policy, at, subject, roots })
    }
}

impl Raw {
    fn expected(&self) -> Result<Expectation, &'static str> {
        match (self.expect, &*self.failing, &*self.waived, &self.code) {
            (Word::Admit, [], waived, None) => Ok(Expectation::Admit { waived: waived.to_vec() }),
            (Word::Refuse, [_, ..], [], None) => Ok(Expectation::Refuse { failing: self.failing.clone() }),
            (Word::NotJudged, [], [], Some(code)) => Ok(Expectation::NotJudged { code: code.clone() }),
            (Word::Admit, ..) => Err("`expect = \"admit\"` goes with `waived` or nothing"),
            (Word::Refuse, ..) => Err("`expect = \"refuse\"` goes with `failing`, the names of the checks"),
            (Word::NotJudged, ..) => Err("`expect = \"not-judged\"` goes with `code`"),
        }
    }

    /// Whether there is anything that a bundle brings itself.
    fn brings_evidence(&self) -> bool {
        self.platform.is_some()
            || self.challenge.is_some()
            || self.insecure_no_revocation
            || !self.endorsements.is_empty()
            || !self.enrolled.is_empty()
    }
}

impl Asked {
    pub(super) fn offered(&self) -> Result<OfferedKey, NotJudged> {
        let kem = Kem::named(&self.kem);
        let kem = kem.ok_or_else(|| {
            NotJudged::new("case.malformed", "kem: expected x-wing, x25519 or rsa-oaep-sha256")
        })?;
        Ok(OfferedKey { kem, public: self.public_key.clone() })
    }
}

/// The policy's text with the case's changes: a case may ask what the policy would say if one rule were another.
fn changed(policy: &str, set: &Table, unset: &[String]) -> Result<String, String> {
    if set.is_empty() && unset.is_empty() {
        return Ok(policy.to_owned());
    }
    let mut document: Table = toml::from_str(policy).map_err(|error| error.to_string().trim().to_owned())?;
    merge(&mut document, set);
    for key in unset {
        remove(&mut document, key).ok_or_else(|| format!("unset: the policy has no {key}"))?;
    }
    toml::to_string(&document).map_err(|error| error.to_string())
}

fn merge(into: &mut Table, from: &Table) {
    for (key, value) in from {
        match (into.get_mut(key), value) {
            // A rule is set as a whole: half of one is none.
            (Some(Value::Table(inner)), Value::Table(table))
                if table.values().all(Value::is_table) || is_section(inner) =>
            {
                merge(inner, table);
            }
            _ => drop(into.insert(key.clone(), value.clone())),
        }
    }
}

/// Whether this is a table of rules, not a rule.
fn is_section(table: &Table) -> bool {
    !["any_of", "none_of", "min", "mask"].iter().any(|operator| table.contains_key(*operator))
}

fn remove(table: &mut Table, key: &str) -> Option<Value> {
    match key.split_once('.') {
        None => table.remove(key),
        Some((first, rest)) => remove(table.get_mut(first)?.as_table_mut()?, rest),
    }
}

fn text(path: &Path) -> Result<String, NotJudged> {
    let bytes = input::read(path, Policy::MAX_BYTES)?;
    String::from_utf8(bytes).map_err(|error| malformed(path, &error.utf8_error().to_string()))
}

fn malformed(path: &Path, problem: &str) -> NotJudged {
    NotJudged::new("case.malformed", format!("{}: {problem}", path.display()))
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admit { waived } if waived.is_empty() => f.write_str("admitted"),
            Self::Admit { waived } => write!(f, "admitted, with {} waived", waived.join(", ")),
            Self::Refuse { failing } => write!(f, "refused by {}", failing.join(", ")),
            Self::NotJudged { code } => write!(f, "not judged: {code}"),
        }
    }
}
