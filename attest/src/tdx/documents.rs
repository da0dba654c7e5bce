//! Intel's signed documents: TCB info and QE identity, as the provisioning certification service sends them.
//!
//! `{"tcbInfo":{…},"signature":"…"}` or `{"enclaveIdentity":{…},"signature":"…"}`. The signature (r ‖ s in
//! hex) is over the bytes of the inner value exactly as they were received: they are kept as a slice and never
//! written anew. Which document it is, the platform it is for and its dates are inside what is signed.
//!
//! Untrusted: everything, until [`Document::signed_by`] has said yes.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::crypto::{BadSignature, Crypto, PublicKey, Scheme};
use crate::{CannotJudge, Digest, Endorsements};

/// A document and its signature, both unchecked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Document<'a> {
    kind: DocumentKind,
    text: &'a str,
    signature: Digest<64>,
}

/// What a document says it is, outside of what is signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum DocumentKind {
    TcbInfo,
    QeIdentity,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(borrow, rename = "tcbInfo")]
    tcb_info: Option<&'a RawValue>,
    #[serde(borrow, rename = "enclaveIdentity")]
    enclave_identity: Option<&'a RawValue>,
    signature: Digest<64>,
}

/// What every document of Intel begins to say of itself.
#[derive(Debug, Deserialize)]
pub(super) struct Head {
    pub(super) id: String,
    pub(super) version: u32,
}

impl<'a> Document<'a> {
    /// Opens the envelope. A key that stands twice is an error.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, CannotJudge> {
        let envelope: Envelope<'a> = serde_json::from_slice(bytes).map_err(|error| unreadable(&error))?;
        let (kind, value) = match (envelope.tcb_info, envelope.enclave_identity) {
            (Some(value), None) => (DocumentKind::TcbInfo, value),
            (None, Some(value)) => (DocumentKind::QeIdentity, value),
            (Some(_), Some(_)) | (None, None) => {
                return Err(unreadable(&"expected either tcbInfo or enclaveIdentity"));
            }
        };
        Ok(Self { kind, text: value.get(), signature: envelope.signature })
    }

    /// All documents of a bag.
    pub(super) fn all(endorsements: &'a Endorsements) -> Result<Vec<Self>, CannotJudge> {
        endorsements.documents.iter().map(|bytes| Self::parse(bytes)).collect()
    }

    pub(super) fn kind(&self) -> DocumentKind {
        self.kind
    }

    /// Checks that `signer` signed the received bytes.
    pub(super) fn signed_by(&self, crypto: &dyn Crypto, signer: &PublicKey) -> Result<(), BadSignature> {
        crypto.verify(Scheme::EcdsaP256Sha256, signer, self.text.as_bytes(), &self.signature.0)
    }

    /// What it says it is.
    pub(super) fn head(&self) -> Result<Head, CannotJudge> {
        self.read()
    }

    /// Reads what is signed.
    pub(super) fn read<T: Deserialize<'a>>(&self) -> Result<T, CannotJudge> {
        serde_json::from_str(self.text).map_err(|error| unreadable(&error))
    }
}

fn unreadable(problem: &dyn std::fmt::Display) -> CannotJudge {
    CannotJudge::Endorsement { what: "document of Intel", problem: problem.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature() -> String {
        "5a".repeat(64)
    }

    #[test]
    fn the_signed_text_is_the_received_one() {
        let json =
            format!("{{ \"signature\":\"{}\",\n \"tcbInfo\" :  {{\"b\": 1 , \"a\":\t2}} }}", signature());
        let document = Document::parse(json.as_bytes()).unwrap();
        assert_eq!(document.text, "{\"b\": 1 , \"a\":\t2}");
        assert_eq!(document.kind(), DocumentKind::TcbInfo);
    }

    #[test]
    fn an_envelope_with_two_meanings_is_refused() {
        let signature = signature();
        for (json, problem) in [
            (format!(r#"{{"tcbInfo":{{}},"tcbInfo":{{}},"signature":"{signature}"}}"#), "duplicate field"),
            (format!(r#"{{"tcbInfo":{{}},"enclaveIdentity":{{}},"signature":"{signature}"}}"#), "either"),
            (format!(r#"{{"signature":"{signature}"}}"#), "either"),
            (format!(r#"{{"tcbInfo":{{}},"signature":"{signature}","more":1}}"#), "unknown field"),
            (format!(r#"{{"tcbInfo":{{}},"signature":"{signature}"}} 1"#), "trailing"),
            (r#"{"tcbInfo":{},"signature":"00"}"#.to_owned(), "hex digits"),
            (r#"{"tcbInfo":{}}"#.to_owned(), "missing field"),
        ] {
            let error = Document::parse(json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
