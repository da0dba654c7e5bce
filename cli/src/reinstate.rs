//! `cloudtaser reinstate`: takes a revocation or a failure back, in every mount that has it.
//!
//! A mount without the bar has nothing to take back; where none has it, the selector is wrong.
//!
//! Trusted: the command line. Untrusted: the server.

use attest::Cause;
use attest::log::Selector;
use clap::ValueEnum;
use serde::Serialize;

use crate::answer::{Answer, NotJudged, Verdict};
use crate::args::Format;
use crate::layout::{self, Section};
use crate::openbao::Unseen;
use crate::standing::entities::{self, Become, Entities, Names};
use crate::standing::mounts::{Lifted, Mounts, Where};
use crate::standing::{EXIT_CODES, SELECTORS, Tally, reason, told, words};

/// Take a revocation or a failure back, in every mount that has it
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{SELECTORS}\n\n{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    /// Which machines, in the words of the bar
    #[arg(value_name = "SELECTOR")]
    selector: Selector,
    /// Why; it stands in the log
    #[arg(long, value_name = "REASON", value_parser = reason)]
    reason: String,
    /// What is taken back
    #[arg(long, value_enum, default_value_t)]
    cause: What,
    /// Enable the identities that a revocation by this selector disabled
    #[arg(long)]
    enable_entities: bool,
    #[command(flatten)]
    place: Where,
    /// How to write the answer
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// What is taken back.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum What {
    /// Somebody revoked it
    #[default]
    Revoked,
    /// It failed by its own evidence
    Failed,
}

/// Takes back and prints.
pub(crate) fn run(args: &Args) -> Answer {
    told(act(args), args.output, Done::text)
}

fn act(args: &Args) -> Result<(Verdict, Done), NotJudged> {
    let mounts = Mounts::new(&args.place)?;
    let done = mounts.paths.iter().map(|mount| MountDone::lift(&mounts, mount, args)).collect();
    let done = Done { selector: args.selector.clone(), reason: args.reason.clone(), mounts: done };
    Ok((done.verdict(), done))
}

/// What was done in all.
#[derive(Debug, Serialize)]
struct Done {
    selector: Selector,
    reason: String,
    mounts: Vec<MountDone>,
}

/// What was done in one mount.
#[derive(Debug, Serialize)]
struct MountDone {
    mount: String,
    /// What the mount said; nothing, if there was no bar.
    #[serde(skip_serializing_if = "Option::is_none")]
    lifted: Option<Lifted>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entities: Option<Entities>,
}

impl MountDone {
    fn lift(mounts: &Mounts, mount: &str, args: &Args) -> Self {
        let cause = match args.cause {
            What::Revoked => Cause::Revoked,
            What::Failed => Cause::Failed,
        };
        let lifted = match mounts.bar(mount, cause, &args.selector) {
            Ok(None) => Ok(None),
            // A token that may not look may still be one that lifts.
            Ok(Some(_)) | Err(Unseen::Denied { .. }) => {
                mounts.reinstate(mount, &args.selector, cause, &args.reason).map(Some)
            }
            Err(why) => Err(why),
        };
        let (lifted, problem) = match lifted {
            Ok(lifted) => (lifted, None),
            Err(why) => (None, Some(why.to_string())),
        };
        // While the bar stands, its identities stay as they are.
        let may = args.enable_entities && problem.is_none() && mount.starts_with("auth/");
        let entities = may.then(|| enable(mounts, mount, &args.selector));
        Self { mount: mount.to_owned(), lifted, problem, entities }
    }

    fn is_complete(&self) -> bool {
        self.problem.is_none() && self.entities.as_ref().is_none_or(|found| found.problems.is_empty())
    }

    fn has_done_something(&self) -> bool {
        self.lifted.is_some() || self.entities.as_ref().is_some_and(|found| !found.changed.is_empty())
    }

    fn section(&self) -> Section {
        let mut section = Section::new(&self.mount);
        match (&self.lifted, &self.problem) {
            (Some(Lifted { decision }), _) => section.row("reinstated", format!("decision {decision}")),
            (None, Some(problem)) => section.row("NOT REINSTATED", problem),
            (None, None) => {
                section.row("no bar", "nothing to take back; a machine may have another bar: --cause");
            }
        }
        if let Some(found) = &self.entities {
            words::entities(&mut section, found, "enabled");
        }
        section
    }
}

fn enable(mounts: &Mounts, mount: &str, selector: &Selector) -> Entities {
    match mounts.recall(mount, selector) {
        Ok(report) => {
            entities::change(&mounts.client, mount, &Names::all(&report), selector, Become::Enabled)
        }
        Err(why) => Entities { problems: vec![why.to_string()], ..Entities::default() },
    }
}

impl Done {
    fn verdict(&self) -> Verdict {
        let something = self.mounts.iter().any(MountDone::has_done_something);
        match (something, Tally::of(self.mounts.iter().map(MountDone::is_complete)).left) {
            (true, 0) => Verdict::Accepted,
            (true, _) => Verdict::Refused,
            (false, _) => Verdict::NotJudged,
        }
    }

    fn text(&self) -> String {
        let heading = match self.verdict() {
            Verdict::Accepted => "REINSTATED",
            Verdict::Refused => "REINSTATED IN PART",
            Verdict::NotJudged => "NOT REINSTATED",
        };
        let mut text = String::new();
        layout::line(&mut text, &format!("{heading}: {}", layout::printable(&self.selector.to_string())));
        let sections: Vec<Section> = self.mounts.iter().map(MountDone::section).collect();
        layout::sections(&mut text, &sections);
        text
    }
}

const EXAMPLES: &str = "\
Examples:
  cloudtaser reinstate hardware=9f3c… --reason 'found again, INC-8' --enable-entities
  cloudtaser reinstate instance=77aa… --cause failed --reason 'looked at it, INC-9'";
