//! What a revocation list says, whoever signs it (RFC 5280, 5.1).

use super::extensions::{Critical, Extensions};
use super::oid;
use crate::der::{self, Oid};

/// A list about to be signed.
#[derive(Clone, Debug)]
pub(crate) struct List {
    /// The issuer's distinguished name, DER.
    pub(crate) issuer: Vec<u8>,
    pub(crate) this_update: u64,
    pub(crate) next_update: Option<u64>,
    revoked: Vec<Revoked>,
    extensions: Extensions,
}

#[derive(Clone, Debug)]
struct Revoked {
    /// An INTEGER, DER.
    serial: Vec<u8>,
    at: u64,
    extensions: Extensions,
}

impl List {
    /// With nothing on it.
    pub(crate) fn new(issuer: Vec<u8>, this_update: u64, next_update: u64) -> Self {
        let (revoked, extensions) = (Vec::new(), Extensions::default());
        Self { issuer, this_update, next_update: Some(next_update), revoked, extensions }
    }

    /// What is to be signed, by this algorithm.
    pub(crate) fn to_be_signed(&self, algorithm: Vec<u8>) -> Vec<u8> {
        let mut fields = vec![der::unsigned(1), algorithm, self.issuer.clone(), der::time(self.this_update)];
        fields.extend(self.next_update.map(der::time));
        if !self.revoked.is_empty() {
            fields.push(der::sequence(&self.revoked.iter().map(Revoked::der).collect::<Vec<_>>()));
        }
        fields.extend(self.extensions.der_if_any().map(|extensions| der::context(0, &extensions)));
        der::sequence(&fields)
    }

    /// Revokes the certificate with this serial (an INTEGER, DER), with extensions of the entry.
    pub(crate) fn revoke(mut self, serial: Vec<u8>, extensions: Extensions) -> Self {
        self.revoked.push(Revoked { serial, at: self.this_update, extensions });
        self
    }

    /// Revokes a certificate of another issuer (a DER name), by the critical `CertificateIssuer` extension.
    pub(crate) fn revoke_of(self, certificate_issuer: &[u8], serial: Vec<u8>) -> Self {
        // RFC 5280, 5.3.3: GeneralNames with one directoryName.
        let value = der::sequence(&[der::context(4, certificate_issuer)]);
        self.revoke(serial, Extensions::of(oid::CERTIFICATE_ISSUER, Critical::Yes, value))
    }

    /// Declares the list indirect, by the critical `IssuingDistributionPoint` extension.
    pub(crate) fn indirect(self) -> Self {
        let point = der::sequence(&[der::tlv(0x84, &[0xff])]);
        self.extension(oid::ISSUING_DISTRIBUTION_POINT, Critical::Yes, &point)
    }

    /// Sets an extension's value (the content of its OCTET STRING), in place or at the end.
    pub(crate) fn extension(mut self, oid: Oid, critical: Critical, value: &[u8]) -> Self {
        self.extensions.put(oid, critical, value);
        self
    }

    /// Leaves an extension out.
    pub(crate) fn without(mut self, oid: Oid) -> Self {
        self.extensions.remove(oid);
        self
    }
}

impl Revoked {
    fn der(&self) -> Vec<u8> {
        let fields = [self.serial.clone(), der::time(self.at)];
        der::sequence(&fields.into_iter().chain(self.extensions.der_if_any()).collect::<Vec<_>>())
    }
}
