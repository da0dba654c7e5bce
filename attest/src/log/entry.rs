//! One entry of the log: what was decided, and which entry came before.
//!
//! Deterministic CBOR (RFC 8949, section 4.2): a map with small keys, absent facts left out. An entry has one
//! encoding and at most [`Entry::MAX_BYTES`] bytes; the evidence itself is in a record of its own, of which the
//! entry holds the digest. Facts about the machine and the secret are here because a recall asks for them.
//!
//! Untrusted: the bytes. A decoded entry is what somebody wrote; a [`super::Audit`] says whether the log did.

use std::fmt;

use minicbor::{Decode, Encode};

use crate::{Crypto, Digest, NotHex, Platform, UnixTime};

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

/// The name of one decision.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd, Encode, Decode, serde::Serialize)]
#[cbor(transparent)]
#[serde(transparent)]
pub struct DecisionId(#[n(0)] pub Digest<32>);

/// SHA-256 of an entry's bytes.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd, Encode, Decode, serde::Serialize)]
#[cbor(transparent)]
#[serde(transparent)]
pub struct EntryDigest(#[n(0)] pub Digest<32>);

/// SHA-256 of a stored record file.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd, Encode, Decode, serde::Serialize)]
#[cbor(transparent)]
#[serde(transparent)]
pub struct RecordDigest(#[n(0)] pub Digest<32>);

/// The salted hash of a secret's name.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd, Encode, Decode, serde::Serialize)]
#[cbor(transparent)]
#[serde(transparent)]
pub struct SaltedName(#[n(0)] pub Digest<32>);

impl EntryDigest {
    /// What the first entry has in place of a predecessor.
    pub const NONE: Self = Self(Digest([0; 32]));

    /// The digest of these bytes.
    #[must_use]
    pub fn of(crypto: &dyn Crypto, entry: &[u8]) -> Self {
        Self(crypto.sha256(&[entry]))
    }
}

impl RecordDigest {
    /// The digest of this file.
    #[must_use]
    pub fn of(crypto: &dyn Crypto, file: &[u8]) -> Self {
        Self(crypto.sha256(&[file]))
    }
}

impl std::str::FromStr for DecisionId {
    type Err = NotHex;

    fn from_str(text: &str) -> Result<Self, NotHex> {
        text.parse().map(Self)
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for EntryDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for RecordDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for SaltedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecisionId({})", self.0)
    }
}

impl fmt::Debug for EntryDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryDigest({})", self.0)
    }
}

impl fmt::Debug for RecordDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordDigest({})", self.0)
    }
}

impl fmt::Debug for SaltedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SaltedName({})", self.0)
    }
}

/// A launch measurement, PCR digest or image digest: 1 to 64 bytes.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Measurement(Vec<u8>);

impl Measurement {
    /// These bytes, if there are 1 to 64.
    pub fn new(bytes: &[u8]) -> Result<Self, BadText> {
        let fits = (1..=64).contains(&bytes.len());
        if fits { Ok(Self(bytes.to_vec())) } else { Err(BadText::Measurement(bytes.len())) }
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::str::FromStr for Measurement {
    type Err = BadText;

    fn from_str(text: &str) -> Result<Self, BadText> {
        let bytes = hex::decode(text).map_err(|_why| BadText::NotHex(text.chars().take(140).collect()))?;
        Self::new(&bytes)
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl serde::Serialize for Measurement {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<C> Encode<C> for Measurement {
    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        encoder.bytes(&self.0).map(|_| ())
    }
}

impl<'b, C> Decode<'b, C> for Measurement {
    fn decode(decoder: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Self::new(decoder.bytes()?).map_err(|error| minicbor::decode::Error::message(error.to_string()))
    }
}

/// A text of at most `MAX` bytes in which no character is a control character: it fits on a line.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, serde::Serialize)]
#[serde(transparent)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// This text, if it is short enough and fits on a line.
    pub fn new(text: impl Into<String>) -> Result<Self, BadText> {
        let text = text.into();
        if text.len() > MAX {
            return Err(BadText::TooLong { limit: MAX, found: text.len() });
        }
        match text.chars().find(|character| character.is_control()) {
            Some(control) => Err(BadText::Control(control)),
            None => Ok(Self(text)),
        }
    }

    /// These words as far as they fit: control characters become `?`, and what is too much is cut off.
    #[must_use]
    pub fn fitting(words: &str) -> Self {
        let mut fitting = String::new();
        for character in words.chars().map(|c| if c.is_control() { '?' } else { c }) {
            if fitting.len().saturating_add(character.len_utf8()) > MAX {
                break;
            }
            fitting.push(character);
        }
        Self(fitting)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MAX: usize, C> Encode<C> for Text<MAX> {
    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        encoder.str(&self.0).map(|_| ())
    }
}

impl<'b, const MAX: usize, C> Decode<'b, C> for Text<MAX> {
    fn decode(decoder: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Self::new(decoder.str()?).map_err(|error| minicbor::decode::Error::message(error.to_string()))
    }
}

impl<'de, const MAX: usize> serde::Deserialize<'de> for Text<MAX> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Why a text or a measurement does not go into an entry.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadText {
    /// Longer than its place.
    #[error("expected a text of at most {limit} bytes, found {found}")]
    TooLong {
        /// The limit.
        limit: usize,
        /// The length.
        found: usize,
    },
    /// Does not fit on a line.
    #[error("expected a text without control characters, found {0:?}")]
    Control(char),
    /// No measurement has this length.
    #[error("expected a measurement of 1 to 64 bytes, found {0}")]
    Measurement(usize),
    /// Not hex.
    #[error("expected a measurement in hex, found {0:?}")]
    NotHex(String),
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
