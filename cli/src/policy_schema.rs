//! `cloudtaser policy schema`: the JSON Schema of policies, for editors and other programs.

use crate::answer::{Answer, Verdict};

/// Print the JSON Schema of policies (TOML), for editors and other programs
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Prints what is checked in; a test holds it against the types.
pub(crate) fn run(args: &Args) -> Answer {
    let Args {} = args;
    Answer::text(Verdict::Accepted, SCHEMA.to_owned())
}

const SCHEMA: &str = include_str!("../../policies/policy.schema.json");
