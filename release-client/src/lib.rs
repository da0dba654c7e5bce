//! The client's side of a release: what a machine does to be given a secret.
//!
//! A [`Client`] asks OpenBao for a challenge, has the node agent gather evidence over challenge, purpose and
//! a key of ours ([`Keys`]), and presents it. What comes back is sealed to that key and opens
//! ([`Key::open`]) into memory that the caller gives. No threads, no files written, nothing kept.
//!
//! Untrusted: the agent, the network, OpenBao's answers until they open. Trusted: what opened.
#![forbid(unsafe_code)]

pub mod agent;
pub mod http;
pub mod json;
mod login;
mod open;
mod openbao;
pub mod pace;
mod tls;
mod workload;

use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use protocol::agent::{EvidenceReply, EvidenceRequest, VERSION};
use protocol::release::{Base64, ChallengeReply, Presentation, Refusal, Sealed, open_context, purpose_with};
use protocol::{Digest, Kem, OfferedKey};

pub use login::{AuthMount, LoggedIn, Login, Token, logged_in};
pub use open::{Context, Error as OpenError, Key, Keys, SEED, TAG, open_with, plaintext_len, without_trace};
pub use openbao::{Api, Error as OpenBaoError, OpenBao, Server, address_problem};
pub use tls::{Authority, BadAuthority, Identity, certificates};
pub use workload::{Error as WorkloadError, Token as WorkloadToken};

use openbao::json as as_json;

/// One mount of one OpenBao, and the agent that speaks for this machine.
#[derive(Debug)]
pub struct Client {
    openbao: OpenBao,
    agent_socket: PathBuf,
    /// The mount with its namespace: what OpenBao tells the plugin that it is mounted at.
    place: String,
    workload_token: Option<PathBuf>,
    protection: Option<Vec<u8>>,
}

impl Client {
    /// For the secrets engine at `mount`, which has no slash at its end. `program` says who asks.
    pub fn new(server: &Server, mount: &str, agent_socket: &Path, program: &str) -> Result<Self, Error> {
        let openbao = OpenBao::new(server, mount, program)?;
        let (agent_socket, place) = (agent_socket.to_owned(), place(server, mount));
        Ok(Self { openbao, agent_socket, place, workload_token: None, protection: None })
    }

    /// With the token of the workload that asks, in this file.
    #[must_use]
    pub fn with_workload_token(self, file: Option<PathBuf>) -> Self {
        Self { workload_token: file, ..self }
    }

    /// With a report of the client's own protection, which the hardware signs the digest of.
    #[must_use]
    pub fn with_protection(self, report: Option<Vec<u8>>) -> Self {
        Self { protection: report, ..self }
    }

    /// One whole round: a challenge is good for one answer only, so nothing of a failed round is kept.
    pub fn ask(&self, name: &str, key: &Key<'_>) -> Result<Sealed, Error> {
        let challenge = self.openbao.challenge()?;
        let offered = key.offered();
        let token = self.workload_token.as_deref().map(WorkloadToken::read).transpose()?;
        let signed = token.as_ref().map(|token| token.digest);
        let request = EvidenceRequest {
            version: VERSION,
            nonce: nonce(&challenge)?,
            context: purpose_with(&open_context(&self.place, name), signed, report_digest(self.report())),
            key: offered.clone(),
            platform: None,
        };
        let reply = agent::evidence(&self.agent_socket, &request)?;
        let full =
            Presentation { workload_digest: signed, ..presentation(challenge.challenge, reply, offered) };
        let full = reporting(full, self.report());
        Ok(lean(&full, |presentation| self.present(name, presentation, token.as_ref()))?)
    }

    fn report(&self) -> Option<&[u8]> {
        self.protection.as_deref()
    }

    /// The token goes from secret memory between the pieces of the text around it.
    fn present(
        &self,
        name: &str,
        presentation: &Presentation,
        token: Option<&WorkloadToken>,
    ) -> Result<Sealed, OpenBaoError> {
        let text = as_json(presentation)?;
        let Some((token, [before @ .., b'}'])) = token.map(|token| (token, text.as_slice())) else {
            return self.openbao.open(name, &[&text]);
        };
        self.openbao.open(name, &[before, b",\"workload_token\":\"", token.bytes(), b"\"}"])
    }
}

/// Endorsements go by name first: a server that has judged this machine before has them. What it lacks it asks for,
/// and judges nothing until it is there.
fn lean<T>(
    full: &Presentation,
    send: impl Fn(&Presentation) -> Result<T, OpenBaoError>,
) -> Result<T, OpenBaoError> {
    let unknown = match send(&full.naming(sha256, |_| true)) {
        Err(OpenBaoError::Lacks(unknown)) => unknown,
        done => return done,
    };
    let asked = |name: &str| unknown.iter().any(|asked| asked == name);
    match send(&full.naming(sha256, |name| !asked(name))) {
        // What it had is gone, or another node answers.
        Err(OpenBaoError::Lacks(_)) => send(full),
        done => done,
    }
}

fn report_digest(report: Option<&[u8]>) -> Option<Digest<32>> {
    report.map(|report| Digest(sha256(report)))
}

/// The same with a report of the client's own protection.
fn reporting(presentation: Presentation, report: Option<&[u8]>) -> Presentation {
    let protection = report.map(|report| Base64(report.to_vec()));
    Presentation { protection, protection_digest: report_digest(report), ..presentation }
}

fn sha256(object: &[u8]) -> [u8; 32] {
    let mut name = [0; 32];
    let digest = digest(&SHA256, object);
    name.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    name
}

fn place(server: &Server, mount: &str) -> String {
    match server.namespace.as_deref().map(|namespace| namespace.trim_matches('/')) {
        None | Some("") => mount.to_owned(),
        Some(namespace) => format!("{namespace}/{mount}"),
    }
}

fn presentation(challenge: Base64, reply: EvidenceReply, offered: OfferedKey) -> Presentation {
    Presentation {
        challenge,
        platform: reply.platform,
        evidence: Base64(reply.evidence),
        certificates: reply.certificates.into_iter().map(|der| Base64(der.into())).collect(),
        revocation_lists: reply.revocation_lists.into_iter().map(|der| Base64(der.into())).collect(),
        documents: reply.documents.into_iter().map(|json| Base64(json.into())).collect(),
        collateral: Vec::new(),
        kem: offered.kem.name().to_owned(),
        public_key: Base64(offered.public),
        workload_digest: None,
        pod: reply.pod.map(|stamp| stamp.uid),
        workload_token: None,
        protection: None,
        protection_digest: None,
    }
}

impl Key<'_> {
    /// The key as it is offered to others.
    #[must_use]
    pub fn offered(&self) -> OfferedKey {
        OfferedKey { kem: Kem::XWing, public: self.public().to_vec() }
    }
}

fn nonce(challenge: &ChallengeReply) -> Result<[u8; 32], Error> {
    let mut nonce = [0; 32];
    hex::decode_to_slice(&challenge.nonce, &mut nonce)
        .map_err(|_wrong| Error::Nonce(challenge.nonce.len()))?;
    Ok(nonce)
}

/// Text of others, safe for a terminal and a log line.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().take(500).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Why there is no sealed secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// OpenBao's side.
    #[error(transparent)]
    OpenBao(#[from] openbao::Error),
    /// The node agent's side.
    #[error(transparent)]
    Agent(#[from] agent::Error),
    /// The workload's token.
    #[error(transparent)]
    Workload(#[from] workload::Error),
    /// A nonce that is not one.
    #[error("malformed challenge: expected a nonce of 64 hex digits, found {0} characters")]
    Nonce(usize),
}

impl Error {
    /// Whether asking again later may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::OpenBao(error) => error.is_transient(),
            Self::Agent(error) => error.is_transient(),
            Self::Nonce(_) | Self::Workload(_) => false,
        }
    }

    /// The judgement, where there was one.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::OpenBao(openbao::Error::Refused(refusal)) => Some(refusal),
            Self::OpenBao(_) | Self::Agent(_) | Self::Workload(_) | Self::Nonce(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The namespace is part of what the hardware signs, however the request names it.
    #[test]
    fn a_mount_in_a_namespace_is_named_with_it() {
        for (namespace, expected) in [
            (None, "attest-keys"),
            (Some(""), "attest-keys"),
            (Some("bank/"), "bank/attest-keys"),
            (Some("/bank/team"), "bank/team/attest-keys"),
        ] {
            let namespace = namespace.map(str::to_owned);
            let server = Server { namespace, ..Server::new(String::new(), Authority::InsecureNobody) };
            assert_eq!(place(&server, "attest-keys"), expected);
        }
    }
}
