//! What a release answers: a secret sealed by HPKE, or in the form that AWS KMS gives to enclaves.
//!
//! The kind of the offered key says which. The second form has no associated data: decision, version and lease stand beside
//! the message and are worth what the connection is worth, and so is the message itself, since anybody can write one to a
//! public key and nobody signs it. docs/nitro.md says what an enclave does about that.
//!
//! Untrusted: all of it, for the enclave, unless its TLS connection ends at OpenBao itself.

use serde::{Deserialize, Serialize};

use crate::release::{Base64, Sealed};

/// The answer to a release.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Released {
    /// By HPKE, to an `x-wing` or `x25519` key.
    Sealed(Sealed),
    /// In a CMS message, to an `rsa-oaep-sha256` key.
    Enveloped(Enveloped),
}

/// The value of a secret's only field, in a CMS message.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Enveloped {
    /// The id of the decision, under which the record can be read: 64 hex digits.
    pub decision: String,
    /// The version of the secret.
    pub version: u64,
    /// How long the machine counts as attested, in seconds.
    pub lease_seconds: u64,
    /// `EnvelopedData` (RFC 5652, 6), BER, as AWS KMS's `CiphertextForRecipient` is.
    pub ciphertext_for_recipient: Base64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_forms_are_told_apart_by_their_fields() {
        let head = r#"{"decision":"00","version":1,"lease_seconds":2,"#;
        let sealed = format!(r#"{head}"enc":"AAAA","ciphertext":"AAAA"}}"#);
        let enveloped = format!(r#"{head}"ciphertext_for_recipient":"AAAA"}}"#);
        assert!(matches!(serde_json::from_str(&sealed), Ok(Released::Sealed(_))));
        assert!(matches!(serde_json::from_str(&enveloped), Ok(Released::Enveloped(_))));
        assert!(serde_json::from_str::<Released>(&format!(r#"{head}"enc":"AAAA"}}"#)).is_err());
    }
}
