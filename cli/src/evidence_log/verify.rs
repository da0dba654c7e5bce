//! `cloudtaser evidence log verify`: is the log what its checkpoint says, and did nothing ever change?
//!
//! Trusted: the options. Untrusted: the directory.

use std::collections::BTreeMap;
use std::path::PathBuf;

use attest::{Check, Digest};
use serde::Serialize;

use super::EXIT_CODES;
use super::audit::{self, Audited, Records, Wanted};
use super::folder::Folder;
use super::pins::Pins;
use crate::answer::{Answer, NotJudged, Verdict};
use crate::args::Format;
use crate::layout::{self, Section};

/// Audit an exported log: signed by whom, complete, unchanged?
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    /// The directory: checkpoint, tile/…, records/…
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    pins: Pins,
    /// Where the records are; DIR/records unless given
    #[arg(long, value_name = "DIR")]
    records: Option<PathBuf>,
    /// Refuse the log if the record of any entry is not there
    #[arg(long)]
    require_records: bool,
    /// How to write the answer
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// Audits and prints.
pub(crate) fn run(args: &Args) -> Answer {
    let folder = Folder::new(&args.folder, args.records.as_ref());
    let wanted = if args.require_records { Wanted::All } else { Wanted::Present };
    let audited = audit::audit(&folder, &args.pins, wanted, &mut |_| {});
    match (audited, args.output) {
        (Ok(audited), Format::Text) => Answer::text(audited.verdict(), text(&audited)),
        (Ok(audited), Format::Json) => Answer::json(audited.verdict(), &document(&audited)),
        (Err(why), Format::Text) => Answer::complaint(&why),
        (Err(error), Format::Json) => {
            let verdict = Verdict::NotJudged;
            Answer::json(verdict, &Unjudged { verdict, error })
        }
    }
}

impl Audited {
    pub(super) fn verdict(&self) -> Verdict {
        Verdict::of(&self.checks)
    }

    /// What stands first and last.
    pub(super) fn mark(&self) -> Option<&'static str> {
        (!self.believed.authenticated && self.verdict() == Verdict::Accepted).then_some(ANYBODY)
    }

    /// What the log is, in rows.
    pub(super) fn section(&self) -> Section {
        let mut section = Section::new("the log");
        section.row("origin", &self.origin);
        section.row("entries", self.head.size);
        section.row("root", self.head.root);
        for witness in &self.believed.witnesses {
            section.row("cosigned by", witness);
        }
        for (kind, count) in &self.kinds {
            section.row(*kind, count);
        }
        if self.verdict() == Verdict::Accepted {
            let Records { present, absent } = self.records;
            section.row("records", format!("{present} as logged, {absent} not in the directory"));
        }
        section
    }
}

fn text(audited: &Audited) -> String {
    let (size, origin) = (audited.head.size, layout::printable(&audited.origin));
    let headline = match audited.verdict() {
        Verdict::Accepted => format!("ACCEPTED: {size} entries of {origin} are what the checkpoint says"),
        Verdict::Refused | Verdict::NotJudged => {
            format!("REFUSED: this is not the log of {origin}, or not all of it")
        }
    };
    let mut text = format!("{headline}\n\n");
    layout::checks(&mut text, &audited.checks);
    layout::sections(&mut text, &[audited.section()]);
    layout::marked(audited.mark(), &text)
}

fn document(audited: &Audited) -> Document<'_> {
    Document {
        verdict: audited.verdict(),
        authenticated: audited.believed.authenticated,
        origin: &audited.origin,
        size: audited.head.size,
        root: audited.head.root,
        witnesses: &audited.believed.witnesses,
        checks: &audited.checks,
        kinds: &audited.kinds,
        records: audited.records,
    }
}

/// What programs read.
#[derive(Serialize)]
struct Document<'a> {
    verdict: Verdict,
    authenticated: bool,
    origin: &'a str,
    size: u64,
    root: Digest<32>,
    witnesses: &'a [String],
    checks: &'a [Check],
    kinds: &'a BTreeMap<&'static str, u64>,
    records: Records,
}

/// What programs read where there is no verdict.
#[derive(Serialize)]
pub(super) struct Unjudged {
    pub(super) verdict: Verdict,
    pub(super) error: NotJudged,
}

const ANYBODY: &str = "UNAUTHENTICATED: no signature was checked, anybody may have written this";

const EXAMPLES: &str = "\
Examples:
  cloudtaser evidence log verify log/ --key log.vkey
  cloudtaser evidence log verify log/ --key log.vkey --since march/checkpoint --require-records
  cloudtaser evidence log verify log/ --key log.vkey --witness w1+… --witness w2+… --witness-threshold 1 -o json";
