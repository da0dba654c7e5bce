//! A certificate revocation list about to be issued.

use super::{Critical, Extensions, Issuer, List, authority_key_id, oid, seal};
use crate::der::{self, Oid};
use crate::ecdsa::Key;

/// A revocation list about to be issued.
#[derive(Clone, Debug)]
pub struct CrlBuilder {
    list: List,
    signer: Key,
}

impl CrlBuilder {
    /// `issuer`'s list with nothing on it.
    #[must_use]
    pub fn new(issuer: &Issuer, this_update: u64, next_update: u64) -> Self {
        let list = List::new(issuer.name.clone(), this_update, next_update);
        let builder = Self { list, signer: issuer.key.clone() };
        builder.number(1).extension(oid::AUTHORITY_KEY_ID, &authority_key_id(&issuer.key))
    }

    /// Signs, and gives the DER.
    #[must_use]
    pub fn der(&self) -> Vec<u8> {
        seal(self.list.to_be_signed(self.signer.algorithm()), &self.signer)
    }

    /// Revokes a certificate of this list's issuer, as Intel does: with the reason "key compromise".
    #[must_use]
    pub fn revoke(mut self, serial: &[u8]) -> Self {
        let reason = Extensions::of(oid::REASON_CODE, Critical::No, der::tlv(0x0a, &[1]));
        self.list = self.list.revoke(der::integer(serial), reason);
        self
    }

    /// Revokes a certificate of another issuer (a DER name), by the critical `CertificateIssuer` extension.
    #[must_use]
    pub fn revoke_of(mut self, certificate_issuer: &[u8], serial: &[u8]) -> Self {
        self.list = self.list.revoke_of(certificate_issuer, der::integer(serial));
        self
    }

    /// Declares the list indirect, by the critical `IssuingDistributionPoint` extension.
    #[must_use]
    pub fn indirect(mut self) -> Self {
        self.list = self.list.indirect();
        self
    }

    /// Sets the time of issue, in seconds since 1970.
    #[must_use]
    pub const fn this_update(mut self, unix: u64) -> Self {
        self.list.this_update = unix;
        self
    }

    /// Sets the time until which the next list is promised, in seconds since 1970.
    #[must_use]
    pub const fn next_update(mut self, unix: u64) -> Self {
        self.list.next_update = Some(unix);
        self
    }

    /// Promises no next list.
    #[must_use]
    pub const fn without_next_update(mut self) -> Self {
        self.list.next_update = None;
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
        self.list.issuer = name;
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
    pub fn extension(mut self, oid: Oid, value: &[u8]) -> Self {
        self.list = self.list.extension(oid, Critical::No, value);
        self
    }

    /// Sets a critical extension, such as one that no verifier knows.
    #[must_use]
    pub fn critical_extension(mut self, oid: Oid, value: &[u8]) -> Self {
        self.list = self.list.extension(oid, Critical::Yes, value);
        self
    }

    /// Leaves an extension out.
    #[must_use]
    pub fn without(mut self, oid: Oid) -> Self {
        self.list = self.list.without(oid);
        self
    }
}
