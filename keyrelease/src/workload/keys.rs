//! An issuer's key set: RFC 7517, the public keys that sign its tokens.
//!
//! Which algorithms a key verifies is decided by the key, never by the token (RFC 8725, 3.1): a public key is no secret
//! of an HMAC, and `none` is nobody's key. A set that has a key which this program cannot use is refused whole, when it is
//! stored: half a set would refuse tokens later, for no reason that anybody sees.
//!
//! Trusted: the operator who stored the set. Untrusted: the token's algorithm, key id and signature.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The keys of one issuer.
#[derive(Clone, Debug)]
pub(crate) struct KeySet(Vec<Key>);

/// One key that signs tokens.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    id: String,
    /// What the set says that it is for; `None`: whatever its kind can do.
    algorithm: Option<String>,
    public: Public,
}

#[derive(Clone, Debug)]
enum Public {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl KeySet {
    /// Reads a key set. Keys that are not for signatures of tokens are left out.
    pub(crate) fn parse(json: &str) -> Result<Self, BadKeySet> {
        if json.len() > MAX_BYTES {
            return Err(BadKeySet::TooLong(json.len()));
        }
        let set: Jwks = serde_json::from_str(json).map_err(|error| BadKeySet::Json(error.to_string()))?;
        let ours = set.keys.into_iter().filter(Jwk::signs_tokens);
        let keys = ours.map(Key::try_from).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() || keys.len() > MAX_KEYS {
            return Err(BadKeySet::Number(keys.len()));
        }
        for (at, key) in keys.iter().enumerate() {
            if keys.iter().take(at).any(|other| other.id == key.id) {
                return Err(BadKeySet::Twice(key.id.clone()));
            }
        }
        Ok(Self(keys))
    }

    /// The key of this id.
    pub(crate) fn key(&self, id: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.id == id)
    }
}

impl Key {
    /// Whether the signature is of this key, by an algorithm that is the key's own.
    pub(crate) fn verify(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> Result<(), NotSigned> {
        let other = || NotSigned::Algorithm { expected: self.algorithms(), found: shown(algorithm) };
        if self.algorithm.as_deref().is_some_and(|only| only != algorithm) {
            return Err(other());
        }
        let verified = match &self.public {
            Public::Rsa { modulus, exponent } => {
                let hash: &RsaParameters = match algorithm {
                    "RS256" => &RSA_PKCS1_2048_8192_SHA256,
                    "RS384" => &RSA_PKCS1_2048_8192_SHA384,
                    "RS512" => &RSA_PKCS1_2048_8192_SHA512,
                    _ => return Err(other()),
                };
                RsaPublicKeyComponents { n: modulus, e: exponent }.verify(hash, message, signature)
            }
            Public::P256(point) if algorithm == "ES256" => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Public::P384(point) if algorithm == "ES384" => {
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(message, signature)
            }
            Public::Ed25519(key) if algorithm == "EdDSA" => {
                UnparsedPublicKey::new(&ED25519, key).verify(message, signature)
            }
            Public::P256(_) | Public::P384(_) | Public::Ed25519(_) => return Err(other()),
        };
        verified.map_err(|_why| NotSigned::Signature(self.id.clone()))
    }

    fn algorithms(&self) -> String {
        self.algorithm.clone().unwrap_or_else(|| self.public.algorithms().join(", "))
    }
}

impl Public {
    fn algorithms(&self) -> &'static [&'static str] {
        match self {
            Self::Rsa { .. } => &["RS256", "RS384", "RS512"],
            Self::P256(_) => &["ES256"],
            Self::P384(_) => &["ES384"],
            Self::Ed25519(_) => &["EdDSA"],
        }
    }
}

impl TryFrom<Jwk> for Key {
    type Error = BadKeySet;

    fn try_from(jwk: Jwk) -> Result<Self, BadKeySet> {
        let id = jwk.kid.clone().filter(|id| !id.is_empty() && id.len() <= MAX_ID).ok_or(BadKeySet::NoId)?;
        let odd = |why: &'static str| BadKeySet::Key { id: id.clone(), why };
        if jwk.d.is_some() {
            return Err(odd("a private key, which whoever reads this could sign with"));
        }
        let public = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", None) => rsa(&jwk).ok_or_else(|| odd("expected n of 2048 to 8192 bits, and e"))?,
            ("EC", Some("P-256")) => Public::P256(point(&jwk, 32).ok_or_else(|| odd("expected x and y"))?),
            ("EC", Some("P-384")) => Public::P384(point(&jwk, 48).ok_or_else(|| odd("expected x and y"))?),
            ("OKP", Some("Ed25519")) => {
                Public::Ed25519(bytes(jwk.x.as_deref(), 32).ok_or_else(|| odd("expected x"))?)
            }
            ("oct", _) => return Err(odd("a secret, which everybody who verifies could sign with")),
            _ => return Err(odd("expected kty RSA, EC (P-256, P-384) or OKP (Ed25519)")),
        };
        if jwk.alg.as_deref().is_some_and(|alg| !public.algorithms().contains(&alg)) {
            return Err(odd("alg is none of RS256, RS384, RS512, ES256, ES384, EdDSA that fits the key"));
        }
        Ok(Self { algorithm: jwk.alg, public, id })
    }
}

fn rsa(jwk: &Jwk) -> Option<Public> {
    let modulus = URL_SAFE_NO_PAD.decode(jwk.n.as_deref()?).ok()?;
    let exponent = URL_SAFE_NO_PAD.decode(jwk.e.as_deref()?).ok()?;
    let leading = modulus.iter().take_while(|byte| **byte == 0).count();
    let modulus: Vec<u8> = modulus.into_iter().skip(leading).collect();
    let fits = (256..=1024).contains(&modulus.len()) && (1..=8).contains(&exponent.len());
    fits.then_some(Public::Rsa { modulus, exponent })
}

/// The uncompressed point: SEC 1, 2.3.3.
fn point(jwk: &Jwk, len: usize) -> Option<Vec<u8>> {
    Some([vec![4], bytes(jwk.x.as_deref(), len)?, bytes(jwk.y.as_deref(), len)?].concat())
}

fn bytes(text: Option<&str>, len: usize) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text?).ok().filter(|bytes| bytes.len() == len)
}

fn shown(text: &str) -> String {
    text.chars().take(40).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// RFC 7517: members that are not known are passed over.
#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    /// The private part of a key of any kind.
    d: Option<IgnoredAny>,
}

impl Jwk {
    /// SPIFFE's sets have X.509 authorities too; `jwt-svid` is its word for these.
    fn signs_tokens(&self) -> bool {
        let usage = self.usage.as_deref().is_none_or(|usage| usage == "sig" || usage == "jwt-svid");
        usage && self.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"))
    }
}

/// A cluster has one or two keys, a large issuer about ten.
const MAX_KEYS: usize = 16;
const MAX_BYTES: usize = 64 * 1024;
const MAX_ID: usize = 256;

/// Why a text is not a key set.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum BadKeySet {
    /// More than any issuer has.
    #[error("jwks: at most 65536 bytes, found {0}")]
    TooLong(usize),
    /// Not the JSON of a key set.
    #[error("jwks: {0}")]
    Json(String),
    /// None, or too many.
    #[error("jwks: expected 1 to 16 keys that sign tokens, found {0}")]
    Number(usize),
    /// A key that no token can name.
    #[error("jwks: expected a kid of at most 256 bytes in every key")]
    NoId,
    /// Two keys for one name.
    #[error("jwks: kid {0:?} stands for two keys")]
    Twice(String),
    /// A key that cannot be used.
    #[error("jwks: key {id:?}: {why}")]
    Key {
        /// Its id.
        id: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// Why a signature is not one of a key.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NotSigned {
    /// Another algorithm than the key's own.
    #[error("alg: expected {expected}, which is the key's, found {found:?}")]
    Algorithm {
        /// What the key can do.
        expected: String,
        /// What the token says.
        found: String,
    },
    /// The signature does not verify.
    #[error("signature does not verify with key {0:?}")]
    Signature(String),
}
