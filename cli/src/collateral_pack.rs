//! `cloudtaser collateral pack`: collateral in one signed file, for a site without internet.
//!
//! Writes one new file, where the caller says. What no vendor signed, or what does not hold now, is not packed: it would
//! be refused where it is opened. Untrusted: the files.

use std::path::PathBuf;

use attest::UnixTime;
use attest::collateral::{Issuers, Pack};
use attest::crypto::AwsLcRs;
use serde::Serialize;

use crate::answer::{Answer, NotJudged, Verdict};
use crate::args::{self, Format};
use crate::supply::signer::Signer;
use crate::supply::stock::{Row, Stock};
use crate::{layout, policy_sign, trust};

/// Put collateral together in one signed file
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", args::EXIT_CODES))]
pub(crate) struct Args {
    /// Certificates, revocation lists and documents (DER, PEM, certificate tables, JSON), or directories of them
    #[arg(value_name = "DIR|FILE", required = true)]
    sources: Vec<PathBuf>,
    /// The packer's Ed25519 private key: PKCS#8 (PEM or DER)
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where to write the pack; a file that exists is not overwritten
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Words for those who open it
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    /// Believe this simulated root instead of the vendors'
    #[arg(long, value_name = "FILE")]
    insecure_trust_root: Vec<PathBuf>,
    /// How to write the answer
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// Packs and says what is in it.
pub(crate) fn run(args: &Args, now: UnixTime) -> Answer {
    match (pack(args, now), args.output) {
        (Ok(report), Format::Text) => {
            let mark = trust::mark(&args.insecure_trust_root);
            Answer::text(report.verdict, layout::marked(mark, &report.text()))
        }
        (Ok(report), Format::Json) => Answer::json(report.verdict, &report),
        (Err(why), _) => Answer::complaint(&why),
    }
}

#[derive(Serialize)]
struct Report {
    verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    signer: Option<String>,
    made: UnixTime,
    objects: Vec<Row>,
    notes: Vec<String>,
}

fn pack(args: &Args, now: UnixTime) -> Result<Report, NotJudged> {
    let anchors = trust::anchors(&args.insecure_trust_root)?;
    let stock = Stock::read(&args.sources, Pack::MAX_OBJECTS)?;
    if stock.objects.is_empty() {
        return Err(NotJudged::new("pack.empty", "expected at least one object to pack, found none"));
    }
    let objects = stock.rows(&Issuers::default(), &anchors, now);
    if objects.iter().any(|row| row.problem.is_some()) {
        let (verdict, notes) = (Verdict::Refused, stock.notes);
        return Ok(Report { verdict, signer: None, made: now, objects, notes });
    }
    let signer = Signer::read(&args.key)?;
    let file = signer.sign(&Pack::new(now, &args.note, stock.objects)?)?;
    policy_sign::write(&args.out, &file)?;
    let signed_by = Some(signer.public.id(&AwsLcRs).to_string());
    Ok(Report { verdict: Verdict::Accepted, signer: signed_by, made: now, objects, notes: stock.notes })
}

impl Report {
    fn text(&self) -> String {
        let mut text = String::new();
        let count = self.objects.len();
        match &self.signer {
            Some(signer) => layout::line(&mut text, &format!("PACKED: {count} objects, signed by {signer}")),
            None => layout::line(&mut text, "NOT PACKED: not all of these would be taken"),
        }
        self.objects.iter().for_each(|row| row.write(&mut text));
        for note in &self.notes {
            layout::line(&mut text, &layout::printable(&format!("  note: {note}")));
        }
        text
    }
}

const EXAMPLES: &str = "\
Examples:
  cloudtaser collateral pack certs/ lists/ --key packer.pem -o site.pack
  cloudtaser collateral refresh --status status.json --save fetched/ && cloudtaser collateral pack fetched/ --key packer.pem -o site.pack";
