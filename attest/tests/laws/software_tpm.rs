//! A case of a TPM: a quote by a key of our own, enrolled as an operator enrols a TPM's.

use attest::{Endorsements, Platform, Revocation, TrustAnchors};

use crate::case::{Asked, Case};
use crate::document::Document;
use crate::forge::{Key, Statement};
use crate::silicon::NOW;

/// A quote of three PCRs that answers the usual challenge.
pub(crate) fn case() -> Case {
    let (key, stranger) = (Key::new(), Key::new());
    let statement = Statement::quote(&Asked::usual(NOW).caller_data(Platform::Tpm2));
    let attest = statement.marshal();
    let enrolled = |key: &Key| TrustAnchors::vendor().with_attestation_keys([key.name()]);
    Case {
        name: "TPM quote".to_owned(),
        platform: Platform::Tpm2,
        evidence: key.evidence(&attest, &statement.values),
        signed: 2..2 + attest.len(),
        strangers: (Endorsements::default(), enrolled(&stranger)),
        endorsements: Endorsements::default(),
        anchors: enrolled(&key),
        other_anchors: TrustAnchors::vendor(),
        root: Vec::new(),
        revocation: Revocation::Required,
        now: NOW,
        asked: Asked::usual(NOW),
        policy: Document::admitting_quotes(),
    }
}
