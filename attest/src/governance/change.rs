//! Proposals and emergencies, as the texts that approvers sign.
//!
//! Each has one text: a first line that no other kind of text has, then one fact a line, in a fixed order. No fact can
//! hold a line break, so that no two proposals have the same text. The id of a proposal is the SHA-256 of its text.
//!
//! Untrusted: every fact.

use std::fmt;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::log::{BadText, Text};
use crate::{Crypto, Digest, UnixTime};

/// What can be changed.
#[derive(
    Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Encode, Decode, Serialize, Deserialize,
)]
#[cbor(index_only)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Kind {
    /// An attestation policy, by its name.
    #[n(0)]
    Policy,
    /// Who approves, and how many have to.
    #[n(1)]
    Approvers,
    /// The authorities whose word about TPM keys is believed beside the pinned ones.
    #[n(2)]
    Roots,
    /// The auth mount whose tokens are believed.
    #[n(3)]
    Auth,
    /// Whose workload tokens are believed, by the name of the entry.
    #[n(4)]
    WorkloadIssuer,
    /// The policies under which a login may have values sealed.
    #[n(5)]
    Seal,
    /// The keys whose packs of collateral are taken.
    #[n(6)]
    CollateralSigners,
    /// Which policy stands before a secret, by the secret's name.
    #[n(8)]
    Guard,
    /// What an auth mount gives to machines, by the role's name.
    #[n(9)]
    Role,
    /// A list of TPM attestation keys that are enrolled.
    #[n(10)]
    AttestationKeys,
    /// Whose endorsement keys of TPMs are believed, by the manufacturer's name.
    #[n(11)]
    TpmManufacturer,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 11] = [
        Self::Policy,
        Self::Approvers,
        Self::Roots,
        Self::Auth,
        Self::WorkloadIssuer,
        Self::Seal,
        Self::CollateralSigners,
        Self::Guard,
        Self::Role,
        Self::AttestationKeys,
        Self::TpmManufacturer,
    ];

    /// Its name in texts and paths.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Approvers => "approvers",
            Self::Roots => "roots",
            Self::Auth => "auth",
            Self::WorkloadIssuer => "workload-issuer",
            Self::Seal => "seal",
            Self::CollateralSigners => "collateral-signers",
            Self::Guard => "guard",
            Self::Role => "role",
            Self::AttestationKeys => "attestation-keys",
            Self::TpmManufacturer => "tpm-manufacturer",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether a mount has many of it, each with a name.
    #[must_use]
    pub fn has_names(self) -> bool {
        !matches!(self, Self::Approvers | Self::Roots | Self::Auth | Self::Seal | Self::CollateralSigners)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One thing that can be changed: a kind, and a name where there are many.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Encode, Decode, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// What kind of thing.
    #[n(0)]
    pub kind: Kind,
    /// Which one; empty where there is only one.
    #[n(1)]
    pub name: Text<64>,
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if self.name.as_str().is_empty() { Ok(()) } else { write!(f, " {}", self.name) }
    }
}

/// What is to become of an item, and of what.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The mount, by the name of its log: `openbao/<uuid>`.
    #[n(0)]
    pub mount: Text<128>,
    /// What changes.
    #[n(1)]
    pub item: Item,
    /// SHA-256 of the new content.
    #[n(2)]
    pub content: Digest<32>,
    /// The version that the new content is to have.
    #[n(3)]
    pub version: u64,
    /// SHA-256 of the content that it takes the place of, if there is any.
    #[n(4)]
    pub replaces: Option<Digest<32>>,
}

impl Change {
    fn text(&self) -> String {
        let replaces = self.replaces.map_or_else(|| "nothing".to_owned(), |digest| digest.to_string());
        format!(
            "mount: {}\nkind: {}\nname: {}\ncontent: {}\nversion: {}\nreplaces: {replaces}\n",
            self.mount, self.item.kind, self.item.name, self.content, self.version
        )
    }
}

/// A change that waits for approvals.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// The change.
    #[n(0)]
    pub change: Change,
    /// The first second at which nobody can approve it any more.
    #[n(1)]
    pub expires: UnixTime,
    /// Who proposes, as the server knows them.
    #[n(2)]
    pub proposer: Text<256>,
    /// Why.
    #[n(3)]
    pub reason: Text<512>,
}

impl Proposal {
    /// The longest that a proposal may wait, in seconds: 30 days.
    pub const MAX_SECONDS: u64 = 30 * 86_400;

    /// The text that stands for it.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "cloudtaser/proposal/v1\n{}expires: {}\nproposer: {}\nreason: {}\n",
            self.change.text(),
            self.expires,
            self.proposer,
            self.reason
        )
    }

    /// SHA-256 of its text.
    #[must_use]
    pub fn id(&self, crypto: &dyn Crypto) -> Digest<32> {
        crypto.sha256(&[self.text().as_bytes()])
    }

    /// What the approver of this name signs.
    #[must_use]
    pub fn to_be_signed(&self, approver: &str) -> String {
        format!("cloudtaser/approval/v1\napprover: {approver}\n{}", self.text())
    }
}

/// A change that holds at once, and ends by itself.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Emergency {
    /// The change.
    #[n(0)]
    pub change: Change,
    /// The first second at which what was before holds again.
    #[n(1)]
    pub until: UnixTime,
    /// Why.
    #[n(2)]
    pub reason: Text<512>,
    /// Where the matter is dealt with.
    #[n(3)]
    pub ticket: Text<128>,
}

impl Emergency {
    /// The longest that it may hold, in seconds: a day.
    pub const MAX_SECONDS: u64 = 86_400;

    /// The text that stands for it.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "cloudtaser/emergency/v1\n{}until: {}\nreason: {}\nticket: {}\n",
            self.change.text(),
            self.until,
            self.reason,
            self.ticket
        )
    }

    /// SHA-256 of its text.
    #[must_use]
    pub fn id(&self, crypto: &dyn Crypto) -> Digest<32> {
        crypto.sha256(&[self.text().as_bytes()])
    }

    /// What the approver of this name signs.
    #[must_use]
    pub fn to_be_signed(&self, approver: &str) -> String {
        format!("cloudtaser/emergency-approval/v1\napprover: {approver}\n{}", self.text())
    }
}

impl Item {
    /// The item of this kind and name.
    pub fn new(kind: Kind, name: &str) -> Result<Self, BadText> {
        Ok(Self { kind, name: Text::new(name)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposal() -> Proposal {
        let change = Change {
            mount: Text::new("openbao/6f0b").unwrap(),
            item: Item::new(Kind::Policy, "prod").unwrap(),
            content: Digest([1; 32]),
            version: 8,
            replaces: None,
        };
        let (proposer, reason) = (Text::new("userpass-alice").unwrap(), Text::new("CHG-4711").unwrap());
        Proposal { change, expires: UnixTime(1000), proposer, reason }
    }

    /// What was signed once has to be the same text for ever.
    #[test]
    fn a_proposal_has_this_very_text() {
        let text = format!(
            "cloudtaser/approval/v1\napprover: alice\ncloudtaser/proposal/v1\nmount: openbao/6f0b\nkind: policy\n\
             name: prod\ncontent: {}\nversion: 8\nreplaces: nothing\nexpires: 1970-01-01T00:16:40Z\n\
             proposer: userpass-alice\nreason: CHG-4711\n",
            "01".repeat(32)
        );
        assert_eq!(proposal().to_be_signed("alice"), text);
    }

    #[test]
    fn whatever_differs_between_two_proposals_differs_in_their_texts() {
        let known = proposal();
        let other = |change: &dyn Fn(&mut Proposal)| {
            let mut other = proposal();
            change(&mut other);
            other.text()
        };
        let texts = [
            other(&|other| other.change.mount = Text::new("openbao/6f0c").unwrap()),
            other(&|other| other.change.item = Item::new(Kind::Roots, "prod").unwrap()),
            other(&|other| other.change.item = Item::new(Kind::Policy, "pro").unwrap()),
            other(&|other| other.change.content = Digest([2; 32])),
            other(&|other| other.change.version = 9),
            other(&|other| other.change.replaces = Some(Digest([0; 32]))),
            other(&|other| other.expires = UnixTime(1001)),
            other(&|other| other.proposer = Text::default()),
            other(&|other| other.reason = Text::default()),
        ];
        for text in texts {
            assert_ne!(text, known.text());
        }
        assert!(Text::<512>::new("x\nexpires: 9999-12-31T23:59:59Z").is_err());
    }
}
