//! Deeds: the signed record of one step, complete, for somebody who was not there.
//!
//! A deed holds the text that was proposed, the content itself, and every approval with its key. [`Deed::approved`] asks
//! again whether they were enough, under the approvers that the auditor brings: those of the last deed that changed them.
//!
//! Trusted: the verifier keys and the approvers that the auditor brings. Untrusted: the file; after [`Deed::open`] its
//! signer can still lie about the instant and the proposer, but not about who approved.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use super::approver::{Approvers, Counted};
use super::change::{Emergency, Proposal};
use super::signature::Approval;
use crate::envelope::{BadEnvelope, Envelope};
use crate::log::Text;
use crate::{Crypto, Digest, UnixTime, VerifierKey};

/// What was done.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Encode, Decode, serde::Serialize)]
#[cbor(index_only)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Act {
    /// The first approvers were named, by whoever ruled before.
    #[n(0)]
    Founded,
    /// Somebody proposed a change.
    #[n(1)]
    Proposed,
    /// Somebody approved it, and more have to.
    #[n(2)]
    Approved,
    /// Enough have approved: the change holds.
    #[n(3)]
    Applied,
    /// The proposal was taken back.
    #[n(4)]
    Withdrawn,
    /// A change holds at once, and ends by itself.
    #[n(5)]
    Declared,
    /// It was ended before its time.
    #[n(6)]
    Ended,
}

impl Act {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Founded => "founded",
            Self::Proposed => "proposed",
            Self::Approved => "approved",
            Self::Applied => "applied",
            Self::Withdrawn => "withdrawn",
            Self::Declared => "declared",
            Self::Ended => "ended",
        }
    }
}

/// One step of the rule over a mount.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub struct Deed {
    /// [`Deed::FORMAT`].
    #[n(0)]
    pub format: String,
    /// What was done.
    #[n(1)]
    pub act: Act,
    /// When, by the server's clock.
    #[n(2)]
    pub at: UnixTime,
    /// Who asked for it, as the server knows them.
    #[n(3)]
    pub by: Text<256>,
    /// The proposal that it is about, or for the first approvers what stands for one.
    #[n(4)]
    pub proposal: Option<Proposal>,
    /// The emergency that it is about.
    #[n(5)]
    pub emergency: Option<Emergency>,
    /// The new content.
    #[n(6)]
    pub content: ByteVec,
    /// Who approved so far.
    #[n(7)]
    pub approvals: Vec<Approval>,
    /// SHA-256 of the document that names those who approve.
    #[n(8)]
    pub approvers: Digest<32>,
}

impl Deed {
    /// The only format so far.
    pub const FORMAT: &'static str = "cloudtaser/deed/v1";
    /// The longest file that is opened, in bytes.
    pub const MAX_BYTES: usize = 512 * 1024;

    /// A deed about a proposal.
    #[must_use]
    pub fn of(act: Act, at: UnixTime, by: Text<256>, approvers: Digest<32>) -> Self {
        Self {
            format: Self::FORMAT.to_owned(),
            act,
            at,
            by,
            proposal: None,
            emergency: None,
            content: ByteVec::from(Vec::new()),
            approvals: Vec::new(),
            approvers,
        }
    }

    /// The deterministic CBOR that gets signed.
    pub fn to_cbor(&self) -> Result<Vec<u8>, BadDeed> {
        minicbor::to_vec(self).map_err(|error| BadDeed::Content(error.to_string()))
    }

    /// The COSE `Sig_structure` that the verifier's key signs.
    #[must_use]
    pub fn to_be_signed(payload: Vec<u8>, key: &VerifierKey, crypto: &dyn Crypto) -> Vec<u8> {
        ENVELOPE.to_be_signed(payload, &key.0, crypto)
    }

    /// The file: deed, key id and signature.
    pub fn signed(
        payload: Vec<u8>,
        key: &VerifierKey,
        crypto: &dyn Crypto,
        signature: Vec<u8>,
    ) -> Result<Vec<u8>, BadDeed> {
        Ok(ENVELOPE.signed(payload, &key.0, crypto, signature)?)
    }

    /// The key id that a file names, if it is the file of a deed.
    pub fn signer(file: &[u8]) -> Result<Digest<32>, BadDeed> {
        Ok(ENVELOPE.signer(file)?)
    }

    /// Checks the file's signature under one of `keys`.
    pub fn open(file: &[u8], keys: &[VerifierKey], crypto: &dyn Crypto) -> Result<Self, BadDeed> {
        let keys: Vec<[u8; 32]> = keys.iter().map(|key| key.0).collect();
        Self::parse(&ENVELOPE.open(file, &keys, crypto)?.0)
    }

    /// The deed in a file, whoever signed it: for somebody who only looks.
    pub fn insecure_peek(file: &[u8]) -> Result<Self, BadDeed> {
        Self::parse(&ENVELOPE.insecure_peek(file)?)
    }

    fn parse(bytes: &[u8]) -> Result<Self, BadDeed> {
        let deed: Self = minicbor::decode(bytes).map_err(|error| BadDeed::Content(error.to_string()))?;
        if deed.format != Self::FORMAT {
            return Err(BadDeed::Content(format!("expected {}, found {:?}", Self::FORMAT, deed.format)));
        }
        // What does not encode to the same bytes has a second reading, or something after its end.
        if deed.to_cbor()? == bytes {
            Ok(deed)
        } else {
            Err(BadDeed::Content("not the deterministic encoding".to_owned()))
        }
    }

    /// Asks again who approved this very content, under the approvers that the auditor believes. For an emergency one
    /// is enough.
    pub fn approved(&self, approvers: &Approvers, crypto: &dyn Crypto) -> Result<Counted, BadDeed> {
        let content = crypto.sha256(&[&self.content]);
        let (change, counted) = match (&self.proposal, &self.emergency) {
            (Some(proposal), None) => {
                let counted = approvers.tally(crypto, &self.approvals, |name| proposal.to_be_signed(name));
                (&proposal.change, counted)
            }
            (None, Some(emergency)) => {
                let text = |name: &str| emergency.to_be_signed(name);
                let counted = approvers.tally(crypto, &self.approvals, text);
                (&emergency.change, Counted { threshold: 1, ..counted })
            }
            (Some(_), Some(_)) | (None, None) => {
                return Err(BadDeed::Content("expected a proposal or an emergency".to_owned()));
            }
        };
        if change.content != content {
            return Err(BadDeed::OtherContent { expected: change.content, found: content });
        }
        Ok(counted)
    }
}

const ENVELOPE: Envelope =
    Envelope { media_type: "application/vnd.cloudtaser.deed.v1+cbor", max_bytes: Deed::MAX_BYTES };

/// Why a file is not a deed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadDeed {
    /// Not a `COSE_Sign1` of the right form.
    #[error("not a signed deed: {0}")]
    Cose(String),
    /// Signed by a key that the auditor did not name.
    #[error("signed by verifier key {0}, which is not among the trusted ones")]
    UnknownSigner(Digest<32>),
    /// The signature does not verify.
    #[error("signature by verifier key {0} does not verify")]
    Signature(Digest<32>),
    /// The payload is not a deed.
    #[error("malformed deed: {0}")]
    Content(String),
    /// The content is not the one that was approved.
    #[error("content: expected digest {expected}, found {found}")]
    OtherContent {
        /// What the text names.
        expected: Digest<32>,
        /// What came with it.
        found: Digest<32>,
    },
    /// Longer than any deed.
    #[error("deed is longer than {limit} bytes: found {found}")]
    TooLong {
        /// The limit.
        limit: usize,
        /// The length.
        found: usize,
    },
}

impl From<BadEnvelope> for BadDeed {
    fn from(error: BadEnvelope) -> Self {
        match error {
            BadEnvelope::TooLong { limit, found } => Self::TooLong { limit, found },
            BadEnvelope::Cose(why) => Self::Cose(why),
            BadEnvelope::UnknownSigner(signer) => Self::UnknownSigner(signer),
            BadEnvelope::Signature(signer) => Self::Signature(signer),
        }
    }
}
