//! What an attacker is told, and what it brings back.
//!
//! Trusted: both ends of the line, which are this program.

use minicbor::{Decode, Encode};
use protocol::protection::Theft;

/// Bytes of the canary.
pub(super) const CANARY: usize = 16;

/// What there is to steal.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub struct Prey {
    /// Who has it.
    #[n(0)]
    pub pid: i32,
    /// Where it lies.
    #[n(1)]
    pub address: u64,
    /// Where its page ends.
    #[n(2)]
    pub end: u64,
    /// How a thief knows it: by these bytes.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub canary: [u8; CANARY],
    /// The number of a descriptor of such memory that is open on purpose.
    #[n(4)]
    pub left_open: Option<i32>,
}

/// What came of it.
#[derive(Clone, Debug, Default, Eq, PartialEq, Encode, Decode)]
pub struct Spoils {
    /// Each theft and how it went.
    #[n(0)]
    pub thefts: Vec<(Theft, Attempt)>,
    /// The thefts whose system call a filter refuses whatever its arguments are, and with which error number.
    #[n(1)]
    pub filtered: Vec<(Theft, i32)>,
    /// Whether a child of ours may ask us to trace it; if not, the error number.
    #[n(2)]
    pub untraceable: Option<i32>,
}

/// How one theft went.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub enum Attempt {
    /// The thief has it, and how it came by it.
    #[n(0)]
    Took(#[n(0)] String),
    /// The kernel's answer.
    #[n(1)]
    Refused(#[n(0)] i32),
    /// There was nothing to take, or no way to try, and why.
    #[n(2)]
    Nothing(#[n(0)] String),
}

impl Spoils {
    /// How a theft went; none if it was not tried.
    #[must_use]
    pub fn of(&self, theft: Theft) -> Option<&Attempt> {
        self.thefts.iter().find(|(tried, _)| *tried == theft).map(|(_, attempt)| attempt)
    }
}
