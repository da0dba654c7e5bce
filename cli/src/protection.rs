//! `cloudtaser protection`: what a running wrapper found out about itself, as a table.
//!
//! Asks the wrapper's local socket for `/v1/status`; only root, the wrapper's own user and the program's tree are answered.
//!
//! Untrusted: the answer, which is read with bounds and shown escaped. It is the wrapper's word about itself: what a verifier made of it
//! stands in the verifier's record.

use std::io::{Read as _, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::Duration;

use protocol::protection::{Assessment, By, Outcome, State};
use serde::Deserialize;

use crate::answer::{Answer, NotJudged, Verdict};
use crate::args::Format;
use crate::layout::{self, Section};

/// Show how well a running wrapper protects what it was given, as far as it found out
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The wrapper's local socket (`CLOUDTASER_SOCKET`): a path, or @NAME in the abstract namespace
    #[arg(long, value_name = "SOCKET")]
    socket: String,
    /// How to write the answer
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// The part of a status that is shown here.
#[derive(Deserialize)]
struct Status {
    protection: Option<Assessment>,
}

/// Asks the wrapper.
pub(crate) fn run(args: &Args) -> Answer {
    let told = match ask(&args.socket) {
        Ok(told) => told,
        Err(why) => return not_asked(format!("{}: {why}", args.socket)),
    };
    match args.output {
        Format::Json => Answer::json(Verdict::Accepted, &told),
        Format::Text => Answer::text(Verdict::Accepted, table(&told)),
    }
}

fn ask(socket: &str) -> Result<Assessment, String> {
    let told = |error: std::io::Error| error.to_string();
    let address = match socket.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(socket),
    };
    let mut line = UnixStream::connect_addr(&address.map_err(told)?).map_err(told)?;
    line.set_read_timeout(Some(PATIENCE)).map_err(told)?;
    line.write_all(b"GET /v1/status HTTP/1.1\r\nHost: wrapper\r\nConnection: close\r\n\r\n").map_err(told)?;
    let mut answer = Vec::new();
    line.take(MOST).read_to_end(&mut answer).map_err(told)?;
    let answer = String::from_utf8(answer).map_err(|_error| "expected text, found other bytes".to_owned())?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("expected an answer of HTTP, found none")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status != "200" {
        return Err(format!("expected HTTP 200, found {status}"));
    }
    let status: Status = serde_json::from_str(body).map_err(|error| error.to_string())?;
    status.protection.ok_or_else(|| "the wrapper has measured nothing".to_owned())
}

fn table(Assessment { score, report }: &Assessment) -> String {
    let mut heading = Section::new("Protection, by the wrapper's own word");
    heading.row("points", format!("{} of {}", score.points, score.most));
    heading.row("program", &report.program);
    heading.row("attacked as", &report.attacker);
    let mut checks = Section::new("Checks");
    for measured in &report.measures {
        let state = match measured.state {
            State::Reached => "reached",
            State::Missed => "MISSED",
            State::NotApplicable => "not applicable",
        };
        let points = measured.check.points();
        checks.row(measured.check.name(), format!("{state} ({points}): {}", measured.found));
    }
    let mut attacks = Section::new("Attacks");
    for attack in &report.attacks {
        let by = match attack.by {
            Some(By::Kernel) => " by the kernel",
            Some(By::Permissions) => " by permissions",
            Some(By::Seccomp) => " by seccomp",
            Some(By::SecurityModule) => " by a security module",
            Some(By::Enforcer) => " by the enforcer",
            None => "",
        };
        let outcome = match attack.outcome {
            Outcome::Refused => "refused",
            Outcome::Taken => "TAKEN",
            Outcome::NotApplicable => "nothing to take",
        };
        attacks.row(format!("{:?}", attack.theft), format!("{outcome}{by}: {}", attack.found));
    }
    let mut text = String::new();
    layout::sections(&mut text, &[heading, checks, attacks]);
    text
}

fn not_asked(why: String) -> Answer {
    Answer::complaint(&NotJudged::new("wrapper.status", why))
}

const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer, in bytes: many times what a status has.
const MOST: u64 = 1 << 20;
