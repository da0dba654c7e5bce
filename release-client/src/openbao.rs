//! OpenBao over HTTPS: a challenge, and a release in answer to evidence.
//!
//! TLS prefers X25519MLKEM768. Answers are capped in size; text in them is printed with control characters
//! taken out.
//!
//! Untrusted: every answer. What matters in it is sealed to our key and bound to a decision.

use std::time::Duration;

use protocol::Unknown;
use protocol::release::{ChallengeReply, Presentation, Refusal, Sealed};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use ureq::RequestBuilder;
use ureq::typestate::WithBody;

use crate::tls::tls;
use crate::{Authority, printable};

/// A sealed secret of 1 MiB in base64, and what is around it.
const MAX_ANSWER: u64 = 2 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(15);

/// An OpenBao and how to know it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Server {
    /// `https://host:port`, without a slash at the end.
    pub address: String,
    /// The namespace of every request.
    pub namespace: Option<String>,
    /// Who vouches for the server's certificate.
    pub authority: Authority,
}

/// What is wrong with an address for a [`Server`]: plain HTTP goes to this machine only.
#[must_use]
pub fn address_problem(address: &str) -> Option<&'static str> {
    let host = address.strip_prefix("https://");
    let local = address.strip_prefix("http://").filter(|rest| is_loopback(rest));
    match host.or(local) {
        None => Some("expected https://HOST[:PORT], or http:// to this machine"),
        Some(rest) if rest.is_empty() || rest.contains(['/', '@', '?', '#', ' ']) => {
            Some("expected a host and a port, found more than that or less")
        }
        Some(_) => None,
    }
}

fn is_loopback(rest: &str) -> bool {
    let host = rest.rsplit_once(':').map_or(rest, |(host, _)| host);
    matches!(host, "127.0.0.1" | "localhost" | "[::1]")
}

/// One OpenBao, and one mount of its secrets engine.
#[derive(Debug)]
pub struct OpenBao {
    agent: ureq::Agent,
    mount: String,
    /// Where a token is revoked.
    farewell: String,
    namespace: Option<String>,
}

/// What OpenBao says around every answer of a plugin.
#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Default, Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<String>,
}

impl OpenBao {
    /// The secrets engine at `mount`; `program` says who asks.
    pub fn new(server: &Server, mount: &str, program: &str) -> Result<Self, Error> {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(PATIENCE))
            .user_agent(program)
            .tls_config(tls(&server.authority).map_err(|error| Error::Authority(error.to_string()))?)
            .build();
        let mount = format!("{}/v1/{mount}", server.address);
        let farewell = format!("{}/v1/auth/token/revoke-self", server.address);
        Ok(Self { agent: config.new_agent(), mount, farewell, namespace: server.namespace.clone() })
    }

    /// A fresh challenge.
    pub fn challenge(&self) -> Result<ChallengeReply, Error> {
        match self.post("challenge", b"{}".as_slice())? {
            (200, body) => parse(&body),
            (status, body) => Err(Error::answered(status, &body)),
        }
    }

    /// The sealed secret in answer to evidence.
    pub fn open(&self, key: &str, presentation: &Presentation) -> Result<Sealed, Error> {
        parse(&self.judge(&format!("release/{key}/open"), presentation)?)
    }

    /// The answer to what needs no judgement.
    pub(crate) fn ask<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Error> {
        match self.post(path, &json(body)?)? {
            (200, body) => parse(&body),
            (status, body) => Err(Error::answered(status, &body)),
        }
    }

    /// The answer to evidence, if it was admitted.
    pub(crate) fn judge(&self, path: &str, body: &impl Serialize) -> Result<Vec<u8>, Error> {
        match self.post(path, &json(body)?)? {
            (200, body) => Ok(body),
            (403, body) => Err(refusal(&body).map_or_else(|| Error::answered(403, &body), Error::Refused)),
            (400, body) => Err(unknown(&body).map_or_else(|| Error::answered(400, &body), Error::Lacks)),
            (status, body) => Err(Error::answered(status, &body)),
        }
    }

    /// Has a token forgotten, by whoever holds it.
    pub(crate) fn revoke_self(&self, token: &str) -> Result<(), Error> {
        let request = self.agent.post(&self.farewell).header("X-Vault-Token", token);
        match self.send(request, b"{}".as_slice())? {
            (200 | 204, _) => Ok(()),
            (status, body) => Err(Error::answered(status, &body)),
        }
    }

    fn post(&self, path: &str, body: &[u8]) -> Result<(u16, Vec<u8>), Error> {
        self.send(self.agent.post(format!("{}/{path}", self.mount)), body)
    }

    fn send(&self, request: RequestBuilder<WithBody>, body: &[u8]) -> Result<(u16, Vec<u8>), Error> {
        let request = request.header("X-Vault-Request", "true");
        let request = request.header("Content-Type", "application/json");
        let request = match &self.namespace {
            Some(namespace) => request.header("X-Vault-Namespace", namespace),
            None => request,
        };
        let mut answer =
            request.send(body).map_err(|error| Error::Unreachable(printable(&error.to_string())))?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
        match body {
            Ok(body) => Ok((status, body)),
            Err(ureq::Error::BodyExceedsLimit(limit)) => Err(Error::TooLong { limit }),
            Err(error) => Err(Error::Unreachable(printable(&error.to_string()))),
        }
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    let envelope: Result<Envelope<T>, _> = serde_json::from_slice(body);
    envelope.map(|envelope| envelope.data).map_err(|error| Error::Malformed(printable(&error.to_string())))
}

fn json(body: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(body).map_err(|error| Error::Malformed(error.to_string()))
}

/// A refusal is the whole body, or OpenBao's `data`.
fn refusal(body: &[u8]) -> Option<Refusal> {
    serde_json::from_slice(body).or_else(|_| parse(body)).ok()
}

/// What it lacks of what was named to it.
fn unknown(body: &[u8]) -> Option<Vec<String>> {
    parse::<Unknown>(body).ok().map(|answer| answer.unknown)
}

/// Why OpenBao gave nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It judged the evidence, and the answer is no.
    #[error("OpenBao refused the release, decision {}", printable(&.0.decision))]
    Refused(Refusal),
    /// No connection, no TLS, or no whole answer.
    #[error("OpenBao: {0}")]
    Unreachable(String),
    /// It judged nothing: it lacks endorsements that were named to it.
    #[error("OpenBao lacks {} of the named endorsements", .0.len())]
    Lacks(Vec<String>),
    /// It answered with an error.
    #[error("OpenBao answered {status}: {errors}")]
    Answered {
        /// The HTTP status.
        status: u16,
        /// Its errors, printable.
        errors: String,
    },
    /// It answered with something else than agreed.
    #[error("malformed answer of OpenBao: {0}")]
    Malformed(String),
    /// It answered with more than a secret can be.
    #[error("answer of OpenBao too long: at most {limit} bytes")]
    TooLong {
        /// The limit.
        limit: u64,
    },
    /// The certificates that should vouch for it cannot be used.
    #[error("certificate authorities for OpenBao: {0}")]
    Authority(String),
    /// There is no secret memory to keep a token in.
    #[error("a token of OpenBao: {0}")]
    Memory(#[from] secretmem::Error),
}

impl Error {
    fn answered(status: u16, body: &[u8]) -> Self {
        let errors: Errors = serde_json::from_slice(body).unwrap_or_default();
        let errors =
            if errors.errors.is_empty() { "no reason given".to_owned() } else { errors.errors.join("; ") };
        Self::Answered { status, errors: printable(&errors) }
    }

    /// Sealed, restarting, electing a leader, or overloaded: it may answer in a moment.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            // A standby that has lost its leader refers to it: 307, and soon to another.
            Self::Answered { status, .. } => matches!(status, 307 | 429 | 500..),
            Self::Refused(_)
            | Self::Lacks(_)
            | Self::Malformed(_)
            | Self::TooLong { .. }
            | Self::Authority(_)
            | Self::Memory(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read_bare_and_in_an_envelope() {
        let bare = r#"{"decision":"ab","failing":[{"id":"snp.policy.debug","expected":"off","found":"on"}]}"#;
        let wrapped = format!(r#"{{"request_id":"x","data":{bare}}}"#);
        for body in [bare, &wrapped] {
            assert_eq!(refusal(body.as_bytes()).unwrap().failing[0].id, "snp.policy.debug");
        }
        assert_eq!(refusal(br#"{"errors":["permission denied"]}"#), None);
    }

    #[test]
    fn a_sealed_server_may_answer_later_and_a_wrong_request_never() {
        let sealed = Error::answered(503, br#"{"errors":["Vault is sealed"]}"#);
        assert_eq!(sealed.to_string(), "OpenBao answered 503: Vault is sealed");
        assert!(sealed.is_transient());
        assert!(Error::answered(307, b"").is_transient());
        assert!(!Error::answered(400, b"not json").is_transient());
    }

    #[test]
    fn control_characters_in_an_answer_are_not_printed() {
        let told = Error::answered(400, br#"{"errors":["a\u001b[31mb\nc"]}"#).to_string();
        assert_eq!(told, "OpenBao answered 400: a?[31mb?c");
    }
}
