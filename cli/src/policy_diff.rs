//! `cloudtaser policy diff`: which machines does a change admit, and which does it refuse?
//!
//! Both policies are taken apart into rules; each rule that differs is told in words, with its effect: it loosens,
//! tightens, does both, or neither. What is not set refuses everybody, so a rule that appears loosens.
//!
//! Trusted: both policies parse, and are compared as they are written.

mod compare;
mod rules;
mod words;

use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;

use crate::answer::{Answer, NotJudged, Verdict};
use crate::args::Format;
use crate::{input, layout};

use compare::{Change, Effect};
use rules::Rules;

/// Say in words which machines a change of a policy admits or refuses
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    /// The policy as it was, TOML or signed
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The policy as it is to be
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// End with 1 if there is a change of this kind
    #[arg(long, value_enum, value_name = "KIND")]
    fail_on: Option<FailOn>,
    /// How to write the answer
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// Changes that somebody wants to be stopped by.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum FailOn {
    /// A machine may be admitted that was refused before.
    Loosen,
    /// Anything differs.
    Any,
}

/// Compares and prints.
pub(crate) fn run(args: &Args) -> Answer {
    match (compare_files(args), args.output) {
        (Ok(report), Format::Text) => Answer::text(report.verdict, report.text()),
        (Ok(report), Format::Json) => Answer::json(report.verdict, &report),
        (Err(why), Format::Text) => Answer::complaint(&why),
        (Err(error), Format::Json) => {
            Answer::json(Verdict::NotJudged, &Unreadable { verdict: Verdict::NotJudged, error })
        }
    }
}

#[derive(Serialize)]
struct Report {
    verdict: Verdict,
    loosens: bool,
    tightens: bool,
    changes: Vec<Change>,
}

#[derive(Serialize)]
struct Unreadable {
    verdict: Verdict,
    error: NotJudged,
}

fn compare_files(args: &Args) -> Result<Report, NotJudged> {
    let (_, old) = input::policy_text(&args.old)?;
    let (_, new) = input::policy_text(&args.new)?;
    Ok(Report::of(&Rules::of(&old)?, &Rules::of(&new)?, args.fail_on))
}

/// What differs between two policies' texts, in words; an empty text is a policy that admits nobody.
pub(crate) fn in_words(old: &str, new: &str) -> Result<String, NotJudged> {
    let report = Report::of(&Rules::of(old)?, &Rules::of(new)?, None);
    Ok(if old.is_empty() { report.of_a_new_one() } else { report.text() })
}

impl Report {
    fn of(old: &Rules, new: &Rules, fail_on: Option<FailOn>) -> Self {
        let changes = compare::changes(old, new);
        let any = |effects: [Effect; 2]| changes.iter().any(|change| effects.contains(&change.effect));
        let loosens = any([Effect::Loosens, Effect::Both]);
        let tightens = any([Effect::Tightens, Effect::Both]);
        let stopped = match fail_on {
            Some(FailOn::Loosen) => loosens,
            Some(FailOn::Any) => !changes.is_empty(),
            None => false,
        };
        let verdict = if stopped { Verdict::Refused } else { Verdict::Accepted };
        Self { verdict, loosens, tightens, changes }
    }

    /// The rules of a policy that takes no other's place.
    fn of_a_new_one(&self) -> String {
        let mut text = "a new policy\n".to_owned();
        for change in &self.changes {
            let whole = WHOLE.iter().any(|start| change.key.starts_with(start));
            let mut before = BEFORE.iter().filter(|_| !whole);
            let says = before.find_map(|was| change.says.strip_suffix(was)).unwrap_or(&change.says);
            layout::line(&mut text, &format!("  {}", layout::printable(says)));
        }
        text
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let sum = match (self.changes.is_empty(), self.loosens, self.tightens) {
            (true, ..) => "no rule differs",
            (_, true, true) => "loosens and tightens",
            (_, true, false) => "loosens: machines may be admitted that were refused",
            (_, false, true) => "tightens: no machine is admitted that was refused",
            (_, false, false) => "neither loosens nor tightens",
        };
        layout::line(&mut text, sum);
        for change in &self.changes {
            let effect = match change.effect {
                Effect::Loosens => "loosens",
                Effect::Tightens => "tightens",
                Effect::Both => "both",
                Effect::Neutral => "neutral",
            };
            layout::line(&mut text, &format!("{effect:<9} {}", layout::printable(&change.says)));
        }
        text
    }
}

/// Rules whose sentences end with the author's own words: nothing is taken from them.
const WHOLE: [&str; 4] = ["name", "grant.", "waive.", "tdx.grace."];
/// What there was before a policy that is new.
const BEFORE: [&str; 5] =
    [" (was not set)", " (was not asked)", " (was none)", " (was any purpose)", ", which had no section"];

const EXAMPLES: &str = "\
Examples:
  cloudtaser policy diff prod.toml proposed.toml
  cloudtaser policy diff prod.toml proposed.toml --fail-on loosen";

const EXIT_CODES: &str = "\
Exit codes:
  0  compared
  1  there is a change of the kind that --fail-on names
  2  not compared: one of the files is not a policy";
