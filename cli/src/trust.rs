//! What the caller believes without proof: roots, enrolled attestation keys, verifiers' keys.
//!
//! Trusted: these files, because the caller named them for that purpose. They are still parsed with care.

use std::path::{Path, PathBuf};

use attest::crypto::AwsLcRs;
use attest::{CannotJudge, Digest, Endorsements, Roots, TrustAnchors, VerifierKey, tpm};
use x509_parser::pem::Pem;

use crate::answer::NotJudged;
use crate::{collateral, input, layout};

/// The vendor's pinned roots, or, if any are named, these instead.
pub(crate) fn anchors(simulated: &[PathBuf]) -> Result<TrustAnchors, NotJudged> {
    if simulated.is_empty() {
        return Ok(TrustAnchors::vendor());
    }
    let mut found = Endorsements::default();
    for path in simulated {
        let bytes = input::read(path, input::LIMIT)?;
        collateral::sort(&bytes, &mut found).map_err(|problem| {
            let message = format!("expected a root certificate in {}, found {problem}", path.display());
            NotJudged::new("anchor.unusable", message)
        })?;
    }
    Ok(TrustAnchors::insecure_simulated(&found.certificates)?)
}

/// Whose roots [`anchors`] will be.
pub(crate) fn roots(simulated: &[PathBuf]) -> Roots {
    if simulated.is_empty() { Roots::Vendor } else { Roots::Simulated }
}

/// What an answer under these roots begins and ends with.
pub(crate) fn mark(simulated: &[PathBuf]) -> Option<&'static str> {
    (roots(simulated) == Roots::Simulated).then_some(layout::SIMULATED)
}

/// The name of a TPM key, in hex.
pub(crate) fn attestation_key(text: &str) -> Result<tpm::Name, String> {
    text.parse().map_err(|error: CannotJudge| error.to_string())
}

/// A verifier's Ed25519 public key: 64 hex digits on the command line, or a file.
pub(crate) fn verifier_key(text: &str) -> Result<VerifierKey, NotJudged> {
    if let Some(key) = hex_key(text) {
        return Ok(key);
    }
    let path = Path::new(text);
    let bytes = input::read(path, input::LIMIT)?;
    key_in(&bytes).ok_or_else(|| {
        let expected =
            "an Ed25519 public key (32 bytes, 64 hex digits, or a SubjectPublicKeyInfo in DER or PEM)";
        let message = format!("expected {expected} in {}, found {} other bytes", path.display(), bytes.len());
        NotJudged::new("verifier.key", message)
    })
}

/// The name by which bundles refer to a key.
pub(crate) fn key_id(key: &VerifierKey) -> Digest<32> {
    key.id(&AwsLcRs)
}

fn key_in(bytes: &[u8]) -> Option<VerifierKey> {
    if let Some(key) = raw_key(bytes) {
        return Some(key);
    }
    let text = std::str::from_utf8(bytes).ok()?;
    if text.contains("-----BEGIN PUBLIC KEY-----") {
        let block = Pem::iter_from_buffer(bytes).next()?.ok()?;
        return (block.label == "PUBLIC KEY").then(|| raw_key(&block.contents)).flatten();
    }
    hex_key(text.trim())
}

fn raw_key(bytes: &[u8]) -> Option<VerifierKey> {
    let key = bytes.strip_prefix(&SPKI).unwrap_or(bytes);
    key.try_into().ok().map(VerifierKey)
}

fn hex_key(text: &str) -> Option<VerifierKey> {
    hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok()).map(VerifierKey)
}

/// What stands before the 32 bytes in a DER `SubjectPublicKeyInfo` (RFC 8410, section 4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_key_is_found_in_every_usual_form() {
        let key = [7; 32];
        let spki = [SPKI.as_slice(), &key].concat();
        let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEABwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n-----END PUBLIC KEY-----\n";
        let text = format!("{}\n", "07".repeat(32));
        for form in [key.as_slice(), &spki, pem.as_bytes(), text.as_bytes()] {
            assert_eq!(key_in(form), Some(VerifierKey(key)));
        }
        assert_eq!(key_in(&[7; 31]), None);
        assert_eq!(key_in(b""), None);
    }
}
