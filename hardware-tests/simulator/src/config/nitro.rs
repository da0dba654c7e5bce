//! The options that describe a security module and the document that it signs.

use clap::Args;
use simulator::nitro::{DocumentBuilder, Length, Module};

use super::{Problems, read_hex, read_instant, read_vendor};

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
        let module = if self.tpm { Module::tpm(self.seed) } else { Module::enclave(self.seed) };
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

fn read_bytes(option: &str, text: Option<&str>) -> Result<Option<Vec<u8>>, String> {
    let bytes = text.map(hex::decode).transpose();
    bytes.map_err(|error| format!("{option} is not hexadecimal: {error}"))
}

fn read_pcr(text: &str) -> Result<(u64, [u8; 48]), String> {
    let (index, value) =
        text.split_once('=').ok_or_else(|| format!("--pcr has {text}, expected INDEX=VALUE"))?;
    let index = index.parse().map_err(|error| format!("--pcr has {text}: {error}"))?;
    Ok((index, read_hex("--pcr", value)?))
}
