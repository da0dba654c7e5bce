//! `cloudtaser policy check`: is this text a policy, and what is odd about it?
//!
//! All problems are told together. What is no problem and still worth a look is told as a note: what ends soon,
//! what is waived, what nobody refers to, what somebody let pass with `"any"`.

use std::path::PathBuf;

use attest::crypto::AwsLcRs;
use attest::policy::SignedPolicy;
use attest::{Digest, Policy, UnixTime};
use serde::Serialize;
use toml::{Table, Value};

use crate::answer::{Answer, NotJudged, Verdict};
use crate::args::{self, Format};
use crate::{input, layout};

/// Check that a file is a policy: all problems, and what is worth a second look
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    /// The policy, TOML or signed; - reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The instant that counts as now, for example 2026-11-21T18:00:00Z; now unless given
    #[arg(long, value_name = "RFC3339", value_parser = args::instant)]
    at: Option<UnixTime>,
    /// How to write the answer
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// Checks and prints.
pub(crate) fn run(args: &Args, now: UnixTime) -> Answer {
    match (look(args, args.at.unwrap_or(now)), args.output) {
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
    #[serde(flatten)]
    policy: Option<About>,
    problems: Vec<String>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct About {
    name: String,
    version: u64,
    digest: Digest<32>,
    expires: UnixTime,
}

#[derive(Serialize)]
struct Unreadable {
    verdict: Verdict,
    error: NotJudged,
}

fn look(args: &Args, now: UnixTime) -> Result<Report, NotJudged> {
    let bytes = input::read(&args.file, SignedPolicy::MAX_BYTES)?;
    let mut notes = Vec::new();
    let text = if SignedPolicy::looks_signed(&bytes) {
        let signer = SignedPolicy::signer_of(&bytes)?;
        notes.push(format!("names the signer {signer}, whose signature was not checked: policy verify does"));
        SignedPolicy::insecure_peek(&bytes)?
    } else {
        String::from_utf8(bytes).map_err(|error| {
            let found = error.utf8_error();
            NotJudged::new(
                "policy.malformed",
                format!("policy does not parse: expected UTF-8, found {found}"),
            )
        })?
    };
    let mut problems: Vec<String> =
        Policy::problems(&AwsLcRs, &text).iter().map(ToString::to_string).collect();
    let policy = Policy::parse(&AwsLcRs, &text).ok();
    if let Some(policy) = policy.as_ref().filter(|policy| now >= policy.expires()) {
        problems.push(format!("policy expired at {}, it is {now}", policy.expires()));
    }
    let table: Table = toml::from_str(&text).unwrap_or_default();
    notes.extend(remarks(&table, policy.as_ref(), now));
    let about = policy.map(|policy| About {
        name: policy.name().to_owned(),
        version: policy.version(),
        digest: policy.digest(),
        expires: policy.expires(),
    });
    let verdict = if problems.is_empty() { Verdict::Accepted } else { Verdict::Refused };
    Ok(Report { verdict, policy: about, problems, notes })
}

/// What is no problem, and worth a look.
fn remarks(table: &Table, policy: Option<&Policy>, now: UnixTime) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(policy) = policy {
        let left = policy.expires().since(now) / DAY;
        if now < policy.expires() && left < SOON {
            notes.push(format!("expires in {left} days, at {}", policy.expires()));
        }
    }
    let mut rules = Vec::new();
    rows(table, "", &mut rules);
    for (key, _) in
        rules.iter().filter(|(key, value)| key.contains("insecure-") && value.as_bool() == Some(true))
    {
        notes.push(format!("{key} is on"));
    }
    let any: Vec<&str> = rules
        .iter()
        .filter(|(_, value)| value.as_str() == Some("any"))
        .map(|(key, _)| key.as_str())
        .collect();
    if !any.is_empty() {
        notes.push(format!("lets pass whatever it is: {}", any.join(", ")));
    }
    for waiver in tables(table, "waive") {
        let word = |key: &str| waiver.get(key).and_then(Value::as_str).unwrap_or_default();
        let ended = UnixTime::parse(word("until")).is_ok_and(|until| until <= now);
        let (check, until) = (word("check"), word("until"));
        notes.push(if ended {
            format!("the waiver of {check} ended at {until}, and can be deleted")
        } else {
            format!("waives {check} until {until}: {} ({})", word("reason"), word("ticket"))
        });
    }
    let listed: Vec<&str> = rules.iter().flat_map(|(_, value)| texts(value)).collect();
    for reference in tables(table, "reference") {
        let id = reference.get("id").and_then(Value::as_str).unwrap_or_default();
        if !listed.contains(&id) {
            notes.push(format!("no rule refers to the reference {id}"));
        }
    }
    notes
}

/// The rules with their dotted keys; lists of tables by their place.
fn rows<'t>(table: &'t Table, under: &str, rows_found: &mut Vec<(String, &'t Value)>) {
    for (key, value) in table {
        let key = if under.is_empty() { key.clone() } else { format!("{under}.{key}") };
        match value {
            Value::Table(inner) => rows(inner, &key, rows_found),
            Value::Array(items) if items.iter().any(Value::is_table) => {
                for inner in items.iter().filter_map(Value::as_table) {
                    if key != "reference" && key != "waive" {
                        rows(inner, &key, rows_found);
                    }
                }
            }
            Value::Array(_)
            | Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_) => rows_found.push((key, value)),
        }
    }
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().map_or(Vec::new(), |items| items.iter().filter_map(Value::as_str).collect())
}

fn tables<'t>(table: &'t Table, key: &str) -> Vec<&'t Table> {
    let items = table.get(key).and_then(Value::as_array);
    items.map_or(Vec::new(), |items| items.iter().filter_map(Value::as_table).collect())
}

impl Report {
    fn text(&self) -> String {
        let mut text = String::new();
        match &self.policy {
            Some(about) if self.problems.is_empty() => {
                let (name, version) = (layout::printable(&about.name), about.version);
                layout::line(
                    &mut text,
                    &format!("OK: policy {name} version {version}, until {}", about.expires),
                );
                layout::line(&mut text, &format!("digest  {}", about.digest));
            }
            _ => layout::line(&mut text, &format!("NOT GOOD: {} problems", self.problems.len())),
        }
        for problem in &self.problems {
            layout::line(&mut text, &format!("problem {}", layout::indented(problem, 8)));
        }
        for note in &self.notes {
            layout::line(&mut text, &format!("note    {}", layout::printable(note)));
        }
        text
    }
}

const DAY: u64 = 86_400;
/// Days before the end in which somebody should know.
const SOON: u64 = 60;

const EXAMPLES: &str = "\
Examples:
  cloudtaser policy check mine.toml
  cloudtaser policy check mine.policy -o json";

const EXIT_CODES: &str = "\
Exit codes:
  0  a policy that holds
  1  no policy, or one that has ended: every problem is printed
  2  the file could not be read";
