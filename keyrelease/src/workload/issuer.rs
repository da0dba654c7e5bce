//! An issuer: whose tokens a mount believes, and what it reads in them.
//!
//! A token's issuer, its audiences (each of them: a token that is also for somebody else could be presented by them) and the
//! claims of its kind have to fit. When it holds is decided later, in `attest`, so that a replay decides it again.
//!
//! Trusted: the issuer's entry, which an operator wrote. Untrusted: claims, until their signature verified.

use attest::workload::Pods;
use attest::{UnixTime, Workload};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::keys::{BadKeySet, KeySet};
use super::token::{Claims, Kubernetes};

/// An issuer's entry, as it is written and stored.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// `iss` of its tokens; of SPIFFE, the trust domain: `spiffe://example.org`.
    pub(super) issuer: String,
    /// Every audience of a token has to be one of these.
    pub(super) audiences: Vec<String>,
    /// The key set (RFC 7517): JSON, or its text.
    pub(super) jwks: Value,
    /// Which claims its tokens have.
    pub(super) kind: Kind,
    /// Where the image's digest stands, a JSON pointer: `/submods/container/image_digest`.
    #[serde(default)]
    pub(super) image_digest_claim: Option<String>,
    /// Whether the pod that its tokens name has to be the one that the node's agent saw asking.
    #[serde(default)]
    pub(super) pod: Pods,
}

/// Which claims tokens have.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Projected service-account tokens, bound to a pod.
    Kubernetes,
    /// JWT-SVIDs.
    Spiffe,
    /// Any other token of `OpenID` Connect.
    Oidc,
}

/// An issuer, ready to verify.
#[derive(Clone, Debug)]
pub(crate) struct Issuer {
    entry: Entry,
    keys: KeySet,
}

impl TryFrom<Entry> for Issuer {
    type Error = BadIssuer;

    fn try_from(entry: Entry) -> Result<Self, BadIssuer> {
        let text = entry.jwks.as_str().map_or_else(|| entry.jwks.to_string(), str::to_owned);
        let keys = KeySet::parse(&text)?;
        let audiences = &entry.audiences;
        if audiences.is_empty() || audiences.len() > MAX_AUDIENCES || !audiences.iter().all(|one| plain(one))
        {
            return Err(BadIssuer::Audiences);
        }
        let named = match entry.kind {
            Kind::Spiffe => entry.issuer.strip_prefix(SCHEME).is_some_and(is_trust_domain),
            Kind::Kubernetes | Kind::Oidc => plain(&entry.issuer),
        };
        if !named {
            return Err(BadIssuer::Name);
        }
        if entry
            .image_digest_claim
            .as_deref()
            .is_some_and(|path| !path.starts_with('/') || path.len() > MAX_TEXT)
        {
            return Err(BadIssuer::Pointer);
        }
        Ok(Self { entry, keys })
    }
}

impl Issuer {
    pub(super) fn entry(&self) -> &Entry {
        &self.entry
    }

    /// What its tokens need to be believed about their pod.
    pub(super) fn pods(&self) -> Pods {
        self.entry.pod
    }

    pub(super) fn keys(&self) -> &KeySet {
        &self.keys
    }

    /// Whether a token says that it is this issuer's.
    pub(super) fn is_named_by(&self, claims: &Claims) -> bool {
        match self.entry.kind {
            Kind::Spiffe => is_spiffe_id(&claims.sub, &self.entry.issuer),
            Kind::Kubernetes | Kind::Oidc => claims.iss.as_deref() == Some(self.entry.issuer.as_str()),
        }
    }

    /// Whom verified claims name.
    pub(super) fn workload(&self, claims: &Claims) -> Result<Workload, BadClaims> {
        let audiences = claims.aud.all();
        if audiences.is_empty() || !audiences.iter().all(|one| self.entry.audiences.contains(one)) {
            let found = audiences.iter().take(4).map(|one| shown(one)).collect::<Vec<_>>().join(", ");
            return Err(BadClaims::Audience { expected: self.entry.audiences.join(", "), found });
        }
        let from = claims.nbf.unwrap_or(0).max(claims.iat.unwrap_or(0));
        let workload = Workload {
            issuer: self.entry.issuer.clone(),
            subject: claims.sub.clone(),
            namespace: None,
            service_account: None,
            pod: None,
            node: None,
            image_digest: self.image_digest(claims)?,
            spiffe_id: None,
            from: UnixTime(from),
            until: UnixTime(claims.exp).min(UnixTime::MAX),
        };
        if !plain(&claims.sub) {
            return Err(BadClaims::Text("sub"));
        }
        match (self.entry.kind, &claims.kubernetes) {
            (Kind::Kubernetes, Some(kubernetes)) => in_cluster(workload, kubernetes),
            (Kind::Kubernetes, None) => Err(BadClaims::NoPod),
            (Kind::Spiffe, _) => Ok(Workload { spiffe_id: Some(claims.sub.clone()), ..workload }),
            (Kind::Oidc, _) => Ok(workload),
        }
    }

    fn image_digest(&self, claims: &Claims) -> Result<Option<String>, BadClaims> {
        let Some(path) = &self.entry.image_digest_claim else { return Ok(None) };
        match Value::Object(claims.others.clone()).pointer(path) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(digest)) if is_image_digest(digest) => Ok(Some(digest.to_ascii_lowercase())),
            Some(_) => Err(BadClaims::Text("image digest")),
        }
    }
}

/// A pod, of a service account, in a namespace.
fn in_cluster(workload: Workload, kubernetes: &Kubernetes) -> Result<Workload, BadClaims> {
    let Kubernetes { namespace, serviceaccount, pod, node } = kubernetes;
    let expected = format!("system:serviceaccount:{namespace}:{}", serviceaccount.name);
    if workload.subject != expected || !is_label(namespace) || !is_label(&serviceaccount.name) {
        return Err(BadClaims::Subject);
    }
    let pod =
        pod.as_ref().and_then(|pod| pod.uid.clone()).filter(|uid| is_label(uid)).ok_or(BadClaims::NoPod)?;
    let node = node.as_ref().map(|node| node.name.clone());
    if node.as_deref().is_some_and(|node| !is_label(node)) {
        return Err(BadClaims::Text("node"));
    }
    Ok(Workload {
        namespace: Some(namespace.clone()),
        service_account: Some(serviceaccount.name.clone()),
        pod: Some(pod),
        node,
        ..workload
    })
}

/// SPIFFE-ID, 2: a trust domain, and a path of plain segments.
fn is_spiffe_id(text: &str, domain: &str) -> bool {
    let segment = |part: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        !part.is_empty() && part != "." && part != ".." && part.bytes().all(plain)
    };
    let path = text.strip_prefix(domain).and_then(|rest| rest.strip_prefix('/'));
    text.len() <= MAX_TEXT && path.is_some_and(|path| path.split('/').all(segment))
}

fn is_trust_domain(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    !text.is_empty() && text.len() <= 255 && text.bytes().all(plain)
}

/// A name of Kubernetes' own: RFC 1123.
fn is_label(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
    !text.is_empty() && text.len() <= 253 && text.bytes().all(plain)
}

fn is_image_digest(text: &str) -> bool {
    let digits = text.strip_prefix("sha256:").unwrap_or_default();
    digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

fn plain(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_TEXT && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn shown(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() { '?' } else { c }).collect()
}

const SCHEME: &str = "spiffe://";
/// The longest text of a claim. Alias metadata of OpenBao holds no more.
const MAX_TEXT: usize = 512;
const MAX_AUDIENCES: usize = 8;

/// Why an entry is not an issuer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum BadIssuer {
    #[error(transparent)]
    Keys(#[from] BadKeySet),
    #[error("audiences: expected 1 to 8 of printable characters")]
    Audiences,
    #[error("issuer: expected the iss of its tokens, or spiffe:// and a trust domain for kind spiffe")]
    Name,
    #[error("image_digest_claim: expected a JSON pointer like /submods/container/image_digest")]
    Pointer,
}

/// Why claims name nobody.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum BadClaims {
    #[error("aud: expected {expected} and nobody else, found {found}")]
    Audience { expected: String, found: String },
    #[error("sub: expected the service account of kubernetes.io, found another subject")]
    Subject,
    #[error("kubernetes.io: expected a token that is bound to a pod, found none")]
    NoPod,
    #[error("{0}: expected at most 512 printable characters of its kind, found others")]
    Text(&'static str),
}
