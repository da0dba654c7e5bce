//! Why no judgement was possible. A refusal is not an error: it is a [`crate::Refused`].

use crate::Platform;
use crate::bytes::Malformed;

/// Something that is missing, malformed or too much: not a "no", but no verdict.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CannotJudge {
    /// The evidence is not what it claims to be.
    #[error("malformed {platform} evidence: {problem}")]
    Evidence {
        /// The platform that was named.
        platform: Platform,
        /// What is wrong with it.
        problem: Malformed,
    },
    /// An endorsement that the evidence needs was not given.
    #[error("missing endorsement: {0}")]
    MissingEndorsement(String),
    /// An endorsement does not parse.
    #[error("malformed endorsement {what}: {problem}")]
    Endorsement {
        /// Which one.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Zeros follow an endorsement: it was read out of a memory of fixed size and not cut.
    #[error("padded endorsement {what}: {zeros} zeros follow its end, where it must be cut")]
    Padded {
        /// Which one.
        what: &'static str,
        /// How many.
        zeros: usize,
    },
    /// A trust anchor does not parse, or is none.
    #[error("unusable trust anchor: {0}")]
    TrustAnchor(String),
    /// Prepared endorsements of another platform were passed in.
    #[error("endorsements of another platform were given for {platform} evidence")]
    WrongEndorsements {
        /// The platform of the evidence.
        platform: Platform,
    },
    /// More input than this verifier is willing to look at.
    #[error("too many {what}: at most {limit}, found {found}")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
        /// How much there is.
        found: usize,
    },
}

impl CannotJudge {
    /// A stable name for this kind of error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Evidence { .. } => "evidence.malformed",
            Self::MissingEndorsement(_) => "endorsement.missing",
            Self::Endorsement { .. } => "endorsement.malformed",
            Self::Padded { .. } => "endorsement.padded",
            Self::TrustAnchor(_) => "anchor.unusable",
            Self::WrongEndorsements { .. } => "endorsement.platform",
            Self::TooMuch { .. } => "input.too_much",
        }
    }
}
