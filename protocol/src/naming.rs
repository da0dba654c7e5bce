//! Endorsements by name: what a server has in store need not travel with every presentation.
//!
//! A client names each object by its SHA-256 ([`Presentation::naming`]). What the server lacks it asks for before it
//! judges anything ([`Unknown`]); the challenge is good still, and the client brings the bytes.
//!
//! Untrusted: the server's answer. All it can do is to be sent what is public.

use serde::Deserialize;

use crate::release::{Base64, Presentation};

/// `data` of the answer (HTTP 400) to a presentation that names what the server lacks.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize)]
pub struct Unknown {
    /// The names, as they were sent.
    pub unknown: Vec<String>,
}

impl Presentation {
    /// The most objects that one presentation may name.
    pub const MOST_NAMES: usize = 16;

    /// The same, with names in place of what the server has, as far as there may be names. `|_| true` in the first
    /// attempt; in the next one it has all but those that it asked for.
    #[must_use]
    pub fn naming(&self, sha256: impl Fn(&[u8]) -> [u8; 32], has: impl Fn(&str) -> bool) -> Self {
        let mut names = self.collateral.clone();
        let mut brought = |objects: &[Base64]| -> Vec<Base64> {
            let bring = |object: &&Base64| {
                let name = hex::encode(sha256(&object.0));
                let by_name = names.len() < Self::MOST_NAMES && has(&name);
                names.extend(by_name.then_some(name));
                !by_name
            };
            objects.iter().filter(bring).cloned().collect()
        };
        let certificates = brought(&self.certificates);
        let revocation_lists = brought(&self.revocation_lists);
        let documents = brought(&self.documents);
        Self { certificates, revocation_lists, documents, collateral: names, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Not a hash, but as good as one here.
    fn first_byte(object: &[u8]) -> [u8; 32] {
        [object[0]; 32]
    }

    fn of(count: u8) -> Presentation {
        let objects =
            |from: u8| (from..from.saturating_add(count)).map(|byte| Base64(vec![byte, 0])).collect();
        Presentation {
            challenge: Base64(vec![1]),
            platform: attest::Platform::Tdx,
            evidence: Base64(vec![2]),
            certificates: objects(0),
            revocation_lists: objects(50),
            documents: objects(100),
            collateral: Vec::new(),
            workload_digest: None,
            pod: None,
            workload_token: None,
            protection: None,
            protection_digest: None,
            kem: "x-wing".to_owned(),
            public_key: Base64(vec![3]),
        }
    }

    #[test]
    fn what_the_server_has_is_named_and_the_rest_is_brought_in_its_order() {
        let full = of(2);
        let lean = full.naming(first_byte, |_| true);
        assert_eq!(lean.collateral, ["00", "01", "32", "33", "64", "65"].map(|byte| byte.repeat(32)));
        assert!([lean.certificates, lean.revocation_lists, lean.documents].iter().all(Vec::is_empty));
        let asked = "32".repeat(32);
        let next = full.naming(first_byte, |name| name != asked);
        assert_eq!(next.revocation_lists, [Base64(vec![50, 0])]);
        assert_eq!(next.collateral.len(), 5);
        assert_eq!(full.naming(first_byte, |_| false), full);
        assert_eq!((lean.evidence, lean.challenge), (full.evidence, full.challenge));
    }

    #[test]
    fn what_there_may_be_no_name_for_is_brought() {
        let lean = of(8).naming(first_byte, |_| true);
        assert_eq!((lean.collateral.len(), lean.documents.len()), (Presentation::MOST_NAMES, 8));
    }

    #[test]
    fn an_answer_with_something_else_is_not_one_that_asks() {
        assert!(serde_json::from_str::<Unknown>(r#"{"decision":"ab"}"#).is_err());
        assert_eq!(serde_json::from_str::<Unknown>(r#"{"unknown":["ab"]}"#).unwrap().unknown, ["ab"]);
    }
}
