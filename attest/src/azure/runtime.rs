//! The runtime data: what the paravisor says of the machine that it keeps.
//!
//! JSON { keys: \[JWK\], vm-configuration: {…}, user-data: hex }. The hardware signed a digest of the very bytes,
//! so that they are read only after the digest was compared. A name that stands twice is an error; names that are
//! not known are passed over, because the paravisor adds new ones and is itself measured.
//!
//! Trusted: the bytes, as far as the measured paravisor is. Untrusted: nothing is read before the comparison.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::crypto::PublicKey;

/// What the paravisor says.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Runtime {
    #[serde(skip_serializing)]
    keys: Vec<Jwk>,
    /// The machine's configuration.
    #[serde(rename = "vm-configuration")]
    pub vm: VmConfiguration,
    /// 64 bytes that the guest chose, hex; not what answers a challenge here.
    #[serde(rename = "user-data")]
    pub user_data: Option<String>,
}

/// How the machine was started. What the paravisor does not say is `None`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct VmConfiguration {
    /// Whether UEFI Secure Boot is on.
    pub secure_boot: Option<bool>,
    /// Whether there is a virtual TPM.
    pub tpm_enabled: Option<bool>,
    /// Whether the TPM's state outlives the machine's.
    pub tpm_persisted: Option<bool>,
    /// Whether the host sees the serial console.
    pub console_enabled: Option<bool>,
    /// Azure's identifier of the machine.
    #[serde(rename = "vmUniqueId")]
    pub unique_id: Option<String>,
    /// The certificate that updates of the paravisor's secrets are checked with, base64url of SHA-256.
    pub root_cert_thumbprint: Option<String>,
}

/// A JSON web key (RFC 7517), as far as an RSA key has parts.
#[derive(Clone, Debug, Deserialize)]
struct Jwk {
    kid: String,
    kty: String,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
}

impl Runtime {
    pub(super) fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// The TPM's attestation key: the one RSA key named `HCLAkPub`.
    pub(super) fn attestation_key(&self) -> Option<PublicKey> {
        let mut named = self.keys.iter().filter(|key| key.kid == "HCLAkPub");
        match (named.next(), named.next()) {
            (Some(only), None) if only.kty == "RSA" => {
                Some(PublicKey::Rsa { n: number(&only.n)?, e: number(&only.e)? })
            }
            _ => None,
        }
    }
}

/// A big-endian number in base64url, without leading zeros.
fn number(text: &str) -> Option<Vec<u8>> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    let number: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
    (!number.is_empty()).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime(keys: &str) -> Result<Runtime, serde_json::Error> {
        Runtime::parse(format!(r#"{{"keys":[{keys}],"vm-configuration":{{}}}}"#).as_bytes())
    }

    #[test]
    fn the_attestation_key_is_the_one_rsa_key_of_its_name() {
        let ak = r#"{"kid":"HCLAkPub","key_ops":["sign"],"kty":"RSA","e":"AQAB","n":"gAE"}"#;
        let ek = ak.replace("HCLAkPub", "HCLEkPub");
        let expected = PublicKey::Rsa { n: vec![0x80, 1], e: vec![1, 0, 1] };
        assert_eq!(runtime(&format!("{ek},{ak}")).unwrap().attestation_key(), Some(expected));
        for none in
            [format!("{ak},{ak}"), ek, ak.replace("RSA", "EC"), ak.replace("gAE", "gA=="), String::new()]
        {
            assert_eq!(runtime(&none).unwrap().attestation_key(), None, "{none}");
        }
    }

    #[test]
    fn a_name_that_stands_twice_is_an_error() {
        for json in [
            r#"{"keys":[],"keys":[],"vm-configuration":{}}"#,
            r#"{"keys":[],"vm-configuration":{"secure-boot":false,"secure-boot":true}}"#,
            r#"{"keys":[{"kid":"a","kid":"b","kty":"RSA"}],"vm-configuration":{}}"#,
        ] {
            assert!(Runtime::parse(json.as_bytes()).unwrap_err().to_string().contains("duplicate"), "{json}");
        }
    }
}
