//! A node as it is stored, and as an operator sees it.
//!
//! Trusted: the storage.

use attest::node::{Boot, Clock, Ids};
use attest::{Digest, UnixTime};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use openbao_plugin::Error;
use serde::Serialize;

/// What the register holds of one node.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub(crate) struct StoredNode {
    /// What an operator wrote.
    #[n(0)]
    pub(crate) expected: Ids,
    /// What its machine has to prove: that, and whatever it proved when it joined.
    #[n(1)]
    pub(crate) ids: Ids,
    /// The latest start that was admitted.
    #[n(2)]
    pub(crate) boot: Option<Boot>,
    /// Earlier launches, the latest at the end.
    #[n(3)]
    pub(crate) former: Vec<String>,
    /// How its attestation key came to be believed.
    #[n(4)]
    pub(crate) enrolled: Option<KnownKey>,
    /// When it was written or joined.
    #[n(5)]
    pub(crate) since: UnixTime,
    /// When it was admitted last.
    #[n(6)]
    pub(crate) seen: Option<UnixTime>,
    /// That admission's id.
    #[n(7)]
    pub(crate) decision: Option<String>,
}

/// An attestation key that was enrolled through a manufacturer's certificate.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub(crate) struct KnownKey {
    /// Its name.
    #[n(0)]
    pub(crate) ak: ByteVec,
    /// SHA-256 of the manufacturer's root: taken off, it takes the key along.
    #[n(1)]
    pub(crate) root: Digest<32>,
    /// When the certificates and lists behind it end.
    #[n(2)]
    pub(crate) until: UnixTime,
}

/// What a read answers.
#[derive(Debug, Serialize)]
pub(super) struct Shown<'a> {
    /// What its machine has to prove.
    ids: &'a Ids,
    /// What an operator wrote of it.
    expected: &'a Ids,
    launch: Option<&'a str>,
    former_launches: usize,
    clock: Option<Clock>,
    enrolled_under: Option<Digest<32>>,
    enrolled_until: Option<UnixTime>,
    since: UnixTime,
    seen: Option<UnixTime>,
    decision: Option<&'a str>,
}

impl StoredNode {
    /// Where the nodes are.
    pub(super) const FOLDER: &'static str = "node/";
    /// Earlier launches that are remembered.
    const MOST_FORMER: usize = 64;

    /// Nothing was admitted under the name, and its machine has to prove this.
    pub(super) fn new(expected: Ids, since: UnixTime) -> Self {
        let (ids, former) = (expected.clone(), Vec::new());
        Self { expected, ids, boot: None, former, enrolled: None, since, seen: None, decision: None }
    }

    pub(super) fn key(name: &str) -> String {
        format!("{}{name}", Self::FOLDER)
    }

    pub(super) fn decode(name: &str, bytes: &[u8]) -> Result<Self, Error> {
        minicbor::decode(bytes).map_err(|why| Error::Internal(format!("stored node {name:?}: {why}")))
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, Error> {
        minicbor::to_vec(self).map_err(|why| Error::Internal(format!("node: {why}")))
    }

    /// The launch that runs now, as far as is known.
    pub(super) fn launch(&self) -> Option<&str> {
        self.boot.as_ref()?.launch.as_deref()
    }

    /// Notes the start that was admitted; one that it replaces is not taken again.
    pub(super) fn started(&mut self, boot: &Boot) {
        let earlier = self.launch().map(str::to_owned);
        if let Some(earlier) = earlier.filter(|earlier| boot.launch.as_ref() != Some(earlier)) {
            let surplus = self.former.len().saturating_add(1).saturating_sub(Self::MOST_FORMER);
            self.former.drain(..surplus);
            self.former.push(earlier);
        }
        self.boot = Some(boot.clone());
    }

    pub(super) fn shown(&self) -> Shown<'_> {
        Shown {
            ids: &self.ids,
            expected: &self.expected,
            launch: self.launch(),
            former_launches: self.former.len(),
            clock: self.boot.as_ref().and_then(|boot| boot.clock),
            enrolled_under: self.enrolled.as_ref().map(|enrolled| enrolled.root),
            enrolled_until: self.enrolled.as_ref().map(|enrolled| enrolled.until),
            since: self.since,
            seen: self.seen,
            decision: self.decision.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_launches_before_are_remembered_up_to_a_number() {
        let mut node = StoredNode::new(Ids::default(), UnixTime(1));
        for launch in 0..100 {
            let boot = Boot { launch: Some(launch.to_string()), clock: None };
            node.started(&boot);
            node.started(&boot);
        }
        assert_eq!(node.launch(), Some("99"));
        assert_eq!((node.former.len(), node.former[0].as_str(), node.former[63].as_str()), (64, "35", "98"));
        assert_eq!(StoredNode::decode("n", &node.encode().unwrap()).unwrap(), node);
    }
}
