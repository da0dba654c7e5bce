//! OpenBao over HTTPS: a challenge, and a release in answer to evidence.
//!
//! TLS prefers X25519MLKEM768. Answers are capped in size; text in them is printed with control characters
//! taken out.
//!
//! Untrusted: every answer. What matters in it is sealed to our key and bound to a decision.

use protocol::Unknown;
use protocol::release::{ChallengeReply, Refusal, Sealed};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::http::{self, Answer, Buffer, Http, Request};
use crate::{Authority, Identity, printable};

/// An OpenBao and how to know it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Server {
    /// `https://host:port`, without a slash at the end.
    pub address: String,
    /// The namespace of every request.
    pub namespace: Option<String>,
    /// Who vouches for the server's certificate.
    pub authority: Authority,
    /// The name that its certificate must have, where it is not that of the address.
    pub tls_name: Option<String>,
    /// Who we are, where the server asks for certificates.
    pub identity: Option<Identity>,
}

impl Server {
    /// At `address`, without a namespace, known by its own name, and not interested in who asks.
    #[must_use]
    pub const fn new(address: String, authority: Authority) -> Self {
        Self { address, namespace: None, authority, tls_name: None, identity: None }
    }
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
    http: Http,
    mount: String,
}

/// What OpenBao says around every answer of a plugin.
#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Default, Deserialize)]
struct Said {
    errors: Option<Vec<String>>,
    warnings: Option<Vec<String>>,
    request_id: Option<IgnoredAny>,
}

/// An OpenBao, for whoever has a token.
#[derive(Debug)]
pub struct Api {
    http: Http,
}

impl Api {
    /// `program` says who asks.
    pub fn new(server: &Server, program: &str) -> Result<Self, Error> {
        Ok(Self { http: Http::new(server, program)? })
    }

    /// The answer, if it is one of success; in `buffer`. The request's path begins with `/v1/`.
    pub fn ask(&self, request: &Request<'_>, buffer: &mut Buffer) -> Result<Answer, Error> {
        let answer = self.ask_whatever(request, buffer)?;
        match answer.status {
            200 | 204 => Ok(answer),
            status => Err(Error::answered(status, answer.body(buffer))),
        }
    }

    /// The answer, whatever its status.
    pub fn ask_whatever(&self, request: &Request<'_>, buffer: &mut Buffer) -> Result<Answer, Error> {
        Ok(self.http.ask(request, buffer)?)
    }
}

impl OpenBao {
    /// The secrets engine at `mount`; `program` says who asks.
    pub fn new(server: &Server, mount: &str, program: &str) -> Result<Self, Error> {
        Ok(Self { http: Http::new(server, program)?, mount: format!("/v1/{mount}") })
    }

    /// A fresh challenge.
    pub fn challenge(&self) -> Result<ChallengeReply, Error> {
        self.ask("challenge", b"{}")
    }

    /// The sealed secret in answer to evidence. The workload's token, where there is one, goes along from where it lies.
    pub(crate) fn open(&self, key: &str, presentation: &[&[u8]]) -> Result<Sealed, Error> {
        let mut buffer = Buffer::ordinary();
        let answer = self.judge(&format!("release/{key}/open"), presentation, &mut buffer)?;
        parse(answer.body(&buffer))
    }

    /// The answer to what needs no judgement.
    pub(crate) fn ask<T: DeserializeOwned>(&self, path: &str, body: &[u8]) -> Result<T, Error> {
        let mut buffer = Buffer::ordinary();
        let answer = self.post(path, &[body], &mut buffer)?;
        match answer.status {
            200 => parse(answer.body(&buffer)),
            status => Err(Error::answered(status, answer.body(&buffer))),
        }
    }

    /// The answer to evidence, if it was admitted; in `buffer`.
    pub(crate) fn judge(&self, path: &str, body: &[&[u8]], buffer: &mut Buffer) -> Result<Answer, Error> {
        let answer = self.post(path, body, buffer)?;
        let said = answer.body(buffer);
        match answer.status {
            200 => Ok(answer),
            403 => Err(refusal(said).map_or_else(|| Error::answered(403, said), Error::Refused)),
            400 => Err(unknown(said).map_or_else(|| Error::answered(400, said), Error::Lacks)),
            status => Err(Error::answered(status, said)),
        }
    }

    /// Has a token forgotten, by whoever holds it.
    pub(crate) fn revoke_self(&self, token: &[u8]) -> Result<(), Error> {
        let mut buffer = Buffer::ordinary();
        let path = "/v1/auth/token/revoke-self";
        let request = Request { method: "POST", path, token: Some(token), body: Some(&[b"{}"]) };
        let answer = self.http.ask(&request, &mut buffer)?;
        match answer.status {
            200 | 204 => Ok(()),
            status => Err(Error::answered(status, answer.body(&buffer))),
        }
    }

    fn post(&self, path: &str, body: &[&[u8]], buffer: &mut Buffer) -> Result<Answer, Error> {
        let path = format!("{}/{path}", self.mount);
        let request = Request { method: "POST", path: &path, token: None, body: Some(body) };
        Ok(self.http.ask(&request, buffer)?)
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    let envelope: Result<Envelope<T>, _> = serde_json::from_slice(body);
    envelope.map(|envelope| envelope.data).map_err(|error| Error::Malformed(printable(&error.to_string())))
}

pub(crate) fn json(body: &impl Serialize) -> Result<Vec<u8>, Error> {
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
        limit: usize,
    },
    /// The certificates that should vouch for it cannot be used.
    #[error("certificate authorities for OpenBao: {0}")]
    Authority(String),
    /// There is no secret memory for a token, or for an answer that has one.
    #[error("what OpenBao answers in clear: {0}")]
    Memory(#[from] secretmem::Error),
}

impl From<http::Error> for Error {
    fn from(error: http::Error) -> Self {
        match error {
            http::Error::TooLong(limit) => Self::TooLong { limit },
            http::Error::Memory(error) => Self::Memory(error),
            http::Error::Authority(problem) => Self::Authority(problem),
            http::Error::Malformed(problem) => Self::Malformed(problem.to_owned()),
            other @ (http::Error::Address
            | http::Error::Path
            | http::Error::Io(_)
            | http::Error::TimedOut
            | http::Error::Closed
            | http::Error::Tls(_)
            | http::Error::Record(_)
            | http::Error::Alert(_)) => Self::Unreachable(printable(&other.to_string())),
        }
    }
}

impl Error {
    /// What an answer with an error says.
    #[must_use]
    pub fn answered(status: u16, body: &[u8]) -> Self {
        let errors: Said = serde_json::from_slice(body).unwrap_or_default();
        // A proxy that has lost its OpenBao says 404 too. It has no say in what was given.
        if (400..500).contains(&status) && errors.errors.is_none() && errors.request_id.is_none() {
            return Self::Unreachable(format!("an answer {status} that OpenBao did not write"));
        }
        // What is not there has no error, but perhaps an explanation.
        let said = errors.errors.filter(|said| !said.is_empty()).or(errors.warnings).unwrap_or_default();
        let errors = if said.is_empty() { "no reason given".to_owned() } else { said.join("; ") };
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
        assert!(!Error::answered(400, br#"{"errors":["wrong"]}"#).is_transient());
    }

    #[test]
    fn who_is_not_openbao_refuses_nothing() {
        for body in ["<html>404 Not Found</html>", "", r#"{"message":"no Route matched"}"#] {
            let told = Error::answered(404, body.as_bytes());
            assert_eq!(told.to_string(), "OpenBao: an answer 404 that OpenBao did not write");
            assert!(told.is_transient());
        }
        let deleted = Error::answered(404, br#"{"request_id":"x","data":{"data":null},"warnings":["gone"]}"#);
        assert_eq!(deleted.to_string(), "OpenBao answered 404: gone");
        assert!(!deleted.is_transient());
    }

    #[test]
    fn control_characters_in_an_answer_are_not_printed() {
        let told = Error::answered(400, br#"{"errors":["a\u001b[31mb\nc"]}"#).to_string();
        assert_eq!(told, "OpenBao answered 400: a?[31mb?c");
    }
}
