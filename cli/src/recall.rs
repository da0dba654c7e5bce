//! `cloudtaser recall`: what would a revocation touch?
//!
//! Asks each mount for what it gave to whom, and changes nothing. Untrusted: the server.

use attest::log::Selector;
use serde::Serialize;

use crate::answer::{Answer, NotJudged, Verdict};
use crate::args::Format;
use crate::layout::{self, Section};
use crate::standing::mounts::{Mounts, Report, Where};
use crate::standing::{EXIT_CODES, SELECTORS, Tally, told, words};

/// Report what machines were given by a running server: secrets, tokens, until when
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{SELECTORS}\n\n{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    /// Which machines
    #[arg(value_name = "SELECTOR")]
    selector: Selector,
    #[command(flatten)]
    place: Where,
    /// How to write the answer
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// Asks and prints.
pub(crate) fn run(args: &Args) -> Answer {
    told(look(args), args.output, Told::text)
}

fn look(args: &Args) -> Result<(Verdict, Told), NotJudged> {
    let told = Told::ask(&Mounts::new(&args.place)?, &args.selector);
    Ok((told.tally().verdict(), told))
}

/// What the mounts tell.
#[derive(Debug, Serialize)]
pub(crate) struct Told {
    selector: Selector,
    mounts: Vec<MountTold>,
}

#[derive(Debug, Serialize)]
struct MountTold {
    mount: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<Report>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl Told {
    pub(crate) fn ask(mounts: &Mounts, selector: &Selector) -> Self {
        let ask = |mount: &String| {
            let (report, problem) = match mounts.recall(mount, selector) {
                Ok(report) => (Some(report), None),
                Err(why) => (None, Some(why.to_string())),
            };
            MountTold { mount: mount.clone(), report, problem }
        };
        Self { selector: selector.clone(), mounts: mounts.paths.iter().map(ask).collect() }
    }

    pub(crate) fn tally(&self) -> Tally {
        Tally::of(self.mounts.iter().map(|mount| mount.report.is_some()))
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let Tally { done, left } = self.tally();
        let mark = if left > 0 { "INCOMPLETE: " } else { "" };
        let all = done.saturating_add(left);
        layout::line(
            &mut text,
            &format!("{mark}{} in {done} of {all} mounts", layout::printable(&self.selector.to_string())),
        );
        let sections: Vec<Section> = self.mounts.iter().map(MountTold::section).collect();
        layout::sections(&mut text, &sections);
        text
    }
}

impl MountTold {
    fn section(&self) -> Section {
        let mut section = Section::new(&self.mount);
        if let Some(problem) = &self.problem {
            section.row("NOT ASKED", problem);
        }
        if let Some(report) = &self.report {
            words::report(&mut section, report);
        }
        section
    }
}

const EXAMPLES: &str = "\
Examples:
  cloudtaser recall measurement=5a5a…
  cloudtaser recall hardware=9f3c… --mount attest-keys --mount team/attest-keys --mount auth/attest -o json";
