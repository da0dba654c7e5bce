//! The API server: one Node read, one Node changed.
//!
//! Plain REST over TLS. Answers are capped in size and time; text in them is printed with control characters
//! taken out. The token goes into one header and nowhere else.
//!
//! Trusted: the files of token and authority. Untrusted: every answer.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use release_client::{BadAuthority, certificates, printable};
use serde::Deserialize;
use ureq::http::{Request, Response};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::Settings;
use super::plan::{Change, Found};

/// One conversation.
pub(super) struct Api {
    agent: Agent,
    /// The Node's own.
    url: String,
    token: String,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Api {
    pub(super) fn new(settings: &Settings) -> Result<Self, Error> {
        let tls = tls(&settings.authority).map_err(|error| Error::Credentials(error.to_string()))?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(settings.patience))
            .user_agent(USER_AGENT)
            .tls_config(tls)
            .build();
        let url = format!("{}/api/v1/nodes/{}", settings.server, settings.node);
        Ok(Self { agent: config.new_agent(), url, token: token(&settings.token)? })
    }

    pub(super) fn read(&self) -> Result<Found, Error> {
        self.ask("get nodes", Request::get(&self.url), Vec::new())
    }

    /// The Node after the change.
    pub(super) fn change(&self, change: &Change) -> Result<Found, Error> {
        let (right, url, kind, patch) = match change {
            Change::Marks(patch) => ("patch nodes", self.url.clone(), "application/merge-patch+json", patch),
            Change::Condition(patch) => {
                let url = format!("{}/status", self.url);
                ("patch nodes/status", url, "application/strategic-merge-patch+json", patch)
            }
        };
        let request = Request::patch(format!("{url}?fieldManager={USER_AGENT}"));
        self.ask(right, request.header("Content-Type", kind), patch.to_string().into_bytes())
    }

    fn ask(
        &self,
        right: &'static str,
        request: ureq::http::request::Builder,
        body: Vec<u8>,
    ) -> Result<Found, Error> {
        let request = request
            .header("Authorization", format!("Bearer {}", self.token))
            .header("Accept", "application/json")
            .body(body)
            .map_err(|error| Error::Malformed(error.to_string()))?;
        let answer = self.agent.run(request).map_err(|error| unreachable(&error))?;
        match answer.status().as_u16() {
            200 => {
                let node = whole(answer, MAX_NODE)?;
                serde_json::from_slice(&node).map_err(|error| Error::Malformed(printable(&error.to_string())))
            }
            status => Err(refused(right, status, &whole(answer, MAX_STATUS)?)),
        }
    }
}

/// Prefers X25519MLKEM768, and believes those for whom the file vouches.
fn tls(authority: &Path) -> Result<TlsConfig, BadAuthority> {
    let known = certificates(authority)?;
    let known = known.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
    Ok(tls.root_certs(RootCerts::Specific(Arc::new(known))).build())
}

fn whole(mut answer: Response<Body>, limit: u64) -> Result<Vec<u8>, Error> {
    match answer.body_mut().with_config().limit(limit).read_to_vec() {
        Err(ureq::Error::BodyExceedsLimit(limit)) => Err(Error::TooLong { limit }),
        other => other.map_err(|error| unreachable(&error)),
    }
}

fn unreachable(error: &ureq::Error) -> Error {
    Error::Unreachable(printable(&error.to_string()))
}

fn refused(right: &'static str, status: u16, body: &[u8]) -> Error {
    let said: Status = serde_json::from_slice(body).unwrap_or_default();
    let said = said.message.map_or_else(|| "no reason given".to_owned(), |text| printable(&text));
    match status {
        401 => Error::Unauthenticated,
        403 => Error::Forbidden { right, said },
        404 => Error::NoNode(said),
        409 => Error::Conflict,
        _ => Error::Answered { right, status, said },
    }
}

/// What the API server says when it does not do what it is asked.
#[derive(Debug, Default, Deserialize)]
struct Status {
    message: Option<String>,
}

fn token(path: &Path) -> Result<String, Error> {
    let bad = |problem: &str| Error::Credentials(format!("{}: {problem}", path.display()));
    let file = File::open(path).map_err(|error| bad(&error.to_string()))?;
    let mut text = String::new();
    let read = file.take(MAX_TOKEN).read_to_string(&mut text);
    read.map_err(|error| bad(&error.to_string()))?;
    let token = text.trim_ascii();
    // RFC 6750 §2.1: what may stand behind `Bearer`, so that no second header can.
    let may = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if token.is_empty() || !token.bytes().all(may) {
        return Err(bad("expected a bearer token"));
    }
    Ok(token.to_owned())
}

/// Why the Node does not say what it should.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The token's or the authority's file.
    #[error("for the API server: {0}")]
    Credentials(String),
    /// No connection, no TLS, or no whole answer.
    #[error("the API server: {0}")]
    Unreachable(String),
    /// It does not know us (401).
    #[error("the API server does not know our token")]
    Unauthenticated,
    /// It knows us, and we may not (403).
    #[error("expected the right to {right}: {said}")]
    Forbidden {
        /// What RBAC has to grant, or an admission policy to let pass.
        right: &'static str,
        /// What it said.
        said: String,
    },
    /// There is no such Node (404), perhaps not yet.
    #[error("no Node: {0}")]
    NoNode(String),
    /// Somebody else was quicker (409).
    #[error("somebody else changed the Node")]
    Conflict,
    /// The Node is something else than what was written, each time.
    #[error("the Node is not what it was made after {steps} changes: somebody undoes them")]
    Unsettled {
        /// How often it was tried.
        steps: usize,
    },
    /// Another answer.
    #[error("the API server answered {status} to {right}: {said}")]
    Answered {
        /// What was asked.
        right: &'static str,
        /// The HTTP status.
        status: u16,
        /// What it said.
        said: String,
    },
    /// Not a Node.
    #[error("malformed answer of the API server: {0}")]
    Malformed(String),
    /// More than a Node can be.
    #[error("answer of the API server too long: at most {limit} bytes")]
    TooLong {
        /// The limit.
        limit: u64,
    },
}

const USER_AGENT: &str = "cloudtaser-node-agent";
/// What etcd takes, which is 1.5 MiB, and then some.
const MAX_NODE: u64 = 4 * 1024 * 1024;
const MAX_STATUS: u64 = 64 * 1024;
const MAX_TOKEN: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let said = br#"{"kind":"Status","message":"nodes \"n\" is forbidden\u001b[31m"}"#;
        let error = refused("patch nodes/status", 403, said);
        assert_eq!(
            error.to_string(),
            "expected the right to patch nodes/status: nodes \"n\" is forbidden?[31m"
        );
        assert_eq!(refused("get nodes", 401, b"{}"), Error::Unauthenticated);
        let busy = refused("get nodes", 429, b"<html>").to_string();
        assert_eq!(busy, "the API server answered 429 to get nodes: no reason given");
    }

    #[test]
    fn a_token_that_would_be_a_second_header_is_not_sent_and_not_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        for text in ["", "\n", "secret\r\nX-Remote-User: admin", "secr\u{e9}t"] {
            std::fs::write(&file, text).unwrap();
            let expected = format!("for the API server: {}: expected a bearer token", file.display());
            assert_eq!(token(&file).unwrap_err().to_string(), expected);
        }
        std::fs::write(&file, "abc.def-1_2\n").unwrap();
        assert_eq!(token(&file).unwrap(), "abc.def-1_2");
    }
}
