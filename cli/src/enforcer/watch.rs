//! `cloudtaser enforcer watch`: what the enforcer tells, as it happens.
//!
//! Lines go out as they come, until the enforcer ends, the reader goes, or so many were asked for as there are.

use std::io::{self, Write as _};
use std::path::PathBuf;

use protocol::enforcer::{Ask, Event, SOCKET, Said};

use super::line::Line;
use super::row::row;
use crate::answer::{Answer, NotJudged, Verdict};
use crate::args::Format;

/// Show what the enforcer on this machine refuses and tells, live
#[derive(Debug, clap::Args)]
#[command(after_help = NOTES)]
pub(crate) struct Args {
    /// The enforcer's socket
    #[arg(long, value_name = "SOCKET", default_value = SOCKET)]
    socket: PathBuf,
    /// End after so many events
    #[arg(short = 'n', long, value_name = "NUMBER")]
    number: Option<u64>,
    /// How to write them: text, or a JSON document in each line
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// Watches.
pub(crate) fn run(args: &Args) -> Answer {
    match watch(args) {
        Ok(()) => Answer::text(Verdict::Accepted, String::new()),
        Err(why) => {
            let why = format!("{}: {why}", args.socket.display());
            Answer::complaint(&NotJudged::new("enforcer.watch", why))
        }
    }
}

fn watch(args: &Args) -> Result<(), String> {
    let line = Line::ask(&args.socket, &Ask::Watch {})?;
    match line.next()? {
        Some(Said::Watching {}) => line.be_patient()?,
        Some(Said::Refused { why }) => return Err(why),
        other => return Err(unexpected(other.as_ref())),
    }
    let mut shown: u64 = 0;
    while args.number.is_none_or(|most| shown < most) {
        let event = match line.next()? {
            Some(Said::Event(event)) => event,
            other => return Err(unexpected(other.as_ref())),
        };
        match show(&event, args.output) {
            Ok(()) => shown = shown.saturating_add(1),
            // `cloudtaser enforcer watch | head` has seen what it wanted.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(())
}

fn show(event: &Event, format: Format) -> io::Result<()> {
    let mut text = match format {
        Format::Json => serde_json::to_string(event)?,
        Format::Text => row(event),
    };
    text.push('\n');
    let mut output = io::stdout();
    output.write_all(text.as_bytes())?;
    output.flush()
}

fn unexpected(said: Option<&Said>) -> String {
    match said {
        None => "the enforcer has ended".to_owned(),
        Some(_) => "expected events, found an answer to something else".to_owned(),
    }
}

const NOTES: &str = "\
Only root is told. The fields of the JSON are in docs/enforcer-events.md.
Exit codes: 0 as many events as asked for, or the reader has gone; 2 the enforcer could not be asked, or has ended.";
