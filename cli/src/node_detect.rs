//! `cloudtaser node detect`: what can this machine prove?
//!
//! The node agent knows the hardware; it is asked, and its answer passed on. It needs the rights that the agent has: root,
//! as a rule.
//!
//! Trusted: the agent's program, from the folder of this one or from the search path.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum as _;

use crate::answer::{Answer, NotJudged, Verdict};
use crate::args::Format;

/// Say which kinds of evidence this machine can give, and which not and why; and what its kernel says of itself
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// The node agent's configuration; without one, the kernel's usual places are looked at
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How to write the answer
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// Asks the agent.
pub(crate) fn run(args: &Args) -> Answer {
    let format = args.output.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned());
    let agent = agent();
    let mut command = Command::new(&agent);
    command.args(["detect", "--output", &format]);
    if let Some(config) = &args.config {
        command.arg("--config").arg(config);
    }
    let told = match command.output() {
        Ok(told) => told,
        Err(error) => {
            return not_asked(&format!("{}: {error}; is the node agent installed?", agent.display()));
        }
    };
    let output = String::from_utf8_lossy(&told.stdout).into_owned();
    match told.status.code() {
        Some(0) => Answer::text(Verdict::Accepted, output),
        Some(1) if !output.is_empty() => Answer::text(Verdict::Refused, output),
        _ => not_asked(String::from_utf8_lossy(&told.stderr).trim()),
    }
}

fn agent() -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join(AGENT)));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| Path::new(AGENT).to_owned())
}

fn not_asked(why: &str) -> Answer {
    Answer::complaint(&NotJudged::new("node.agent", why))
}

const AGENT: &str = "cloudtaser-node-agent";
const EXIT_CODES: &str = "Exit codes: 0 some hardware gave evidence, 1 none did, 2 it could not be asked.";
