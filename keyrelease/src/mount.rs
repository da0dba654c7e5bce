//! One mount: challenge, judgement, record.
//!
//! What the auth method and the secrets engine have in common. `Mount::judge` is the whole way from a
//! presentation to a recorded decision; the two faces differ in what they do with an admission.
//!
//! Trusted: OpenBao and the mount's storage. Untrusted: the presentation.

use std::sync::Arc;

use attest::crypto::AwsLcRs;
use attest::{Admitted, Bundle, Challenge, Crypto, Decision, Endorsements, Evidence, OfferedKey, Platform};
use attest::{Refused, UnixTime, parse, tpm};
use openbao_plugin::{Error, Host, HostError, log};
use protocol::release::{Base64, ChallengeReply, Presentation};
use tokio::sync::Mutex;

use crate::config::Config;
use crate::memory::Memory;
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
        let evidence = parse(self.brought.platform, &self.brought.evidence).map_err(bad_request)?;
        let enrolled = self.enrolled(&evidence);
        let decision = self.decide(policy, &evidence, enrolled.clone())?;
        let bundle = self.bundle(policy, &decision, enrolled.as_ref())?;
        let unsigned = |error: attest::BadBundle| Error::Internal(error.to_string());
        let file = self.state.signer.sign(&bundle).map_err(unsigned)?;
        Ok((decision, file))
    }

    /// The attestation key of the evidence, if it is among the enrolled ones. The others are nobody's
    /// business: neither this judgement's nor its record's.
    fn enrolled(&self, evidence: &Evidence<'_>) -> Option<tpm::Name> {
        let Evidence::Tpm(quote) = evidence else { return None };
        self.state.attestation_keys.get(&quote.ak_name(&AwsLcRs)).cloned()
    }

    fn challenge(&self) -> Result<Challenge, Error> {
        let challenges = &self.state.challenges;
        let challenge = challenges.recognise(&self.brought.challenge, self.purpose.context.clone());
        challenge.map(|challenge| Challenge { answered: self.answered, ..challenge }).map_err(bad_request)
    }

    fn decide(
        &self,
        policy: &StoredPolicy,
        evidence: &Evidence<'_>,
        enrolled: Option<tpm::Name>,
    ) -> Result<Decision, Error> {
        let anchors = self.verifier.anchors().clone().with_attestation_keys(enrolled);
        let case = Case {
            evidence,
            endorsements: &self.brought.endorsements,
            anchors: &anchors,
            challenge: self.challenge()?,
            offered: self.brought.offered.clone(),
            policy: &policy.policy,
        };
        self.verifier.judge(case, self.now).map_err(bad_request)
    }

    fn bundle(
        &self,
        policy: &StoredPolicy,
        decision: &Decision,
        enrolled: Option<&tpm::Name>,
    ) -> Result<Bundle, Error> {
        let appraisal = match decision {
            Ok(admitted) => admitted.appraisal(),
            Err(refused) => refused.appraisal(),
        };
        let endorsements = &self.brought.endorsements;
        let bytes = |list: &[Vec<u8>]| list.iter().cloned().map(Into::into).collect();
        let names = enrolled.into_iter().map(|name| name.as_bytes().to_vec().into());
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
        let brought = endorsements.certificates.iter().chain(&endorsements.revocation_lists);
        let found = brought.map(Vec::len).fold(0, usize::saturating_add);
        if found > MOST_BROUGHT_BYTES {
            let limit = MOST_BROUGHT_BYTES;
            return Err(Error::BadRequest(format!("endorsements: at most {limit} bytes, found {found}")));
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
        self.insert_with(id, file, None).await
    }
}

impl StorageLedger<'_> {
    /// Stores a refusal, and when it was made, so that old refusals can be forgotten. Both or neither: a
    /// caller that goes away in between would leave a record that nobody ever forgets.
    async fn insert_refusal(&self, id: DecisionId, file: Vec<u8>, now: UnixTime) -> Result<(), LedgerError> {
        self.insert_with(id, file, Some(format!("refused/{:020}-{id}", now.0))).await
    }

    async fn insert_with(
        &self,
        id: DecisionId,
        file: Vec<u8>,
        note: Option<String>,
    ) -> Result<(), LedgerError> {
        let transaction = self.host.transaction().await.map_err(LedgerError::Storage)?;
        if transaction.get(&record_key(id)).await.map_err(LedgerError::Storage)?.is_some() {
            return Err(LedgerError::Taken);
        }
        transaction.put(&record_key(id), file).await.map_err(LedgerError::Storage)?;
        if let Some(note) = note {
            transaction.put(&note, Vec::new()).await.map_err(LedgerError::Storage)?;
        }
        match transaction.commit().await {
            // Another transaction wrote what this one read: the same id.
            Err(error) if error.is_conflict() => Err(LedgerError::Taken),
            other => other.map_err(LedgerError::Storage),
        }
    }

    /// Forgets the oldest refusals beyond the cap: an unauthenticated caller must not fill the storage.
    /// Admissions are never forgotten.
    pub(crate) async fn prune(&self, now: UnixTime) -> Result<(), HostError> {
        let storage = self.host.storage();
        let noted = storage.list("refused/").await?;
        // Many at a time: one by one they would be forgotten more slowly than they are made.
        for some in surplus(&noted, MOST_REFUSALS, now).chunks(FORGOTTEN_AT_ONCE) {
            let transaction = self.host.transaction().await?;
            for name in some {
                let (_, id) = name.split_once('-').unwrap_or_default();
                transaction.delete(&format!("record/{id}")).await?;
                transaction.delete(&format!("refused/{name}")).await?;
            }
            transaction.commit().await?;
        }
        Ok(())
    }
}

/// The notes, oldest first, of the refusals to forget. A young one still keeps its challenge from being
/// answered again.
fn surplus(noted: &[String], most: usize, now: UnixTime) -> Vec<&String> {
    let old = |name: &&String| {
        let time = name.split_once('-').and_then(|(time, _)| time.parse().ok()).unwrap_or(0);
        now.since(UnixTime(time)) > crate::challenge::Challenges::LIFETIME
    };
    noted.iter().take(noted.len().saturating_sub(most)).filter(old).collect()
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
/// The most bytes of them together. They are stored with the record, whatever they are worth.
const MOST_BROUGHT_BYTES: usize = 128 * 1024;
/// The most records of refusals that are kept.
const MOST_REFUSALS: usize = 10_000;
/// How many refusals one transaction forgets.
const FORGOTTEN_AT_ONCE: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refusals_beyond_the_cap_whose_challenges_have_expired_are_forgotten() {
        let noted: Vec<String> = [0, 99, 100, 101, 300].map(|time| format!("{time:020}-id{time}")).into();
        assert_eq!(surplus(&noted, 1, UnixTime(220)), [&noted[0], &noted[1]]);
        assert_eq!(surplus(&noted, 4, UnixTime(220)), [&noted[0]]);
        assert!(surplus(&noted, 5, UnixTime(9999)).is_empty());
    }
}
