//! `cloudtaser attest inspect`: what somebody claims, in words.
//!
//! Nothing is checked, and the first and the last line say so. Untrusted: everything that is shown.

use std::path::PathBuf;

use attest::{Endorsements, Evidence, Platform};
use serde::Serialize;

use crate::answer::{Answer, NotJudged, Verdict};
use crate::args::{self, Format};
use crate::layout::{self, Section};
use crate::{collateral, describe, input};

/// Show every field of evidence, a certificate or a revocation list, without checking anything
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// An SNP report, a TD quote, TPM evidence, a Nitro document, a certificate, a revocation list, a
    /// certificate table, a signed document of Intel, an event log or an IMA list; - reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What kind of evidence it is (sev-snp, tpm2); guessed unless given
    #[arg(long, value_name = "NAME", value_parser = args::platform)]
    platform: Option<Platform>,
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
        (Err(why), Format::Json) => {
            Answer::json(Verdict::NotJudged, &Unreadable { notice: NOTICE, error: why })
        }
    }
}

/// What is in the file.
#[derive(Serialize)]
struct Seen {
    notice: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<Platform>,
    sections: Vec<Section>,
}

#[derive(Serialize)]
struct Unreadable {
    notice: &'static str,
    error: NotJudged,
}

fn look(args: &Args) -> Result<Seen, NotJudged> {
    let bytes = input::read(&args.file, input::EVIDENCE_LIMIT)?;
    let platform = match input::platform(args.platform, &bytes) {
        Ok(platform) => platform,
        Err(unrecognised) => {
            if let Some(sections) = describe::logs(&bytes) {
                return Ok(seen(None, sections));
            }
            let mut endorsements = Endorsements::default();
            return match collateral::sort(&bytes, &mut endorsements) {
                Ok(()) => Ok(seen(None, describe::certificates(&endorsements))),
                Err(_nor_endorsements) => Err(unrecognised),
            };
        }
    };
    let (bytes, cut) = input::evidence(platform, &bytes);
    let evidence: Evidence<'_> = attest::parse(platform, bytes)?;
    let mut sections = describe::evidence(&evidence)?;
    if let (Some(section), Some(note)) = (sections.first_mut(), cut) {
        section.row("file", note);
    }
    Ok(seen(Some(platform), sections))
}

fn seen(platform: Option<Platform>, sections: Vec<Section>) -> Seen {
    Seen { notice: NOTICE, platform, sections }
}

impl Seen {
    fn text(&self) -> String {
        let mut text = String::new();
        layout::sections(&mut text, &self.sections);
        layout::line(&mut text, "");
        layout::marked(Some(self.notice), &text)
    }
}

/// The first and the last line.
const NOTICE: &str = "UNVERIFIED: nothing here was checked";

const EXAMPLES: &str = "\
Examples:
  cloudtaser attest inspect report.bin
  cloudtaser attest inspect -o json vcek.der
  cloudtaser attest inspect /sys/kernel/security/tpm0/binary_bios_measurements
  cat /sys/kernel/config/tsm/report/r0/outblob | cloudtaser attest inspect -";
