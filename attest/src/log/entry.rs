//! One entry of the log: what was decided, and which entry came before.
//!
//! Deterministic CBOR (RFC 8949, section 4.2): a map with small keys, absent facts left out. An entry has one
//! encoding and at most [`Entry::MAX_BYTES`] bytes; the evidence itself is in a record of its own, of which the
//! entry holds the digest. Facts about the machine and the secret are here because a recall asks for them.
//!
//! Untrusted: the bytes. A decoded entry is what somebody wrote; a [`super::Audit`] says whether the log did.

use std::fmt;

use minicbor::{Decode, Encode};

use super::names::{DecisionId, EntryDigest, Measurement, RecordDigest, SaltedName, Text};
use crate::{Digest, Platform, UnixTime};

/// One entry.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode, serde::Serialize)]
#[cbor(map)]
pub struct Entry {
    /// The format of what follows.
    #[n(0)]
    pub format: Format,
    /// How many entries came before.
    #[n(1)]
    pub index: u64,
    /// SHA-256 of the bytes of the entry before; zeros in the first.
    #[n(2)]
    pub previous: EntryDigest,
    /// The log's clock, which never goes back: the later of the previous entry's clock and `event.at`.
    #[n(3)]
    pub clock: UnixTime,
    /// What happened.
    #[n(4)]
    pub event: Event,
}

/// What happened: the part of an entry that does not depend on its place in the log.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode, serde::Serialize)]
#[cbor(map)]
pub struct Event {
    /// What kind of thing.
    #[n(0)]
    pub kind: Kind,
    /// When, by the clock of the server that decided.
    #[n(1)]
    pub at: UnixTime,
    /// The decision's own id; no two entries have the same.
    #[n(2)]
    pub decision: DecisionId,
    /// The admission that this rests on, where it is not one itself.
    #[n(3)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub under: Option<DecisionId>,
    /// What was asked for: `release of <salted hash> version 3`.
    #[n(4)]
    pub request: Text<512>,
    /// SHA-256 of the stored record: a signed bundle, or another signed file.
    #[n(5)]
    pub record: RecordDigest,
    /// Whom and what it concerns.
    #[n(6)]
    pub subject: Subject,
}

/// Whom and what an event concerns, as far as it concerns any.
#[derive(Clone, Debug, Default, Eq, PartialEq, Encode, Decode, serde::Serialize)]
#[cbor(map)]
#[serde(default)]
pub struct Subject {
    /// The platform of the evidence.
    #[n(0)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The vendor's product line: `Genoa`.
    #[n(1)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_line: Option<Text<64>>,
    /// SHA-256 of the hardware's stable id.
    #[n(2)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware: Option<Digest<32>>,
    /// SHA-256 of the instance's id: of the key that was attested.
    #[n(3)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<Digest<32>>,
    /// What was measured.
    #[n(4)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measurement: Option<Measurement>,
    /// The policy that was asked.
    #[n(5)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyRef>,
    /// The secret that was released.
    #[n(6)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretRef>,
    /// The first second at which what was granted no longer holds.
    #[n(7)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<UnixTime>,
}

/// A policy, by name, version and content.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Encode, Decode, serde::Serialize)]
#[cbor(map)]
pub struct PolicyRef {
    /// Its name.
    #[n(0)]
    pub name: Text<256>,
    /// Its version.
    #[n(1)]
    pub version: u64,
    /// SHA-256 of its text.
    #[n(2)]
    pub digest: Digest<32>,
}

/// A secret, without its name.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Encode, Decode, serde::Serialize)]
#[cbor(map)]
pub struct SecretRef {
    /// The salted hash of its name.
    #[n(0)]
    pub name: SaltedName,
    /// Which version of it.
    #[n(1)]
    pub version: u64,
}

/// The kinds of events. The numbers are in every log that was ever written, so none is used twice.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Encode, Decode, serde::Serialize)]
#[cbor(index_only)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Kind {
    /// A machine and its key were admitted.
    #[n(1)]
    Admission,
    /// A machine was judged, and the answer was no.
    #[n(2)]
    Refusal,
    /// A secret was released to the holder of an attested token.
    #[n(3)]
    TokenRelease,
    /// A value that the caller brought was sealed to an attested key.
    #[n(4)]
    Seal,
    /// Machines, measurements or policies lost what they had.
    #[n(5)]
    Revocation,
    /// A revocation was taken back.
    #[n(6)]
    Reinstatement,
    /// Policies, roots, grants or approvers changed.
    #[n(7)]
    Governance,
    /// Somebody used the emergency path.
    #[n(8)]
    Emergency,
    /// Certificates, lists or documents were imported.
    #[n(9)]
    CollateralImport,
    /// A lease was prolonged after new evidence.
    #[n(10)]
    Renewal,
}

impl Kind {
    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Admission => "admission",
            Self::Refusal => "refusal",
            Self::TokenRelease => "token-release",
            Self::Seal => "seal",
            Self::Revocation => "revocation",
            Self::Reinstatement => "reinstatement",
            Self::Governance => "governance",
            Self::Emergency => "emergency",
            Self::CollateralImport => "collateral-import",
            Self::Renewal => "renewal",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The formats of entries.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Encode, Decode, serde::Serialize)]
#[cbor(index_only)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Format {
    /// The only one so far.
    #[n(1)]
    V1,
}

impl Entry {
    /// The longest entry, in bytes. A bundle has 16 bits for the length; this log uses less.
    pub const MAX_BYTES: usize = 4096;

    /// The bytes that are stored and hashed.
    pub fn encode(&self) -> Result<Vec<u8>, BadEntry> {
        let bytes = minicbor::to_vec(self).map_err(|error| BadEntry::Content(error.to_string()))?;
        within_limit(&bytes)?;
        Ok(bytes)
    }

    /// Reads an entry back: one encoding, nothing behind it, no field that this version does not know.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadEntry> {
        within_limit(bytes)?;
        let mut decoder = minicbor::Decoder::new(bytes);
        let entry: Self = decoder.decode().map_err(|error| BadEntry::Content(error.to_string()))?;
        let extra = bytes.len().saturating_sub(decoder.position());
        if extra != 0 {
            return Err(BadEntry::Trailing(extra));
        }
        // What does not encode to the same bytes has a second reading.
        if entry.encode()? != bytes {
            return Err(BadEntry::NotDeterministic);
        }
        Ok(entry)
    }
}

fn within_limit(bytes: &[u8]) -> Result<(), BadEntry> {
    if bytes.len() > Entry::MAX_BYTES { Err(BadEntry::TooLong(bytes.len())) } else { Ok(()) }
}

/// Why bytes are not an entry.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadEntry {
    /// Longer than any entry.
    #[error("expected an entry of at most 4096 bytes, found {0}")]
    TooLong(usize),
    /// Not the CBOR of an entry.
    #[error("expected an entry, found: {0}")]
    Content(String),
    /// Bytes follow the end.
    #[error("expected the end of the entry, found {0} more bytes")]
    Trailing(usize),
    /// The same content in other bytes, or a field of a later version.
    #[error("expected the deterministic encoding of an entry, found another one or an unknown field")]
    NotDeterministic,
}
