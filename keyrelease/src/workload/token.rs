//! A token: RFC 7515 in its compact form, RFC 7519's claims.
//!
//! [`Token::parse`] only reads. Nothing in a token is believed before [`Token::verify`] found its signature good under a key
//! of the issuer whom it names; [`Claims`] come out of that alone.
//!
//! Untrusted: all of it, until then.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

use super::keys::{KeySet, NotSigned};

/// A token that was read, and not verified.
pub(super) struct Token<'t> {
    /// Header and claims as they were signed.
    signed: &'t [u8],
    signature: Vec<u8>,
    header: Header,
    claims: Claims,
}

/// What a token says of itself.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    /// Extensions that must be understood: none is.
    crit: Option<Value>,
}

/// What a token says of its subject.
#[derive(Clone, Deserialize)]
pub(super) struct Claims {
    pub(super) iss: Option<String>,
    pub(super) sub: String,
    pub(super) aud: Audience,
    pub(super) exp: u64,
    pub(super) nbf: Option<u64>,
    pub(super) iat: Option<u64>,
    #[serde(rename = "kubernetes.io")]
    pub(super) kubernetes: Option<Kubernetes>,
    /// All other claims.
    #[serde(flatten)]
    pub(super) others: serde_json::Map<String, Value>,
}

/// RFC 7519, 4.1.3: one or several.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Audience {
    One(String),
    Several(Vec<String>),
}

/// What Kubernetes writes into the tokens of service accounts.
#[derive(Clone, Deserialize)]
pub(super) struct Kubernetes {
    pub(super) namespace: String,
    pub(super) serviceaccount: Object,
    pub(super) pod: Option<Object>,
    pub(super) node: Option<Object>,
}

#[derive(Clone, Deserialize)]
pub(super) struct Object {
    pub(super) name: String,
    pub(super) uid: Option<String>,
}

impl<'t> Token<'t> {
    /// Takes a token apart.
    pub(super) fn parse(text: &'t str) -> Result<Self, BadToken> {
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(BadToken::Shape);
        };
        let signed = header.len().saturating_add(1).saturating_add(claims.len());
        let token = Self {
            signed: text.as_bytes().get(..signed).ok_or(BadToken::Shape)?,
            signature: URL_SAFE_NO_PAD.decode(signature).map_err(|_why| BadToken::Shape)?,
            header: part(header, "header")?,
            claims: part(claims, "claims")?,
        };
        if token.header.crit.is_some() {
            return Err(BadToken::Critical);
        }
        match token.header.typ.as_deref().map(str::to_ascii_uppercase).as_deref() {
            None | Some("JWT" | "JOSE") => Ok(token),
            Some(_) => Err(BadToken::Type),
        }
    }

    /// The claims, before anybody verified them: to find the issuer whose keys shall.
    pub(super) fn unverified(&self) -> &Claims {
        &self.claims
    }

    /// The claims, if they are signed by the key that the token names.
    pub(super) fn verify(self, keys: &KeySet) -> Result<Claims, BadToken> {
        let id = self.header.kid.as_deref().ok_or(BadToken::NoKey)?;
        let key = keys.key(id).ok_or_else(|| BadToken::UnknownKey(id.chars().take(80).collect()))?;
        key.verify(&self.header.alg, self.signed, &self.signature)?;
        Ok(self.claims)
    }
}

impl Audience {
    pub(super) fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(several) => several,
        }
    }
}

fn part<T: serde::de::DeserializeOwned>(text: &str, name: &'static str) -> Result<T, BadToken> {
    let json = URL_SAFE_NO_PAD.decode(text).map_err(|_why| BadToken::Shape)?;
    // The message names fields and types; it may quote a claim's text only where a type is wrong.
    serde_json::from_slice(&json).map_err(|error| BadToken::Json { name, line: error.classify() })
}

/// Why a text is not a token that a key of the issuer signed.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadToken {
    #[error("expected a token of three base64url parts")]
    Shape,
    #[error("{name}: not the JSON of a token's ({line:?})")]
    Json { name: &'static str, line: serde_json::error::Category },
    #[error("crit: expected no extensions that must be understood, found some")]
    Critical,
    #[error("typ: expected JWT, found another type")]
    Type,
    #[error("kid: expected the id of a key, found none")]
    NoKey,
    #[error("kid: expected a key of the issuer's set, found {0:?}")]
    UnknownKey(String),
    #[error(transparent)]
    NotSigned(#[from] NotSigned),
}
