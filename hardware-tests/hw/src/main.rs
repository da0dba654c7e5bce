//! `cloudtaser-hw`: does what this machine's hardware signs obey the laws that simulated hardware obeys?
//!
//! Copied to a machine together with the agent; needs nothing else there. Exit codes: 0 all laws hold, 1 one is
//! broken, 2 there is no evidence to put to them.
#![forbid(unsafe_code)]

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use attest::UnixTime;
use clap::Parser as _;
use hw::{Arguments, run};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    #[expect(clippy::disallowed_methods, reason = "main reads the clock for everybody else")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map(|since| UnixTime(since.as_secs()));
    let outcome = now.map_err(anyhow::Error::from).and_then(|now| run(&arguments, now));
    let (text, code) = match outcome {
        Ok(report) => (report.text(), u8::from(!report.holds())),
        Err(error) => (format!("{error:#}\n"), 2),
    };
    // If nobody listens, the files are there.
    drop(std::io::stdout().write_all(text.as_bytes()));
    ExitCode::from(code)
}
