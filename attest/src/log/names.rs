//! What an entry calls things by: digests of four kinds, measurements, texts that fit on a line.
//!
//! Each kind is a type of its own, so that no digest is taken for another.
//!
//! Untrusted: lengths and characters; what is too long or does not fit on a line is refused.

use std::fmt;

use minicbor::{Decode, Encode};

use crate::{Crypto, Digest, NotHex};

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
