//! A login: evidence in, an OpenBao token out.
//!
//! [`AuthMount::log_in`] asks for a challenge, has the caller gather evidence over challenge, role and node, and presents it.
//! The token that comes back is read into secret memory, and kept there until [`AuthMount::revoke`] or the end.
//!
//! Untrusted: OpenBao's answers, and whoever gathers the evidence.

use std::fmt;
use std::time::Duration;

use protocol::agent::{EvidenceReply, EvidenceRequest, VERSION};
use protocol::enrol::{EnrolAnswer, EnrolReply, EnrolRequest};
use protocol::release::{Presentation, login_context, node_login_context, purpose_with};
use protocol::{OfferedKey, Platform};
use secretmem::Region;
use serde::Serialize;

use crate::http::Buffer;
use crate::json::{BadJson, Document};
use crate::openbao::{self, OpenBao, Server, json};
use crate::{Error, agent, lean, nonce, place, presentation, report_digest, reporting};

/// The auth method at one mount of one OpenBao.
#[derive(Debug)]
pub struct AuthMount {
    openbao: OpenBao,
    /// The mount with its namespace: what OpenBao tells the plugin that it is mounted at.
    place: String,
}

/// As whom a machine logs in.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    /// The role.
    pub role: &'a str,
    /// The node's name, if it has one.
    pub node: Option<&'a str>,
    /// What its TPM answered to an enrolment.
    pub enrolment: Option<&'a EnrolAnswer>,
    /// The key that the token is for.
    pub key: &'a OfferedKey,
    /// The hardware to ask; absent: whichever is preferred.
    pub platform: Option<Platform>,
    /// A report of the client's own protection, in its one encoding.
    pub protection: Option<&'a [u8]>,
}

/// What an admitted machine has.
#[derive(Debug)]
pub struct LoggedIn {
    /// The token.
    pub token: Token,
    /// How long it lives, from when it was given.
    pub lasts: Duration,
    /// Whether it can be prolonged.
    pub renewable: bool,
    /// The id of the decision, under which the record can be read; empty where nothing was decided.
    pub decision: String,
}

/// A token of OpenBao, in secret memory. Never shown.
pub struct Token {
    text: Region,
    length: usize,
}

#[derive(Serialize)]
struct LoginBody<'a> {
    role: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enrolment: Option<&'a EnrolAnswer>,
    #[serde(flatten)]
    presentation: &'a Presentation,
}

impl AuthMount {
    /// The auth method at `mount`, like `auth/attest`. `program` says who asks.
    pub fn new(server: &Server, mount: &str, program: &str) -> Result<Self, openbao::Error> {
        Ok(Self { openbao: OpenBao::new(server, mount, program)?, place: place(server, mount) })
    }

    /// Asks for a secret that only a TPM opens which holds both keys.
    pub fn enrol(&self, request: &EnrolRequest) -> Result<EnrolReply, openbao::Error> {
        self.openbao.ask("enrol", &json(request)?)
    }

    /// One whole round: a challenge is good for one answer only, so nothing of a failed round is kept.
    pub fn log_in(
        &self,
        login: &Login<'_>,
        gather: impl FnOnce(&EvidenceRequest) -> Result<EvidenceReply, agent::Error>,
    ) -> Result<LoggedIn, Error> {
        let challenge = self.openbao.challenge()?;
        let context = match login.node {
            Some(node) => node_login_context(&self.place, login.role, node),
            None => login_context(&self.place, login.role),
        };
        let context = purpose_with(&context, None, report_digest(login.protection));
        let (nonce, key, platform) = (nonce(&challenge)?, login.key.clone(), login.platform);
        let evidence = gather(&EvidenceRequest { version: VERSION, nonce, context, key, platform })?;
        let full = presentation(challenge.challenge, evidence, login.key.clone());
        let full = reporting(full, login.protection);
        Ok(lean(&full, |presentation| self.present(login, presentation))?)
    }

    /// Has OpenBao forget a token, and all that was leased by it.
    pub fn revoke(&self, token: &Token) -> Result<(), openbao::Error> {
        self.openbao.revoke_self(token.bytes())
    }

    fn present(&self, login: &Login<'_>, presentation: &Presentation) -> Result<LoggedIn, openbao::Error> {
        let Login { role, node, enrolment, .. } = *login;
        let body = json(&LoginBody { role, node, enrolment, presentation })?;
        let mut buffer = Buffer::secret()?;
        let answer = self.openbao.judge("login", &[&body], &mut buffer)?;
        logged_in(answer.body_mut(&mut buffer))
    }
}

/// Reads the answer to any login, in place.
pub fn logged_in(body: &mut [u8]) -> Result<LoggedIn, openbao::Error> {
    let malformed =
        |_error: BadJson| openbao::Error::Malformed("expected a token and how long it lives".to_owned());
    let mut answer = Document::parse(body).map_err(malformed)?;
    let token = answer.find(&["auth", "client_token"]).map_err(malformed)?;
    let lasts = answer.number(&["auth", "lease_duration"]).map_err(malformed)?;
    let renewable = answer.truth(&["auth", "renewable"]).map_err(malformed)?;
    let decision = answer.copied(&["data", "decision"]).map_err(malformed)?.unwrap_or_default();
    let (Some(token), Some(lasts)) = (token, lasts) else { return Err(malformed(BadJson::NotAnObject)) };
    let token = answer.plain(&token).map_err(malformed)?;
    Ok(LoggedIn {
        token: Token::keep(answer.bytes(&token))?,
        lasts: Duration::from_secs(lasts),
        renewable,
        decision,
    })
}

impl Token {
    /// Copies a token into secret memory of its own.
    pub fn keep(text: &[u8]) -> Result<Self, openbao::Error> {
        if text.is_empty() || text.len() > LONGEST || !text.iter().all(u8::is_ascii_graphic) {
            let expected =
                format!("expected a token of 1 to {LONGEST} printable bytes, found {}", text.len());
            return Err(openbao::Error::Malformed(expected));
        }
        let mut region = Region::create(text.len())?;
        for (to, from) in region.bytes_mut()?.iter_mut().zip(text) {
            *to = *from;
        }
        Ok(Self { text: region, length: text.len() })
    }

    /// The token, where it lies.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.text.bytes().get(..self.length).unwrap_or_default()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a token of {} bytes", self.length)
    }
}

/// Batch tokens carry what they allow, encrypted.
const LONGEST: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_kept_and_never_shown() {
        let mut body = br#"{"auth":{"client_token":"b.canary","lease_duration":300,"renewable":true},
            "data":{"decision":"ab"},"warnings":null}"#
            .to_vec();
        let answer = logged_in(&mut body).unwrap();
        assert!(answer.renewable);
        assert_eq!(answer.token.bytes(), b"b.canary");
        assert_eq!((answer.lasts, &*answer.decision), (Duration::from_mins(5), "ab"));
        assert!(!format!("{answer:?}").contains("canary"));
    }

    #[test]
    fn an_answer_without_a_token_is_malformed_and_not_repeated() {
        for body in [
            r#"{"auth":null,"data":{"decision":"ab"}}"#,
            r#"{"auth":{"client_token":"","lease_duration":300}}"#,
            r#"{"auth":{"client_token":"canary\n","lease_duration":300}}"#,
            r#"{"auth":{"client_token":"canary","lease_duration":"300"}}"#,
            "canary",
        ] {
            let error = logged_in(&mut body.as_bytes().to_vec()).unwrap_err();
            assert!(matches!(error, openbao::Error::Malformed(_)), "{body}: {error}");
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }
}
