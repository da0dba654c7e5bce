//! `cloudtaser evidence log show`: the entries, a line each.
//!
//! Only a log that its own checkpoint describes is shown; whose checkpoint that is, is asked where a key is pinned.
//!
//! Untrusted: the directory.

use std::path::PathBuf;

use attest::crypto::AwsLcRs;
use attest::log::{Entry, EntryDigest};
use serde::Serialize;

use super::EXIT_CODES;
use super::audit::{self, Audited, Wanted};
use super::folder::Folder;
use super::pins::Pins;
use crate::answer::{Answer, NotJudged, Verdict};
use crate::args::Format;
use crate::layout;

/// Show what a log says, one line per entry
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// The directory: checkpoint, tile/…
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    pins: Pins,
    /// The first entry that is shown
    #[arg(long, value_name = "N", default_value_t = 0)]
    from: u64,
    /// text for people; json: one object per line
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// Reads, audits and prints.
pub(crate) fn run(args: &Args) -> Answer {
    match look(args) {
        Ok((audited, lines)) if audited.verdict() == Verdict::Accepted => {
            let mark = (!audited.believed.authenticated && args.output == Format::Text).then_some(NOTICE);
            Answer::text(Verdict::Accepted, layout::marked(mark, &lines))
        }
        Ok((audited, _)) => {
            let mut text = "REFUSED: a log that is not what its checkpoint says is not shown\n\n".to_owned();
            layout::checks(&mut text, &audited.checks);
            Answer::aside(Verdict::Refused, text)
        }
        Err(why) => Answer::complaint(&why),
    }
}

fn look(args: &Args) -> Result<(Audited, String), NotJudged> {
    let folder = Folder::new(&args.folder, None);
    let pins = if args.pins.are_missing() { args.pins.insecurely() } else { args.pins.clone() };
    let origin = folder.checkpoint()?.insecure_peek().origin.to_string();
    let mut lines = String::new();
    let mut shown = |entry: &Entry| {
        if entry.index >= args.from {
            layout::line(&mut lines, &line(&origin, entry, args.output));
        }
    };
    let audited = audit::audit(&folder, &pins, Wanted::Present, &mut shown)?;
    Ok((audited, lines))
}

/// An entry on a line.
pub(super) fn line(origin: &str, entry: &Entry, format: Format) -> String {
    match format {
        Format::Text => layout::printable(&words(entry)),
        Format::Json => serde_json::to_string(&Line::of(origin, entry)).unwrap_or_default(),
    }
}

fn words(entry: &Entry) -> String {
    let (event, subject) = (&entry.event, &entry.event.subject);
    let mut words = format!("{} {} {} {}", entry.index, event.at, event.kind, event.request);
    let facts = [
        ("platform", subject.platform.map(|platform| platform.name().to_owned())),
        ("hardware", subject.hardware.map(|id| id.to_string())),
        (
            "policy",
            subject.policy.as_ref().map(|policy| format!("{} version {}", policy.name, policy.version)),
        ),
        ("until", subject.valid_until.map(|until| until.to_string())),
        ("decision", Some(event.decision.to_string())),
    ];
    for (name, fact) in facts {
        words.extend(fact.map(|fact| format!(", {name} {fact}")));
    }
    words
}

/// What a forwarder reads.
#[derive(Serialize)]
struct Line<'a> {
    /// Which log.
    log: &'a str,
    /// SHA-256 of the entry.
    digest: EntryDigest,
    #[serde(flatten)]
    entry: &'a Entry,
}

impl<'a> Line<'a> {
    fn of(log: &'a str, entry: &'a Entry) -> Self {
        // It was decoded from the very bytes that it encodes to.
        let bytes = entry.encode().unwrap_or_default();
        Self { log, digest: EntryDigest::of(&AwsLcRs, &bytes), entry }
    }
}

/// The first and the last line.
const NOTICE: &str = "UNVERIFIED: the entries are those of the checkpoint, whose signature was not checked";
