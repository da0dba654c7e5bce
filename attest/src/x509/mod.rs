//! X.509 certificates and revocation lists, as far as attestation chains use them.
//!
//! Parsing is x509-parser's; signatures go through [`Crypto`]; what is asked of a certificate is decided
//! by the platform that uses it. Untrusted: every byte, until a signature over it was checked with a key
//! that was already trusted.

mod crl;
mod defaults;
pub(crate) mod der;
mod ecdsa;
mod envelope;
mod padding;
mod pkcs1;
mod usage;

use x509_parser::error::PEMError;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey as ParsedKey;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo, X509Name};

use crate::crypto::{BadSignature, Crypto, Hash, PublicKey, Scheme};
use crate::{CannotJudge, UnixTime, Window};

pub(crate) use crl::{RevocationList, Revoked};
pub(crate) use ecdsa::fixed as der_signature;

/// A parsed certificate.
#[derive(Debug)]
pub(crate) struct Certificate<'a> {
    parsed: X509Certificate<'a>,
}

impl<'a> Certificate<'a> {
    /// Parses exactly one certificate; trailing bytes and written defaults are errors.
    pub(crate) fn parse(der: &'a [u8]) -> Result<Self, CannotJudge> {
        let malformed = |problem: String| CannotJudge::Endorsement { what: "certificate", problem };
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|error| malformed(error.to_string()))?;
        padding::nothing_behind("certificate", rest)?;
        envelope::check(der).map_err(|problem| malformed(problem.to_string()))?;
        // Duplicate extensions would let two readers see two values.
        parsed.extensions_map().map_err(|error| malformed(error.to_string()))?;
        Ok(Self { parsed })
    }

    /// The subject's name, DER.
    pub(crate) fn subject(&self) -> &[u8] {
        self.parsed.subject().as_raw()
    }

    /// The issuer's name, DER.
    pub(crate) fn issuer(&self) -> &[u8] {
        self.parsed.issuer().as_raw()
    }

    /// The subject's common name, or "" if it has none or several.
    pub(crate) fn common_name(&self) -> &str {
        common_name(self.parsed.subject())
    }

    /// The issuer's common name, or "" if it has none or several.
    pub(crate) fn issuer_common_name(&self) -> &str {
        common_name(self.parsed.issuer())
    }

    /// The serial number as the certificate encodes it.
    pub(crate) fn serial(&self) -> &[u8] {
        self.parsed.raw_serial()
    }

    /// The DER of the subject's public key.
    pub(crate) fn spki(&self) -> &[u8] {
        self.parsed.public_key().raw
    }

    /// From the second of notBefore to the second after notAfter.
    pub(crate) fn window(&self) -> Window {
        let validity = self.parsed.validity();
        let from = instant(validity.not_before.timestamp());
        Window { from, until: instant(validity.not_after.timestamp()).plus(1) }
    }

    /// Whether it may sign certificates: basicConstraints CA and, where there is a key usage, keyCertSign.
    pub(crate) fn is_authority(&self) -> bool {
        let is_ca = matches!(self.parsed.basic_constraints(), Ok(Some(found)) if found.value.ca);
        let may_sign = match self.parsed.key_usage() {
            Ok(Some(usage)) => usage.value.key_cert_sign(),
            Ok(None) => true,
            Err(_) => false,
        };
        is_ca && may_sign
    }

    /// Whether there is a key usage, and it has keyCertSign.
    pub(crate) fn signs_certificates(&self) -> bool {
        matches!(self.parsed.key_usage(), Ok(Some(usage)) if usage.value.key_cert_sign())
    }

    /// The critical extensions that this library does not understand.
    pub(crate) fn unknown_critical(&self) -> Vec<String> {
        let understood = ["2.5.29.14", "2.5.29.15", "2.5.29.19", "2.5.29.35"];
        let critical = self.parsed.extensions().iter().filter(|extension| extension.critical);
        let ids = critical.map(|extension| extension.oid.to_id_string());
        ids.filter(|id| !understood.contains(&id.as_str())).collect()
    }

    /// The value of the extension with this dotted OID.
    pub(crate) fn extension(&self, oid: &str) -> Option<&'a [u8]> {
        let found = self.parsed.extensions().iter().find(|extension| extension.oid.to_id_string() == oid);
        found.map(|extension| extension.value)
    }

    /// The subject's public key, if it is of a kind that is used here.
    pub(crate) fn key(&self) -> Result<PublicKey, CannotJudge> {
        public_key(self.parsed.public_key())
    }

    /// Checks that `issuer`'s key signed this certificate.
    pub(crate) fn signed_by(&self, crypto: &dyn Crypto, issuer: &PublicKey) -> Result<(), BadSignature> {
        // The algorithm stands twice; a difference is a trick (RFC 5280, 4.1.1.2).
        if self.parsed.signature_algorithm != self.parsed.tbs_certificate.signature {
            return Err(BadSignature);
        }
        let signed = self.parsed.tbs_certificate.as_ref();
        let signature = &self.parsed.signature_value.data;
        verify(crypto, &self.parsed.signature_algorithm, issuer, signed, signature)
    }
}

/// The public key in a DER `SubjectPublicKeyInfo`.
pub(crate) fn public_key(spki: &SubjectPublicKeyInfo<'_>) -> Result<PublicKey, CannotJudge> {
    let unusable =
        |problem: &str| CannotJudge::Endorsement { what: "public key", problem: problem.to_owned() };
    match spki.parsed().map_err(|error| unusable(&error.to_string()))? {
        ParsedKey::RSA(rsa) => {
            let strip = |bytes: &[u8]| bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
            Ok(PublicKey::Rsa { n: strip(rsa.modulus), e: strip(rsa.exponent) })
        }
        ParsedKey::EC(point) => {
            let bytes = point.data();
            if let Ok(point) = <[u8; 97]>::try_from(bytes) {
                Ok(PublicKey::P384(point))
            } else if let Ok(point) = <[u8; 65]>::try_from(bytes) {
                Ok(PublicKey::P256(point))
            } else {
                Err(unusable("expected an uncompressed P-256 or P-384 point"))
            }
        }
        ParsedKey::DSA(_)
        | ParsedKey::GostR3410(_)
        | ParsedKey::GostR3410_2012(_)
        | ParsedKey::Unknown(_) => Err(unusable("expected RSA or EC")),
    }
}

fn common_name<'n>(name: &'n X509Name<'_>) -> &'n str {
    let mut names = name.iter_common_name();
    match (names.next(), names.next()) {
        (Some(only), None) => only.as_str().unwrap_or(""),
        _ => "",
    }
}

fn instant(timestamp: i64) -> UnixTime {
    UnixTime(u64::try_from(timestamp).unwrap_or(0))
}

/// Checks a signature in the encoding that X.509 gives it.
///
/// RSASSA-PSS with SHA-384 is what AMD uses: parameters SHA-384, MGF1 with SHA-384, salt 48, in whichever
/// of the two spellings of the trailer field. A certificate that says otherwise does not verify.
fn verify(
    crypto: &dyn Crypto,
    algorithm: &AlgorithmIdentifier<'_>,
    issuer: &PublicKey,
    signed: &[u8],
    signature: &[u8],
) -> Result<(), BadSignature> {
    match algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.113549.1.1.10" => crypto.verify(Scheme::RsaPss(Hash::Sha384), issuer, signed, signature),
        "1.2.840.10045.4.3.2" => {
            let fixed = ecdsa::fixed(signature, 32).ok_or(BadSignature)?;
            crypto.verify(Scheme::EcdsaP256Sha256, issuer, signed, &fixed)
        }
        "1.2.840.10045.4.3.3" => {
            let fixed = ecdsa::fixed(signature, 48).ok_or(BadSignature)?;
            crypto.verify(Scheme::EcdsaP384Sha384, issuer, signed, &fixed)
        }
        _ => Err(BadSignature),
    }
}

/// The certificates in a text of PEM blocks; what stands around the blocks is passed over.
pub(crate) fn pem(text: &[u8]) -> Result<Vec<Vec<u8>>, PEMError> {
    let blocks = Pem::iter_from_buffer(text).take(crate::Endorsements::MAX_ITEMS);
    blocks.map(|block| block.map(|block| block.contents)).collect()
}
