//! `cloudtaser policy emergency`: changes what a mount believes at once, for a day at most.
//!
//! Trusted: the file and the key. Untrusted: the server.

use std::path::PathBuf;

use attest::UnixTime;
use attest::governance::Emergency;
use attest::log::Text;
use serde_json::json;

use crate::answer::{Answer, NotJudged};
use crate::layout;
use crate::policy_approve::base64;
use crate::policy_propose::new_content;
use crate::ruled::server::{Server, What, Where};
use crate::ruled::signing::Hand;
use crate::ruled::words;
use crate::ruled::{EXIT_CODES, Stopped, told};

/// Change what a mount believes at once, by one approver, for a day at most; everybody will see it
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    /// The content that holds meanwhile
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// For how many minutes
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: u64,
    /// Why
    #[arg(long, value_name = "REASON")]
    reason: String,
    /// Where the matter is dealt with
    #[arg(long, value_name = "TICKET")]
    ticket: String,
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    hand: Hand,
    #[command(flatten)]
    place: Where,
}

/// Says what changes; with a key or a program to sign with, changes it.
pub(crate) fn run(args: &Args, now: UnixTime) -> Answer {
    told(declare(args, now))
}

fn declare(args: &Args, now: UnixTime) -> Result<String, Stopped> {
    let (item, content) = new_content(&args.what, &args.file)?;
    let server = Server::new(&args.place)?;
    let (change, in_force) = server.change(item.clone(), &content)?;
    let until = now.plus(args.minutes.saturating_mul(60));
    let (reason, ticket) = (text("reason", &args.reason)?, text("ticket", &args.ticket)?);
    let emergency = Emergency { change, until, reason, ticket };
    let mut said = String::new();
    for line in emergency.text().lines() {
        layout::line(&mut said, &layout::printable(line));
    }
    layout::line(&mut said, "");
    said.push_str(&words::difference(&item, in_force.text(), &content)?);
    let Some((name, signature)) = args.hand.sign(|name| emergency.to_be_signed(name))? else {
        layout::line(&mut said, "\nnothing was signed: name yourself (--as) and a --key or a --signer");
        return Ok(said);
    };
    let body = json!({
        "content": content,
        "version": emergency.change.version,
        "until": until,
        "reason": emergency.reason,
        "ticket": emergency.ticket,
        "approver": name,
        "signature": base64(&signature),
    });
    server.declare(&item, &body)?;
    layout::line(&mut said, &format!("\nholds now, until {until}; then what was approved holds again"));
    Ok(said)
}

fn text<const MAX: usize>(what: &'static str, words: &str) -> Result<Text<MAX>, NotJudged> {
    Text::new(words).map_err(|error| NotJudged::new(what, format!("{what}: {error}")))
}

const EXAMPLES: &str = "\
Examples:
  cloudtaser policy emergency deny-turin.toml --minutes 240 --reason 'AMD-SB-9999' --ticket INC-7 \\
    --as alice --key alice.pem";
