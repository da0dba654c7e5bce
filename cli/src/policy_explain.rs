//! `cloudtaser policy explain`: what a check asks, and what helps when it fails.
//!
//! Takes the name of a check, the beginning of names, a bundle, or the JSON that `attest verify` and `evidence
//! verify` print. Untrusted: the file. Nothing in it is believed; it only says which checks to explain.

use std::path::{Path, PathBuf};

use attest::catalogue::{self, Entry, Stage};
use attest::crypto::AwsLcRs;
use attest::{Bundle, Check};
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, NotJudged, Verdict};
use crate::args::Format;
use crate::{input, layout};

/// Say what checks ask, and what helps when they fail
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The name of a check, the beginning of names (snp.tcb), a bundle, or the JSON of a verdict
    #[arg(value_name = "CHECK|FILE")]
    subject: String,
    /// How to write the answer
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// Explains. There is no verdict: 0 says that there was something to explain, 2 that there was not.
pub(crate) fn run(args: &Args) -> Answer {
    match (explain(&args.subject), args.output) {
        (Ok(said), Format::Text) => Answer::text(Verdict::Accepted, text(&said)),
        (Ok(said), Format::Json) => Answer::json(Verdict::Accepted, &said),
        (Err(why), _) => Answer::complaint(&why),
    }
}

/// One check, explained.
#[derive(Serialize)]
struct Explained {
    check: String,
    asks: &'static str,
    can_be_waived: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<String>,
    remedy: &'static str,
}

impl Explained {
    fn of(entry: Entry, check: Option<&Check>) -> Self {
        Self {
            check: check.map_or(entry.id.to_owned(), |check| check.id.clone()),
            asks: entry.asks,
            can_be_waived: entry.stage == Stage::Policy,
            expected: check.map(|check| check.expected.clone()),
            found: check.map(|check| check.found.clone()),
            remedy: entry.remedy,
        }
    }
}

fn explain(subject: &str) -> Result<Vec<Explained>, NotJudged> {
    if let Some(entry) = catalogue::entry(subject) {
        return Ok(vec![Explained { check: subject.to_owned(), ..Explained::of(entry, None) }]);
    }
    let below = format!("{subject}.");
    let family: Vec<Explained> = catalogue::entries()
        .filter(|entry| entry.id.starts_with(&below))
        .map(|entry| Explained::of(entry, None))
        .collect();
    if !family.is_empty() {
        return Ok(family);
    }
    let path = PathBuf::from(subject);
    if subject != "-" && !path.exists() {
        let message = format!("expected the name of a check or a file, found {subject:?}, which is neither");
        return Err(NotJudged::new("check.unknown", message));
    }
    Ok(failing(&path)?.iter().map(explained).collect())
}

fn explained(check: &Check) -> Explained {
    let unknown = Entry { id: "", stage: Stage::Outside, asks: NEWER, remedy: NEWER };
    Explained::of(catalogue::entry(&check.id).unwrap_or(unknown), Some(check))
}

/// The checks that a file says failed.
fn failing(path: &Path) -> Result<Vec<Check>, NotJudged> {
    let bytes = input::read(path, Bundle::MAX_BYTES)?;
    if bytes.first() != Some(&b'{') {
        let bundle = Bundle::insecure_peek(&bytes, &AwsLcRs)?;
        return Ok(bundle.appraisal.failing().cloned().collect());
    }
    let verdict: Judged = serde_json::from_slice(&bytes).map_err(|error| {
        let message =
            format!("expected a bundle, or the JSON of a verdict, in {}, found: {error}", path.display());
        NotJudged::new("input.unrecognised", message)
    })?;
    let decision = verdict.decision.map(|decision| decision.checks).unwrap_or_default();
    let checks = verdict.checks.into_iter().chain(decision).filter(|check| check.verdict == "fail");
    Ok(checks.map(Written::check).collect())
}

/// The part of a verdict's JSON that names checks.
#[derive(Deserialize)]
struct Judged {
    #[serde(default)]
    checks: Vec<Written>,
    decision: Option<Recorded>,
}

#[derive(Deserialize)]
struct Recorded {
    checks: Vec<Written>,
}

#[derive(Deserialize)]
struct Written {
    id: String,
    verdict: String,
    expected: String,
    found: String,
}

impl Written {
    fn check(self) -> Check {
        let Self { id, expected, found, .. } = self;
        Check { id, verdict: attest::Answer::Fail, expected, found }
    }
}

fn text(said: &[Explained]) -> String {
    let mut text = String::new();
    if said.is_empty() {
        layout::line(&mut text, "no check failed: there is nothing to explain");
    }
    for (at, one) in said.iter().enumerate() {
        if at > 0 {
            layout::line(&mut text, "");
        }
        layout::line(&mut text, &layout::printable(&one.check));
        layout::line(&mut text, &format!("  asks      {}", one.asks));
        for (name, value) in [("expected", &one.expected), ("found", &one.found)] {
            if let Some(value) = value {
                layout::line(&mut text, &format!("  {name:<8}  {}", layout::printable(value)));
            }
        }
        layout::line(&mut text, &format!("  remedy    {}", one.remedy));
        let waivable = if one.can_be_waived { "for a while, with a reason and a ticket" } else { "never" };
        layout::line(&mut text, &format!("  waived    {waivable}"));
    }
    text
}

const NEWER: &str = "this version does not know the check: a newer one made this verdict";

const EXAMPLES: &str = "\
Examples:
  cloudtaser policy explain snp.policy.debug
  cloudtaser policy explain tdx.tcb
  cloudtaser policy explain decision.bundle
  cloudtaser attest verify report.bin --policy prod.toml -o json | cloudtaser policy explain -";
