//! The approvers of a mount: names with keys, and how many of them it takes.
//!
//! A person is a name. They may have several keys, a card and its spare, and count once; no key has two names. The
//! document is JSON, and its digest is that of its bytes.
//!
//! Trusted: the document, once it is in force. Untrusted: approvals.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::signature::{Approval, ApproverKey, BadApproval, BadKey};
use crate::Crypto;
use crate::log::Text;

/// Who approves, and how many have to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Approvers {
    threshold: usize,
    approvers: Vec<Approver>,
}

/// A name with one of its keys.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Approver {
    /// The name.
    pub name: Text<64>,
    /// The key.
    pub key: ApproverKey,
}

/// Whose approvals count.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Counted {
    /// The names.
    pub names: BTreeSet<String>,
    /// How many it takes.
    pub threshold: usize,
}

impl Counted {
    /// Whether they are enough.
    #[must_use]
    pub fn are_enough(&self) -> bool {
        self.names.len() >= self.threshold
    }
}

impl Approvers {
    /// The most keys.
    pub const MOST: usize = 32;

    /// Out of `{"threshold": 2, "approvers": [{"name": "alice", "key": "<PEM>"}, …]}`.
    pub fn parse(document: &str) -> Result<Self, BadApprovers> {
        let document: Document = serde_json::from_str(document).map_err(BadApprovers::parse)?;
        let read = |entry: Entry| -> Result<Approver, BadApprovers> {
            let key = ApproverKey::parse(&entry.key)
                .map_err(|why| BadApprovers::Key { name: entry.name.clone(), why })?;
            Ok(Approver { name: name(&entry.name)?, key })
        };
        let approvers = document.approvers.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let this = Self { threshold: document.threshold, approvers };
        this.fits()
    }

    fn fits(self) -> Result<Self, BadApprovers> {
        let keys: Vec<&ApproverKey> = self.approvers.iter().map(|approver| &approver.key).collect();
        if keys.len() > Self::MOST {
            return Err(BadApprovers::Many(keys.len()));
        }
        if keys.iter().enumerate().any(|(at, key)| keys.iter().take(at).any(|other| key.is_same(other))) {
            return Err(BadApprovers::KeyTwice);
        }
        let people = self.names().len();
        if self.threshold == 0 || self.threshold > people {
            return Err(BadApprovers::Threshold { people, found: self.threshold });
        }
        Ok(self)
    }

    /// How many it takes.
    #[must_use]
    pub fn threshold(&self) -> usize {
        self.threshold
    }

    /// All names with their keys.
    #[must_use]
    pub fn approvers(&self) -> &[Approver] {
        &self.approvers
    }

    /// The people.
    #[must_use]
    pub fn names(&self) -> BTreeSet<&str> {
        self.approvers.iter().map(|approver| approver.name.as_str()).collect()
    }

    /// The approval of `approver`, if one of their keys made this signature over `text`.
    pub fn approval(
        &self,
        crypto: &dyn Crypto,
        approver: &str,
        text: &str,
        signature: &[u8],
    ) -> Result<Approval, BadApproval> {
        let mut theirs = self.approvers.iter().filter(|found| found.name.as_str() == approver).peekable();
        if theirs.peek().is_none() {
            let expected = self.names().into_iter().collect::<Vec<_>>().join(", ");
            return Err(BadApproval::Unknown { expected, found: approver.chars().take(64).collect() });
        }
        let signer = theirs.find(|found| found.key.signed(crypto, text, signature));
        let signer = signer.ok_or_else(|| BadApproval::Signature { approver: approver.to_owned() })?;
        Ok(Approval {
            approver: signer.name.clone(),
            key: signer.key.spki().to_vec().into(),
            signature: signature.to_vec().into(),
        })
    }

    /// Who of those who approved counts: the named ones, by a key that is theirs, once each. `text` is what an approver
    /// of a name signs.
    #[must_use]
    pub fn tally(
        &self,
        crypto: &dyn Crypto,
        approvals: &[Approval],
        text: impl Fn(&str) -> String,
    ) -> Counted {
        let holds = |approval: &&Approval| {
            let name = approval.approver.as_str();
            self.approval(crypto, name, &text(name), &approval.signature).is_ok()
        };
        let names = approvals.iter().filter(holds).map(|approval| approval.approver.to_string()).collect();
        Counted { names, threshold: self.threshold }
    }
}

fn name(text: &str) -> Result<Text<64>, BadApprovers> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    let found = || BadApprovers::Name(text.chars().take(80).collect());
    if text.is_empty() || !text.chars().all(allowed) {
        return Err(found());
    }
    Text::new(text).map_err(|_why| found())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    threshold: usize,
    approvers: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    key: String,
}

/// Why a document does not name approvers.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadApprovers {
    /// Not the JSON that it should be.
    #[error("approvers: expected threshold and approvers, each with name and key: {0}")]
    Parse(String),
    /// A name with other characters, or too long.
    #[error("approver: expected a name of 1 to 64 of A-Z a-z 0-9 - _ . @, found {0:?}")]
    Name(String),
    /// A key that cannot be used.
    #[error("approver {name:?}: {why}")]
    Key {
        /// Whose.
        name: String,
        /// Why.
        why: BadKey,
    },
    /// One key stands twice.
    #[error("approvers: expected each key once: one person cannot be two")]
    KeyTwice,
    /// Too many.
    #[error("approvers: expected at most 32 keys, found {0}")]
    Many(usize),
    /// Nobody, or more than there are.
    #[error("threshold: expected 1 to {people}, the number of people, found {found}")]
    Threshold {
        /// How many there are.
        people: usize,
        /// How many it would take.
        found: usize,
    },
}

impl BadApprovers {
    #[expect(clippy::needless_pass_by_value, reason = "for map_err")]
    fn parse(error: serde_json::Error) -> Self {
        Self::Parse(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        let length = match length {
            [0, short @ ..0x80] => vec![short],
            [0, short] => vec![0x81, short],
            long => [&[0x82], long.as_slice()].concat(),
        };
        [&[tag], length.as_slice(), &content].concat()
    }

    /// RFC 3279, 2.3.1: the parameters of an RSA key are NULL. Who leaves them out has the same key in other bytes.
    fn rsa(parameters: &[u8]) -> String {
        let oid = [0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
        let numbers = der(0x30, &[&der(0x02, &[&[0], &[0xa5; 256]]), &der(0x02, &[&[1, 0, 1]])]);
        let spki = der(0x30, &[&der(0x30, &[&oid, parameters]), &der(0x03, &[&[0], &numbers])]);
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(spki))
    }

    #[test]
    fn one_key_in_two_encodings_does_not_make_two_people() {
        let [usual, odd] = [rsa(&[5, 0]), rsa(&[])];
        let parsed = [&usual, &odd].map(|key| ApproverKey::parse(key).unwrap());
        assert_ne!(parsed[0].spki(), parsed[1].spki());
        let document = serde_json::json!({
            "threshold": 2,
            "approvers": [{ "name": "alice", "key": usual }, { "name": "bob", "key": odd }],
        });
        assert_eq!(Approvers::parse(&document.to_string()), Err(BadApprovers::KeyTwice));
    }
}
