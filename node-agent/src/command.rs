//! The command line: what was typed, and what it does.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use node_agent::config::{Config, Problems, parse_handle, parse_tcti};
use node_agent::{serve, vtpm};
use tss_esapi::handles::PersistentTpmHandle;
use tss_esapi::tcti_ldr::TctiNameConf;

/// Gathers attestation evidence of this machine and serves it to local processes.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves evidence on a Unix socket until SIGTERM.
    Serve {
        /// The configuration file.
        #[arg(long, default_value = Config::DEFAULT_PATH)]
        config: PathBuf,
    },
    /// The TPM's attestation key.
    #[command(subcommand)]
    Ak(Ak),
}

#[derive(Debug, Subcommand)]
enum Ak {
    /// Makes a restricted ECDSA P-256 key under the endorsement key, keeps it in the TPM and prints its name,
    /// in hex, for enrolment.
    Create(Place),
    /// Prints the name of the key, in hex.
    Name(Place),
}

#[derive(Debug, clap::Args)]
struct Place {
    /// The way to the TPM: device:PATH, or swtpm:host=ADDRESS,port=NUMBER.
    #[arg(long, default_value = vtpm::DEVICE, value_parser = parse_tcti)]
    tcti: TctiNameConf,
    /// The persistent handle.
    #[arg(long, default_value = "0x81010002", value_parser = handle)]
    handle: PersistentTpmHandle,
}

/// Does what was asked.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Serve { config } => {
            serve::serve(&Config::read(&config).map_err(Failure::Config)?).map_err(Failure::other)
        }
        Command::Ak(Ak::Create(place)) => print_name(vtpm::create(&place.tcti, place.handle)),
        Command::Ak(Ak::Name(place)) => print_name(vtpm::name(&place.tcti, place.handle)),
    }
}

fn print_name(name: Result<Vec<u8>, vtpm::Error>) -> Result<(), Failure> {
    let name = name.map_err(Failure::other)?;
    writeln!(io::stdout(), "{}", hex::encode(name)).map_err(Failure::other)
}

fn handle(text: &str) -> Result<PersistentTpmHandle, String> {
    let digits = text.strip_prefix("0x").ok_or("expected a number such as 0x81010002")?;
    parse_handle(u32::from_str_radix(digits, 16).map_err(|error| error.to_string())?)
}

/// Why it was not done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line. Also what `--help` and `--version` print.
    Usage(clap::Error),
    /// The configuration file.
    Config(Problems),
    /// The machine.
    Other(anyhow::Error),
}

impl Failure {
    fn other(error: impl Into<anyhow::Error>) -> Self {
        Self::Other(error.into())
    }

    /// 2: what was asked makes no sense. 1: it did not work.
    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Self::Usage(usage) if !usage.use_stderr() => ExitCode::SUCCESS,
            Self::Usage(_) | Self::Config(_) => ExitCode::from(2),
            Self::Other(_) => ExitCode::from(1),
        }
    }

    /// Tells a person. If standard error is gone there is nobody left to tell.
    pub(crate) fn tell(&self) {
        drop(match self {
            Self::Usage(usage) => usage.print(),
            Self::Config(problems) => writeln!(io::stderr(), "{problems}"),
            Self::Other(error) => writeln!(io::stderr(), "{error:#}"),
        });
    }
}
