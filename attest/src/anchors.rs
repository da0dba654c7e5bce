//! Trust anchors: what the caller believes without proof.
//!
//! The vendors' roots are pinned in this library, each beside the platform that it serves; the attestation
//! keys that an operator enrolled, and a simulator's roots, come from the caller.
//!
//! Trusted: everything here. A root is recognised by its key, never by where it stands in a file.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::x509::Certificate;
use crate::{CannotJudge, nitro, snp, tdx, tpm};

/// A root certificate, DER.
pub(crate) type Der = Cow<'static, [u8]>;

/// What the caller believes without proof.
#[derive(Clone, Debug)]
pub struct TrustAnchors {
    pub(crate) amd: Vec<snp::Root>,
    pub(crate) intel: Vec<Der>,
    pub(crate) aws: Vec<Der>,
    /// Who may certify a TPM's attestation key.
    pub(crate) tpm_authorities: Vec<Der>,
    pub(crate) attestation_keys: BTreeSet<tpm::Name>,
    pub(crate) roots: Roots,
}

impl TrustAnchors {
    /// The vendors' roots, pinned in this library (AMD, Intel, AWS, the providers that certify attestation
    /// keys of TPMs), and no attestation key.
    #[must_use]
    pub fn vendor() -> Self {
        Self {
            amd: snp::Root::vendor(),
            intel: tdx::vendor_roots(),
            aws: nitro::vendor_roots(),
            tpm_authorities: tpm::pinned_authorities(),
            attestation_keys: BTreeSet::new(),
            roots: Roots::Vendor,
        }
    }

    /// Roots that no vendor vouches for, as DER certificates: a simulator's. Each serves the platform whose
    /// vendor's root has its name. Every verdict under them says so, and a policy accepts them only if it
    /// contains `insecure-accept-simulated-roots = true`.
    pub fn insecure_simulated(roots: &[Vec<u8>]) -> Result<Self, CannotJudge> {
        let mut anchors = Self {
            amd: Vec::new(),
            intel: Vec::new(),
            aws: Vec::new(),
            tpm_authorities: Vec::new(),
            attestation_keys: BTreeSet::new(),
            roots: Roots::Simulated,
        };
        for der in roots {
            let certificate = Certificate::parse(der)?;
            match certificate.common_name() {
                name if name.starts_with("ARK-") => anchors.amd.push(snp::Root::simulated(der)?),
                "Intel SGX Root CA" => anchors.intel.push(der.clone().into()),
                "aws.nitro-enclaves" => anchors.aws.push(der.clone().into()),
                _ => anchors.tpm_authorities.push(der.clone().into()),
            }
        }
        Ok(anchors)
    }

    /// Also believes these TPM attestation keys, by name: an operator enrolled them.
    #[must_use]
    pub fn with_attestation_keys(mut self, names: impl IntoIterator<Item = tpm::Name>) -> Self {
        self.attestation_keys.extend(names);
        self
    }

    /// Also believes these authorities, DER certificates, about attestation keys of TPMs: an operator named them.
    pub fn with_tpm_authorities(mut self, authorities: &[Vec<u8>]) -> Result<Self, CannotJudge> {
        for der in authorities {
            if !Certificate::parse(der)?.is_authority() {
                let problem = "expected one of an authority".to_owned();
                return Err(CannotJudge::Endorsement { what: "certificate", problem });
            }
            self.tpm_authorities.push(der.clone().into());
        }
        Ok(self)
    }

    /// The roots' certificates, DER.
    pub fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        let others = [&self.intel, &self.aws, &self.tpm_authorities].into_iter().flatten();
        self.amd.iter().map(snp::Root::der).chain(others.map(AsRef::as_ref))
    }

    /// Whose roots these are.
    #[must_use]
    pub fn roots(&self) -> Roots {
        self.roots
    }
}

/// Whose roots stand behind a verdict.
#[derive(Clone, Copy, Debug, Eq, PartialEq, minicbor::Encode, minicbor::Decode, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[cbor(index_only)]
pub enum Roots {
    /// The hardware vendor's, pinned in this library; for a TPM, the operator's enrolment.
    #[n(0)]
    Vendor,
    /// A simulator's.
    #[n(1)]
    Simulated,
}

impl std::fmt::Display for Roots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Vendor => "vendor",
            Self::Simulated => "simulated",
        })
    }
}
