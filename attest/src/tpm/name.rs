//! Names: what a TPM object is called everywhere.
//!
//! TPM 2.0 Part 1, clause 16: the name of an object is its name algorithm followed by that hash of its
//! public area. Whoever enrolled a name enrolled the key, its attributes and its policy.

use std::fmt;
use std::str::FromStr;

use super::algorithm;
use crate::CannotJudge;
use crate::crypto::{Crypto, Hash};

/// The name of a TPM object: the algorithm and the digest of its public area.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Name(Vec<u8>);

impl Name {
    /// From the bytes: a known hash algorithm, then a digest of its length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CannotJudge> {
        let wrong =
            || CannotJudge::TrustAnchor(format!("{} is not the name of a TPM object", hex::encode(bytes)));
        let (id, digest) = bytes.split_first_chunk::<2>().ok_or_else(wrong)?;
        let hash = algorithm::hash(u16::from_be_bytes(*id)).ok_or_else(wrong)?;
        if digest.len() != algorithm::hash_len(hash) {
            return Err(wrong());
        }
        Ok(Self(bytes.to_vec()))
    }

    /// The name of the object with this public area, as it was received.
    pub(super) fn of(crypto: &dyn Crypto, name_algorithm: Hash, area: &[u8]) -> Self {
        let mut bytes = algorithm::hash_id(name_algorithm).to_be_bytes().to_vec();
        bytes.extend(algorithm::digest(crypto, name_algorithm, &[area]));
        Self(bytes)
    }

    /// The qualified names of an object that stands directly in one of the hierarchies that outlive a reset
    /// (Part 1, clause 16): the digest of the hierarchy's handle and the name.
    pub(super) fn in_a_hierarchy(&self, crypto: &dyn Crypto) -> Vec<Vec<u8>> {
        let Some((id, _)) = self.0.split_first_chunk::<2>() else { return Vec::new() };
        let Some(hash) = algorithm::hash(u16::from_be_bytes(*id)) else { return Vec::new() };
        let qualified = |handle: u32| {
            [&id[..], &algorithm::digest(crypto, hash, &[&handle.to_be_bytes(), &self.0])].concat()
        };
        [ENDORSEMENT, OWNER, PLATFORM].map(qualified).into()
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// `TPM_RH_ENDORSEMENT`, where providers keep their attestation keys (Part 2, clause 7.4).
const ENDORSEMENT: u32 = 0x4000_000b;
/// `TPM_RH_OWNER`.
const OWNER: u32 = 0x4000_0001;
/// `TPM_RH_PLATFORM`.
const PLATFORM: u32 = 0x4000_000c;

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Name {
    type Err = CannotJudge;

    fn from_str(text: &str) -> Result<Self, CannotJudge> {
        let wrong = |_| {
            CannotJudge::TrustAnchor("the name of a TPM object is an even number of hex digits".to_owned())
        };
        Self::from_bytes(&hex::decode(text).map_err(wrong)?)
    }
}

impl serde::Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_length_of_its_hash() {
        let text = format!("000b{}", "ab".repeat(32));
        assert_eq!(text.parse::<Name>().unwrap().to_string(), text);
        for wrong in
            ["", "00", "000b", &text[2..], &format!("{text}00"), &text.replacen("000b", "000c", 1), "zz"]
        {
            assert!(matches!(wrong.parse::<Name>(), Err(CannotJudge::TrustAnchor(_))), "{wrong}");
        }
    }
}
