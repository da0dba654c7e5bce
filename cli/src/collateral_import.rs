//! `cloudtaser collateral import`: brings a pack to the store of a mount.
//!
//! The mount verifies it anew and decides. To import twice changes nothing. Untrusted: the file, the answer.

use std::path::PathBuf;

use attest::collateral::Pack;
use serde::Serialize;

use crate::answer::{Answer, NotJudged, Verdict};
use crate::args::{self, Format};
use crate::supply::mount::{self, Declined, Imported, Mount};
use crate::{input, layout};

/// Import a pack into the collateral store of a mount
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", args::EXIT_CODES))]
pub(crate) struct Args {
    /// The pack; - reads standard input
    #[arg(value_name = "PACK")]
    file: PathBuf,
    #[command(flatten)]
    mount: mount::Args,
    /// How to write the answer
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// Imports and says what became of each object.
pub(crate) fn run(args: &Args) -> Answer {
    match (import(args), args.output) {
        (Ok(report), Format::Text) => Answer::text(report.verdict, report.text()),
        (Ok(report), Format::Json) => Answer::json(report.verdict, &report),
        (Err(why), _) => Answer::complaint(&why),
    }
}

#[derive(Serialize)]
struct Report {
    verdict: Verdict,
    #[serde(flatten)]
    imported: Option<Imported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

fn import(args: &Args) -> Result<Report, NotJudged> {
    let file = input::read(&args.file, Pack::MAX_BYTES)?;
    // What is no pack at all is told here, without a token.
    Pack::insecure_peek(&file)?;
    match Mount::open(&args.mount)?.import_pack(&file)? {
        Ok(imported) => {
            let verdict = if imported.refused == 0 { Verdict::Accepted } else { Verdict::Refused };
            Ok(Report { verdict, imported: Some(imported), problem: None })
        }
        Err(Declined(why)) => Ok(Report { verdict: Verdict::Refused, imported: None, problem: Some(why) }),
    }
}

impl Report {
    fn text(&self) -> String {
        let mut text = String::new();
        let Some(imported) = &self.imported else {
            let problem = self.problem.as_deref().unwrap_or_default();
            layout::line(&mut text, &layout::printable(&format!("REFUSED: {problem}")));
            return text;
        };
        let Imported { new, kept, refused, objects, decision } = imported;
        layout::line(&mut text, &format!("IMPORTED: {new} new, {kept} kept, {refused} refused"));
        for object in objects {
            let kind = object.kind.map_or("unknown", attest::collateral::Kind::name);
            let key = object.key.as_deref().unwrap_or(&object.sha256);
            let why = object.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            let line = format!("  {:<8} {kind:<12} {key}{why}", object.outcome);
            layout::line(&mut text, &layout::printable(&line));
        }
        if let Some(decision) = decision {
            layout::line(&mut text, &layout::printable(&format!("on record as {decision}")));
        }
        text
    }
}

const EXAMPLES: &str = "\
Examples:
  BAO_ADDR=https://bao.example:8200 cloudtaser collateral import site.pack
  cloudtaser collateral import site.pack --address https://bao.example:8200 --mount auth/attest";
