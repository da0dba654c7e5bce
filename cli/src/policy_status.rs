//! `cloudtaser policy status`: who rules a mount, what is open, what is exceptional.
//!
//! Untrusted: the server; what it says is shown.

use attest::Digest;
use attest::governance::Approvers;

use crate::answer::Answer;
use crate::layout;
use crate::policy_approve::standing;
use crate::ruled::server::{Exception, Governance, Server, Shown, Where};
use crate::ruled::{EXIT_CODES, Stopped, told};

/// Show who approves, what is proposed and what is exceptional in a mount
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    /// One proposal, by its id
    #[arg(value_name = "ID")]
    id: Option<Digest<32>>,
    #[command(flatten)]
    place: Where,
}

/// Asks and prints.
pub(crate) fn run(args: &Args) -> Answer {
    told(look(args))
}

fn look(args: &Args) -> Result<String, Stopped> {
    let server = Server::new(&args.place)?;
    let mut text = String::new();
    match args.id {
        Some(id) => one(&mut text, &server.proposal(id)?),
        None => all(&mut text, &server.governance()?),
    }
    Ok(text)
}

fn one(text: &mut String, shown: &Shown) {
    for line in shown.proposal.text().lines() {
        layout::line(text, &layout::printable(line));
    }
    layout::line(text, &format!("\n{}", standing(shown)));
}

fn all(text: &mut String, found: &Governance) {
    layout::line(text, &format!("mount {}", layout::printable(found.mount.as_str())));
    for exception in &found.emergencies {
        emergency(text, exception);
    }
    let ruling = found.approvers.as_ref().map(|ruling| Approvers::parse(&ruling.document));
    match ruling {
        None => layout::line(text, "no approvers: whoever may write a path changes it"),
        Some(Err(error)) => layout::line(text, &layout::printable(&format!("approvers: {error}"))),
        Some(Ok(approvers)) => {
            let names = approvers.names().into_iter().collect::<Vec<_>>().join(", ");
            layout::line(text, &format!("{} of {names} approve", approvers.threshold()));
        }
    }
    layout::line(text, &format!("{} open proposals", found.open.len()));
    for shown in &found.open {
        let change = &shown.proposal.change;
        layout::line(text, &format!("\n{}", shown.id));
        layout::line(
            text,
            &format!("  {} version {}", layout::printable(&change.item.to_string()), change.version),
        );
        layout::line(text, &format!("  {}", layout::printable(shown.proposal.reason.as_str())));
        layout::line(text, &format!("  {}", standing(shown)));
    }
}

fn emergency(text: &mut String, Exception { emergency, approved_by }: &Exception) {
    let (change, until) = (&emergency.change, emergency.until);
    let words = format!(
        "EMERGENCY until {until}: {} is not what was approved, by {approved_by}, ticket {}: {}",
        change.item, emergency.ticket, emergency.reason
    );
    layout::line(text, &layout::printable(&words));
}

const EXAMPLES: &str = "\
Examples:
  cloudtaser policy status
  cloudtaser policy status ID --address https://bao.example:8200 --mount auth/attest";
