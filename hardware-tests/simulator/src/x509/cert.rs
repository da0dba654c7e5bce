//! A certificate about to be issued.

use super::{Critical, Extensions, Issuer, authority_key_id, oid, seal};
use crate::der::{self, Oid};
use crate::ecdsa::Key;

/// A certificate about to be issued.
#[derive(Clone, Debug)]
pub struct CertBuilder {
    subject: Vec<u8>,
    issuer: Vec<u8>,
    serial: Vec<u8>,
    not_before: u64,
    not_after: u64,
    spki: Vec<u8>,
    extensions: Extensions,
    signer: Key,
}

/// What a certificate says about being an authority.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BasicConstraints {
    /// An authority, with at most this many authorities below it.
    Authority(u64),
    /// An authority without a path limit.
    Unlimited,
    /// No authority.
    EndEntity,
}

impl CertBuilder {
    /// `subject`'s key under its name, issued by `issuer`: serial 1, no validity, no extensions.
    #[must_use]
    pub fn new(subject: &Issuer, issuer: &Issuer) -> Self {
        Self {
            subject: subject.name.clone(),
            issuer: issuer.name.clone(),
            serial: vec![1],
            not_before: 0,
            not_after: 0,
            spki: subject.key.spki(),
            extensions: Extensions::default(),
            signer: issuer.key.clone(),
        }
    }

    /// Signs, and gives the DER.
    #[must_use]
    pub fn der(&self) -> Vec<u8> {
        let tbs = der::sequence(&[
            der::context(0, &der::unsigned(2)),
            der::integer(&self.serial),
            self.signer.algorithm(),
            self.issuer.clone(),
            der::sequence(&[der::time(self.not_before), der::time(self.not_after)]),
            self.subject.clone(),
            self.spki.clone(),
            der::context(3, &self.extensions.der()),
        ]);
        seal(tbs, &self.signer)
    }

    /// Sets the subject's distinguished name, DER.
    #[must_use]
    pub fn subject(mut self, name: Vec<u8>) -> Self {
        self.subject = name;
        self
    }

    /// Sets the issuer's distinguished name, DER, but not the key that signs.
    #[must_use]
    pub fn issuer(mut self, name: Vec<u8>) -> Self {
        self.issuer = name;
        self
    }

    /// Sets the serial number from its big-endian bytes.
    #[must_use]
    pub fn serial(mut self, big_endian: &[u8]) -> Self {
        big_endian.clone_into(&mut self.serial);
        self
    }

    /// Sets the start of validity, in seconds since 1970.
    #[must_use]
    pub const fn not_before(mut self, unix: u64) -> Self {
        self.not_before = unix;
        self
    }

    /// Sets the end of validity, in seconds since 1970.
    #[must_use]
    pub const fn not_after(mut self, unix: u64) -> Self {
        self.not_after = unix;
        self
    }

    /// Certifies another key: a DER `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn spki(mut self, spki: Vec<u8>) -> Self {
        self.spki = spki;
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
        self.issuer(issuer.name.clone()).authority_key_id(&issuer.key).signed_by(issuer.key.clone())
    }

    /// Sets an extension's value (the content of its OCTET STRING), in place or at the end.
    #[must_use]
    pub fn extension(mut self, oid: Oid, value: &[u8]) -> Self {
        self.extensions.set(oid, value);
        self
    }

    /// Leaves an extension out.
    #[must_use]
    pub fn without(mut self, oid: Oid) -> Self {
        self.extensions.remove(oid);
        self
    }

    /// Adds a second extension of a kind that is already there.
    #[must_use]
    pub fn duplicate(mut self, oid: Oid, value: &[u8]) -> Self {
        self.extensions.push(oid, value);
        self
    }

    /// Marks an extension as critical.
    #[must_use]
    pub fn critical(mut self, oid: Oid) -> Self {
        self.extensions.mark(oid, Critical::Yes);
        self
    }

    /// Writes out that extensions are not critical, which is the default and which DER leaves out.
    #[must_use]
    pub fn explicit_defaults(mut self) -> Self {
        self.extensions.write_defaults();
        self
    }

    /// Sets the critical `BasicConstraints`.
    #[must_use]
    pub fn basic_constraints(self, constraints: BasicConstraints) -> Self {
        let content = match constraints {
            BasicConstraints::Authority(limit) => vec![der::boolean_true(), der::unsigned(limit)],
            BasicConstraints::Unlimited => vec![der::boolean_true()],
            BasicConstraints::EndEntity => Vec::new(),
        };
        self.extension(oid::BASIC_CONSTRAINTS, &der::sequence(&content)).critical(oid::BASIC_CONSTRAINTS)
    }

    /// Sets the critical `KeyUsage` as the content of its DER BIT STRING: unused bits, then the bits.
    #[must_use]
    pub fn key_usage(self, bits: [u8; 2]) -> Self {
        self.extension(oid::KEY_USAGE, &der::tlv(0x03, &bits)).critical(oid::KEY_USAGE)
    }

    /// Names the certified key.
    #[must_use]
    pub fn subject_key_id(self, key: &Key) -> Self {
        self.extension(oid::SUBJECT_KEY_ID, &der::octet_string(&key.key_id()))
    }

    /// Names the key that signs.
    #[must_use]
    pub fn authority_key_id(self, key: &Key) -> Self {
        self.extension(oid::AUTHORITY_KEY_ID, &authority_key_id(key))
    }

    /// Says where the issuer's revocation list is.
    #[must_use]
    pub fn crl_distribution_point(self, url: &str) -> Self {
        let full_name = der::context(0, &der::context(0, &der::tlv(0x86, url.as_bytes())));
        self.extension(oid::CRL_DISTRIBUTION_POINTS, &der::sequence(&[der::sequence(&[full_name])]))
    }
}
