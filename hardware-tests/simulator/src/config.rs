//! The command line: what was typed, and what it means.
//!
//! [`RawConfig`] is typed words; [`Config`] is a chip, a report and folders. One `TryFrom` leads from one to
//! the other and collects all problems.

mod azure;
mod nitro;
mod tdx;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use simulator::nitro::DocumentBuilder;
use simulator::snp::{Chip, CrlBuilder, Product, ReportBuilder, Role, Tcb, Vendor};
use simulator::tpm::EventLog;
use simulator::tsm::Fault;

pub(crate) use self::azure::Azure;
use self::azure::RawAzure;
use self::nitro::RawModule;
pub(crate) use self::nitro::{Instance, Module};
use self::tdx::RawTd;
pub(crate) use self::tdx::Td;
use crate::instant;

/// Simulated machines: their roots are public test keys, and whoever accepts them accepts everybody.
#[derive(Debug, Parser)]
#[command(name = "cloudtaser-sim", version)]
pub(crate) struct RawConfig {
    #[command(subcommand)]
    command: RawCommand,
}

#[derive(Debug, Subcommand)]
enum RawCommand {
    /// Shows a SEV-SNP machine's configfs-tsm report directory until SIGTERM.
    Snp {
        #[command(flatten)]
        machine: RawMachine,
        /// Empty directory to mount on.
        #[arg(long)]
        mount: PathBuf,
        /// What goes wrong: no-provider, busy, timed-out, interrupted, race, denied, empty, too-large, gone-after=N,
        /// slow=MILLISECONDS.
        #[arg(long)]
        fault: Option<String>,
        /// Give no certificates in auxblob.
        #[arg(long)]
        no_auxblob: bool,
    },
    /// Writes one SEV-SNP report.
    SnpReport {
        #[command(flatten)]
        machine: RawMachine,
        /// The caller's 64 bytes, in hexadecimal.
        #[arg(long)]
        report_data: String,
        /// File to write.
        #[arg(short, long)]
        output: PathBuf,
    },
    /// Shows a TD's configfs-tsm report directory until SIGTERM.
    Tdx {
        #[command(flatten)]
        td: RawTd,
        /// Empty directory to mount on.
        #[arg(long)]
        mount: PathBuf,
        /// What goes wrong: as for snp.
        #[arg(long)]
        fault: Option<String>,
        /// Empty directory for the device, the event log and the registers.
        #[arg(long)]
        files: Option<PathBuf>,
        /// Unix socket for the host's quoting service.
        #[arg(long)]
        quoting: Option<PathBuf>,
    },
    /// Writes one TD quote.
    TdxQuote {
        #[command(flatten)]
        td: RawTd,
        /// The caller's 64 bytes, in hexadecimal.
        #[arg(long)]
        report_data: String,
        /// File to write.
        #[arg(short, long)]
        output: PathBuf,
    },
    /// Runs the security module of an AWS Nitro enclave on a Unix socket until SIGTERM.
    Nitro(Box<nitro::RawNsm>),
    /// Runs an EC2 instance's `NitroTPM` until SIGTERM, and prints its TCTI: swtpm, with AWS' command in front of it.
    NitroTpm(nitro::RawInstance),
    /// Writes one document of an AWS Nitro security module.
    NitroDocument {
        #[command(flatten)]
        module: RawModule,
        /// File to write.
        #[arg(short, long)]
        output: PathBuf,
    },
    /// Runs a confidential machine of Azure's until SIGTERM; prints its TPM's TCTI and its metadata service's address.
    Azure {
        #[command(flatten)]
        machine: RawAzure,
    },
    /// Writes the root certificates of all products and vendors, DER and PEM.
    Roots {
        /// Directory to write to.
        #[arg(long)]
        write: PathBuf,
        /// Whose roots: simulated or other.
        #[arg(long, default_value = "simulated")]
        vendor: String,
    },
    /// Runs a program that finds a shown report directory at /sys/kernel/config/tsm/report.
    Exec {
        /// Directory that `snp` was told to mount on.
        #[arg(long)]
        reports: PathBuf,
        /// The program and its arguments, after `--`.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Runs a software TPM until SIGTERM, and prints its TCTI.
    Vtpm {
        /// Directory of its state; made if absent.
        #[arg(long)]
        state: PathBuf,
        /// First make endorsement keys with certificates.
        #[arg(long)]
        manufacture: bool,
        /// Measure a boot with this command line.
        #[arg(long)]
        kernel_command_line: Option<String>,
        /// Write the log of that boot to this file.
        #[arg(long, requires = "kernel_command_line")]
        write_event_log: Option<PathBuf>,
    },
}

#[derive(Args, Debug)]
struct RawMachine {
    /// milan, genoa or turin.
    #[arg(long)]
    product: String,
    /// Which chip.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Whose keys: simulated or other.
    #[arg(long, default_value = "simulated")]
    vendor: String,
    /// Patch levels that differ from the current ones, such as bootloader=3,tee=0,snp=8,microcode=115,fmc=0.
    #[arg(long)]
    tcb: Option<String>,
    /// Launch measurement: 48 bytes in hexadecimal.
    #[arg(long)]
    measurement: Option<String>,
    /// Host data: 32 bytes in hexadecimal.
    #[arg(long)]
    host_data: Option<String>,
    /// Report version, if not the product's current one.
    #[arg(long)]
    report_version: Option<u32>,
    /// Let the host debug the guest.
    #[arg(long)]
    debug: bool,
    /// Sign with the cloud provider's key instead of the chip's.
    #[arg(long)]
    vlek: bool,
    /// The present for certificates and revocation list: seconds since 1970, or 2026-11-21T00:00:00Z.
    #[arg(long)]
    at: Option<String>,
    /// What the revocation list revokes: ask, asvk or vcek (all VCEKs have the serial 0). May be repeated.
    #[arg(long)]
    revoke: Vec<String>,
    /// Write the chip's certificates and revocation list to this directory, DER.
    #[arg(long)]
    write_endorsements: Option<PathBuf>,
}

/// What to do.
#[derive(Debug)]
pub(crate) enum Config {
    Snp { machine: Machine, mount: PathBuf, fault: Fault, auxblob: Auxblob },
    SnpReport { machine: Machine, report_data: [u8; 64], output: PathBuf },
    Tdx { td: Td, mount: PathBuf, fault: Fault, files: Option<PathBuf>, quoting: Option<PathBuf> },
    TdxQuote { td: Td, report_data: [u8; 64], output: PathBuf },
    Nitro(Box<Module>),
    NitroTpm(Instance),
    NitroDocument { document: Box<DocumentBuilder>, output: PathBuf },
    Azure(Azure),
    Roots { write: PathBuf, vendor: Vendor },
    Exec { reports: PathBuf, command: Vec<OsString> },
    Vtpm { state: PathBuf, keys: Keys, boot: Option<EventLog>, log: Option<PathBuf> },
}

/// A chip and the guest on it.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) chip: Chip,
    pub(crate) report: ReportBuilder,
    pub(crate) signer: Signer,
    pub(crate) crl: CrlBuilder,
    pub(crate) endorsements: Option<PathBuf>,
}

/// Which key signs reports.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signer {
    Vcek,
    Vlek,
}

/// Whether the host provides certificates.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Auxblob {
    Certificates,
    Empty,
}

/// Whether a TPM gets endorsement keys with certificates first.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keys {
    AsFound,
    Manufactured,
}

/// All that is wrong with a command line.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub(crate) struct Problems(Vec<String>);

impl TryFrom<(RawConfig, u64)> for Config {
    type Error = Problems;

    fn try_from((raw, now): (RawConfig, u64)) -> Result<Self, Problems> {
        let mut problems = Problems(Vec::new());
        let config = raw.command.read(now, &mut problems);
        config.filter(|_| problems.0.is_empty()).ok_or(problems)
    }
}

impl RawCommand {
    fn read(self, now: u64, problems: &mut Problems) -> Option<Config> {
        match self {
            Self::Snp { machine, mount, fault, no_auxblob } => {
                let machine = machine.read(now, problems);
                let fault = problems.note(fault.as_deref().map_or(Ok(Fault::Healthy), read_fault));
                let auxblob = if no_auxblob { Auxblob::Empty } else { Auxblob::Certificates };
                Some(Config::Snp { machine: machine?, mount, fault: fault?, auxblob })
            }
            Self::SnpReport { machine, report_data, output } => {
                let machine = machine.read(now, problems);
                let report_data = problems.note(read_hex("--report-data", &report_data));
                Some(Config::SnpReport { machine: machine?, report_data: report_data?, output })
            }
            Self::Tdx { td, mount, fault, files, quoting } => {
                let td = td.read(now, problems);
                let fault = problems.note(fault.as_deref().map_or(Ok(Fault::Healthy), read_fault));
                Some(Config::Tdx { td: td?, mount, fault: fault?, files, quoting })
            }
            Self::TdxQuote { td, report_data, output } => {
                let td = td.read(now, problems);
                let report_data = problems.note(read_hex("--report-data", &report_data));
                Some(Config::TdxQuote { td: td?, report_data: report_data?, output })
            }
            Self::NitroTpm(raw) => Some(Config::NitroTpm(raw.read(now, problems)?)),
            Self::Nitro(raw) => Some(Config::Nitro(Box::new(raw.read(now, problems)?))),
            Self::NitroDocument { module, output } => {
                Some(Config::NitroDocument { document: Box::new(module.read(now, problems)?), output })
            }
            Self::Azure { machine } => Some(Config::Azure(machine.read(now, problems)?)),
            Self::Roots { write, vendor } => {
                Some(Config::Roots { write, vendor: problems.note(read_vendor(&vendor))? })
            }
            Self::Exec { reports, command } => Some(Config::Exec { reports, command }),
            Self::Vtpm { state, manufacture, kernel_command_line, write_event_log } => {
                let keys = if manufacture { Keys::Manufactured } else { Keys::AsFound };
                let boot = kernel_command_line.as_deref().map(EventLog::production);
                Some(Config::Vtpm { state, keys, boot, log: write_event_log })
            }
        }
    }
}

impl RawMachine {
    fn read(self, now: u64, problems: &mut Problems) -> Option<Machine> {
        let vendor = problems.note(read_vendor(&self.vendor));
        let at = problems.note(self.at.as_deref().map_or(Ok(now), read_instant));
        let measurement =
            problems.note_option(self.measurement.as_deref(), |hex| read_hex("--measurement", hex));
        let host_data = problems.note_option(self.host_data.as_deref(), |hex| read_hex("--host-data", hex));
        let revoked: Vec<_> = self.revoke.iter().filter_map(|name| problems.note(read_role(name))).collect();
        let product = problems.note(read_product(&self.product));
        let tcb = product.and_then(|product| problems.note(read_tcb(product, self.tcb.as_deref())));
        let chip = Chip::new(self.seed, product?).with_vendor(vendor?).with_tcb(tcb?).at(at?);
        let mut report = chip.report();
        if let Some(version) = self.report_version {
            report = report.version(version);
        }
        if self.debug {
            report = report.debug();
        }
        if let Some(measurement) = measurement {
            report = report.measurement(measurement);
        }
        if let Some(host_data) = host_data {
            report = report.host_data(host_data);
        }
        let crl = revoked.into_iter().fold(chip.crl(), |crl, revoked| revoked.on(crl, &chip));
        let signer = if self.vlek { Signer::Vlek } else { Signer::Vcek };
        Some(Machine { chip, report, signer, crl, endorsements: self.write_endorsements })
    }
}

impl Problems {
    fn note<T>(&mut self, result: Result<T, String>) -> Option<T> {
        result.map_err(|problem| self.0.push(problem)).ok()
    }

    /// Nothing typed is no problem.
    fn note_option<T>(&mut self, typed: Option<&str>, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        self.note(typed.map(read).transpose()).flatten()
    }
}

/// What a revocation list can revoke of a chip's chain.
#[derive(Clone, Copy, Debug)]
enum Revoked {
    Intermediate(Role),
    Vcek,
}

impl Revoked {
    fn on(self, crl: CrlBuilder, chip: &Chip) -> CrlBuilder {
        match self {
            Self::Intermediate(role) => crl.revoke(chip.serial(role)),
            Self::Vcek => crl.indirect().revoke_of(&chip.authority(Role::Ask).common_name(), 0),
        }
    }
}

fn read_product(name: &str) -> Result<Product, String> {
    let product = Product::ALL.into_iter().find(|product| product.name().eq_ignore_ascii_case(name));
    product.ok_or_else(|| format!("--product is {name}, expected milan, genoa or turin"))
}

fn read_vendor(name: &str) -> Result<Vendor, String> {
    match name {
        "simulated" => Ok(Vendor::Simulated),
        "other" => Ok(Vendor::Other),
        _ => Err(format!("--vendor is {name}, expected simulated or other")),
    }
}

fn read_role(name: &str) -> Result<Revoked, String> {
    match name {
        "ask" => Ok(Revoked::Intermediate(Role::Ask)),
        "asvk" => Ok(Revoked::Intermediate(Role::Asvk)),
        "vcek" => Ok(Revoked::Vcek),
        _ => Err(format!("--revoke is {name}, expected ask, asvk or vcek")),
    }
}

fn read_instant(text: &str) -> Result<u64, String> {
    instant::parse(text).ok_or_else(|| {
        format!("--at is {text}, expected seconds since 1970 or the form 2026-11-21T00:00:00Z")
    })
}

fn read_hex<const N: usize>(option: &str, text: &str) -> Result<[u8; N], String> {
    let bytes = hex::decode(text).map_err(|error| format!("{option} is not hexadecimal: {error}"))?;
    <[u8; N]>::try_from(bytes).map_err(|bytes| format!("{option} has {} bytes, expected {N}", bytes.len()))
}

fn read_tcb(product: Product, text: Option<&str>) -> Result<Tcb, String> {
    let mut tcb = product.current_tcb();
    for part in text.into_iter().flat_map(|text| text.split(',')) {
        let (name, level) =
            part.split_once('=').ok_or_else(|| format!("--tcb has {part}, expected NAME=LEVEL"))?;
        let level = level.parse().map_err(|error| format!("--tcb has {part}: {error}"))?;
        match name {
            "fmc" => tcb.fmc = level,
            "bootloader" => tcb.bootloader = level,
            "tee" => tcb.tee = level,
            "snp" => tcb.snp = level,
            "microcode" => tcb.microcode = level,
            _ => return Err(format!("--tcb has {name}, expected fmc, bootloader, tee, snp or microcode")),
        }
    }
    Ok(tcb)
}

fn read_fault(text: &str) -> Result<Fault, String> {
    let (name, number) = text.split_once('=').unwrap_or((text, ""));
    match (name, number.parse::<u32>()) {
        ("no-provider", Err(_)) => Ok(Fault::NoProvider),
        ("busy", Err(_)) => Ok(Fault::Busy),
        ("timed-out", Err(_)) => Ok(Fault::TimedOut),
        ("interrupted", Err(_)) => Ok(Fault::Interrupted),
        ("denied", Err(_)) => Ok(Fault::Denied),
        ("empty", Err(_)) => Ok(Fault::Empty),
        ("too-large", Err(_)) => Ok(Fault::TooLarge),
        ("race", Err(_)) => Ok(Fault::GenerationRace),
        ("gone-after", Ok(reports)) => Ok(Fault::GoneAfter(reports)),
        ("slow", Ok(milliseconds)) => Ok(Fault::Slow(Duration::from_millis(milliseconds.into()))),
        (_, Ok(_) | Err(_)) => Err(format!("--fault is {text}, which is none of those that --help names")),
    }
}
