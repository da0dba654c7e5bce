//! Who does what the member decides: the registers, the TPM, OpenBao. One thing at a time, in a thread of its own.
//!
//! Evidence is gathered as for any caller, by this agent's own devices. The token stays here, in secret memory: nothing but
//! a revocation is asked with it.
//!
//! Untrusted: what comes back. A verdict is OpenBao's, whose TLS certificate the operator's file vouches for.

use std::sync::Arc;

use protocol::agent::{EvidenceReply, EvidenceRequest, Reply};
use protocol::enrol::{EnrolAnswer, EnrolReply, EnrolRequest};
use protocol::release::{Base64, RefusedCheck};
use release_client::agent::Error as AgentError;
use release_client::{AuthMount, Error, Keys, LoggedIn, Login, OpenBaoError, OpenError, Token, printable};

use super::Settings;
use super::claim::Claim;
use super::issuers::issuers;
use super::machine::{Refusal, Unclaimed, Verdict};
use crate::answer::Answerer;
use crate::{journal, vtpm};

/// All that it takes to do what a member decides.
#[derive(Debug)]
pub(super) struct Clerk {
    settings: Settings,
    answerer: Arc<Answerer>,
    means: Means,
    token: Option<Token>,
    /// What the TPM proved, for the next login.
    proof: Option<EnrolAnswer>,
}

/// What this machine has to join with, besides what signs.
#[derive(Debug)]
pub(super) struct Means {
    pub(super) claim: Option<Claim>,
    pub(super) tpm: Option<vtpm::Settings>,
}

impl Clerk {
    pub(super) fn new(settings: Settings, answerer: Arc<Answerer>, means: Means) -> Self {
        Self { settings, answerer, means, token: None, proof: None }
    }

    pub(super) fn claim(&self) -> Result<(), Unclaimed> {
        self.means.claim.as_ref().map_or(Ok(()), Claim::make)
    }

    /// Has the TPM prove that it holds both keys: the one that a manufacturer vouches for, and the one that signs.
    pub(super) fn enrol(&mut self) -> Result<(), NoProof> {
        let Some(tpm) = &self.means.tpm else { return Err(NoProof::NoTpm) };
        if tpm.create_ak {
            vtpm::ensure(&tpm.tcti, tpm.ak)?;
        }
        let endorsement = vtpm::endorsement(&tpm.tcti)?;
        let known = [endorsement.chain, self.answerer.certificates()].concat();
        let request = EnrolRequest {
            chain: issuers(&endorsement.certificate, &known).into_iter().map(Base64).collect(),
            ek_certificate: Base64(endorsement.certificate),
            ek_public: None,
            ak_public: Base64(vtpm::ak_public(&tpm.tcti, tpm.ak)?),
        };
        let mount = AuthMount::new(&self.settings.server, &self.settings.mount, PROGRAM)?;
        let EnrolReply { enrolment, id_object, encrypted_secret, .. } = mount.enrol(&request)?;
        let opened = vtpm::activate(&tpm.tcti, tpm.ak, endorsement.kind, &id_object.0, &encrypted_secret.0)?;
        self.proof = Some(EnrolAnswer { token: enrolment, answer: Base64(opened) });
        Ok(())
    }

    /// One login. The token that it gives takes the place of the one before, which OpenBao is to forget.
    pub(super) fn attest(&mut self) -> Result<LoggedInFor, NoVerdict> {
        let LoggedIn { token, lasts, decision, .. } = self.log_in()?;
        if let Some(before) = self.token.replace(token) {
            self.forget(&before);
        }
        Ok(LoggedInFor { lasts, decision })
    }

    /// Has OpenBao forget the token.
    pub(super) fn revoke(&mut self) {
        if let Some(token) = self.token.take() {
            self.forget(&token);
        }
    }

    fn log_in(&mut self) -> Result<LoggedIn, NoVerdict> {
        let Settings { server, mount, role, node, .. } = &self.settings;
        let proof = self.proof.take();
        let keys = Keys::generate(1)?;
        let key = keys.each().next().ok_or(NoVerdict::NoKey)?.offered();
        let login = Login {
            role,
            node: Some(node),
            enrolment: proof.as_ref(),
            key: &key,
            platform: None,
            protection: None,
        };
        Ok(AuthMount::new(server, mount, PROGRAM)?.log_in(&login, |request| self.gather(request))?)
    }

    fn gather(&self, request: &EvidenceRequest) -> Result<EvidenceReply, AgentError> {
        match self.answerer.answer(request) {
            Reply::Evidence(evidence) => Ok(evidence),
            Reply::Failed(failure) => Err(AgentError::Failed(failure)),
        }
    }

    /// A token that OpenBao keeps lives on until its end: that is a line for the operator, and no more.
    fn forget(&self, token: &Token) {
        let mount = AuthMount::new(&self.settings.server, &self.settings.mount, PROGRAM);
        if let Err(error) = mount.and_then(|mount| mount.revoke(token)) {
            journal::write(&format_args!(
                "member: a token that is not needed any more lives until its end: {error}"
            ));
        }
    }
}

/// How long a machine is admitted, and by which decision.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct LoggedInFor {
    pub(super) lasts: std::time::Duration,
    pub(super) decision: String,
}

/// Why a TPM did not prove whose it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoProof {
    /// There is none.
    #[error("this machine has no TPM to enrol")]
    NoTpm,
    /// The TPM's side.
    #[error("enrolling the TPM: {0}")]
    Tpm(#[from] vtpm::Error),
    /// OpenBao's side.
    #[error("enrolling the TPM: {0}")]
    OpenBao(#[from] OpenBaoError),
}

/// Why the machine is not admitted.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoVerdict {
    /// The round failed, or ended in a refusal.
    #[error(transparent)]
    Round(#[from] Error),
    /// There is no key for a token.
    #[error(transparent)]
    Key(#[from] OpenError),
    /// A pair that was drawn is not there.
    #[error("no key was drawn")]
    NoKey,
}

impl From<OpenBaoError> for NoVerdict {
    fn from(error: OpenBaoError) -> Self {
        Self::Round(error.into())
    }
}

impl NoVerdict {
    pub(super) fn verdict(&self) -> Verdict {
        let Self::Round(error) = self else { return Verdict::Unanswered(self.to_string()) };
        let Some(refusal) = error.refusal() else { return Verdict::Unanswered(error.to_string()) };
        let checks = refusal.failing.iter().map(|check| printable(&check.id));
        let decision = printable(&refusal.decision);
        Verdict::Refused(Refusal { decision, checks: checks.take(MOST_CHECKS).collect() })
    }
}

impl NoVerdict {
    /// For a person: a refusal with all that it says.
    pub(super) fn whole(&self) -> String {
        let refusal = match self {
            Self::Round(error) => error.refusal(),
            Self::Key(_) | Self::NoKey => None,
        };
        let Some(refusal) = refusal else { return self.to_string() };
        let check = |check: &RefusedCheck| {
            let [id, expected, found] =
                [&check.id, &check.expected, &check.found].map(|text| printable(text));
            format!("\n  {id}: expected {expected}, found {found}")
        };
        let checks: String = refusal.failing.iter().take(MOST_CHECKS).map(check).collect();
        format!("OpenBao refused this machine, decision {}{checks}", printable(&refusal.decision))
    }
}

/// What OpenBao's log calls us.
const PROGRAM: &str = concat!("cloudtaser-node-agent/", env!("CARGO_PKG_VERSION"));
/// More than one platform has.
const MOST_CHECKS: usize = 256;
