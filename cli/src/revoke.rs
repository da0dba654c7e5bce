//! `cloudtaser revoke`: these machines are not admitted any more, in any mount.
//!
//! Without a reason it only says what it would touch. With one it writes the bar to every mount, whatever became of the
//! others, and says for each what was done: a revocation that half succeeded must not look like one. A mount whose answer
//! was lost is asked whether the bar is there.
//!
//! Trusted: the command line and the clock. Untrusted: the server.

use attest::log::Selector;
use attest::{Bar, Cause, UnixTime};
use serde::Serialize;

use crate::answer::{Answer, NotJudged, Verdict};
use crate::args::Format;
use crate::layout::{self, Section};
use crate::recall::Told;
use crate::standing::entities::{self, Become, Entities, Names};
use crate::standing::mounts::{Mounts, Revoked, Where};
use crate::standing::{EXIT_CODES, SELECTORS, Tally, reason, told, words};

/// No longer admit machines, whatever their evidence says: in every mount
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{SELECTORS}\n\n{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    /// Which machines
    #[arg(value_name = "SELECTOR")]
    selector: Selector,
    /// Why; it stands in the log. Without it nothing is revoked, and what would be touched is told
    #[arg(long, value_name = "REASON", value_parser = reason)]
    reason: Option<String>,
    /// Disable the identities of machines whose OpenBao tokens may still live; they cannot log in until
    /// `reinstate --enable-entities`, nor can others on the same chip
    #[arg(long, requires = "reason")]
    disable_entities: bool,
    #[command(flatten)]
    place: Where,
    /// How to write the answer
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// Asks; with a reason, revokes; prints.
pub(crate) fn run(args: &Args, now: UnixTime) -> Answer {
    match &args.reason {
        None => told(look(args), args.output, |found: &Told| found.text() + NOTHING),
        Some(reason) => told(act(args, reason, now), args.output, Done::text),
    }
}

fn look(args: &Args) -> Result<(Verdict, Told), NotJudged> {
    let told = Told::ask(&Mounts::new(&args.place)?, &args.selector);
    Ok((told.tally().verdict(), told))
}

fn act(args: &Args, reason: &str, now: UnixTime) -> Result<(Verdict, Done), NotJudged> {
    let mounts = Mounts::new(&args.place)?;
    let selector = &args.selector;
    // The bars first: whatever else takes its time or fails, nothing more is released.
    let mut done: Vec<MountDone> =
        mounts.paths.iter().map(|mount| MountDone::bar(&mounts, mount, selector, reason)).collect();
    if args.disable_entities {
        for place in &mut done {
            place.entities = disable(&mounts, place, selector, now);
        }
    }
    let done = Done { selector: selector.clone(), reason: reason.to_owned(), mounts: done };
    Ok((done.tally().verdict(), done))
}

/// Disables the identities of an auth mount.
fn disable(mounts: &Mounts, place: &MountDone, selector: &Selector, now: UnixTime) -> Option<Entities> {
    let path = &place.mount;
    if !path.starts_with("auth/") {
        return None;
    }
    let report = match &place.revoked {
        Some(revoked) => Ok(revoked.touched.clone()),
        None => mounts.recall(path, selector),
    };
    Some(match report {
        Ok(report) => {
            let names = Names::alive(&report, now);
            entities::change(&mounts.client, path, &names, selector, Become::Disabled)
        }
        Err(why) => Entities { problems: vec![why.to_string()], ..Entities::default() },
    })
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
    /// What the mount said.
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<Revoked>,
    /// The bar that is there, where the mount did not say what it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    barred: Option<Bar>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entities: Option<Entities>,
}

impl MountDone {
    fn bar(mounts: &Mounts, mount: &str, selector: &Selector, reason: &str) -> Self {
        let (revoked, problem) = match mounts.revoke(mount, selector, reason) {
            Ok(revoked) => (Some(revoked), None),
            Err(why) => (None, Some(why.to_string())),
        };
        let barred = match &revoked {
            Some(_) => None,
            None => mounts.bar(mount, Cause::Revoked, selector).unwrap_or_default(),
        };
        Self { mount: mount.to_owned(), revoked, barred, problem, entities: None }
    }

    fn is_barred(&self) -> bool {
        self.revoked.is_some() || self.barred.is_some()
    }

    fn is_complete(&self) -> bool {
        self.revoked.is_some() && self.entities.as_ref().is_none_or(|found| found.problems.is_empty())
    }

    fn section(&self) -> Section {
        let mut section = Section::new(&self.mount);
        if let Some(Revoked { decision, drawn_anew, change_by_hand, touched }) = &self.revoked {
            section.row("barred", format!("decision {decision}"));
            section.row("drawn anew", words::names(drawn_anew));
            section.row("CHANGE BY HAND", words::names(change_by_hand));
            words::report(&mut section, touched);
        }
        if let Some(Bar { since, reason, .. }) = &self.barred {
            section.row("barred", format!("since {since}: {reason}"));
            section.row("UNKNOWN", "which secrets were drawn anew, and what was touched: repeat the command");
        }
        if !self.is_barred() {
            section.row("NOT BARRED", "this mount goes on admitting them");
        }
        if let Some(problem) = &self.problem {
            section.row("because", problem);
        }
        if let Some(found) = &self.entities {
            words::entities(&mut section, found, "disabled");
        }
        section
    }
}

impl Done {
    /// A bar that is there counts, and leaves something to do where the rest is unknown.
    fn tally(&self) -> Tally {
        let bars = Tally::of(self.mounts.iter().map(MountDone::is_barred));
        let whole = Tally::of(self.mounts.iter().map(MountDone::is_complete));
        Tally { done: bars.done, left: whole.left }
    }

    fn text(&self) -> String {
        let bars = Tally::of(self.mounts.iter().map(MountDone::is_barred));
        let heading = match self.tally().verdict() {
            Verdict::Accepted => "REVOKED",
            Verdict::Refused => "REVOKED IN PART",
            Verdict::NotJudged => "NOT REVOKED",
        };
        let mut text = String::new();
        let (barred, all) = (bars.done, bars.done.saturating_add(bars.left));
        let whom = layout::printable(&self.selector.to_string());
        layout::line(&mut text, &format!("{heading}: {whom} is barred in {barred} of {all} mounts"));
        let sections: Vec<Section> = self.mounts.iter().map(MountDone::section).collect();
        layout::sections(&mut text, &sections);
        if self.mounts.iter().any(|mount| mount.mount.starts_with("auth/") && mount.entities.is_none()) {
            layout::line(&mut text, TOKENS);
        }
        if self.tally().left > 0 {
            layout::line(&mut text, REPEAT);
        }
        text
    }
}

const NOTHING: &str = "\nnothing was revoked: say why (--reason)\n";
const TOKENS: &str = "\nOpenBao tokens that these machines hold live for 15 minutes at most (--disable-entities ends them now)";
const REPEAT: &str =
    "\nNOT EVERYTHING WAS DONE: mend what is named above and repeat the command; what was done stays done";

const EXAMPLES: &str = "\
Examples:
  cloudtaser revoke measurement=5a5a…                                      # what would it touch?
  cloudtaser revoke measurement=5a5a… --reason 'CVE-2026-1, INC-7'
  cloudtaser revoke hardware=9f3c… --reason 'stolen, INC-8' --disable-entities";
