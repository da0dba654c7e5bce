//! Certificate revocation lists, with every part settable.
//!
//! AMD's roots issue them; here anybody can, including authorities whose lists must not count.

use super::cert::{Signer, authority_key_id, name};
use super::{Authority, Scheme, Trailer, oid};
use crate::der::{self, Oid};
use crate::x509::{Critical, Extensions, List};

/// A revocation list about to be issued.
#[derive(Clone, Debug)]
pub struct CrlBuilder {
    list: List,
    signer: Signer,
}

impl CrlBuilder {
    pub(super) fn new(issuer: Authority, this_update: u64, next_update: u64) -> Self {
        let signer = Signer { authority: issuer, scheme: Scheme::PssSha384, trailer: Trailer::Omitted };
        let list = List::new(name(&issuer.common_name()), this_update, next_update);
        let builder = Self { list, signer };
        builder.extension(oid::AUTHORITY_KEY_ID, &authority_key_id(issuer)).number(1)
    }

    /// Signs, and gives the DER.
    #[must_use]
    pub fn der(&self) -> Vec<u8> {
        self.signer.seal(self.list.to_be_signed(self.signer.algorithm()))
    }

    /// Revokes a certificate of this list's issuer. VCEKs and VLEKs have the serial 0.
    #[must_use]
    pub fn revoke(mut self, serial: u64) -> Self {
        self.list = self.list.revoke(der::unsigned(serial), Extensions::default());
        self
    }

    /// Revokes a certificate of another issuer, by an entry with the critical `CertificateIssuer` extension.
    #[must_use]
    pub fn revoke_of(mut self, certificate_issuer: &str, serial: u64) -> Self {
        self.list = self.list.revoke_of(&name(certificate_issuer), der::unsigned(serial));
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

    /// Sets the issuer's common name, but not the key that signs.
    #[must_use]
    pub fn issuer(mut self, common_name: &str) -> Self {
        self.list.issuer = name(common_name);
        self
    }

    /// Signs with another authority's key, and leaves the issuer's name.
    #[must_use]
    pub const fn signed_by(mut self, authority: Authority) -> Self {
        self.signer.authority = authority;
        self
    }

    /// Issues under another authority: its name, its key identifier and its key.
    #[must_use]
    pub fn issued_by(self, authority: Authority) -> Self {
        self.issuer(&authority.common_name())
            .extension(oid::AUTHORITY_KEY_ID, &authority_key_id(authority))
            .signed_by(authority)
    }

    /// Signs by another scheme, and says so in the algorithm identifier.
    #[must_use]
    pub const fn scheme(mut self, scheme: Scheme) -> Self {
        self.signer.scheme = scheme;
        self
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
