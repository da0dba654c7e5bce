//! `cloudtaser evidence log recall`: what was released to these machines, and until when does it hold?
//!
//! Trusted: the options. Untrusted: the directory; a log that is not what its checkpoint says gives no report.

use std::path::PathBuf;

use attest::UnixTime;
use attest::log::{Recall, Report, Selector};
use serde::Serialize;

use super::EXIT_CODES;
use super::audit::{self, Audited, Wanted};
use super::folder::Folder;
use super::pins::Pins;
use super::verify::Unjudged;
use crate::answer::{Answer, NotJudged, Verdict};
use crate::args::Format;
use crate::layout::{self, Section};

/// Report what was released to a chip, a measurement, a policy's machines
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    /// The directory: checkpoint, tile/…
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// hardware=HEX, instance=HEX, measurement=HEX, policy=NAME@VERSION (and older), product-line=NAME or
    /// platform=NAME
    #[arg(value_name = "SELECTOR")]
    selector: Selector,
    #[command(flatten)]
    pins: Pins,
    /// How to write the answer
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// Audits, recalls and prints.
pub(crate) fn run(args: &Args) -> Answer {
    match (look(args), args.output) {
        (Ok((audited, report)), Format::Text) => Answer::text(audited.verdict(), text(&audited, &report)),
        (Ok((audited, report)), Format::Json) => {
            let verdict = audited.verdict();
            let report = (verdict == Verdict::Accepted).then_some(report);
            let authenticated = audited.believed.authenticated;
            Answer::json(verdict, &Document { verdict, authenticated, checks: &audited.checks, report })
        }
        (Err(why), Format::Text) => Answer::complaint(&why),
        (Err(error), Format::Json) => {
            let verdict = Verdict::NotJudged;
            Answer::json(verdict, &Unjudged { verdict, error })
        }
    }
}

fn look(args: &Args) -> Result<(Audited, Report), NotJudged> {
    let folder = Folder::new(&args.folder, None);
    let mut recall = Recall::of(args.selector.clone());
    let audited = audit::audit(&folder, &args.pins, Wanted::Present, &mut |entry| recall.see(entry))?;
    Ok((audited, recall.report()))
}

#[derive(Serialize)]
struct Document<'a> {
    verdict: Verdict,
    authenticated: bool,
    checks: &'a [attest::Check],
    report: Option<Report>,
}

fn text(audited: &Audited, report: &Report) -> String {
    if audited.verdict() != Verdict::Accepted {
        let mut text = "REFUSED: a log that is not what its checkpoint says gives no report\n\n".to_owned();
        layout::checks(&mut text, &audited.checks);
        return text;
    }
    let selector = layout::printable(&report.selector);
    let mut text = format!(
        "{} releases of {} secrets to {} machines, selected by {selector}\n",
        report.releases,
        report.secrets.len(),
        report.recipients.len()
    );
    let mut sections = vec![summary(report)];
    sections.extend(report.recipients.iter().map(machine));
    sections.extend(report.secrets.iter().map(secret));
    layout::sections(&mut text, &sections);
    layout::line(&mut text, "\nthe decisions");
    for decision in &report.decisions {
        let words = format!("  {} {} {} {}", decision.index, decision.at, decision.kind, decision.request);
        layout::line(&mut text, &layout::printable(&words));
    }
    layout::marked(audited.mark(), &text)
}

fn summary(report: &Report) -> Section {
    let mut section = Section::new("in all");
    section.row("entries looked at", report.entries);
    section.row("admissions", report.admissions);
    section.row("releases", report.releases);
    section.row("renewals", report.renewals);
    section.row("refusals", report.refusals);
    section.row("holds until", until(report.valid_until));
    section
}

fn machine(released: &attest::log::Released) -> Section {
    let (machine, granted) = (&released.recipient, &released.granted);
    let mut section = Section::new("a machine");
    let facts = [
        ("platform", machine.platform.map(|platform| platform.name().to_owned())),
        ("product line", machine.product_line.as_ref().map(ToString::to_string)),
        ("hardware", machine.hardware.map(|id| id.to_string())),
        ("instance", machine.instance.map(|id| id.to_string())),
        ("measurement", machine.measurement.as_ref().map(ToString::to_string)),
        ("first", granted.first.map(|at| at.to_string())),
        ("last", granted.last.map(|at| at.to_string())),
    ];
    for (name, fact) in facts {
        section.rows.extend(fact.map(|fact| (name.to_owned(), fact)));
    }
    for policy in &granted.policies {
        section.row("policy", format!("{} version {}, {}", policy.name, policy.version, policy.digest));
    }
    section.row("releases", granted.releases);
    for secret in &granted.secrets {
        section.row("secret", format!("{} version {}", secret.name, secret.version));
    }
    section.row("holds until", until(granted.valid_until));
    section
}

fn secret(secret: &attest::log::Secret) -> Section {
    let mut section = Section::new(format!("secret {}", secret.name));
    let versions: Vec<String> = secret.exposed.versions.iter().map(ToString::to_string).collect();
    section.row("versions", versions.join(", "));
    section.row("releases", secret.exposed.releases);
    section.row("holds until", until(secret.exposed.valid_until));
    section
}

fn until(instant: Option<UnixTime>) -> String {
    instant.map_or_else(|| "not stated".to_owned(), |instant| instant.to_string())
}

const EXAMPLES: &str = "\
Examples:
  cloudtaser evidence log recall log/ hardware=9f3c… --key log.vkey
  cloudtaser evidence log recall log/ policy=payments@7 --key log.vkey -o json";
