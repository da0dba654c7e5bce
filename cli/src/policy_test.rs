//! `cloudtaser policy test`: does a policy say of these machines what it should?
//!
//! A case is a folder with a `case.toml`: evidence, what it is judged by, and the verdict that must come out, by
//! the names of exactly the checks that fail. The layout stands in `policies/README.md`.
//!
//! Trusted: the cases, which the policy's author keeps beside it. Evidence in them is parsed with the same care
//! as any other.

mod case;
mod judge;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::answer::{Answer, NotJudged, Verdict};
use crate::args::Format;
use crate::layout;

use case::{Case, Expectation};
use judge::Found;

/// Run a directory of cases: evidence and policy, and the verdict that must come out
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    /// A directory with cases in it, at any depth, or one case
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// How to write the answer
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// Runs all cases and prints.
pub(crate) fn run(args: &Args) -> Answer {
    match (cases(&args.directory), args.output) {
        (Ok(report), Format::Text) => Answer::text(report.verdict, report.text()),
        (Ok(report), Format::Json) => Answer::json(report.verdict, &report),
        (Err(why), Format::Text) => Answer::complaint(&why),
        (Err(why), Format::Json) => {
            Answer::json(Verdict::NotJudged, &Unreadable { verdict: Verdict::NotJudged, error: why })
        }
    }
}

/// What came out of all cases.
#[derive(Serialize)]
struct Report {
    verdict: Verdict,
    cases: Vec<Line>,
}

/// What came out of one.
#[derive(Serialize)]
struct Line {
    case: String,
    verdict: Verdict,
    about: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<Expectation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<Found>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<NotJudged>,
}

#[derive(Serialize)]
struct Unreadable {
    verdict: Verdict,
    error: NotJudged,
}

fn cases(directory: &Path) -> Result<Report, NotJudged> {
    let mut folders = Vec::new();
    find(directory, 0, &mut folders)?;
    folders.sort();
    if folders.is_empty() {
        let message = format!("expected folders with a case.toml under {}, found none", directory.display());
        return Err(NotJudged::new("case.none", message));
    }
    let lines: Vec<Line> = folders.iter().map(|folder| line(directory, folder)).collect();
    let any = |verdict: Verdict| lines.iter().any(|line| line.verdict == verdict);
    let verdict = if any(Verdict::NotJudged) {
        Verdict::NotJudged
    } else if any(Verdict::Refused) {
        Verdict::Refused
    } else {
        Verdict::Accepted
    };
    Ok(Report { verdict, cases: lines })
}

/// The folders that have a `case.toml`.
fn find(directory: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), NotJudged> {
    let unreadable = |error: std::io::Error| {
        let message = format!("expected to read {}, found: {error}", directory.display());
        NotJudged::new("input.unreadable", message)
    };
    if depth > MAX_DEPTH || found.len() > MAX_CASES {
        let message = format!("expected at most {MAX_CASES} cases, {MAX_DEPTH} folders deep, found more");
        return Err(NotJudged::new("input.too_much", message));
    }
    if directory.join("case.toml").is_file() {
        found.push(directory.to_owned());
    }
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        // A link could lead anywhere, and round in circles.
        if entry.file_type().map_err(unreadable)?.is_dir() {
            find(&entry.path(), depth.saturating_add(1), found)?;
        }
    }
    Ok(())
}

fn line(directory: &Path, folder: &Path) -> Line {
    let name = folder.strip_prefix(directory).unwrap_or(folder).display().to_string();
    let case = if name.is_empty() { folder.display().to_string() } else { name };
    let (mut about, mut expected) = (String::new(), None);
    let judged = Case::read(folder).and_then(|case| {
        about.clone_from(&case.about);
        expected = Some(case.expected.clone());
        judge::judge(&case)
    });
    let (verdict, found, error) = match judged {
        Ok(found) if expected.as_ref().is_some_and(|expected| found.is(expected)) => {
            (Verdict::Accepted, Some(found), None)
        }
        Ok(found) => (Verdict::Refused, Some(found), None),
        Err(error) => (Verdict::NotJudged, None, Some(error)),
    };
    Line { case, verdict, about, expected, found, error }
}

impl Report {
    fn text(&self) -> String {
        let width = self.cases.iter().map(|line| line.case.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for line in &self.cases {
            let found = line.found.as_ref().map_or("not run".to_owned(), Found::to_string);
            let word = match line.verdict {
                Verdict::Accepted => "ok",
                Verdict::Refused => "FAIL",
                Verdict::NotJudged => "ERROR",
            };
            let case = layout::printable(&line.case);
            layout::line(&mut text, &format!("{word:<6} {case:width$}  {}", layout::printable(&found)));
            if line.verdict == Verdict::Refused {
                let expected = line.expected.as_ref().map_or(String::new(), Expectation::to_string);
                layout::line(&mut text, &format!("       expected: {}", layout::printable(&expected)));
                layout::line(&mut text, &format!("       about:    {}", layout::printable(&line.about)));
            }
            if let Some(error) = &line.error {
                let (message, code) = (layout::printable(&error.message), error.code);
                layout::line(&mut text, &format!("       {message} ({code})"));
            }
        }
        let as_expected = self.cases.iter().filter(|line| line.verdict == Verdict::Accepted).count();
        layout::line(&mut text, &format!("\n{as_expected} of {} cases as expected", self.cases.len()));
        text
    }
}

/// Nobody nests or keeps more by intent.
const MAX_DEPTH: usize = 8;
const MAX_CASES: usize = 10_000;

const EXAMPLES: &str = "\
Examples:
  cloudtaser policy test policies/cases
  cloudtaser policy test policies/cases/snp-genoa/debug-guest -o json";

const EXIT_CODES: &str = "\
Exit codes:
  0  every case came out as it should
  1  a case came out otherwise
  2  a case could not be run: something is missing, malformed or misspelt";
