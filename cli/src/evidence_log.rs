//! `cloudtaser evidence log`: what a verifier logged, in files that anybody can check again.
//!
//! The files have the form of C2SP's tlog-tiles, with the records beside them. One file per verb; they share the
//! `folder` that is read, the `pins` that say whom to believe, and the `audit` of the whole. `export` alone uses the
//! network: it follows a `server`, and what comes `incoming` is kept once it was verified.

mod audit;
mod cosign;
mod export;
mod folder;
mod incoming;
mod pins;
mod recall;
pub(crate) mod server;
mod show;
mod step;
mod verify;

use clap::Subcommand;

use crate::answer::Answer;

/// Audit the log of all decisions
#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    Cosign(cosign::Args),
    Export(export::Args),
    Recall(recall::Args),
    Show(show::Args),
    Verify(verify::Args),
}

/// Runs the verb.
pub(crate) fn run(verb: &Log) -> Answer {
    match verb {
        Log::Cosign(args) => cosign::run(args),
        Log::Export(args) => export::run(args),
        Log::Recall(args) => recall::run(args),
        Log::Show(args) => show::run(args),
        Log::Verify(args) => verify::run(args),
    }
}

const EXIT_CODES: &str = "\
Exit codes:
  0  the log is what its checkpoint says
  1  it is not: what was expected and what was found is printed
  2  not judged: something is missing, malformed or misspelt";
