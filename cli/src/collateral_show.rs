//! `cloudtaser collateral show`: what a pack says of itself, whoever signed it.
//!
//! Nothing is verified and nothing is believed. Untrusted: the file.

use std::path::PathBuf;

use attest::collateral::Pack;

use crate::answer::{Answer, NotJudged, Verdict};
use crate::args::Format;
use crate::collateral_verify::{Report, stock};
use crate::input;

/// Look into a pack without asking who signed it
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The pack; - reads standard input
    #[arg(value_name = "PACK")]
    file: PathBuf,
    /// How to write the answer
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// Reads and prints.
pub(crate) fn run(args: &Args) -> Answer {
    match (look(args), args.output) {
        (Ok(report), Format::Text) => {
            let mut text = String::new();
            report.body("NOT VERIFIED", &mut text);
            Answer::text(Verdict::Accepted, text)
        }
        (Ok(report), Format::Json) => Answer::json(Verdict::Accepted, &report),
        (Err(why), _) => Answer::complaint(&why),
    }
}

fn look(args: &Args) -> Result<Report, NotJudged> {
    let file = input::read(&args.file, Pack::MAX_BYTES)?;
    let pack = Pack::insecure_peek(&file)?;
    let rows = stock(&pack).labels();
    Ok(Report::of(Verdict::NotJudged, &pack, Pack::signer(&file)?, rows))
}
