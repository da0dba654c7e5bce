//! A release through OpenBao: the JSON of `challenge`, `login` and `release/<key>/open`.
//!
//! Two messages each way. `POST <mount>/challenge` answers a [`ChallengeReply`]. The client has its
//! hardware sign nonce, purpose ([`open_context`], [`login_context`]) and key, and sends a
//! [`Presentation`]. A workload that proves who it is has the hardware sign its token's SHA-256 with the purpose
//! ([`Presentation::purpose`]). The answer is a [`crate::released::Released`] secret, a [`Refusal`] (HTTP 403) with every failing
//! check, or an OpenBao error (HTTP 400 and above) that says why nothing could be judged.
//!
//! Untrusted: all of it, for both sides, until the verifier or the HPKE open says otherwise.

use attest::workload::Purpose;
use attest::{Check, Digest, Kem, KeyLength, Platform, PodUid};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// A challenge, as OpenBao draws it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ChallengeReply {
    /// To be sent back as it is: nonce, expiry and OpenBao's MAC over them.
    pub challenge: Base64,
    /// The nonce to sign, 32 bytes of hex.
    pub nonce: String,
    /// The first second at which an answer is too late.
    pub expires: attest::UnixTime,
}

/// Evidence in answer to a challenge.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Presentation {
    /// The challenge, as it was received.
    pub challenge: Base64,
    /// Which hardware speaks.
    pub platform: Platform,
    /// The evidence.
    pub evidence: Base64,
    /// Certificates that go with it, DER.
    #[serde(default)]
    pub certificates: Vec<Base64>,
    /// Revocation lists that go with it, DER.
    #[serde(default)]
    pub revocation_lists: Vec<Base64>,
    /// Signed documents that go with it: Intel's TCB info and QE identity.
    #[serde(default)]
    pub documents: Vec<Base64>,
    /// SHA-256, in hex, of others that the server may have in store. If it lacks one, it says which (HTTP 400,
    /// `data.unknown`) before it judges, and the challenge is good still.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub collateral: Vec<String>,
    /// The kind of the key to seal to: `x-wing` or `x25519`, or `rsa-oaep-sha256` in Nitro documents.
    pub kem: String,
    /// The key to seal to.
    pub public_key: Base64,
    /// SHA-256 of the workload's token, if the hardware signed it with the purpose: 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_digest: Option<Digest<32>>,
    /// The pod that asks, if the node's agent stamped the purpose with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodUid>,
    /// The workload's token: a projected service-account token, a JWT-SVID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_token: Option<Bearer>,
    /// What the client measured of its own protection, in its one encoding ([`crate::protection`]), if the hardware signed its
    /// SHA-256 with the purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protection: Option<Base64>,
    /// SHA-256 of that report, as it was signed: 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protection_digest: Option<Digest<32>>,
}

/// A sealed secret.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Sealed {
    /// The id of the decision, under which the record can be read: 64 hex digits.
    pub decision: String,
    /// The version of the secret.
    pub version: u64,
    /// How long the machine counts as attested, in seconds.
    pub lease_seconds: u64,
    /// HPKE's encapsulated key.
    pub enc: Base64,
    /// HPKE's ciphertext with its tag, over the encoding of [`crate::secret`].
    pub ciphertext: Base64,
}

/// A "no": the evidence was judged.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// The id of the decision, under which the record can be read.
    pub decision: String,
    /// The failing checks.
    pub failing: Vec<RefusedCheck>,
}

/// A failing check.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct RefusedCheck {
    /// Its stable name.
    pub id: String,
    /// What would have been right.
    pub expected: String,
    /// What was found.
    pub found: String,
}

impl From<&Check> for RefusedCheck {
    fn from(check: &Check) -> Self {
        Self { id: check.id.clone(), expected: check.expected.clone(), found: check.found.clone() }
    }
}

/// What the hardware signs for `POST <mount>/release/<key>/open`. `mount` has no slash at its end.
#[must_use]
pub fn open_context(mount: &str, key: &str) -> String {
    format!("{mount}/release/{key}")
}

/// What the hardware signs for `POST <mount>/login` with this role. `mount` is like `auth/attest`.
#[must_use]
pub fn login_context(mount: &str, role: &str) -> String {
    format!("{mount}/login/{role}")
}

/// What the hardware signs for `POST <mount>/login` with this role in the name of this node: so nobody between them puts in
/// another name.
#[must_use]
pub fn node_login_context(mount: &str, role: &str, node: &str) -> String {
    format!("{}/node/{node}", login_context(mount, role))
}

/// What a client asks the agent for on one of these paths, with the SHA-256 of the workload's token if one goes along. An
/// agent that knows the pod of its caller adds it: [`crate::agent::stamped`].
#[must_use]
pub fn purpose(path: &str, token: Option<Digest<32>>) -> String {
    purpose_with(path, token, None)
}

/// The same, with the SHA-256 of the protection report if one goes along.
#[must_use]
pub fn purpose_with(path: &str, token: Option<Digest<32>>, protection: Option<Digest<32>>) -> String {
    Purpose { path, token, protection, pod: None }.to_string()
}

/// Whether hardware that signs this purpose speaks for its node ([`node_login_context`]): that is for the node agent itself
/// to ask, and for none of its callers.
#[must_use]
pub fn is_node_login(purpose: &str) -> bool {
    let segments: Vec<&str> = purpose.split('/').collect();
    segments.windows(4).any(|window| matches!(window, ["login", _, "node", _]))
}

/// HPKE's `info` for every sealed secret.
pub const SEAL_INFO: &[u8] = b"cloudtaser/seal/v1";

/// HPKE's associated data: the decision, the version and the lease, each of fixed length. A sealed secret
/// cannot be passed off as the answer to another decision, or with another lease.
#[must_use]
pub fn seal_aad(decision: &[u8; 32], version: u64, lease_seconds: u64) -> [u8; 48] {
    let mut aad = [0; 48];
    let parts = decision.iter().copied().chain(version.to_be_bytes()).chain(lease_seconds.to_be_bytes());
    for (to, from) in aad.iter_mut().zip(parts) {
        *to = from;
    }
    aad
}

impl Presentation {
    /// What the hardware signed as its purpose, on this path: [`open_context`] or [`login_context`].
    #[must_use]
    pub fn purpose(&self, path: &str) -> String {
        let pod = self.pod.as_ref().map(PodUid::as_str);
        Purpose { path, token: self.workload_digest, protection: self.protection_digest, pod }.to_string()
    }

    /// The key to seal to, if its kind is known and its length right.
    pub fn offered(&self) -> Result<attest::OfferedKey, BadKey> {
        let kem = Kem::named(&self.kem).ok_or_else(|| BadKey::Kind(self.kem.chars().take(32).collect()))?;
        let found = self.public_key.0.len();
        if !kem.public_len().contains(found) {
            return Err(BadKey::Length { expected: kem.public_len(), found });
        }
        Ok(attest::OfferedKey { kem, public: self.public_key.0.clone() })
    }
}

/// Why an offered key cannot be sealed to.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadKey {
    /// Not a kind that is known here.
    #[error("kem: expected x-wing, x25519 or rsa-oaep-sha256, found {0:?}")]
    Kind(String),
    /// Not as long as keys of its kind are.
    #[error("public_key: expected {expected} bytes, found {found}")]
    Length {
        /// The length that the kind has.
        expected: KeyLength,
        /// The length that was sent.
        found: usize,
    },
}

/// A credential: it travels, and is never shown.
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bearer(pub String);

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a credential of {} bytes", self.0.len())
    }
}

impl Bearer {
    /// The longest workload token that is sent or read, in bytes.
    pub const MAX: usize = 16 * 1024;
}

/// Bytes that travel as standard base64 with padding.
#[derive(Clone, Eq, PartialEq)]
pub struct Base64(pub Vec<u8>);

impl std::fmt::Debug for Base64 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Base64 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        let wrong = |_why| serde::de::Error::custom("expected standard base64 with padding");
        STANDARD.decode(text.as_bytes()).map(Self).map_err(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_associated_data_tells_decision_version_and_lease_apart() {
        let base = seal_aad(&[1; 32], 2, 3);
        for other in [seal_aad(&[2; 32], 2, 3), seal_aad(&[1; 32], 3, 3), seal_aad(&[1; 32], 2, 4)] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn a_nodes_login_is_told_from_all_else() {
        assert!(is_node_login(&node_login_context("auth/attest", "node", "n1")));
        let stamped = purpose(&node_login_context("team/auth/a", "login", "node"), Some(Digest([7; 32])));
        assert!(is_node_login(&stamped));
        for other in
            ["auth/attest/login/node", "attest-keys/release/db", "auth/login/node", "login/a/nodes/b"]
        {
            assert!(!is_node_login(other), "{other}");
        }
    }

    #[test]
    fn an_unknown_field_in_a_presentation_is_refused() {
        let json = r#"{"challenge":"","platform":"sev-snp","evidence":"","kem":"x25519","public_key":"","debug":true}"#;
        let error = serde_json::from_str::<Presentation>(json).unwrap_err().to_string();
        assert!(error.contains("unknown field `debug`"), "{error}");
    }

    #[test]
    fn a_pod_that_is_none_is_refused_before_anything_is_signed_or_judged_with_it() {
        let json = |pod: &str| {
            let fields =
                r#""challenge":"","platform":"sev-snp","evidence":"","kem":"x25519","public_key":"""#;
            serde_json::from_str::<Presentation>(&format!(r#"{{{fields},"pod":"{pod}"}}"#))
        };
        let presentation = json("7f1c").unwrap();
        assert_eq!(presentation.purpose("release/db"), "release/db#pod=7f1c");
        let token = Presentation { workload_digest: Some(Digest([0xab; 32])), ..presentation };
        let asked = purpose("release/db", token.workload_digest);
        assert_eq!(token.purpose("release/db"), crate::agent::stamped(&asked, token.pod.as_ref()));
        for odd in ["", "a#workload=b", "7F1C"] {
            let error = json(odd).unwrap_err().to_string();
            assert!(
                error.starts_with("pod: expected 1 to 64 lower-case letters, digits and hyphens"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_key_of_the_wrong_length_is_named() {
        let json = r#"{"challenge":"","platform":"tpm2","evidence":"","kem":"x25519","public_key":"AAAA"}"#;
        let presentation: Presentation = serde_json::from_str(json).unwrap();
        assert_eq!(
            presentation.offered(),
            Err(BadKey::Length { expected: Kem::X25519.public_len(), found: 3 })
        );
    }
}
