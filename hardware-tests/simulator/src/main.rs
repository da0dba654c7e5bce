//! `cloudtaser-sim`: simulated machines for the demonstration and for tests by hand.

#![forbid(unsafe_code)]

mod config;
mod instant;
mod run;

use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;

use crate::config::{Config, RawConfig};

fn main() -> anyhow::Result<()> {
    let raw = RawConfig::parse();
    #[expect(clippy::disallowed_methods, reason = "main reads the clock for everybody else")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(run::run(Config::try_from((raw, now))?)?)
}
