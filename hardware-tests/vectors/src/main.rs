//! `cloudtaser-vectors DIR`: real and forged evidence against the production verifier.
//!
//! Reads `DIR/MANIFEST.toml`, asks `attest` about every entry, prints a line each and a summary, and exits
//! 1 where the answer is not the one that the manifest expects and nobody wrote down why, 2 where the manifest cannot be read.
#![forbid(unsafe_code)]

mod ak;
mod azure;
mod certificates;
mod entry;
mod eventlog;
mod files;
mod nitro;
mod notary;
mod pcrs;
mod policy;
mod snp;
mod tdx;
mod tpm;
mod verdict;
mod walk;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut out = std::io::stdout();
    let mut arguments = std::env::args_os().skip(1);
    let (Some(dir), None) = (arguments.next(), arguments.next()) else {
        return said(writeln!(std::io::stderr(), "usage: cloudtaser-vectors DIR"), ExitCode::from(2));
    };
    match walk::walk(&PathBuf::from(dir), &mut out) {
        Ok(tally) if tally.differ == tally.argued => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(error) => said(writeln!(std::io::stderr(), "{error:#}"), ExitCode::from(2)),
    }
}

/// What could not be said changes nothing about the outcome.
fn said(_: std::io::Result<()>, code: ExitCode) -> ExitCode {
    code
}
