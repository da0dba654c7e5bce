//! `cloudtaser evidence show`: what a bundle says, in words.
//!
//! Nothing is checked, and the first and the last line say so. Untrusted: everything that is shown.

use std::path::PathBuf;

use attest::crypto::AwsLcRs;
use attest::{Bundle, Check, Digest};
use serde::Serialize;

use crate::answer::{Answer, NotJudged, Verdict};
use crate::args::Format;
use crate::layout::{self, Section};
use crate::{describe, input};

/// Show what a bundle contains, without checking anything
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The bundle; - reads standard input
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// How to write the answer
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// Reads and prints. There is no verdict: 0 says that the file could be read, 2 that it could not.
pub(crate) fn run(args: &Args) -> Answer {
    match (look(args), args.output) {
        (Ok(seen), Format::Text) => Answer::text(Verdict::Accepted, seen.text()),
        (Ok(seen), Format::Json) => Answer::json(Verdict::Accepted, &seen),
        (Err(why), Format::Text) => Answer::complaint(&why),
        (Err(error), Format::Json) => Answer::json(Verdict::NotJudged, &Unreadable { notice: NOTICE, error }),
    }
}

#[derive(Serialize)]
struct Seen {
    notice: &'static str,
    signer: Digest<32>,
    sections: Vec<Section>,
    checks: Vec<Check>,
    policy: String,
}

#[derive(Serialize)]
struct Unreadable {
    notice: &'static str,
    error: NotJudged,
}

fn look(args: &Args) -> Result<Seen, NotJudged> {
    let file = input::read(&args.bundle, Bundle::MAX_BYTES)?;
    let signer = input::bundle_signer(&file)?;
    let bundle = Bundle::insecure_peek(&file, &AwsLcRs)?;
    let mut sections = vec![describe::decision(&bundle)];
    let evidence = attest::parse(bundle.platform, &bundle.evidence)?;
    sections.extend(describe::evidence(&evidence)?);
    Ok(Seen { notice: NOTICE, signer, sections, checks: bundle.appraisal.checks, policy: bundle.policy })
}

impl Seen {
    fn text(&self) -> String {
        let mut text = format!("a bundle that names verifier key {}\n", self.signer);
        layout::sections(&mut text, &self.sections);
        layout::line(&mut text, "\nthe recorded checks");
        layout::checks(&mut text, &self.checks);
        layout::line(&mut text, "\nthe policy");
        for line in self.policy.lines() {
            layout::line(&mut text, &format!("  {}", layout::printable(line)));
        }
        layout::line(&mut text, "");
        layout::marked(Some(self.notice), &text)
    }
}

/// The first and the last line.
const NOTICE: &str = "UNVERIFIED: nothing here was checked";
