//! Certificate revocation lists, with every part settable.
//!
//! AMD's roots issue them; here anybody can, including authorities whose lists must not count.

use super::cert::{Extension, Signer, authority_key_id, name};
use super::{Authority, Scheme, Trailer, oid};
use crate::der::{self, Oid};

/// A revocation list about to be issued.
#[derive(Clone, Debug)]
pub struct CrlBuilder {
    issuer: String,
    this_update: u64,
    next_update: Option<u64>,
    revoked: Vec<Revoked>,
    extensions: Vec<Extension>,
    signer: Signer,
}

#[derive(Clone, Debug)]
struct Revoked {
    serial: u64,
    at: u64,
    certificate_issuer: Option<String>,
}

impl CrlBuilder {
    pub(super) fn new(issuer: Authority, this_update: u64, next_update: u64) -> Self {
        let signer = Signer { authority: issuer, scheme: Scheme::PssSha384, trailer: Trailer::Omitted };
        let builder = Self {
            issuer: issuer.common_name(),
            this_update,
            next_update: Some(next_update),
            revoked: Vec::new(),
            extensions: Vec::new(),
            signer,
        };
        builder.extension(oid::AUTHORITY_KEY_ID, &authority_key_id(issuer)).number(1)
    }

    /// Signs, and gives the DER.
    #[must_use]
    pub fn der(&self) -> Vec<u8> {
        let mut fields =
            vec![der::unsigned(1), self.signer.algorithm(), name(&self.issuer), der::time(self.this_update)];
        fields.extend(self.next_update.map(der::time));
        if !self.revoked.is_empty() {
            let entries: Vec<Vec<u8>> = self.revoked.iter().map(Revoked::der).collect();
            fields.push(der::sequence(&entries));
        }
        if !self.extensions.is_empty() {
            let extensions: Vec<Vec<u8>> = self.extensions.iter().map(Extension::der).collect();
            fields.push(der::context(0, &der::sequence(&extensions)));
        }
        self.signer.seal(der::sequence(&fields))
    }

    /// Revokes a certificate of this list's issuer. VCEKs and VLEKs have the serial 0.
    #[must_use]
    pub fn revoke(mut self, serial: u64) -> Self {
        self.revoked.push(Revoked { serial, at: self.this_update, certificate_issuer: None });
        self
    }

    /// Revokes a certificate of another issuer, by an entry with the critical `CertificateIssuer` extension.
    #[must_use]
    pub fn revoke_of(mut self, certificate_issuer: &str, serial: u64) -> Self {
        let certificate_issuer = Some(certificate_issuer.to_owned());
        self.revoked.push(Revoked { serial, at: self.this_update, certificate_issuer });
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

    /// Sets the issuer's common name, but not the key that signs.
    #[must_use]
    pub fn issuer(mut self, common_name: &str) -> Self {
        common_name.clone_into(&mut self.issuer);
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
    pub fn extension(self, oid: Oid, value: &[u8]) -> Self {
        self.put(Extension { oid, critical: false, value: value.to_vec() })
    }

    /// Sets a critical extension, such as one that no verifier knows.
    #[must_use]
    pub fn critical_extension(self, oid: Oid, value: &[u8]) -> Self {
        self.put(Extension { oid, critical: true, value: value.to_vec() })
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
        let mut fields = vec![der::unsigned(self.serial), der::time(self.at)];
        if let Some(issuer) = &self.certificate_issuer {
            // RFC 5280, 5.3.3: GeneralNames with one directoryName.
            let value = der::sequence(&[der::context(4, &name(issuer))]);
            let extension = Extension { oid: oid::CERTIFICATE_ISSUER, critical: true, value };
            fields.push(der::sequence(&[extension.der()]));
        }
        der::sequence(&fields)
    }
}
