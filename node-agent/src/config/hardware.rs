//! What a section about hardware becomes, and which hardware speaks when nobody says.
//!
//! Trusted: whoever may write the file.

use std::collections::BTreeMap;
use std::path::Path;

use attest::Platform;

use super::parse_tcti;
use crate::device::Device;
use crate::facts::{Layout, Measured, Place};
use crate::registers::Register;
use crate::{azure, nitro, tsm, vtpm};

/// One kind of hardware and its settings.
#[derive(Clone, Debug)]
pub enum Hardware {
    /// `[snp]`.
    Snp(tsm::SnpSettings),
    /// `[tdx]`.
    Tdx(tsm::TdxSettings),
    /// `[tpm]`.
    Tpm(vtpm::Settings),
    /// `[nitro]`.
    Nitro(nitro::Settings),
    /// `[azure]`.
    Azure(azure::Settings),
    /// `[nitro-tpm]`.
    NitroTpm(nitro::tpm::Settings),
}

impl Hardware {
    /// The device. Touches nothing yet.
    #[must_use]
    pub fn open(&self) -> Box<dyn Device> {
        match self {
            Self::Snp(settings) => Box::new(tsm::Snp::new(settings.clone())),
            Self::Tdx(settings) => Box::new(tsm::Tdx::new(settings.clone())),
            Self::Tpm(settings) => Box::new(vtpm::Vtpm::new(settings.clone())),
            Self::Nitro(settings) => Box::new(nitro::Nsm::new(settings.clone())),
            Self::NitroTpm(settings) => Box::new(nitro::tpm::NitroTpm::new(settings.clone())),
            Self::Azure(settings) => Box::new(azure::Azure::new(settings.clone())),
        }
    }
}

impl Hardware {
    /// The register that takes in the name of the cluster, where the hardware has one.
    #[must_use]
    pub fn cluster_register(&self) -> Option<Box<dyn Register>> {
        match self {
            Self::Tpm(settings) | Self::Azure(azure::Settings { tpm: settings, .. }) => {
                Some(Box::new(vtpm::pcr(&settings.tcti, CLUSTER_PCR)))
            }
            Self::Tdx(settings) => Some(Box::new(settings.register())),
            Self::Nitro(settings) => {
                Some(Box::new(nitro::Pcr::new(nitro::Nsm::new(settings.clone()), ENCLAVE_PCR)))
            }
            Self::NitroTpm(settings) => {
                let tcti = parse_tcti(&settings.way.to_string()).ok()?;
                Some(Box::new(vtpm::pcr(&tcti, CLUSTER_PCR)))
            }
            Self::Snp(_) => None,
        }
    }

    /// The TPM, if this is one whose endorsement key a manufacturer vouches for.
    #[must_use]
    pub fn tpm(&self) -> Option<&vtpm::Settings> {
        if let Self::Tpm(settings) = self { Some(settings) } else { None }
    }

    /// Whatever else is quoted, this is too.
    pub(super) fn quote_the_cluster(&mut self) {
        if let Self::Tpm(settings) | Self::Azure(azure::Settings { tpm: settings, .. }) = self {
            settings.pcrs.values_mut().for_each(|pcrs| pcrs.extend([CLUSTER_PCR]));
        }
    }

    /// The register that takes facts in, if they are measured and this hardware has one.
    #[must_use]
    pub fn facts(&self) -> Option<Place> {
        match self {
            Self::Tpm(settings) | Self::Azure(azure::Settings { tpm: settings, .. }) => settings.facts(),
            Self::Tdx(settings) => settings.facts(),
            Self::Snp(_) | Self::Nitro(_) | Self::NitroTpm(_) => None,
        }
    }

    /// Keeps what is measured in this folder, and sends it with the log.
    pub(super) fn keep_facts(&mut self, folder: &Path) {
        match self {
            Self::Tpm(settings) | Self::Azure(azure::Settings { tpm: settings, .. }) => {
                settings.logs.measured = Some(Measured::new(folder, Layout::Tpm));
                settings.pcrs.values_mut().for_each(|pcrs| pcrs.extend([vtpm::FACTS_PCR]));
            }
            Self::Tdx(settings) => settings.measured = Some(Measured::new(folder, Layout::Cc)),
            Self::Snp(_) | Self::Nitro(_) | Self::NitroTpm(_) => {}
        }
    }
}

/// The platform named in the file, or the first in [`ORDER`] that is enabled.
pub(super) fn prefer(
    written: Option<&str>,
    enabled: &BTreeMap<Platform, Hardware>,
    problems: &mut Vec<String>,
) -> Platform {
    let Some(first) = ORDER.into_iter().find(|platform| enabled.contains_key(platform)) else {
        problems.push(format!("no platform is enabled: expected a section {SECTIONS}"));
        return Platform::SevSnp;
    };
    let Some(name) = written else { return first };
    match Platform::named(name) {
        Some(platform) if enabled.contains_key(&platform) => platform,
        Some(platform) => {
            problems.push(format!("prefer: {platform} is not enabled"));
            first
        }
        None => {
            let names: Vec<&str> = ORDER.iter().map(|platform| platform.name()).collect();
            problems.push(format!("prefer: expected one of {}, found {name:?}", names.join(", ")));
            first
        }
    }
}

/// TCG leaves it to the system; a policy's `cluster` reads it.
const CLUSTER_PCR: u32 = 15;
/// The first register of an enclave's own: the module locks all below it.
const ENCLAVE_PCR: u16 = 16;
/// Memory that the host cannot read comes before memory that it can.
const ORDER: [Platform; 7] = [
    Platform::SevSnp,
    Platform::Tdx,
    Platform::AzureSnp,
    Platform::AzureTdx,
    Platform::Nitro,
    Platform::NitroTpm,
    Platform::Tpm2,
];
/// The sections about hardware, for people.
const SECTIONS: &str = "[snp], [tdx], [tpm], [nitro], [nitro-tpm] or [azure]";
