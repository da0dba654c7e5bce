//! A signed file of ours: a `COSE_Sign1` (RFC 9052) by an Ed25519 key, with exactly one form.
//!
//! The protected header holds the algorithm, the key's id and the content type, and nothing else; the
//! unprotected one is empty. The content type is compared when a file is opened, so that what a key signed
//! as one kind of file is never read as another.
//!
//! Trusted: the keys that the caller pins. Untrusted: the file, until a signature holds.

use coset::{CborSerializable, CoseSign1, iana};

use crate::crypto::{PublicKey, Scheme};
use crate::{Crypto, Digest};

/// A kind of signed file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope {
    /// RFC 9052, 3.1 wants `type/subtype`.
    pub(crate) media_type: &'static str,
    /// The longest file that is opened.
    pub(crate) max_bytes: usize,
}

impl Envelope {
    /// The `Sig_structure` that the key signs.
    pub(crate) fn to_be_signed(self, payload: Vec<u8>, key: &[u8; 32], crypto: &dyn Crypto) -> Vec<u8> {
        self.unsigned(payload, key, crypto).tbs_data(&[])
    }

    /// The file: payload, key id and signature.
    pub(crate) fn signed(
        self,
        payload: Vec<u8>,
        key: &[u8; 32],
        crypto: &dyn Crypto,
        signature: Vec<u8>,
    ) -> Result<Vec<u8>, BadEnvelope> {
        let mut message = self.unsigned(payload, key, crypto);
        message.signature = signature;
        let file = message.to_vec().map_err(|error| BadEnvelope::Cose(error.to_string()))?;
        // What nobody could open is not signed.
        match file.len() {
            found if found > self.max_bytes => Err(BadEnvelope::TooLong { limit: self.max_bytes, found }),
            _ => Ok(file),
        }
    }

    /// The key id that a file names, before anything is checked.
    pub(crate) fn signer(self, file: &[u8]) -> Result<Digest<32>, BadEnvelope> {
        key_id(&self.read(file)?)
    }

    /// The payload and its signer, if one of `keys` signed the file.
    pub(crate) fn open(
        self,
        file: &[u8],
        keys: &[[u8; 32]],
        crypto: &dyn Crypto,
    ) -> Result<(Vec<u8>, Digest<32>), BadEnvelope> {
        let message = self.read(file)?;
        let signer = key_id(&message)?;
        let key = keys.iter().find(|key| crypto.sha256(&[key.as_slice()]) == signer);
        let key = PublicKey::Ed25519(*key.ok_or(BadEnvelope::UnknownSigner(signer))?);
        crypto
            .verify(Scheme::Ed25519, &key, &message.tbs_data(&[]), &message.signature)
            .map_err(|_why| BadEnvelope::Signature(signer))?;
        Ok((payload(message)?, signer))
    }

    /// The payload, whoever signed it.
    pub(crate) fn insecure_peek(self, file: &[u8]) -> Result<Vec<u8>, BadEnvelope> {
        payload(self.read(file)?)
    }

    fn unsigned(self, payload: Vec<u8>, key: &[u8; 32], crypto: &dyn Crypto) -> CoseSign1 {
        let protected = coset::HeaderBuilder::new()
            .algorithm(iana::Algorithm::EdDSA)
            .key_id(crypto.sha256(&[key]).0.to_vec())
            .content_type(self.media_type.to_owned())
            .build();
        coset::CoseSign1Builder::new().protected(protected).payload(payload).build()
    }

    fn read(self, file: &[u8]) -> Result<CoseSign1, BadEnvelope> {
        if file.len() > self.max_bytes {
            return Err(BadEnvelope::TooLong { limit: self.max_bytes, found: file.len() });
        }
        let message = CoseSign1::from_slice(file).map_err(|error| BadEnvelope::Cose(error.to_string()))?;
        let header = &message.protected.header;
        let expected = coset::HeaderBuilder::new()
            .algorithm(iana::Algorithm::EdDSA)
            .key_id(header.key_id.clone())
            .content_type(self.media_type.to_owned())
            .build();
        let algorithm = coset::RegisteredLabelWithPrivate::Assigned(iana::Algorithm::EdDSA);
        if header.alg.as_ref() != Some(&algorithm) {
            return Err(BadEnvelope::Cose(format!("expected algorithm EdDSA, found {:?}", header.alg)));
        }
        if header.content_type != expected.content_type {
            let (expected, found) = (self.media_type, &header.content_type);
            return Err(BadEnvelope::Cose(format!("expected content type {expected}, found {found:?}")));
        }
        if *header != expected {
            return Err(BadEnvelope::Cose("more in the header than algorithm, key and type".to_owned()));
        }
        if !message.unprotected.is_empty() {
            return Err(BadEnvelope::Cose("unprotected headers".to_owned()));
        }
        Ok(message)
    }
}

fn key_id(message: &CoseSign1) -> Result<Digest<32>, BadEnvelope> {
    let id = message.protected.header.key_id.as_slice();
    id.try_into().map(Digest).map_err(|_why| BadEnvelope::Cose(format!("key id of {} bytes", id.len())))
}

fn payload(message: CoseSign1) -> Result<Vec<u8>, BadEnvelope> {
    message.payload.ok_or_else(|| BadEnvelope::Cose("no payload".to_owned()))
}

/// Why a file is not what it should be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum BadEnvelope {
    /// Longer than any such file.
    TooLong { limit: usize, found: usize },
    /// Not a `COSE_Sign1` of this form.
    Cose(String),
    /// The key that the file names is none of the caller's.
    UnknownSigner(Digest<32>),
    /// The signature does not verify.
    Signature(Digest<32>),
}
