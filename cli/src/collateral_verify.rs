//! `cloudtaser collateral verify`: who signed this pack, what is in it, and would a store take it?
//!
//! Trusted: the keys that the caller pins. Untrusted: the file.

use std::path::PathBuf;

use attest::collateral::{BadPack, Issuers, Pack, PackSigner};
use attest::crypto::AwsLcRs;
use attest::{Digest, UnixTime};
use serde::Serialize;

use crate::answer::{Answer, NotJudged, Verdict};
use crate::args::{self, Format};
use crate::supply::stock::{Row, Stock, soonest};
use crate::{input, layout, trust};

/// Check who signed a pack, and that vendors signed what is in it
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", args::EXIT_CODES))]
pub(crate) struct Args {
    /// The pack; - reads standard input
    #[arg(value_name = "PACK")]
    file: PathBuf,
    /// A packer's Ed25519 public key: 64 hex digits, or a file (raw, hex, DER, PEM); may be repeated
    #[arg(long, value_name = "HEX|FILE", required = true)]
    signer: Vec<String>,
    /// Believe this simulated root instead of the vendors'
    #[arg(long, value_name = "FILE")]
    insecure_trust_root: Vec<PathBuf>,
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
        (Ok(report), Format::Text) => {
            let mark = trust::mark(&args.insecure_trust_root);
            Answer::text(report.verdict, layout::marked(mark, &report.text()))
        }
        (Ok(report), Format::Json) => Answer::json(report.verdict, &report),
        (Err(why), Format::Text) => Answer::complaint(&why),
        (Err(error), Format::Json) => Answer::json(Verdict::NotJudged, &Report::without(Some(error))),
    }
}

/// What is said of a pack.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) verdict: Verdict,
    pub(crate) signer: Option<Digest<32>>,
    pub(crate) made: Option<UnixTime>,
    pub(crate) note: String,
    /// Until when all of it holds.
    pub(crate) good_until: Option<UnixTime>,
    pub(crate) objects: Vec<Row>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<NotJudged>,
}

fn look(args: &Args, now: UnixTime) -> Result<Report, NotJudged> {
    let anchors = trust::anchors(&args.insecure_trust_root)?;
    let file = input::read(&args.file, Pack::MAX_BYTES)?;
    let keys = args.signer.iter().map(|text| trust::verifier_key(text).map(|key| PackSigner(key.0)));
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    let (pack, signer) = match Pack::open(&file, &keys, &AwsLcRs) {
        Ok(opened) => opened,
        Err(error @ (BadPack::UnknownSigner(_) | BadPack::Signature(_))) => {
            let problem = Some(error.to_string());
            return Ok(Report { verdict: Verdict::Refused, problem, ..Report::without(None) });
        }
        Err(error) => return Err(error.into()),
    };
    let rows = stock(&pack).rows(&Issuers::default(), &anchors, now);
    let good = rows.iter().all(|row| row.problem.is_none());
    let verdict = if good { Verdict::Accepted } else { Verdict::Refused };
    Ok(Report::of(verdict, &pack, signer, rows))
}

/// The objects of a pack.
pub(crate) fn stock(pack: &Pack) -> Stock {
    let objects = pack.objects().iter().map(|packed| (packed.bytes.clone(), packed.origin.clone()));
    Stock { objects: objects.collect(), notes: Vec::new() }
}

impl Report {
    pub(crate) fn of(verdict: Verdict, pack: &Pack, signer: Digest<32>, objects: Vec<Row>) -> Self {
        let good_until = soonest(&objects).and_then(|row| row.until);
        let (made, note) = (Some(pack.made), pack.note.clone());
        Self { verdict, signer: Some(signer), made, note, good_until, objects, problem: None, error: None }
    }

    fn without(error: Option<NotJudged>) -> Self {
        let (verdict, note) = (Verdict::NotJudged, String::new());
        let (made, good_until, objects) = (None, None, Vec::new());
        Self { verdict, signer: None, made, note, good_until, objects, problem: None, error }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let word = if self.verdict == Verdict::Accepted { "ACCEPTED" } else { "REFUSED" };
        if let Some(problem) = &self.problem {
            layout::line(&mut text, &format!("{word}: {problem}"));
            return text;
        }
        self.body(word, &mut text);
        text
    }

    /// The same under another head.
    pub(crate) fn body(&self, word: &str, text: &mut String) {
        let show = |instant: Option<UnixTime>| instant.map_or_else(|| "-".to_owned(), |at| at.to_string());
        let signer = self.signer.map_or_else(|| "-".to_owned(), |signer| signer.to_string());
        layout::line(text, &format!("{word}: {} objects, signed by {signer}", self.objects.len()));
        layout::line(text, &format!("made       {}", show(self.made)));
        layout::line(text, &format!("good until {}", show(self.good_until)));
        if !self.note.is_empty() {
            layout::line(text, &layout::printable(&format!("note       {}", self.note)));
        }
        self.objects.iter().for_each(|row| row.write(text));
    }
}

const EXAMPLES: &str = "\
Examples:
  cloudtaser collateral verify site.pack --signer packer.pub.pem
  cloudtaser collateral verify site.pack --signer packer.pub.pem --at 2027-01-01T00:00:00Z";
