//! Certificates of the AMD hierarchy, with every part settable.
//!
//! A [`CertBuilder`] starts as what AMD would issue (see [`Chip`](super::Chip)); each method departs from it.
//! Nothing is checked, because tests need the certificates that nobody should accept.

use aws_lc_rs::signature::{RSA_PKCS1_SHA384, RSA_PSS_SHA256, RSA_PSS_SHA384, RsaSignatureEncoding};

use super::{Authority, Product, Role, Tcb};
use crate::der::{self, Oid};
use crate::x509::{Critical, Extensions};

/// A certificate about to be issued.
#[derive(Clone, Debug)]
pub struct CertBuilder {
    subject: String,
    issuer: String,
    serial: u64,
    not_before: u64,
    not_after: u64,
    spki: Vec<u8>,
    extensions: Extensions,
    signer: Signer,
}

impl CertBuilder {
    pub(super) fn new(subject: String, spki: Vec<u8>, issuer: Authority) -> Self {
        let signer = Signer { authority: issuer, scheme: Scheme::PssSha384, trailer: Trailer::Omitted };
        Self {
            subject,
            issuer: issuer.common_name(),
            serial: 0,
            not_before: 0,
            not_after: 0,
            spki,
            extensions: Extensions::default(),
            signer,
        }
    }

    /// Signs, and gives the DER.
    #[must_use]
    pub fn der(&self) -> Vec<u8> {
        let version = der::context(0, &der::unsigned(2));
        let validity = der::sequence(&[der::time(self.not_before), der::time(self.not_after)]);
        let tbs = der::sequence(&[
            version,
            der::unsigned(self.serial),
            self.signer.algorithm(),
            name(&self.issuer),
            validity,
            name(&self.subject),
            self.spki.clone(),
            der::context(3, &self.extensions.der()),
        ]);
        self.signer.seal(tbs)
    }

    /// Sets the subject's common name.
    #[must_use]
    pub fn subject(mut self, common_name: &str) -> Self {
        common_name.clone_into(&mut self.subject);
        self
    }

    /// Sets the issuer's common name, but not the key that signs.
    #[must_use]
    pub fn issuer(mut self, common_name: &str) -> Self {
        common_name.clone_into(&mut self.issuer);
        self
    }

    /// Sets the serial number. AMD gives every VCEK and VLEK the serial 0.
    #[must_use]
    pub const fn serial(mut self, serial: u64) -> Self {
        self.serial = serial;
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

    /// Signs with another authority's key, and leaves the issuer's name.
    #[must_use]
    pub const fn signed_by(mut self, authority: Authority) -> Self {
        self.signer.authority = authority;
        self
    }

    /// Issues under another authority: its name and its key.
    #[must_use]
    pub fn issued_by(self, authority: Authority) -> Self {
        self.issuer(&authority.common_name()).signed_by(authority)
    }

    /// Signs by another scheme, and says so in the algorithm identifier.
    #[must_use]
    pub const fn scheme(mut self, scheme: Scheme) -> Self {
        self.signer.scheme = scheme;
        self
    }

    /// Writes the PSS trailer field or leaves it out; AMD does both.
    #[must_use]
    pub const fn trailer(mut self, trailer: Trailer) -> Self {
        self.signer.trailer = trailer;
        self
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

    /// Sets the five patch levels of a TCB, in the extensions that `product` has.
    #[must_use]
    pub fn tcb(self, product: Product, tcb: Tcb) -> Self {
        let level = |value: u8| der::unsigned(u64::from(value));
        let with_fmc = match product {
            Product::Milan | Product::Genoa => self,
            Product::Turin => self.extension(oid::SPL_FMC, &level(tcb.fmc)),
        };
        with_fmc
            .extension(oid::SPL_BOOTLOADER, &level(tcb.bootloader))
            .extension(oid::SPL_TEE, &level(tcb.tee))
            .extension(oid::SPL_SNP, &level(tcb.snp))
            .extension(oid::SPL_MICROCODE, &level(tcb.microcode))
    }

    /// Sets the hardware id as bare bytes, as AMD's service does.
    #[must_use]
    pub fn hwid(self, hwid: &[u8]) -> Self {
        self.extension(oid::HWID, hwid)
    }

    /// Sets the hardware id wrapped in an OCTET STRING of its own, the form of newer certificates.
    #[must_use]
    pub fn wrapped_hwid(self, hwid: &[u8]) -> Self {
        self.extension(oid::HWID, &der::octet_string(hwid))
    }

    /// Sets the cloud service provider's id of a VLEK.
    #[must_use]
    pub fn csp_id(self, csp_id: &str) -> Self {
        self.extension(oid::CSP_ID, &der::ia5_string(csp_id))
    }

    /// Sets the product name.
    #[must_use]
    pub fn product_name(self, name: &str) -> Self {
        self.extension(oid::PRODUCT_NAME, &der::ia5_string(name))
    }

    /// Sets the version of the extension structure.
    #[must_use]
    pub fn struct_version(self, version: u64) -> Self {
        self.extension(oid::STRUCT_VERSION, &der::unsigned(version))
    }

    /// Sets the critical `BasicConstraints` of a certificate authority, or of an end entity.
    #[must_use]
    pub fn basic_constraints(self, constraints: BasicConstraints) -> Self {
        let content = match constraints {
            BasicConstraints::Root => vec![der::boolean_true()],
            BasicConstraints::Intermediate => vec![der::boolean_true(), der::unsigned(0)],
            BasicConstraints::EndEntity => Vec::new(),
        };
        self.extension(oid::BASIC_CONSTRAINTS, &der::sequence(&content)).critical(oid::BASIC_CONSTRAINTS)
    }

    /// Sets the critical `KeyUsage` as the content of its DER BIT STRING: unused bits, then the bits.
    #[must_use]
    pub fn key_usage(self, bits: [u8; 2]) -> Self {
        self.extension(oid::KEY_USAGE, &der::tlv(0x03, &bits)).critical(oid::KEY_USAGE)
    }

    pub(super) fn subject_key_id(self, authority: Authority) -> Self {
        self.extension(oid::SUBJECT_KEY_ID, &der::octet_string(&authority.key_id()))
    }

    pub(super) fn authority_key_id(self, authority: Authority) -> Self {
        self.extension(oid::AUTHORITY_KEY_ID, &authority_key_id(authority))
    }

    pub(super) fn crl_distribution_point(self, authority: Authority) -> Self {
        let service = match authority.role {
            Role::Ark | Role::Ask => "vcek",
            Role::Asvk => "vlek",
        };
        let url = format!("https://kdsintf.amd.com/{service}/v1/{}/crl", authority.product.name());
        let full_name = der::context(0, &der::context(0, &der::tlv(0x86, url.as_bytes())));
        self.extension(oid::CRL_DISTRIBUTION_POINTS, &der::sequence(&[der::sequence(&[full_name])]))
    }
}

/// What a certificate says about being an authority.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BasicConstraints {
    /// An authority without a path limit.
    Root,
    /// An authority that issues end-entity certificates only.
    Intermediate,
    /// No authority.
    EndEntity,
}

/// How an authority signs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// RSASSA-PSS, SHA-384, MGF1 with SHA-384, salt of 48 bytes: the only one that AMD uses.
    PssSha384,
    /// RSASSA-PSS, SHA-256, MGF1 with SHA-256, salt of 32 bytes.
    PssSha256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Pkcs1Sha384,
}

/// Whether the default PSS trailer field is written out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trailer {
    /// Left out, as DER asks.
    Omitted,
    /// Written out, as in AMD's roots and older VCEKs.
    Explicit,
}

/// The key and the scheme of a signature.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signer {
    pub(super) authority: Authority,
    pub(super) scheme: Scheme,
    pub(super) trailer: Trailer,
}

impl Signer {
    /// The signed structure: what is to be signed, the algorithm, the signature.
    pub(super) fn seal(self, tbs: Vec<u8>) -> Vec<u8> {
        let signature = self.authority.sign(self.encoding(), &tbs);
        der::sequence(&[tbs, self.algorithm(), der::bit_string(&signature)])
    }

    pub(super) fn algorithm(self) -> Vec<u8> {
        match self.scheme {
            Scheme::PssSha384 => self.pss(SHA384, 48),
            Scheme::PssSha256 => self.pss(SHA256, 32),
            Scheme::Pkcs1Sha384 => der::sequence(&[der::oid(SHA384_WITH_RSA), der::null()]),
        }
    }

    /// `RSASSA-PSS-params` (RFC 4055, 3.1).
    fn pss(self, hash: &[u64], salt: u64) -> Vec<u8> {
        let hash = der::sequence(&[der::oid(hash), der::null()]);
        let mask = der::sequence(&[der::oid(MGF1), hash.clone()]);
        let mut parameters =
            vec![der::context(0, &hash), der::context(1, &mask), der::context(2, &der::unsigned(salt))];
        if self.trailer == Trailer::Explicit {
            parameters.push(der::context(3, &der::unsigned(1)));
        }
        der::sequence(&[der::oid(RSASSA_PSS), der::sequence(&parameters)])
    }

    const fn encoding(self) -> &'static RsaSignatureEncoding {
        match self.scheme {
            Scheme::PssSha384 => &RSA_PSS_SHA384,
            Scheme::PssSha256 => &RSA_PSS_SHA256,
            Scheme::Pkcs1Sha384 => &RSA_PKCS1_SHA384,
        }
    }
}

/// A name in the order and the string types of AMD's certificates; only the common name varies.
pub(super) fn name(common_name: &str) -> Vec<u8> {
    let attribute =
        |arc: u64, value: Vec<u8>| der::set(&[der::sequence(&[der::oid(&[2, 5, 4, arc]), value])]);
    der::sequence(&[
        attribute(11, der::utf8_string("Engineering")),
        attribute(6, der::printable_string("US")),
        attribute(7, der::utf8_string("Santa Clara")),
        attribute(8, der::utf8_string("CA")),
        attribute(10, der::utf8_string("Advanced Micro Devices")),
        attribute(3, der::utf8_string(common_name)),
    ])
}

pub(super) fn authority_key_id(authority: Authority) -> Vec<u8> {
    der::sequence(&[der::tlv(0x80, &authority.key_id())])
}

/// Extensions of the AMD hierarchy.
pub mod oid {
    use super::Oid;

    /// Version of the extension structure (AMD 57230, as all of this arc up to the hardware id).
    pub const STRUCT_VERSION: Oid = &[1, 3, 6, 1, 4, 1, 3704, 1, 1];
    /// Product name.
    pub const PRODUCT_NAME: Oid = &[1, 3, 6, 1, 4, 1, 3704, 1, 2];
    /// Boot loader patch level.
    pub const SPL_BOOTLOADER: Oid = &[1, 3, 6, 1, 4, 1, 3704, 1, 3, 1];
    /// Secure processor operating system patch level.
    pub const SPL_TEE: Oid = &[1, 3, 6, 1, 4, 1, 3704, 1, 3, 2];
    /// SNP firmware patch level.
    pub const SPL_SNP: Oid = &[1, 3, 6, 1, 4, 1, 3704, 1, 3, 3];
    /// Reserved patch level 4; not on Turin.
    pub const SPL_4: Oid = &[1, 3, 6, 1, 4, 1, 3704, 1, 3, 4];
    /// Reserved patch level 5.
    pub const SPL_5: Oid = &[1, 3, 6, 1, 4, 1, 3704, 1, 3, 5];
    /// Reserved patch level 6.
    pub const SPL_6: Oid = &[1, 3, 6, 1, 4, 1, 3704, 1, 3, 6];
    /// Reserved patch level 7.
    pub const SPL_7: Oid = &[1, 3, 6, 1, 4, 1, 3704, 1, 3, 7];
    /// Microcode patch level.
    pub const SPL_MICROCODE: Oid = &[1, 3, 6, 1, 4, 1, 3704, 1, 3, 8];
    /// FMC patch level; only on Turin.
    pub const SPL_FMC: Oid = &[1, 3, 6, 1, 4, 1, 3704, 1, 3, 9];
    /// Hardware id of a VCEK.
    pub const HWID: Oid = &[1, 3, 6, 1, 4, 1, 3704, 1, 4];
    /// Cloud service provider's id of a VLEK (AMD 58369).
    pub const CSP_ID: Oid = &[1, 3, 6, 1, 4, 1, 3704, 1, 5];
    /// `SubjectKeyIdentifier`.
    pub const SUBJECT_KEY_ID: Oid = &[2, 5, 29, 14];
    /// `KeyUsage`.
    pub const KEY_USAGE: Oid = &[2, 5, 29, 15];
    /// `BasicConstraints`.
    pub const BASIC_CONSTRAINTS: Oid = &[2, 5, 29, 19];
    /// `CRLNumber`.
    pub const CRL_NUMBER: Oid = &[2, 5, 29, 20];
    /// `DeltaCRLIndicator`.
    pub const DELTA_CRL_INDICATOR: Oid = &[2, 5, 29, 27];
    /// `IssuingDistributionPoint`.
    pub const ISSUING_DISTRIBUTION_POINT: Oid = &[2, 5, 29, 28];
    /// `CertificateIssuer`, of an entry in an indirect list.
    pub const CERTIFICATE_ISSUER: Oid = &[2, 5, 29, 29];
    /// `CRLDistributionPoints`.
    pub const CRL_DISTRIBUTION_POINTS: Oid = &[2, 5, 29, 31];
    /// `AuthorityKeyIdentifier`.
    pub const AUTHORITY_KEY_ID: Oid = &[2, 5, 29, 35];
}

const RSASSA_PSS: &[u64] = &[1, 2, 840, 113_549, 1, 1, 10];
const SHA384_WITH_RSA: &[u64] = &[1, 2, 840, 113_549, 1, 1, 12];
const MGF1: &[u64] = &[1, 2, 840, 113_549, 1, 1, 8];
const SHA256: &[u64] = &[2, 16, 840, 1, 101, 3, 4, 2, 1];
const SHA384: &[u64] = &[2, 16, 840, 1, 101, 3, 4, 2, 2];
