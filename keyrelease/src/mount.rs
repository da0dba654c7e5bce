//! One mount: challenge, judgement, record.
//!
//! What the auth method and the secrets engine have in common. [`Mount::judge`] is the whole way from a
//! presentation to a recorded decision; the two faces differ in what they do with an admission.
//!
//! Trusted: OpenBao and the mount's storage. Untrusted: the presentation.

use std::sync::{Arc, PoisonError, RwLock};

use attest::crypto::AwsLcRs;
use attest::{Admitted, Bundle, Challenge, Crypto, Decision, Endorsements, OfferedKey, Platform, Refused};
use attest::{TrustAnchors, UnixTime, parse};
use openbao_plugin::{Error, Host, HostError, log};
use protocol::release::{Base64, ChallengeReply, Presentation};

use crate::config::Config;
use crate::record::{DecisionId, Ledger, LedgerError, Receipt, record};
use crate::state::{self, State, StoredPolicy, random};
use crate::verifier::{Case, Verifier};

/// Reads the clock; only `main` has one.
pub type Clock = fn() -> UnixTime;

/// What every mount has.
#[derive(Debug)]
pub struct Mount {
    clock: Clock,
    verifier: Arc<Verifier>,
    state: RwLock<Option<Arc<State>>>,
}

/// A recorded decision.
#[derive(Debug)]
pub(crate) enum Judged {
    /// Admitted, with the proof that the record is stored.
    Admitted(Box<Admitted>, Receipt),
    /// Refused; the record is stored too.
    Refused(DecisionId, Box<Refused>),
}

/// A presentation, taken apart.
#[derive(Clone, Debug)]
struct Brought {
    platform: Platform,
    evidence: Vec<u8>,
    endorsements: Endorsements,
    offered: OfferedKey,
    challenge: Vec<u8>,
}

impl Mount {
    /// A mount of a plugin that was started with this configuration.
    pub fn new(config: &Config, clock: Clock) -> Result<Self, String> {
        let verifier = Arc::new(Verifier::new(config)?);
        Ok(Self { clock, verifier, state: RwLock::new(None) })
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
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) async fn state(&self, host: &Host) -> Result<Arc<State>, Error> {
        if let Some(state) = self.state.read().unwrap_or_else(PoisonError::into_inner).as_ref() {
            return Ok(Arc::clone(state));
        }
        let state = Arc::new(State::load(host).await?);
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&state));
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
            ledger.insert(id, file).await?;
            ledger.note_refusal(id, now).await?;
            Ok(Judged::Refused(id, Box::new(refused)))
        }
    }
}

/// What a presentation is for.
#[derive(Clone, Debug)]
pub(crate) struct Purpose {
    /// What the hardware signed.
    pub(crate) context: String,
    /// The policy that judges.
    pub(crate) policy: String,
    /// What the record says was asked for.
    pub(crate) request: String,
}

/// One judgement, owned, for a thread of the pool.
#[derive(Clone, Debug)]
struct Job {
    verifier: Arc<Verifier>,
    state: Arc<State>,
    brought: Brought,
    purpose: Purpose,
    answered: bool,
    now: UnixTime,
}

impl Job {
    /// Decides, and writes the decision down as a signed file.
    fn run(self) -> Result<(Decision, Vec<u8>), Error> {
        let policy = self.state.policy(&self.purpose.policy)?;
        let enrolled = self.state.attestation_keys.iter().cloned();
        let anchors = self.verifier.anchors().clone().with_attestation_keys(enrolled);
        let decision = self.decide(policy, &anchors)?;
        let bundle = self.bundle(policy, &decision)?;
        let unsigned = |error: attest::BadBundle| Error::Internal(error.to_string());
        let file = self.state.signer.sign(&bundle).map_err(unsigned)?;
        Ok((decision, file))
    }

    fn challenge(&self) -> Result<Challenge, Error> {
        let challenges = &self.state.challenges;
        let challenge = challenges.recognise(&self.brought.challenge, self.purpose.context.clone());
        challenge.map(|challenge| Challenge { answered: self.answered, ..challenge }).map_err(bad_request)
    }

    fn decide(&self, policy: &StoredPolicy, anchors: &TrustAnchors) -> Result<Decision, Error> {
        let evidence = parse(self.brought.platform, &self.brought.evidence).map_err(bad_request)?;
        let case = Case {
            evidence: &evidence,
            endorsements: &self.brought.endorsements,
            anchors,
            challenge: self.challenge()?,
            offered: self.brought.offered.clone(),
            policy: &policy.policy,
        };
        self.verifier.judge(case, self.now).map_err(bad_request)
    }

    fn bundle(&self, policy: &StoredPolicy, decision: &Decision) -> Result<Bundle, Error> {
        let appraisal = match decision {
            Ok(admitted) => admitted.appraisal(),
            Err(refused) => refused.appraisal(),
        };
        let endorsements = &self.brought.endorsements;
        let bytes = |list: &[Vec<u8>]| list.iter().cloned().map(Into::into).collect();
        let names = self.state.attestation_keys.iter().map(|name| name.as_bytes().to_vec().into());
        Ok(Bundle {
            format: Bundle::FORMAT.to_owned(),
            request: self.purpose.request.clone(),
            verifier: concat!("openbao-plugin-attest ", env!("CARGO_PKG_VERSION")).to_owned(),
            platform: self.brought.platform,
            evidence: self.brought.evidence.clone(),
            certificates: bytes(&endorsements.certificates),
            revocation_lists: bytes(&endorsements.revocation_lists),
            attestation_keys: names.collect(),
            challenge: self.challenge()?,
            offered: self.brought.offered.clone(),
            policy: policy.text.clone(),
            appraisal: appraisal.clone(),
        })
    }
}

impl Brought {
    /// Takes a presentation apart; what the mount has in store is added to what the client brings.
    fn from(presentation: Presentation, stored: &Endorsements) -> Result<Self, Error> {
        let offered = presentation.offered().map_err(bad_request)?;
        let owned = |list: Vec<Base64>| list.into_iter().map(|item| item.0).collect::<Vec<_>>();
        let mut endorsements = Endorsements {
            certificates: owned(presentation.certificates),
            revocation_lists: owned(presentation.revocation_lists),
        };
        if endorsements.certificates.len().max(endorsements.revocation_lists.len()) > MOST_BROUGHT {
            return Err(Error::BadRequest(format!("endorsements: at most {MOST_BROUGHT} of a kind")));
        }
        add_missing(&mut endorsements.certificates, &stored.certificates);
        add_missing(&mut endorsements.revocation_lists, &stored.revocation_lists);
        Ok(Self {
            platform: presentation.platform,
            evidence: presentation.evidence.0,
            endorsements,
            offered,
            challenge: presentation.challenge.0,
        })
    }
}

fn add_missing(to: &mut Vec<Vec<u8>>, stored: &[Vec<u8>]) {
    for item in stored {
        if !to.contains(item) {
            to.push(item.clone());
        }
    }
}

/// The ledger in the mount's storage.
#[derive(Debug)]
pub(crate) struct StorageLedger<'a> {
    pub(crate) host: &'a Host,
}

impl Ledger for StorageLedger<'_> {
    async fn insert(&self, id: DecisionId, file: Vec<u8>) -> Result<(), LedgerError> {
        let transaction = self.host.transaction().await.map_err(LedgerError::Storage)?;
        if transaction.get(&record_key(id)).await.map_err(LedgerError::Storage)?.is_some() {
            return Err(LedgerError::Taken);
        }
        transaction.put(&record_key(id), file).await.map_err(LedgerError::Storage)?;
        match transaction.commit().await {
            // Another transaction wrote what this one read: the same id.
            Err(error) if error.is_conflict() => Err(LedgerError::Taken),
            other => other.map_err(LedgerError::Storage),
        }
    }
}

impl StorageLedger<'_> {
    /// Remembers when a refusal was recorded, so that old refusals can be forgotten.
    async fn note_refusal(&self, id: DecisionId, now: UnixTime) -> Result<(), LedgerError> {
        let key = format!("refused/{:020}-{id}", now.0);
        self.host.storage().put(&key, Vec::new()).await.map_err(LedgerError::Storage)
    }

    /// Forgets the oldest refusals beyond the cap: an unauthenticated caller must not fill the storage.
    /// Admissions are never forgotten.
    pub(crate) async fn prune(&self, now: UnixTime) -> Result<(), HostError> {
        let storage = self.host.storage();
        let noted = storage.list("refused/").await?;
        let surplus = noted.len().saturating_sub(MOST_REFUSALS);
        for name in noted.into_iter().take(surplus) {
            let (time, id) = name.split_once('-').unwrap_or(("", ""));
            let age = now.since(UnixTime(time.parse().unwrap_or(0)));
            // A younger one still keeps its challenge from being answered again.
            if age > crate::challenge::Challenges::LIFETIME {
                storage.delete(&format!("record/{id}")).await?;
                storage.delete(&format!("refused/{name}")).await?;
            }
        }
        Ok(())
    }
}

pub(crate) fn record_key(id: DecisionId) -> String {
    format!("record/{id}")
}

/// The caller's fault: nothing could be judged.
pub(crate) fn bad_request(error: impl std::fmt::Display) -> Error {
    Error::BadRequest(error.to_string())
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

/// The most certificates, and the most lists, that a client may bring.
const MOST_BROUGHT: usize = 8;
/// The most records of refusals that are kept.
const MOST_REFUSALS: usize = 10_000;
