//! The public document of a set: how many make a quorum, who they are, and the key that they hold.
//!
//! It lies beside the server's configuration and with every custodian. Its id is a digest of all of it:
//! whoever changes a name, a threshold or a share's digest has another set, which nobody holds shares of.
//!
//! Trusted: whoever put it there. Untrusted: nothing; but it is checked all the same.

use std::fmt;

use protocol::release::Base64;
use protocol::{Kem, OfferedKey};
use serde::{Deserialize, Serialize};

use crate::digest;

/// A set of custodians.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Custodians {
    /// What people call it.
    pub name: String,
    /// How many make a quorum.
    pub threshold: u8,
    /// The public half of the key that is split.
    pub key: OfferedKey,
    /// The first is custodian 1.
    pub custodians: Vec<Custodian>,
}

/// One of them.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Custodian {
    /// What people call them.
    pub name: String,
    /// The digest of their share, in hex: [`crate::share::digest_of`].
    pub share: String,
}

/// The digest of a set's document.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SetId(pub [u8; 32]);

impl fmt::Display for SetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: String,
    name: String,
    threshold: u8,
    public_key: Base64,
    custodians: Vec<Custodian>,
}

impl Custodians {
    /// The first word of every document.
    pub const FORMAT: &'static str = "cloudtaser/custodians/v1";
    /// The longest document that is read, in bytes.
    pub const MAX_BYTES: usize = 64 * 1024;
    /// The most custodians of one set.
    pub const MOST: usize = 32;

    /// Reads a document.
    pub fn parse(text: &[u8]) -> Result<Self, BadSet> {
        if text.len() > Self::MAX_BYTES {
            return Err(BadSet::TooLong(text.len()));
        }
        let document: Document =
            serde_json::from_slice(text).map_err(|error| BadSet::Content(error.to_string()))?;
        if document.format != Self::FORMAT {
            return Err(BadSet::Format(document.format.chars().take(64).collect()));
        }
        let key = OfferedKey { kem: Kem::XWing, public: document.public_key.0 };
        let Document { name, threshold, custodians, .. } = document;
        Self { name, threshold, key, custodians }.checked()
    }

    /// The set itself, if it can be one.
    pub fn checked(self) -> Result<Self, BadSet> {
        let (count, threshold) = (self.custodians.len(), usize::from(self.threshold));
        if count > Self::MOST || threshold < 2 || threshold > count {
            return Err(BadSet::Numbers { threshold, count });
        }
        if !self.key.kem.public_len().contains(self.key.public.len()) {
            return Err(BadSet::Key(self.key.public.len()));
        }
        let mut names: Vec<&str> = self.custodians.iter().map(|custodian| custodian.name.as_str()).collect();
        names.push(&self.name);
        if let Some(name) = names.iter().find(|name| !is_name(name)) {
            return Err(BadSet::Name(name.chars().take(64).collect()));
        }
        names.pop();
        names.sort_unstable();
        if let Some(twice) =
            names.windows(2).find_map(|pair| (pair.first() == pair.last()).then(|| pair.concat()))
        {
            return Err(BadSet::Twice(twice.chars().take(twice.len() / 2).collect()));
        }
        match self.custodians.iter().find(|custodian| share_digest(custodian).is_none()) {
            Some(custodian) => Err(BadSet::Share(custodian.name.clone())),
            None => Ok(self),
        }
    }

    /// The document's text.
    pub fn to_json(&self) -> Result<String, BadSet> {
        let document = Document {
            format: Self::FORMAT.to_owned(),
            name: self.name.clone(),
            threshold: self.threshold,
            public_key: Base64(self.key.public.clone()),
            custodians: self.custodians.clone(),
        };
        let text =
            serde_json::to_string_pretty(&document).map_err(|error| BadSet::Content(error.to_string()))?;
        Ok(text + "\n")
    }

    /// The digest of all that the document says.
    #[must_use]
    pub fn id(&self) -> SetId {
        let mut parts: Vec<&[u8]> = vec![
            Self::FORMAT.as_bytes(),
            self.name.as_bytes(),
            std::slice::from_ref(&self.threshold),
            &self.key.public,
        ];
        for custodian in &self.custodians {
            parts.extend([custodian.name.as_bytes(), custodian.share.as_bytes()]);
        }
        SetId(digest(&parts))
    }

    /// Custodian `number`, if there is one.
    #[must_use]
    pub fn custodian(&self, number: u8) -> Option<&Custodian> {
        self.custodians.get(usize::from(number).checked_sub(1)?)
    }

    /// The digest that the share of custodian `number` must have.
    #[must_use]
    pub fn share_digest(&self, number: u8) -> Option<[u8; 32]> {
        self.custodian(number).and_then(share_digest)
    }
}

fn share_digest(custodian: &Custodian) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    hex::decode_to_slice(&custodian.share, &mut digest).ok()?;
    (hex::encode(digest) == custodian.share).then_some(digest)
}

/// Names stand in files' names, logs and on the command line.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=64).contains(&name.len()) && !name.starts_with(['.', '-']) && name.bytes().all(plain)
}

/// Why a document is not a set of custodians.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadSet {
    /// Longer than any document.
    #[error("custodians: at most 65536 bytes, found {0}")]
    TooLong(usize),
    /// Not JSON, or other fields.
    #[error("custodians: {0}")]
    Content(String),
    /// Another format.
    #[error("custodians: expected format cloudtaser/custodians/v1, found {0:?}")]
    Format(String),
    /// A quorum that is none.
    #[error(
        "custodians: expected a threshold from 2 to their number, and at most 32, found {threshold} of {count}"
    )]
    Numbers {
        /// The threshold.
        threshold: usize,
        /// The custodians.
        count: usize,
    },
    /// A public key of another length.
    #[error("custodians: expected a public key of 1216 bytes, found {0}")]
    Key(usize),
    /// A name that cannot be one.
    #[error("custodians: expected a name of 1 to 64 letters, digits, `.`, `_` and `-`, found {0:?}")]
    Name(String),
    /// A name that comes twice.
    #[error("custodians: {0} comes twice")]
    Twice(String),
    /// A digest that is none.
    #[error("custodians: share of {0}: expected 64 hex digits in lower case")]
    Share(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prod() -> Custodians {
        let custodian = |name: &str, byte: &str| Custodian { name: name.to_owned(), share: byte.repeat(32) };
        Custodians {
            name: "prod".to_owned(),
            threshold: 2,
            key: OfferedKey { kem: Kem::XWing, public: vec![1; 1216] },
            custodians: vec![custodian("anna", "aa"), custodian("ben", "bb"), custodian("carl", "cc")],
        }
    }

    #[test]
    fn a_document_survives_its_text_and_its_id_covers_all_of_it() {
        let set = prod();
        assert_eq!(Custodians::parse(set.to_json().unwrap().as_bytes()).unwrap(), set);
        let mut ids = vec![set.id()];
        for change in [
            |set: &mut Custodians| set.name.push('x'),
            |set: &mut Custodians| set.threshold = 3,
            |set: &mut Custodians| set.key.public[0] ^= 1,
            |set: &mut Custodians| set.custodians[2].name = "clara".to_owned(),
            |set: &mut Custodians| set.custodians[0].share = "ab".repeat(32),
            |set: &mut Custodians| set.custodians.swap(0, 1),
            |set: &mut Custodians| drop(set.custodians.pop()),
        ] {
            let mut other = prod();
            change(&mut other);
            assert!(!ids.contains(&other.id()), "{other:?}");
            ids.push(other.id());
        }
    }

    #[test]
    fn what_cannot_be_a_set_is_refused_by_name() {
        let refused = |change: fn(&mut Custodians)| {
            let mut set = prod();
            change(&mut set);
            Custodians::parse(set.to_json().unwrap().as_bytes()).unwrap_err()
        };
        assert_eq!(refused(|set| set.threshold = 1), BadSet::Numbers { threshold: 1, count: 3 });
        assert_eq!(refused(|set| set.threshold = 4), BadSet::Numbers { threshold: 4, count: 3 });
        assert_eq!(refused(|set| set.key.public.truncate(32)), BadSet::Key(32));
        assert_eq!(refused(|set| set.name = "../x".to_owned()), BadSet::Name("../x".to_owned()));
        assert_eq!(
            refused(|set| set.custodians[1].name = "anna".to_owned()),
            BadSet::Twice("anna".to_owned())
        );
        assert_eq!(refused(|set| set.custodians[1].share = "AA".repeat(32)), BadSet::Share("ben".to_owned()));
        let text = prod().to_json().unwrap();
        let format = text.replace("/v1", "/v2");
        assert_eq!(
            Custodians::parse(format.as_bytes()),
            Err(BadSet::Format("cloudtaser/custodians/v2".to_owned()))
        );
        let unknown = text.replacen('{', "{\"quorum\": 1,", 1);
        assert!(matches!(Custodians::parse(unknown.as_bytes()), Err(BadSet::Content(_))));
    }
}
