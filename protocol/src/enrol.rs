//! Enrolment of a node's TPM: the JSON of `enrol`, and what a login brings besides.
//!
//! `POST <mount>/enrol` takes an [`EnrolRequest`] and answers an [`EnrolReply`]: a secret that the TPM of the endorsement key opens
//! (`TPM2_ActivateCredential`) only if it holds that attestation key too. The login that follows brings an [`EnrolAnswer`]
//! and the name of the node, which the hardware signs ([`crate::release::node_login_context`]).
//!
//! Untrusted: all of it, for the verifier, until a manufacturer's root and the TPM's answer say otherwise.

use serde::{Deserialize, Serialize};

use crate::release::Base64;

/// A TPM that wants to be known.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolRequest {
    /// The certificate of the endorsement key, DER.
    pub ek_certificate: Base64,
    /// The certificates above it, DER, without the root.
    #[serde(default)]
    pub chain: Vec<Base64>,
    /// The endorsement key's public area (`TPMT_PUBLIC`), where it is not that of the default template for its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ek_public: Option<Base64>,
    /// The attestation key's public area (`TPMT_PUBLIC`).
    pub ak_public: Base64,
}

/// What the TPM has to open.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct EnrolReply {
    /// To be sent back as it is ([`EnrolAnswer::token`]).
    pub enrolment: Base64,
    /// `TPM2B_ID_OBJECT`.
    pub id_object: Base64,
    /// `TPM2B_ENCRYPTED_SECRET`.
    pub encrypted_secret: Base64,
    /// The first second at which an answer is too late.
    pub expires: attest::UnixTime,
}

/// What the TPM opened: the field `enrolment` of a login.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolAnswer {
    /// [`EnrolReply::enrolment`], as it was received.
    pub token: Base64,
    /// The secret that `TPM2_ActivateCredential` gave.
    pub answer: Base64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_field_in_what_a_tpm_asks_is_refused() {
        let json = r#"{"ek_certificate":"","ak_public":"","trusted":true}"#;
        let error = serde_json::from_str::<EnrolRequest>(json).unwrap_err().to_string();
        assert!(error.contains("unknown field `trusted`"), "{error}");
        let json = r#"{"token":"","answer":"","name":""}"#;
        let error = serde_json::from_str::<EnrolAnswer>(json).unwrap_err().to_string();
        assert!(error.contains("unknown field `name`"), "{error}");
    }
}
