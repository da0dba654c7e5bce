//! A certificate revocation list about to be issued.

use super::{Critical, Extension, Issuer, authority_key_id, oid, seal};
use crate::der::{self, Oid};
use crate::ecdsa::Key;

/// A revocation list about to be issued.
#[derive(Clone, Debug)]
pub struct CrlBuilder {
    issuer: Vec<u8>,
    this_update: u64,
    next_update: Option<u64>,
    revoked: Vec<Revoked>,
    extensions: Vec<Extension>,
    signer: Key,
}

#[derive(Clone, Debug)]
struct Revoked {
    serial: Vec<u8>,
    at: u64,
    extensions: Vec<Extension>,
}

impl CrlBuilder {
    /// `issuer`'s list with nothing on it.
    #[must_use]
    pub fn new(issuer: &Issuer, this_update: u64, next_update: u64) -> Self {
        let builder = Self {
            issuer: issuer.name.clone(),
            this_update,
            next_update: Some(next_update),
            revoked: Vec::new(),
            extensions: Vec::new(),
            signer: issuer.key.clone(),
        };
        builder.number(1).extension(oid::AUTHORITY_KEY_ID, &authority_key_id(&issuer.key))
    }

    /// Signs, and gives the DER.
    #[must_use]
    pub fn der(&self) -> Vec<u8> {
        let mut fields =
            vec![der::unsigned(1), self.signer.algorithm(), self.issuer.clone(), der::time(self.this_update)];
        fields.extend(self.next_update.map(der::time));
        if !self.revoked.is_empty() {
            let entries: Vec<Vec<u8>> = self.revoked.iter().map(Revoked::der).collect();
            fields.push(der::sequence(&entries));
        }
        if !self.extensions.is_empty() {
            let extensions: Vec<Vec<u8>> = self.extensions.iter().map(Extension::der).collect();
            fields.push(der::context(0, &der::sequence(&extensions)));
        }
        seal(der::sequence(&fields), &self.signer)
    }

    /// Revokes a certificate of this list's issuer, as Intel does: with the reason "key compromise".
    #[must_use]
    pub fn revoke(mut self, serial: &[u8]) -> Self {
        let reason = Extension { oid: oid::REASON_CODE, critical: Critical::No, value: der::tlv(0x0a, &[1]) };
        self.revoked.push(Revoked {
            serial: serial.to_vec(),
            at: self.this_update,
            extensions: vec![reason],
        });
        self
    }

    /// Revokes a certificate of another issuer (a DER name), by the critical `CertificateIssuer` extension.
    #[must_use]
    pub fn revoke_of(mut self, certificate_issuer: &[u8], serial: &[u8]) -> Self {
        // RFC 5280, 5.3.3: GeneralNames with one directoryName.
        let value = der::sequence(&[der::context(4, certificate_issuer)]);
        let of = Extension { oid: oid::CERTIFICATE_ISSUER, critical: Critical::Yes, value };
        self.revoked.push(Revoked { serial: serial.to_vec(), at: self.this_update, extensions: vec![of] });
        self
    }

    /// Declares the list indirect, by the critical `IssuingDistributionPoint` extension.
    #[must_use]
    pub fn indirect(self) -> Self {
        let point = der::sequence(&[der::tlv(0x84, &[0xff])]);
        self.critical_extension(oid::ISSUING_DISTRIBUTION_POINT, &point)
    }

    /// Sets the time of issue, in seconds since 1970.
    #[must_use]
    pub const fn this_update(mut self, unix: u64) -> Self {
        self.this_update = unix;
        self
    }

    /// Sets the time until which the next list is promised, in seconds since 1970.
    #[must_use]
    pub const fn next_update(mut self, unix: u64) -> Self {
        self.next_update = Some(unix);
        self
    }

    /// Promises no next list.
    #[must_use]
    pub const fn without_next_update(mut self) -> Self {
        self.next_update = None;
        self
    }

    /// Sets the list's number.
    #[must_use]
    pub fn number(self, number: u64) -> Self {
        self.extension(oid::CRL_NUMBER, &der::unsigned(number))
    }

    /// Sets the issuer's distinguished name, DER, but not the key that signs.
    #[must_use]
    pub fn issuer(mut self, name: Vec<u8>) -> Self {
        self.issuer = name;
        self
    }

    /// Signs with another key, and leaves the issuer's name.
    #[must_use]
    pub fn signed_by(mut self, key: Key) -> Self {
        self.signer = key;
        self
    }

    /// Issues under another authority: its name, its key identifier and its key.
    #[must_use]
    pub fn issued_by(self, issuer: &Issuer) -> Self {
        self.issuer(issuer.name.clone())
            .extension(oid::AUTHORITY_KEY_ID, &authority_key_id(&issuer.key))
            .signed_by(issuer.key.clone())
    }

    /// Sets an extension's value (the content of its OCTET STRING), in place or at the end.
    #[must_use]
    pub fn extension(self, oid: Oid, value: &[u8]) -> Self {
        self.put(Extension { oid, critical: Critical::No, value: value.to_vec() })
    }

    /// Sets a critical extension, such as one that no verifier knows.
    #[must_use]
    pub fn critical_extension(self, oid: Oid, value: &[u8]) -> Self {
        self.put(Extension { oid, critical: Critical::Yes, value: value.to_vec() })
    }

    /// Leaves an extension out.
    #[must_use]
    pub fn without(mut self, oid: Oid) -> Self {
        self.extensions.retain(|extension| extension.oid != oid);
        self
    }

    fn put(mut self, extension: Extension) -> Self {
        match self.extensions.iter_mut().find(|present| present.oid == extension.oid) {
            Some(present) => *present = extension,
            None => self.extensions.push(extension),
        }
        self
    }
}

impl Revoked {
    fn der(&self) -> Vec<u8> {
        let extensions: Vec<Vec<u8>> = self.extensions.iter().map(Extension::der).collect();
        der::sequence(&[der::integer(&self.serial), der::time(self.at), der::sequence(&extensions)])
    }
}
