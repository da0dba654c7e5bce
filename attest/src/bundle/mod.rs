//! The evidence bundle: one decision, complete, for somebody who was not there.
//!
//! A bundle holds what was decided on (evidence, endorsements, challenge, key, policy, standing, instant) and what
//! was decided. [`Bundle::replay`] runs the same function again, offline, and compares the appraisals byte
//! for byte. What a verifier signs and keeps for each decision is the [`record`](Bundle::record): evidence and verdict,
//! with certificates, lists, documents and policy by their SHA-256, because thousands of decisions share them. A
//! [`File`] is a record with those objects beside it.
//!
//! Trusted: the verifier keys and trust anchors that the auditor brings. Untrusted: the file; after
//! [`Bundle::open`], its signer can still lie about the instant, the policy, the request, the challenge, the standing and
//! which attestation keys were enrolled, but not about the evidence.

mod file;
mod other;
mod record;

use crate::decide::{Context, Question, decide, parse, prepare};
use crate::envelope::{BadEnvelope, Envelope};
use crate::{Appraisal, CannotJudge, Challenge, Crypto, Digest, Endorsements, OfferedKey, Platform, Policy};
use crate::{Known, Standing, TrustAnchors, UnixTime, tpm};

pub use file::File;
use record::Record;

/// One decision with all that it was made from.
#[derive(Debug, Eq, PartialEq)]
pub struct Bundle {
    /// What was asked for: `release of <salted hash>`, `login as <role>`.
    pub request: String,
    /// Which program judged: name, version, build.
    pub verifier: String,
    /// The platform that was named.
    pub platform: Platform,
    /// The evidence, as received.
    pub evidence: Vec<u8>,
    /// The certificates, revocation lists and documents that were used.
    pub endorsements: Endorsements,
    /// The names of the enrolled attestation keys that were believed.
    pub attestation_keys: Vec<tpm::Name>,
    /// The challenge.
    pub challenge: Challenge,
    /// The key that was offered.
    pub offered: OfferedKey,
    /// The policy's text.
    pub policy: String,
    /// What was known of the machine. `None`: the verifier keeps no such knowledge.
    pub standing: Option<Standing>,
    /// What was decided.
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
    pub const FORMAT: &'static str = "cloudtaser/bundle/v2";
    /// The longest file that is opened, in bytes.
    pub const MAX_BYTES: usize = 4 * 1024 * 1024;

    /// The deterministic CBOR that gets signed: shared parts by their SHA-256.
    pub fn record(&self, crypto: &dyn Crypto) -> Result<Vec<u8>, BadBundle> {
        Record::of(self, crypto).to_cbor()
    }

    /// The COSE `Sig_structure` that the verifier's key signs, for a [`Bundle::record`].
    pub fn to_be_signed(record: Vec<u8>, key: &VerifierKey, crypto: &dyn Crypto) -> Vec<u8> {
        ENVELOPE.to_be_signed(record, &key.0, crypto)
    }

    /// The signed record: the record, key id and signature.
    pub fn signed(
        record: Vec<u8>,
        key: &VerifierKey,
        crypto: &dyn Crypto,
        signature: Vec<u8>,
    ) -> Result<Vec<u8>, BadBundle> {
        Ok(ENVELOPE.signed(record, &key.0, crypto, signature)?)
    }

    /// The parts that a record holds by their SHA-256, in the order in which it names them: certificates, lists, documents,
    /// the policy's text.
    pub fn objects(&self) -> impl Iterator<Item = &[u8]> {
        let kinds = self.endorsements.kinds().into_iter().flatten();
        kinds.map(Vec::as_slice).chain([self.policy.as_bytes()])
    }

    /// The whole file, for a signed record of this very bundle.
    pub fn file(&self, signed: Vec<u8>) -> Result<Vec<u8>, BadBundle> {
        let objects = self.objects().map(|object| object.to_vec().into()).collect();
        File { record: signed.into(), objects, position: None }.to_cbor()
    }

    /// The digests of the objects that a signed record needs beside it, whoever signed it.
    pub fn references(signed: &[u8]) -> Result<Vec<Digest<32>>, BadBundle> {
        Record::parse(&ENVELOPE.insecure_peek(signed)?).map(|record| record.references())
    }

    /// The key id that a file names, before anything is checked.
    pub fn signer(file: &[u8]) -> Result<Digest<32>, BadBundle> {
        Ok(ENVELOPE.signer(&File::parse(file)?.record)?)
    }

    /// Checks the file's signature under one of `keys`, and that its objects are those that the record names.
    pub fn open(file: &[u8], keys: &[VerifierKey], crypto: &dyn Crypto) -> Result<Self, BadBundle> {
        let keys: Vec<[u8; 32]> = keys.iter().map(|key| key.0).collect();
        let file = File::parse(file)?;
        let (record, _signer) = ENVELOPE.open(&file.record, &keys, crypto)?;
        Record::parse(&record)?.with(&file.objects, crypto)
    }

    /// Decodes a file without asking who signed it: for somebody who only looks. Anybody may have written
    /// what comes out.
    pub fn insecure_peek(file: &[u8], crypto: &dyn Crypto) -> Result<Self, BadBundle> {
        let file = File::parse(file)?;
        Record::parse(&ENVELOPE.insecure_peek(&file.record)?)?.with(&file.objects, crypto)
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
        let anchors = anchors.clone().with_attestation_keys(self.attestation_keys.iter().cloned());
        let question = Question {
            evidence: &evidence,
            challenge: self.challenge.again(),
            offered: self.offered.clone(),
        };
        let prepared = prepare(&evidence, &self.endorsements, crypto, &anchors, now);
        let standing = self.standing.as_ref().map(|known| -> &dyn Known { known });
        let context = Context { crypto, policy: &policy, standing };
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
    Envelope { media_type: "application/vnd.cloudtaser.bundle.v2+cbor", max_bytes: Bundle::MAX_BYTES };

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
    /// The record of something else: nothing in it can be judged again.
    #[error("a record of {0}, not of a decision to replay: `evidence log verify` holds it against the log")]
    NoDecision(&'static str),
    /// A format that this version does not know.
    #[error("bundle format: expected cloudtaser/bundle/v2, found {0:?}")]
    Format(String),
    /// Longer than any bundle.
    #[error("bundle is longer than {limit} bytes: found {found}")]
    TooLong {
        /// The limit.
        limit: usize,
        /// The length.
        found: usize,
    },
    /// The record names an object that does not come with it.
    #[error("object {0} is missing: the record names it")]
    Missing(Digest<32>),
    /// The file has objects that the record does not name, or not in order.
    #[error(
        "objects: expected those that the record names, once each and in its order, found {found} beside {expected}"
    )]
    Objects {
        /// How many the record names.
        expected: usize,
        /// How many came.
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
