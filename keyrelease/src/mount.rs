//! One mount: challenge, judgement, record.
//!
//! What the auth method and the secrets engine have in common. `Mount::judge` is the whole way from a
//! presentation to a recorded decision; the two faces differ in what they do with an admission.
//!
//! Trusted: OpenBao and the mount's storage. Untrusted: the presentation.

use std::sync::Arc;

use attest::crypto::AwsLcRs;
use attest::{Admitted, Crypto, Refused, UnixTime};
use openbao_plugin::{Error, Host, log};
use protocol::release::{Base64, ChallengeReply, Presentation};
use tokio::sync::Mutex;

use crate::config::Config;
use crate::judge::{Brought, Job, Purpose};
use crate::ledger::StorageLedger;
use crate::memory::Memory;
use crate::record::{DecisionId, LedgerError, Receipt, record};
use crate::reply::bad_request;
use crate::state::{self, State, random};
use crate::verifier::Verifier;

/// Reads the clock; only `main` has one.
pub type Clock = fn() -> UnixTime;

/// What every mount has.
#[derive(Debug)]
pub struct Mount {
    clock: Clock,
    verifier: Arc<Verifier>,
    state: Memory<State>,
    reading: Mutex<()>,
}

/// A recorded decision.
#[derive(Debug)]
pub(crate) enum Judged {
    /// Admitted, with the proof that the record is stored.
    Admitted(Box<Admitted>, Receipt),
    /// Refused; the record is stored too.
    Refused(DecisionId, Box<Refused>),
}

impl Mount {
    /// A mount of a plugin that was started with this configuration.
    pub fn new(config: &Config, clock: Clock) -> Result<Self, String> {
        let verifier = Arc::new(Verifier::new(config)?);
        Ok(Self { clock, verifier, state: Memory::new(), reading: Mutex::new(()) })
    }

    pub(crate) fn now(&self) -> UnixTime {
        (self.clock)()
    }

    pub(crate) async fn initialize(&self, host: &Host) -> Result<(), Error> {
        let roots = self.verifier.anchors().roots();
        if roots == attest::Roots::Simulated {
            log::warn("insecure-trust-root: simulated hardware is believed, AMD's roots are not", &[]);
        }
        state::make_keys(host).await
    }

    /// Forgets what was read from storage.
    pub(crate) fn forget(&self) {
        self.state.forget();
    }

    /// Another node wrote `key`. Records are not remembered: to forget for each of them would have a
    /// standby read its whole configuration again for every refusal elsewhere.
    pub(crate) fn changed(&self, key: &str) {
        if !["record/", "refused/"].iter().any(|records| key.starts_with(records)) {
            self.forget();
        }
    }

    pub(crate) async fn state(&self, host: &Host) -> Result<Arc<State>, Error> {
        if let Ok(state) = self.state.recall() {
            return Ok(state);
        }
        // One reads, the others wait for what it read.
        let turn = self.reading.lock().await;
        let reading = match self.state.recall() {
            Ok(state) => return Ok(state),
            Err(reading) => reading,
        };
        let state = Arc::new(State::load(host).await?);
        self.state.keep(&reading, &state);
        drop(turn);
        Ok(state)
    }

    /// Draws a challenge. Nothing is stored.
    pub(crate) async fn challenge(&self, host: &Host) -> Result<ChallengeReply, Error> {
        let nonce = random::<32>()?;
        let (bytes, expires) = self.state(host).await?.challenges.issue(nonce, self.now());
        Ok(ChallengeReply { challenge: Base64(bytes), nonce: hex::encode(nonce), expires })
    }

    /// Judges a presentation for one purpose and records the decision, whatever it is.
    pub(crate) async fn judge(
        &self,
        host: &Host,
        presentation: Presentation,
        purpose: Purpose,
    ) -> Result<Judged, Error> {
        let state = self.state(host).await?;
        let brought = Brought::from(presentation, &state.collateral)?;
        let challenge = state.challenges.recognise(&brought.challenge, purpose.context.clone());
        let nonce = challenge.map_err(bad_request)?.nonce;
        let now = self.now();
        let job = Job { verifier: Arc::clone(&self.verifier), state, brought, purpose, answered: false, now };
        // Whether the challenge was answered before, the ledger says when it is to take this answer's record:
        // to ask beforehand would cost every release a journey, and settle nothing.
        match judge_as(host, job.clone(), DecisionId(nonce)).await {
            Err(NotJudged::Ledger(LedgerError::Taken)) => {
                let job = Job { answered: true, ..job };
                judge_as(host, job, DecisionId(random()?)).await.map_err(Error::from)
            }
            other => other.map_err(Error::from),
        }
    }
}

async fn judge_as(host: &Host, job: Job, id: DecisionId) -> Result<Judged, NotJudged> {
    let now = job.now;
    let (decision, file) = host.blocking(move |_| job.run()).await??;
    let ledger = StorageLedger { host };
    match decision {
        Ok(admitted) => {
            let receipt = record(&ledger, id, &admitted, file).await?;
            Ok(Judged::Admitted(Box::new(admitted), receipt))
        }
        Err(refused) => {
            ledger.insert_refusal(id, file, now).await?;
            Ok(Judged::Refused(id, Box::new(refused)))
        }
    }
}

/// A salted name for a secret: tells records of one secret apart from another's without naming either.
pub(crate) fn salted(state: &State, name: &str) -> String {
    AwsLcRs.sha256(&[&state.salt, name.as_bytes()]).to_string()
}

enum NotJudged {
    Ledger(LedgerError),
    Error(Error),
}

impl From<LedgerError> for NotJudged {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

impl From<Error> for NotJudged {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<NotJudged> for Error {
    fn from(error: NotJudged) -> Self {
        match error {
            NotJudged::Error(error) => error,
            NotJudged::Ledger(error) => error.into(),
        }
    }
}
