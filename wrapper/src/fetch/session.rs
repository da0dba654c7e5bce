//! A token: by whichever login the configuration names, and renewed while that is possible.
//!
//! Tokens, and what they are had for, lie in secret memory from the first byte on.
//!
//! Untrusted: OpenBao's answers.

use std::path::Path;
use std::time::Duration;

use release_client::http::{Buffer, Request};
use release_client::json::Document;
use release_client::{
    Api, AuthMount, Keys, LoggedIn, Login, OpenBaoError, Token, WorkloadToken, agent, logged_in,
};

use super::error::Error;
use super::{PROGRAM, malformed};
use crate::config::{Config, Method};
use crate::errand::{Of, Term};

/// A token, and how long it is good for.
pub(super) struct Session {
    pub(super) token: Token,
    pub(super) term: Term,
}

impl Session {
    /// Logs in anew; `given` is the token that the environment brought.
    pub(super) fn begin(
        config: &Config,
        api: &Api,
        given: Option<Token>,
        report: Option<&[u8]>,
    ) -> Result<Self, Error> {
        let role = config.login.role.as_deref().unwrap_or_default();
        let logged_in = match &config.login.method {
            Method::Token => return Self::given(api, given.ok_or(Error::NoToken)?),
            Method::Kubernetes(file) => by_kubernetes(api, &config.login.mount, role, file)?,
            Method::Attest => by_evidence(config, role, report)?,
        };
        let LoggedIn { token, lasts, renewable, .. } = logged_in;
        Ok(Self { token, term: term(lasts, renewable) })
    }

    /// What OpenBao says of a token that nobody logged in for. One that may not ask this is used all the same.
    fn given(api: &Api, token: Token) -> Result<Self, Error> {
        let request = Request {
            method: "GET",
            path: "/v1/auth/token/lookup-self",
            token: Some(token.bytes()),
            body: None,
        };
        let what = "the token of VAULT_TOKEN";
        let mut buffer = Buffer::secret()?;
        let answer = match api.ask(&request, &mut buffer) {
            Err(OpenBaoError::Answered { status: 403, .. }) => {
                return Ok(Self { token, term: term(Duration::ZERO, false) });
            }
            answer => answer.map_err(|source| Error::Path { what: what.to_owned(), source })?,
        };
        let answer = Document::parse(answer.body_mut(&mut buffer)).map_err(malformed(what))?;
        let lasts = answer.number(&["data", "ttl"]).map_err(malformed(what))?.unwrap_or_default();
        let renewable = answer.truth(&["data", "renewable"]).map_err(malformed(what))?;
        Ok(Self { token, term: term(Duration::from_secs(lasts), renewable) })
    }

    /// Makes the token last longer.
    pub(super) fn renew(api: &Api, token: Token) -> Result<Self, Error> {
        let what = "renewing the token";
        let body: &[&[u8]] = &[b"{}"];
        let path = "/v1/auth/token/renew-self";
        let request = Request { method: "POST", path, token: Some(token.bytes()), body: Some(body) };
        let mut buffer = Buffer::secret()?;
        let answer =
            api.ask(&request, &mut buffer).map_err(|source| Error::Path { what: what.to_owned(), source })?;
        let answer = Document::parse(answer.body_mut(&mut buffer)).map_err(malformed(what))?;
        let lasts = answer.number(&["auth", "lease_duration"]).map_err(malformed(what))?.unwrap_or_default();
        let renewable = answer.truth(&["auth", "renewable"]).map_err(malformed(what))?;
        Ok(Self { token, term: term(Duration::from_secs(lasts), renewable) })
    }
}

fn by_kubernetes(api: &Api, mount: &str, role: &str, file: &Path) -> Result<LoggedIn, Error> {
    let token = WorkloadToken::read(file)?;
    let path = format!("/v1/{mount}/login");
    // The role's characters are not checked: it is written as JSON writes it.
    let role_text = serde_json::Value::from(role).to_string();
    let body: &[&[u8]] = &[b"{\"role\":", role_text.as_bytes(), b",\"jwt\":\"", token.bytes(), b"\"}"];
    let request = Request { method: "POST", path: &path, token: None, body: Some(body) };
    let mut buffer = Buffer::secret()?;
    let answer = api.ask(&request, &mut buffer).and_then(|answer| logged_in(answer.body_mut(&mut buffer)));
    answer.map_err(|source| Error::Login { mount: mount.to_owned(), role: role.to_owned(), source })
}

fn by_evidence(config: &Config, role: &str, report: Option<&[u8]>) -> Result<LoggedIn, Error> {
    let mount =
        AuthMount::new(&config.server, &config.login.mount, PROGRAM).map_err(release_client::Error::from)?;
    let keys = Keys::generate(1)?;
    let key = keys.each().next().map(|key| key.offered()).ok_or(Error::TooMuch)?;
    let login = Login { role, node: None, enrolment: None, key: &key, platform: None, protection: report };
    Ok(mount.log_in(&login, |request| agent::evidence(&config.agent_socket, request))?)
}

fn term(lasts: Duration, renewable: bool) -> Term {
    Term { of: Of::Token, lease: None, seconds: lasts.as_secs(), renewable, version: None }
}
