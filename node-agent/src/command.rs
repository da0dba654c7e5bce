//! The command line: what was typed, and what it does.

mod detect;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use attest::crypto::{AwsLcRs, Hash};
use attest::{Kem, OfferedKey, Platform, cluster_register};
use clap::{Parser, Subcommand};
use node_agent::answer::Answerer;
use node_agent::config::{Config, Problems, parse_handle, parse_tcti};
use node_agent::join::status::{Status, Worth};
use node_agent::{join, serve, vtpm};
use protocol::agent::{EvidenceReply, EvidenceRequest, MAX_CONTEXT, Reply, VERSION};
use serde_json::json;
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
    /// Asks the hardware once and writes the evidence to a file, for a person to look at.
    Evidence(Once),
    /// Logs in once, as a member of the cluster does, and says what came of it. The token is not kept.
    Join(Join),
    /// What the registers of a machine hold that joined this cluster and no other: for policies that pin values.
    Cluster {
        /// The cluster's name, as in `cluster_id`.
        id: String,
    },
    /// How this machine stands: 0 is attested, 1 is not.
    Status(Stand),
    /// Says which kinds of evidence this machine gives, and what its kernel says of itself.
    Detect(detect::Detect),
    /// The TPM's attestation key.
    #[command(subcommand)]
    Ak(Ak),
    /// What `serve` attacks to see whether the enforcer keeps its word.
    #[command(hide = true)]
    Decoy {
        /// The enforcer's socket.
        #[arg(long)]
        socket: PathBuf,
    },
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
struct Once {
    /// The configuration file.
    #[arg(long, default_value = Config::DEFAULT_PATH)]
    config: PathBuf,
    /// The verifier's nonce: 64 hex digits.
    #[arg(long, value_parser = nonce)]
    nonce: [u8; 32],
    /// The purpose, for example attest-keys/release/db.
    #[arg(long)]
    context: String,
    /// A file with the raw public key: 1216 bytes are X-Wing, 32 are X25519.
    #[arg(long)]
    key_file: PathBuf,
    /// The hardware to ask: sev-snp or tpm2. Default: what the configuration prefers.
    #[arg(long, value_parser = platform)]
    platform: Option<Platform>,
    /// Where the evidence goes.
    #[arg(short, long)]
    output: PathBuf,
    /// A directory for the certificates and revocation lists that go with it.
    #[arg(long)]
    endorsements: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Join {
    /// The configuration file.
    #[arg(long, default_value = Config::DEFAULT_PATH)]
    config: PathBuf,
    /// Once; to go on proving it is what `serve` does.
    #[arg(long, required = true)]
    once: bool,
}

#[derive(Debug, clap::Args)]
struct Stand {
    /// The configuration file.
    #[arg(long, default_value = Config::DEFAULT_PATH)]
    config: PathBuf,
    /// For programs.
    #[arg(long)]
    json: bool,
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
        Command::Evidence(once) => ask_once(&once),
        Command::Join(join) => join_once(&join),
        Command::Cluster { id } => print_registers(&id),
        Command::Status(stand) => tell_status(&stand),
        Command::Detect(asked) => detect::run(&asked),
        Command::Decoy { socket } => {
            node_agent::facts::decoy(&socket).context("playing the decoy").map_err(Failure::other)
        }
        Command::Ak(Ak::Create(place)) => print_name(vtpm::create(&place.tcti, place.handle)),
        Command::Ak(Ak::Name(place)) => print_name(vtpm::name(&place.tcti, place.handle)),
    }
}

fn ask_once(once: &Once) -> Result<(), Failure> {
    let config = Config::read(&once.config).map_err(Failure::Config)?;
    let request = EvidenceRequest {
        version: VERSION,
        nonce: once.nonce,
        context: context(&once.context).map_err(Failure::Other)?,
        key: key(&once.key_file).map_err(Failure::Other)?,
        platform: once.platform,
    };
    let answerer = Answerer::new(&config).map_err(Failure::other)?;
    match answerer.answer(&request) {
        Reply::Evidence(reply) => keep(&reply, once).map_err(Failure::Other),
        Reply::Failed(failure) => Err(Failure::Other(anyhow!("{}: {}", failure.code, failure.message))),
    }
}

fn join_once(join: &Join) -> Result<(), Failure> {
    let config = Config::read(&join.config).map_err(Failure::Config)?;
    let answerer = Arc::new(Answerer::new(&config).map_err(Failure::other)?);
    let admitted = join::once(&config, &answerer).map_err(Failure::other)?;
    writeln!(io::stdout(), "{admitted}").map_err(Failure::other)
}

fn print_registers(cluster: &str) -> Result<(), Failure> {
    let registers = [
        ("PCR 15", Hash::Sha256),
        ("PCR 15", Hash::Sha384),
        ("RTMR 3", Hash::Sha384),
        // Of a Nitro enclave.
        ("PCR 16", Hash::Sha384),
    ];
    registers.into_iter().try_for_each(|(name, bank)| {
        let value = hex::encode(cluster_register(&AwsLcRs, bank, cluster));
        writeln!(io::stdout(), "{name} {bank} {value}").map_err(Failure::other)
    })
}

/// What the file says, and what that is worth.
fn tell_status(stand: &Stand) -> Result<(), Failure> {
    let config = Config::read(&stand.config).map_err(Failure::Config)?;
    let path = Status::path(&config.socket);
    let status = Status::read(&path).with_context(|| path.display().to_string()).map_err(Failure::Other)?;
    let worth = status.worth(&config.socket).map_err(Failure::other)?;
    let text = if stand.json {
        serde_json::to_string_pretty(&json!({ "status": status, "worth": worth })).map_err(Failure::other)?
    } else {
        format!("{status}\nagent      {worth}")
    };
    writeln!(io::stdout(), "{text}").map_err(Failure::other)?;
    let holds = status.attested && worth == Worth::Current;
    if holds { Ok(()) } else { Err(Failure::Other(anyhow!("this machine is not attested"))) }
}

fn context(text: &str) -> anyhow::Result<String> {
    let found = text.len();
    anyhow::ensure!(found <= MAX_CONTEXT, "context: expected at most {MAX_CONTEXT} bytes, found {found}");
    Ok(text.to_owned())
}

fn key(file: &Path) -> anyhow::Result<OfferedKey> {
    let public = std::fs::read(file).with_context(|| file.display().to_string())?;
    let found = public.len();
    let kem = [Kem::XWing, Kem::X25519].into_iter().find(|kem| kem.public_len().contains(found));
    let kem = kem.with_context(|| format!("{}: expected 1216 or 32 bytes, found {found}", file.display()))?;
    Ok(OfferedKey { kem, public })
}

fn keep(reply: &EvidenceReply, once: &Once) -> anyhow::Result<()> {
    write(&once.output, &reply.evidence)?;
    let Some(folder) = &once.endorsements else { return Ok(()) };
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for (kind, items) in [("certificate", &reply.certificates), ("crl", &reply.revocation_lists)] {
        for (number, der) in items.iter().enumerate() {
            write(&folder.join(format!("{kind}-{number}.der")), der)?;
        }
    }
    for (number, json) in reply.documents.iter().enumerate() {
        write(&folder.join(format!("document-{number}.json")), json)?;
    }
    Ok(())
}

fn write(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    std::fs::write(path, content).with_context(|| path.display().to_string())
}

fn nonce(text: &str) -> Result<[u8; 32], String> {
    let mut nonce = [0; 32];
    let wrong = |_found| format!("expected 64 hex digits, found {} characters", text.chars().count());
    hex::decode_to_slice(text, &mut nonce).map_err(wrong)?;
    Ok(nonce)
}

fn platform(name: &str) -> Result<Platform, String> {
    Platform::named(name).ok_or_else(|| {
        let names: Vec<&str> = Platform::ALL.iter().map(|platform| platform.name()).collect();
        format!("expected one of {}", names.join(", "))
    })
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
