//! The options that describe a security module and what it signs.

use std::num::ParseIntError;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use simulator::nitro::{self, DocumentBuilder, Fault, Length, Nsm, Role};

use super::{Keys, Problems, read_hex, read_instant, read_vendor};

#[derive(Args, Debug)]
pub(super) struct RawModule {
    /// Which instance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Whose keys: simulated or other.
    #[arg(long, default_value = "simulated")]
    vendor: String,
    /// Speak of the instance's `NitroTPM` instead of an enclave.
    #[arg(long)]
    tpm: bool,
    /// The region.
    #[arg(long, default_value = "eu-central-1")]
    region: String,
    /// The present for certificates and document: seconds since 1970, or 2026-11-21T00:00:00Z.
    #[arg(long)]
    at: Option<String>,
    /// The verifier's nonce, in hexadecimal.
    #[arg(long)]
    nonce: Option<String>,
    /// The caller's data, in hexadecimal.
    #[arg(long)]
    user_data: Option<String>,
    /// The caller's key, in hexadecimal.
    #[arg(long)]
    public_key: Option<String>,
    /// A register, such as 0=48 bytes in hexadecimal. May be repeated.
    #[arg(long)]
    pcr: Vec<String>,
    /// The IAM role of the enclave's parent, an ARN: register 3.
    #[arg(long)]
    role: Option<String>,
    /// Run the enclave in debug mode: its registers are zero.
    #[arg(long)]
    debug: bool,
    /// Write the fields as a map of indefinite length.
    #[arg(long)]
    indefinite: bool,
}

impl RawModule {
    pub(super) fn read(self, now: u64, problems: &mut Problems) -> Option<DocumentBuilder> {
        let vendor = problems.note(read_vendor(&self.vendor));
        let at = problems.note(self.at.as_deref().map_or(Ok(now), read_instant));
        let pcrs: Vec<_> = self.pcr.iter().filter_map(|pcr| problems.note(read_pcr(pcr))).collect();
        let nonce = problems.note(read_bytes("--nonce", self.nonce.as_deref()));
        let data = problems.note(read_bytes("--user-data", self.user_data.as_deref()));
        let key = problems.note(read_bytes("--public-key", self.public_key.as_deref()));
        let module = if self.tpm { nitro::Module::tpm(self.seed) } else { nitro::Module::enclave(self.seed) };
        let mut document = module.with_vendor(vendor?).in_region(&self.region).at(at?).document();
        if let Some(role) = &self.role {
            document = document.role(role);
        }
        if self.debug {
            document = document.debug();
        }
        if self.indefinite {
            document = document.fields_length(Length::Indefinite);
        }
        document = pcrs.iter().fold(document, |document, (index, value)| document.pcr(*index, value));
        document = nonce?.iter().fold(document, |document, nonce| document.nonce(nonce));
        document = data?.iter().fold(document, |document, data| document.user_data(data));
        Some(key?.iter().fold(document, |document, key| document.public_key(key)))
    }
}

#[derive(Args, Debug)]
pub(super) struct RawNsm {
    /// Where to listen: a socket that is made. Each message stands behind its length in four bytes, big-endian.
    #[arg(long)]
    listen: PathBuf,
    /// Which instance. The last one counts.
    #[arg(long, default_value_t = 1, overrides_with = "seed")]
    seed: u64,
    /// Whose keys: simulated or other.
    #[arg(long, default_value = "simulated")]
    vendor: String,
    /// The region.
    #[arg(long, default_value = "eu-central-1", overrides_with = "region")]
    region: String,
    /// The clock at the start: seconds since 1970, or 2026-11-21T00:00:00Z.
    #[arg(long)]
    at: Option<String>,
    /// A measured register, such as 0=48 bytes in hexadecimal. May be repeated.
    #[arg(long)]
    pcr: Vec<String>,
    /// The IAM role of the enclave's parent, an ARN: register 3. The last one counts.
    #[arg(long, overrides_with = "role")]
    role: Option<String>,
    /// Run the enclave in debug mode: its registers are zero.
    #[arg(long)]
    debug: bool,
    /// Write the fields of documents as maps of indefinite length.
    #[arg(long)]
    indefinite: bool,
    /// What goes wrong: half, long, other, unknown-field, garbage, gone-after=N, slow=MILLISECONDS, or a code of the
    /// module such as `InternalError`.
    #[arg(long)]
    fault: Option<String>,
    /// Write the root certificate to this directory, DER.
    #[arg(long)]
    write_endorsements: Option<PathBuf>,
}

/// A security module to run.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) nsm: Nsm,
    pub(crate) listen: PathBuf,
    pub(crate) root: Vec<u8>,
    pub(crate) endorsements: Option<PathBuf>,
}

impl RawNsm {
    pub(super) fn read(self, now: u64, problems: &mut Problems) -> Option<Module> {
        let vendor = problems.note(read_vendor(&self.vendor));
        let at = problems.note(self.at.as_deref().map_or(Ok(now), read_instant));
        let pcrs: Vec<_> = self.pcr.iter().filter_map(|pcr| problems.note(read_pcr(pcr))).collect();
        let fault = problems.note(self.fault.as_deref().map_or(Ok(Fault::Healthy), read_fault));
        let module = nitro::Module::enclave(self.seed).with_vendor(vendor?).in_region(&self.region).at(at?);
        let root = module.certificate(Role::Root).der();
        let mut nsm = Nsm::new(module).fault(fault?);
        if let Some(role) = &self.role {
            nsm = nsm.role(role);
        }
        if self.indefinite {
            nsm = nsm.fields_length(Length::Indefinite);
        }
        let mut nsm = pcrs.iter().fold(nsm, |nsm, (index, value)| nsm.pcr(*index, value));
        if self.debug {
            nsm = nsm.debug();
        }
        Some(Module { nsm, listen: self.listen, root, endorsements: self.write_endorsements })
    }
}

#[derive(Args, Debug)]
pub(super) struct RawInstance {
    /// Directory of the TPM's state; made if absent.
    #[arg(long)]
    state: PathBuf,
    /// First make endorsement keys with certificates.
    #[arg(long)]
    manufacture: bool,
    /// Which instance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Whose keys: simulated or other.
    #[arg(long, default_value = "simulated")]
    vendor: String,
    /// The region.
    #[arg(long, default_value = "eu-central-1")]
    region: String,
    /// The clock at the start: seconds since 1970, or 2026-11-21T00:00:00Z.
    #[arg(long)]
    at: Option<String>,
    /// Write the fields of documents as maps of indefinite length.
    #[arg(long)]
    indefinite: bool,
    /// Write the root certificate to this directory, DER.
    #[arg(long)]
    write_endorsements: Option<PathBuf>,
}

/// An instance to run.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) module: nitro::Module,
    pub(crate) fields: Length,
    pub(crate) state: PathBuf,
    pub(crate) keys: Keys,
    pub(crate) endorsements: Option<PathBuf>,
}

impl RawInstance {
    pub(super) fn read(self, now: u64, problems: &mut Problems) -> Option<Instance> {
        let vendor = problems.note(read_vendor(&self.vendor));
        let at = problems.note(self.at.as_deref().map_or(Ok(now), read_instant));
        Some(Instance {
            module: nitro::Module::tpm(self.seed).with_vendor(vendor?).in_region(&self.region).at(at?),
            fields: if self.indefinite { Length::Indefinite } else { Length::Definite },
            state: self.state,
            keys: if self.manufacture { Keys::Manufactured } else { Keys::AsFound },
            endorsements: self.write_endorsements,
        })
    }
}

fn read_fault(text: &str) -> Result<Fault, String> {
    let (name, number) = text.split_once('=').unwrap_or((text, ""));
    let known = Fault::CODES.into_iter().find(|code| *code == name);
    match (name, number.parse::<u32>()) {
        ("half", Err(_)) => Ok(Fault::Half),
        ("long", Err(_)) => Ok(Fault::Long),
        ("other", Err(_)) => Ok(Fault::Other),
        ("unknown-field", Err(_)) => Ok(Fault::UnknownField),
        ("garbage", Err(_)) => Ok(Fault::Garbage),
        ("gone-after", Ok(answers)) => Ok(Fault::GoneAfter(answers)),
        ("slow", Ok(milliseconds)) => Ok(Fault::Slow(Duration::from_millis(milliseconds.into()))),
        (_, Ok(_) | Err(_)) => known
            .map(Fault::Refuse)
            .ok_or_else(|| format!("--fault is {text}, which is none of those that --help names")),
    }
}

fn read_bytes(option: &str, text: Option<&str>) -> Result<Option<Vec<u8>>, String> {
    let bytes = text.map(hex::decode).transpose();
    bytes.map_err(|error| format!("{option} is not hexadecimal: {error}"))
}

fn read_pcr<N: FromStr<Err = ParseIntError>>(text: &str) -> Result<(N, [u8; 48]), String> {
    let (index, value) =
        text.split_once('=').ok_or_else(|| format!("--pcr has {text}, expected INDEX=VALUE"))?;
    let index = index.parse().map_err(|error: ParseIntError| format!("--pcr has {text}: {error}"))?;
    Ok((index, read_hex("--pcr", value)?))
}
