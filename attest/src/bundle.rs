//! The evidence bundle: one decision, complete, for somebody who was not there.
//!
//! A bundle holds what was decided on (evidence, endorsements, challenge, key, policy, instant) and what
//! was decided. [`Bundle::replay`] runs the same function again, offline, and compares the appraisals byte
//! for byte. The file is a `COSE_Sign1` (RFC 9052) by the verifier's Ed25519 key over deterministic CBOR.
//!
//! Trusted: the verifier keys and trust anchors that the auditor brings. Untrusted: the file; after
//! [`Bundle::open`], its signer can still lie about the instant, the policy, the request, the challenge and
//! which attestation keys were enrolled, but not about the evidence.

use minicbor::{Decode, Encode};

use crate::decide::{Context, Question, decide, parse, prepare};
use crate::envelope::{BadEnvelope, Envelope};
use crate::{Appraisal, CannotJudge, Challenge, Crypto, Digest, Endorsements, OfferedKey, Platform, Policy};
use crate::{TrustAnchors, UnixTime, tpm};

/// One decision with all that it was made from.
#[derive(Debug, Eq, PartialEq, Encode, Decode)]
pub struct Bundle {
    /// The format of what follows.
    #[n(0)]
    pub format: String,
    /// What was asked for: `release of <salted hash>`, `login as <role>`.
    #[n(1)]
    pub request: String,
    /// Which program judged: name, version, build.
    #[n(2)]
    pub verifier: String,
    /// The platform that was named.
    #[n(3)]
    pub platform: Platform,
    /// The evidence, as received.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub evidence: Vec<u8>,
    /// The certificates that were used, DER.
    #[n(5)]
    pub certificates: Vec<minicbor::bytes::ByteVec>,
    /// The revocation lists that were used, DER.
    #[n(6)]
    pub revocation_lists: Vec<minicbor::bytes::ByteVec>,
    /// The signed documents that were used.
    #[n(7)]
    pub documents: Vec<minicbor::bytes::ByteVec>,
    /// The names of the enrolled attestation keys that were believed.
    #[n(8)]
    pub attestation_keys: Vec<minicbor::bytes::ByteVec>,
    /// The challenge.
    #[n(9)]
    pub challenge: Challenge,
    /// The key that was offered.
    #[n(10)]
    pub offered: OfferedKey,
    /// The policy's text.
    #[n(11)]
    pub policy: String,
    /// What was decided.
    #[n(12)]
    pub appraisal: Appraisal,
}

/// The result of running a decision again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Replay {
    /// What comes out now.
    pub appraisal: Appraisal,
    /// Whether it is, byte for byte, what the bundle says came out then.
    pub identical: bool,
}

impl Bundle {
    /// The only format so far.
    pub const FORMAT: &'static str = "cloudtaser/bundle/v1";
    /// The longest file that is opened, in bytes.
    pub const MAX_BYTES: usize = 4 * 1024 * 1024;

    /// The deterministic CBOR that gets signed.
    pub fn to_cbor(&self) -> Result<Vec<u8>, BadBundle> {
        minicbor::to_vec(self).map_err(|error| BadBundle::Content(error.to_string()))
    }

    /// The COSE `Sig_structure` that the verifier's key signs, for a payload made by [`Bundle::to_cbor`].
    pub fn to_be_signed(payload: Vec<u8>, key: &VerifierKey, crypto: &dyn Crypto) -> Vec<u8> {
        ENVELOPE.to_be_signed(payload, &key.0, crypto)
    }

    /// The file: payload, key id and signature.
    pub fn signed(
        payload: Vec<u8>,
        key: &VerifierKey,
        crypto: &dyn Crypto,
        signature: Vec<u8>,
    ) -> Result<Vec<u8>, BadBundle> {
        Ok(ENVELOPE.signed(payload, &key.0, crypto, signature)?)
    }

    /// The key id that a file names, before anything is checked.
    pub fn signer(file: &[u8]) -> Result<Digest<32>, BadBundle> {
        Ok(ENVELOPE.signer(file)?)
    }

    /// Checks the file's signature under one of `keys` and decodes it.
    pub fn open(file: &[u8], keys: &[VerifierKey], crypto: &dyn Crypto) -> Result<Self, BadBundle> {
        let keys: Vec<[u8; 32]> = keys.iter().map(|key| key.0).collect();
        let (payload, _signer) = ENVELOPE.open(file, &keys, crypto)?;
        Self::decode(&payload)
    }

    /// Decodes a file without asking who signed it: for somebody who only looks. Anybody may have written
    /// what comes out.
    pub fn insecure_peek(file: &[u8]) -> Result<Self, BadBundle> {
        Self::decode(&ENVELOPE.insecure_peek(file)?)
    }

    fn decode(payload: &[u8]) -> Result<Self, BadBundle> {
        let mut decoder = minicbor::Decoder::new(payload);
        let bundle: Self = decoder.decode().map_err(|error| BadBundle::Content(error.to_string()))?;
        if decoder.position() != payload.len() {
            return Err(BadBundle::Content("bytes follow the end".to_owned()));
        }
        if bundle.format != Self::FORMAT {
            return Err(BadBundle::Format(bundle.format));
        }
        // What does not encode to the same bytes has a second reading.
        if bundle.to_cbor()? != payload {
            return Err(BadBundle::Content("not the deterministic encoding".to_owned()));
        }
        Ok(bundle)
    }

    /// Judges again, at the recorded instant.
    pub fn replay(&self, crypto: &dyn Crypto, anchors: &TrustAnchors) -> Result<Replay, BadBundle> {
        self.replay_at(crypto, anchors, self.appraisal.at)
    }

    /// Judges again, as if it were `now`: what would be said today?
    pub fn replay_at(
        &self,
        crypto: &dyn Crypto,
        anchors: &TrustAnchors,
        now: UnixTime,
    ) -> Result<Replay, BadBundle> {
        let policy = Policy::parse(crypto, &self.policy)?;
        let evidence = parse(self.platform, &self.evidence)?;
        let owned = |list: &[minicbor::bytes::ByteVec]| list.iter().map(|der| der.to_vec()).collect();
        let endorsements = Endorsements {
            certificates: owned(&self.certificates),
            revocation_lists: owned(&self.revocation_lists),
            documents: owned(&self.documents),
        };
        let enrolled = self.attestation_keys.iter().map(|name| tpm::Name::from_bytes(name));
        let anchors = anchors.clone().with_attestation_keys(enrolled.collect::<Result<Vec<_>, _>>()?);
        let challenge = Challenge {
            nonce: self.challenge.nonce,
            context: self.challenge.context.clone(),
            expires: self.challenge.expires,
            answered: self.challenge.answered,
        };
        let question = Question { evidence: &evidence, challenge, offered: self.offered.clone() };
        let prepared = prepare(&evidence, &endorsements, crypto, &anchors, now);
        let context = Context { crypto, policy: &policy };
        let decision = decide(question, prepared.as_ref(), context, now)?;
        let appraisal = match decision {
            Ok(admitted) => admitted.appraisal().clone(),
            Err(refused) => refused.appraisal().clone(),
        };
        let identical = appraisal.to_cbor() == self.appraisal.to_cbor();
        Ok(Replay { appraisal, identical })
    }
}

/// The Ed25519 public key by which a verifier signs its bundles.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct VerifierKey(pub [u8; 32]);

impl VerifierKey {
    /// SHA-256 of the key: the `kid` of its signatures.
    #[must_use]
    pub fn id(&self, crypto: &dyn Crypto) -> Digest<32> {
        crypto.sha256(&[&self.0])
    }
}

const ENVELOPE: Envelope =
    Envelope { media_type: "application/vnd.cloudtaser.bundle.v1+cbor", max_bytes: Bundle::MAX_BYTES };

/// Why a file is not a bundle that can be judged.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadBundle {
    /// Not a `COSE_Sign1` of the expected shape.
    #[error("not a signed bundle: {0}")]
    Cose(String),
    /// Signed by a key that the auditor did not name.
    #[error("signed by verifier key {0}, which is not among the trusted ones")]
    UnknownSigner(Digest<32>),
    /// The signature does not verify.
    #[error("signature by verifier key {0} does not verify")]
    Signature(Digest<32>),
    /// The payload is not a bundle.
    #[error("malformed bundle: {0}")]
    Content(String),
    /// A format that this version does not know.
    #[error("bundle format: expected cloudtaser/bundle/v1, found {0:?}")]
    Format(String),
    /// Longer than any bundle.
    #[error("bundle is longer than {limit} bytes: found {found}")]
    TooLong {
        /// The limit.
        limit: usize,
        /// The length.
        found: usize,
    },
    /// The policy in the bundle does not parse.
    #[error(transparent)]
    Policy(#[from] crate::BadPolicy),
    /// The evidence or the endorsements in the bundle cannot be judged.
    #[error(transparent)]
    CannotJudge(#[from] CannotJudge),
}

impl From<BadEnvelope> for BadBundle {
    fn from(error: BadEnvelope) -> Self {
        match error {
            BadEnvelope::TooLong { limit, found } => Self::TooLong { limit, found },
            BadEnvelope::Cose(why) => Self::Cose(why),
            BadEnvelope::UnknownSigner(signer) => Self::UnknownSigner(signer),
            BadEnvelope::Signature(signer) => Self::Signature(signer),
        }
    }
}
