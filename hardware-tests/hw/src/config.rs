//! The command line.

use std::path::PathBuf;

use attest::{Platform, Revocation};
use clap::Parser;

/// Puts the laws of evidence to this machine's hardware, and writes report.txt, report.json and vectors/
#[derive(Clone, Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub struct Arguments {
    /// The hardware: sev-snp, tdx, nitro, nitro-tpm, tpm2, azure-snp or azure-tdx
    #[arg(value_name = "HARDWARE", value_parser = platform)]
    pub platform: Platform,
    /// The agent's program
    #[arg(long, value_name = "FILE", default_value = "./cloudtaser-node-agent")]
    pub agent: PathBuf,
    /// Where everything is written
    #[arg(long, value_name = "DIR", default_value = "hw-report")]
    pub out: PathBuf,
    /// Files, or directories of files, with the vendor's certificates, revocation lists and documents
    #[arg(long, value_name = "DIR|FILE")]
    pub endorsements: Vec<PathBuf>,
    /// The agent's section about this hardware, where its defaults do not fit: for example a file with `[snp]` and
    /// `path = "…"`
    #[arg(long, value_name = "FILE")]
    pub section: Option<PathBuf>,
    /// How many requests are timed, one after another
    #[arg(long, value_name = "NUMBER", default_value_t = 200)]
    pub requests: u32,
    /// Judge without a revocation list, where none can be had. The report says so
    #[arg(long)]
    pub insecure_no_revocation: bool,
    /// Trust this root (DER) instead of the vendor's: a simulator's
    #[arg(long, value_name = "FILE")]
    pub insecure_trust_root: Vec<PathBuf>,
}

impl Arguments {
    pub(crate) fn revocation(&self) -> Revocation {
        if self.insecure_no_revocation { Revocation::InsecureWaived } else { Revocation::Required }
    }

    /// What the agent's configuration says about the hardware, unless a file says it.
    pub(crate) fn default_section(&self) -> &'static str {
        match self.platform {
            Platform::SevSnp => "[snp]\n",
            Platform::Tdx => "[tdx]\n",
            Platform::Nitro => "[nitro]\n",
            Platform::NitroTpm => "[nitro-tpm]\n",
            Platform::Tpm2 => "[tpm]\ncreate_ak = true\n",
            Platform::AzureSnp => "[azure]\nkind = \"snp\"\n",
            Platform::AzureTdx | _ => "[azure]\nkind = \"tdx\"\n",
        }
    }
}

fn platform(name: &str) -> Result<Platform, String> {
    Platform::named(name).ok_or_else(|| {
        let names: Vec<&str> = Platform::ALL.iter().map(|platform| platform.name()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

const EXAMPLES: &str = "\
Examples, as root:
  cloudtaser-hw sev-snp --endorsements crl.der
  cloudtaser-hw tdx --endorsements collateral/
  cloudtaser-hw nitro
  cloudtaser-hw tpm2
  cloudtaser-hw azure-snp --endorsements crl.der

Exit codes: 0 all laws hold, 1 one is broken, 2 there is no evidence to put to them.";
