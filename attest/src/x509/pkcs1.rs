//! RSASSA-PKCS1-v1_5, as the authorities of TPM keys sign.
//!
//! AMD never signs so, and Intel and AWS use curves: their chains ask [`Certificate::signed_by`], which does
//! not know these algorithms. The authorities of TPM manufacturers and cloud providers ask here.
//!
//! Untrusted: every byte, until the signature was checked.

use x509_parser::x509::AlgorithmIdentifier;

use super::{Certificate, RevocationList, verify};
use crate::crypto::{BadSignature, Crypto, Hash, PublicKey, Scheme};

impl Certificate<'_> {
    /// Checks that `issuer`'s key signed this certificate, with PKCS #1 v1.5 and SHA-2 allowed.
    pub(crate) fn issued_by(&self, crypto: &dyn Crypto, issuer: &PublicKey) -> Result<(), BadSignature> {
        let algorithm = &self.parsed.signature_algorithm;
        if *algorithm != self.parsed.tbs_certificate.signature {
            return Err(BadSignature);
        }
        let signed = self.parsed.tbs_certificate.as_ref();
        either(crypto, algorithm, issuer, signed, &self.parsed.signature_value.data)
    }
}

impl RevocationList<'_> {
    /// Checks that `issuer`'s key signed this list, with PKCS #1 v1.5 and SHA-2 allowed.
    pub(crate) fn issued_by(&self, crypto: &dyn Crypto, issuer: &PublicKey) -> Result<(), BadSignature> {
        let algorithm = &self.parsed.signature_algorithm;
        if *algorithm != self.parsed.tbs_cert_list.signature {
            return Err(BadSignature);
        }
        let signed = self.parsed.tbs_cert_list.as_ref();
        either(crypto, algorithm, issuer, signed, &self.parsed.signature_value.data)
    }
}

fn either(
    crypto: &dyn Crypto,
    algorithm: &AlgorithmIdentifier<'_>,
    issuer: &PublicKey,
    signed: &[u8],
    signature: &[u8],
) -> Result<(), BadSignature> {
    // RFC 4055, section 5. SHA-1 is not among them.
    let hash = match algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.113549.1.1.11" => Hash::Sha256,
        "1.2.840.113549.1.1.12" => Hash::Sha384,
        "1.2.840.113549.1.1.13" => Hash::Sha512,
        _ => return verify(crypto, algorithm, issuer, signed, signature),
    };
    crypto.verify(Scheme::RsaPkcs1(hash), issuer, signed, signature)
}
