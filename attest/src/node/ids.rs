//! What evidence proves of which machine it is, and of which of its starts.
//!
//! [`Ids`] stay the same over restarts: the chip, the platform, the TPM, the provider's number of the instance. [`Boot`] is
//! what changes with one: SNP draws a report id at each launch, Nitro names each module anew, a TPM counts its resets and
//! keeps a clock. TDX has nothing that tells one start from another.
//!
//! Trusted: the claims, whose signatures were checked.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::Endorsed;
use crate::tpm::{AkOrigin, ClockInfo};
use crate::{Claims, Digest, Platform, azure, nitro, tpm};

/// The ids of one machine. As an expectation: those that it has to prove.
#[derive(Clone, Debug, Default, Eq, PartialEq, Encode, Decode, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ids {
    /// Which hardware speaks for it.
    #[n(0)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// SNP: the chip's id. TDX: the platform's provisioning id (PPID). Lower-case hex.
    #[n(1)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chip_id: Option<String>,
    /// TDX: the id of this set-up of a platform with several packages, lower-case hex.
    #[n(2)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform_instance_id: Option<String>,
    /// SHA-256 of the public key (`SubjectPublicKeyInfo`) that the manufacturer of the TPM certified.
    #[n(3)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ek: Option<Digest<32>>,
    /// The attestation key of the TPM: its name, or the digest of the certified key; lower-case hex.
    #[n(4)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ak: Option<String>,
    /// The provider's number of the instance: EC2's `i-...`, Google's project and instance, Azure's unique id.
    #[n(5)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
}

/// One start of a machine, as far as its hardware tells it from others.
#[derive(Clone, Debug, Default, Eq, PartialEq, Encode, Decode, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boot {
    /// What is drawn at each start: SNP's report id, the id of a Nitro module.
    #[n(0)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launch: Option<String>,
    /// What a TPM counts.
    #[n(1)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<Clock>,
}

/// The counters of a TPM (`TPMS_CLOCK_INFO`), the one that weighs most first: so they are compared.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Encode, Decode, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// How often it was reset.
    #[n(0)]
    pub resets: u32,
    /// How often it was resumed or restarted since.
    #[n(1)]
    pub restarts: u32,
    /// Milliseconds that it was powered.
    #[n(2)]
    pub milliseconds: u64,
}

impl Ids {
    /// What these claims prove. The endorsement key counts for the attestation key that it was proven with, and no other.
    #[must_use]
    pub fn of(claims: &Claims, endorsed: Option<&Endorsed>) -> Self {
        let platform = Some(claims.platform());
        let chip_id = || claims.hardware_id().map(hex::encode);
        match claims {
            Claims::Snp(_) => Self { platform, chip_id: chip_id(), ..Self::default() },
            Claims::Tdx(claims) => {
                let platform_instance_id = claims.platform.pck.platform_instance_id.map(|id| id.to_string());
                Self { platform, chip_id: chip_id(), platform_instance_id, ..Self::default() }
            }
            Claims::Nitro(claims) => Self { platform, instance_id: instance(claims), ..Self::default() },
            Claims::Tpm(claims) => {
                let (ek, ak) = (ek(claims, endorsed), Some(hex::encode(claims.hardware_id())));
                Self { platform, ek, ak, instance_id: google(claims), ..Self::default() }
            }
            // A machine that was stopped may start on another chip.
            Claims::Azure(claims) => {
                let azure::Claims { runtime, tpm, .. } = claims.as_ref();
                let (ak, instance_id) = (Some(tpm.ak_name.to_string()), runtime.vm.unique_id.clone());
                Self { platform, ak, instance_id, ..Self::default() }
            }
        }
    }

    /// The ids, with their names, in a fixed order.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, String)> + '_ {
        let named = [
            ("chip_id", self.chip_id.clone()),
            ("platform_instance_id", self.platform_instance_id.clone()),
            ("ek", self.ek.map(|ek| ek.to_string())),
            ("ak", self.ak.clone()),
            ("instance_id", self.instance_id.clone()),
        ];
        named.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }

    /// Whether nothing tells this machine from another.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.named().next().is_none()
    }

    /// Whether many machines may prove the id of this name: guests on one chip, enclaves on one instance.
    #[must_use]
    pub fn shares(&self, name: &str) -> bool {
        match name {
            "chip_id" | "platform_instance_id" => true,
            "instance_id" => self.platform == Some(Platform::Nitro),
            _ => false,
        }
    }

    /// What `found` proves otherwise, or not at all. Another attestation key is none, where the TPM proved that it is the same.
    #[must_use]
    pub fn differences(&self, found: &Self) -> Vec<String> {
        let same_tpm = self.ek.is_some() && self.ek == found.ek;
        let proven: Vec<(&str, String)> = found.named().collect();
        let mut differences = Vec::new();
        if self.platform.is_some() && self.platform != found.platform {
            let platform = found.platform.map_or_else(String::new, |platform| platform.to_string());
            differences.push(format!("platform {platform}"));
        }
        for (name, value) in self.named().filter(|(name, _)| !(*name == "ak" && same_tpm)) {
            match proven.iter().find(|(other, _)| *other == name) {
                Some((_, other)) if *other == value => {}
                Some((_, other)) => differences.push(format!("{name} {other}")),
                None => differences.push(format!("no {name}")),
            }
        }
        differences
    }

    /// These, and what `found` proves besides; its attestation key, where it has one.
    #[must_use]
    pub fn with(self, found: &Self) -> Self {
        let found = found.clone();
        Self {
            platform: self.platform.or(found.platform),
            chip_id: self.chip_id.or(found.chip_id),
            platform_instance_id: self.platform_instance_id.or(found.platform_instance_id),
            ek: self.ek.or(found.ek),
            ak: found.ak.or(self.ak),
            instance_id: self.instance_id.or(found.instance_id),
        }
    }

    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        let platform = self.platform.map(|platform| format!("platform {platform}"));
        let ids = self.named().map(|(name, value)| format!("{name} {value}"));
        platform.into_iter().chain(ids).collect::<Vec<_>>().join(", ")
    }
}

impl Boot {
    /// What these claims say of the start that they are of.
    #[must_use]
    pub fn of(claims: &Claims) -> Self {
        let launch = || claims.instance_id().map(hex::encode);
        match claims {
            Claims::Snp(_) => Self { launch: launch(), clock: None },
            Claims::Nitro(claims) => Self { launch: Some(claims.document.module_id.clone()), clock: None },
            Claims::Tdx(_) => Self::default(),
            Claims::Tpm(claims) => Self { launch: None, clock: Some(claims.clock.into()) },
            Claims::Azure(claims) => {
                let clock = Some(claims.tpm.clock.into());
                Self { clock, ..Self::of(&claims.hardware) }
            }
        }
    }

    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        let launch = self.launch.as_ref().map(|launch| format!("launch {launch}"));
        let clock = self.clock.map(|Clock { resets, restarts, milliseconds }| {
            format!("reset {resets}, restart {restarts}, clock {milliseconds} ms")
        });
        let words: Vec<String> = launch.into_iter().chain(clock).collect();
        if words.is_empty() { "nothing that tells starts apart".to_owned() } else { words.join(", ") }
    }
}

impl From<ClockInfo> for Clock {
    fn from(info: ClockInfo) -> Self {
        Self { resets: info.reset_count, restarts: info.restart_count, milliseconds: info.clock }
    }
}

fn instance(claims: &nitro::Claims) -> Option<String> {
    claims.instance().map(str::to_owned)
}

fn google(claims: &tpm::Claims) -> Option<String> {
    let instance = claims.ak_certificate.as_ref()?.instance.as_ref()?;
    Some(format!("{}/{}", instance.project_number, instance.id))
}

fn ek(claims: &tpm::Claims, endorsed: Option<&Endorsed>) -> Option<Digest<32>> {
    endorsed
        .filter(|_| claims.ak_origin == AkOrigin::Enrolled)
        .and_then(|endorsed| endorsed.of(&claims.ak_name))
}
