//! `cloudtaser policy propose`: puts a change before those who approve.
//!
//! What would change is said before anything is sent. Trusted: the file. Untrusted: the server.

use std::path::PathBuf;

use attest::UnixTime;
use attest::governance::{Item, Kind};
use serde_json::json;

use crate::answer::{Answer, NotJudged};
use crate::ruled::server::{Server, What, Where};
use crate::ruled::words;
use crate::ruled::{EXIT_CODES, Stopped, told};
use crate::{input, layout};

/// Propose a change of what a mount believes to those who approve it
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    /// The new content: a policy (TOML or signed), approvers (JSON), roots (PEM), an accessor, keys of packers (hex); - reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Why
    #[arg(long, value_name = "REASON")]
    reason: String,
    /// For how many days it can be approved
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=30))]
    days: u64,
    /// Say what would change, and send nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    place: Where,
}

/// Says what would change, and proposes it.
pub(crate) fn run(args: &Args, now: UnixTime) -> Answer {
    told(propose(args, now))
}

fn propose(args: &Args, now: UnixTime) -> Result<String, Stopped> {
    let (item, content) = new_content(&args.what, &args.file)?;
    let server = Server::new(&args.place)?;
    let in_force = server.in_force(&item)?;
    let mut said = format!("{item}, now version {}:\n", in_force.version);
    said.push_str(&words::difference(&item, in_force.text(), &content)?);
    if args.dry_run {
        return Ok(said);
    }
    // Whole minutes, so that the very same proposal is the same proposal.
    let expires = UnixTime(now.0.saturating_sub(now.0 % 60)).plus(args.days.saturating_mul(86_400));
    let expires = expires.min(now.plus(attest::governance::Proposal::MAX_SECONDS));
    let body = json!({
        "kind": item.kind, "name": item.name, "content": content, "expires": expires, "reason": args.reason,
    });
    let shown = server.propose(&body)?;
    layout::line(&mut said, &format!("\nproposed  {}", shown.id));
    let threshold = shown.threshold.unwrap_or_default();
    layout::line(&mut said, &format!("needs     {threshold} approvals until {}", shown.proposal.expires));
    Ok(said)
}

/// The item that is meant, and its new content.
pub(crate) fn new_content(what: &What, file: &std::path::Path) -> Result<(Item, String), NotJudged> {
    let (own, content) = if what.kind == Kind::Policy {
        let (policy, text) = input::policy_text(file)?;
        (policy.name().to_owned(), text)
    } else {
        let text = String::from_utf8(input::read(file, input::LIMIT)?);
        let text = text.map_err(|error| NotJudged::new("input.unreadable", error.to_string()))?;
        let text = if matches!(what.kind, Kind::Auth | Kind::Guard) { text.trim().to_owned() } else { text };
        (String::new(), text)
    };
    let name = what.name.clone().unwrap_or(own);
    let item = Item::new(what.kind, &name).map_err(|error| NotJudged::new("item.name", error.to_string()))?;
    Ok((item, content))
}

const EXAMPLES: &str = "\
Examples:
  cloudtaser policy propose prod.toml --reason 'new kernel, CHG-4711'
  cloudtaser policy propose approvers.json --kind approvers --reason 'Dan follows Alice'
  cloudtaser policy propose cluster.json --kind workload-issuer --name cluster --reason 'its key was rotated'
  cloudtaser policy propose prod.toml --reason x --dry-run --address https://bao.example:8200 --mount attest-keys";
