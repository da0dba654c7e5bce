//! The authorities of cloud providers for attestation keys, with keys that follow from their names.

use super::AttestationKey;
use crate::der::{self, Oid};
use crate::ecdsa::{Curve, Key};
use crate::x509::{BasicConstraints, CertBuilder, CrlBuilder, Issuer, attribute};

/// A provider: a root, an intermediate authority, and what they issue.
#[derive(Clone, Debug)]
pub struct Provider {
    organisation: &'static str,
    root: &'static str,
    intermediate: &'static str,
    set: &'static str,
    at: u64,
}

impl Provider {
    /// In the names of Google's authority.
    #[must_use]
    pub const fn google() -> Self {
        let (root, intermediate) = ("EK/AK CA Root", "EK/AK CA Intermediate");
        Self { organisation: "Google LLC", root, intermediate, set: "simulated", at: EPOCH }
    }

    /// In the names of Microsoft's authority.
    #[must_use]
    pub const fn azure() -> Self {
        let root = "Azure Virtual TPM Root Certificate Authority 2023";
        let intermediate = "Global Virtual TPM CA - 03";
        Self { organisation: "Microsoft Corporation", root, intermediate, set: "simulated", at: EPOCH }
    }

    /// The same names with other keys.
    #[must_use]
    pub const fn impostor(mut self) -> Self {
        self.set = "other";
        self
    }

    /// The same at another time: what is issued and the list hold then.
    #[must_use]
    pub const fn at(mut self, at: u64) -> Self {
        self.at = at;
        self
    }

    /// Name and key of the root.
    #[must_use]
    pub fn root_issuer(&self) -> Issuer {
        self.issuer(self.root)
    }

    /// Name and key of the intermediate authority.
    #[must_use]
    pub fn intermediate_issuer(&self) -> Issuer {
        self.issuer(self.intermediate)
    }

    /// The root certificate, about to be issued.
    #[must_use]
    pub fn root(&self) -> CertBuilder {
        let root = self.root_issuer();
        authority(&root, &root)
    }

    /// The certificate of the intermediate authority, about to be issued.
    #[must_use]
    pub fn intermediate(&self) -> CertBuilder {
        authority(&self.intermediate_issuer(), &self.root_issuer())
    }

    /// The certificate of an attestation key, about to be issued: a year long.
    #[must_use]
    pub fn certificate(&self, key: &AttestationKey) -> CertBuilder {
        self.certificate_of(key.spki())
    }

    /// The certificate of a key by its `SubjectPublicKeyInfo`, DER.
    #[must_use]
    pub fn certificate_of(&self, spki: Vec<u8>) -> CertBuilder {
        let issuer = self.intermediate_issuer();
        let subject = Issuer { name: name(self.organisation, "machine.example"), key: issuer.key.clone() };
        CertBuilder::new(&subject, &issuer)
            .spki(spki)
            .serial(&[0x2a])
            .not_before(self.at.saturating_sub(DAY.saturating_mul(30)))
            .not_after(self.at.saturating_add(DAY.saturating_mul(335)))
            .key_usage(DIGITAL_SIGNATURE)
            .basic_constraints(BasicConstraints::EndEntity)
    }

    /// The root's revocation list: nothing revoked, a day old, current for 30 days more.
    #[must_use]
    pub fn crl(&self) -> CrlBuilder {
        let until = self.at.saturating_add(DAY.saturating_mul(30));
        CrlBuilder::new(&self.root_issuer(), self.at.saturating_sub(DAY), until)
    }

    fn issuer(&self, common_name: &str) -> Issuer {
        let label = format!("cloudtaser simulator: {} {} {common_name}", self.set, self.organisation);
        let key = Key::derive(Curve::P256, label.as_bytes());
        Issuer { name: name(self.organisation, common_name), key }
    }
}

fn authority(subject: &Issuer, issuer: &Issuer) -> CertBuilder {
    CertBuilder::new(subject, issuer)
        .serial(&[0x07])
        .not_before(1_672_531_200)
        .not_after(2_461_449_600)
        .key_usage(CERT_SIGN_AND_CRL_SIGN)
        .basic_constraints(BasicConstraints::Authority(1))
}

fn name(organisation: &str, common_name: &str) -> Vec<u8> {
    der::sequence(&[
        attribute(6, der::printable_string("US")),
        attribute(10, der::utf8_string(organisation)),
        attribute(3, der::utf8_string(common_name)),
    ])
}

/// The value of Google's extension for an instance: zone, project and names.
#[must_use]
pub fn gce_instance(zone: &str, project: &str, name: &str) -> Vec<u8> {
    der::sequence(&[
        der::utf8_string(zone),
        der::unsigned(1_071_284_184_436),
        der::utf8_string(project),
        der::unsigned(6_624_646_453_420_814_670),
        der::utf8_string(name),
    ])
}

/// The extended key usage, and the value that says: an attestation key's certificate.
pub const EXTENDED_KEY_USAGE: Oid = &[2, 5, 29, 37];
/// SEQUENCE { tcg-kp-AIKCertificate }.
pub const AIK_CERTIFICATE: [u8; 9] = [0x30, 0x07, 0x06, 0x05, 0x67, 0x81, 0x05, 0x08, 0x03];

const DIGITAL_SIGNATURE: [u8; 2] = [7, 0x80];
const CERT_SIGN_AND_CRL_SIGN: [u8; 2] = [1, 0x06];
const DAY: u64 = 86_400;
const EPOCH: u64 = crate::snp::EPOCH;
