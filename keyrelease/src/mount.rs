//! One mount: challenge, judgement, record.
//!
//! What the auth method and the secrets engine have in common. `Mount::judge` is the whole way from a
//! presentation to a recorded decision; the two faces differ in what they do with an admission.
//!
//! Trusted: OpenBao and the mount's storage. Untrusted: the presentation.

use std::sync::Arc;

use attest::crypto::AwsLcRs;
use attest::log::{Kind, SaltedName, Subject};
use attest::{Admitted, Crypto, Refused, UnixTime};
use openbao_plugin::{Error, Host, Operation, Request, Transaction};
use protocol::release::{Base64, ChallengeReply, Presentation};
use tokio::sync::Mutex;

use crate::collateral::{self, Candidate, Shelf, Store, Taking};
use crate::config::{self, Config};
use crate::events;
use crate::governance::emergency;
use crate::judge::{Brought, Job, Purpose, Verdict};
use crate::ledger::{StorageLedger, prune, refusal_note};
use crate::limits::{Limited, Limits, Settings, Source, Turn, Turns};
use crate::log::{Draft, Facts, Log, subject};
use crate::memory::{Memory, Reading};
use crate::metrics::{Metrics, Step};
use crate::nodes::{self, Asking, Binding, KnownKey, Nodes};
use crate::record::{DecisionId, Ledger, LedgerError, Receipt, record};
use crate::remembered::Remembered;
use crate::reply::bad_request;
use crate::standing::{Bars, Change, failure};
use crate::state::{self, State, random};
use crate::verifier::Verifier;

/// Reads the clock; only `main` has one.
pub type Clock = fn() -> UnixTime;

/// What every mount has.
#[derive(Debug)]
pub struct Mount {
    clock: Clock,
    uuid: Arc<str>,
    face: config::Kind,
    pub(crate) turns: Arc<Turns>,
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    verifier: Arc<Verifier>,
    pub(crate) log: Arc<Log>,
    pub(crate) keys: Arc<Remembered>,
    pub(crate) collateral: Store,
    state: Arc<Memory<State>>,
    nodes: Memory<Nodes>,
    reading: Mutex<()>,
    registering: Mutex<()>,
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
    /// The mount of this UUID, of a plugin that was started with this configuration; it shares the processor with the
    /// other mounts of the process.
    pub fn new(config: &Config, clock: Clock, uuid: String, turns: Arc<Turns>) -> Result<Self, String> {
        let verifier = Arc::new(Verifier::new(config)?);
        let (state, reading) = (Arc::new(Memory::new()), Mutex::new(()));
        let (uuid, limits, log) = (uuid.into(), Limits::default(), Arc::new(Log::new()));
        let (collateral, keys) = (Store::new(Arc::clone(&log.collateral)), Arc::new(Remembered::new()));
        let (metrics, face) = (Metrics::new(clock()), config.kind);
        Ok(Self {
            clock,
            uuid,
            face,
            turns,
            limits,
            metrics,
            verifier,
            log,
            keys,
            collateral,
            state,
            nodes: Memory::new(),
            reading,
            registering: Mutex::new(()),
        })
    }

    pub(crate) fn now(&self) -> UnixTime {
        (self.clock)()
    }

    /// The mount's name among others.
    pub(crate) fn uuid(&self) -> &str {
        &self.uuid
    }

    pub(crate) fn anchors(&self) -> &attest::TrustAnchors {
        self.verifier.anchors()
    }

    pub(crate) async fn initialize(&self, host: &Host) -> Result<(), Error> {
        let roots = self.verifier.anchors().roots();
        if roots == attest::Roots::Simulated {
            events::insecure_roots();
        }
        state::make_keys(host).await
    }

    /// Forgets what was read from storage.
    pub(crate) fn forget(&self) {
        self.state.forget();
    }

    /// Commits what changes the mount's state or its keys, in a task of its own: a caller that goes away meanwhile must not leave the
    /// mount with what it has read before.
    pub(crate) async fn commit(&self, transaction: Transaction) -> Result<(), Error> {
        let (state, keys) = (Arc::clone(&self.state), Arc::clone(&self.keys));
        let committing = tokio::spawn(async move {
            let committed = transaction.commit().await;
            state.forget();
            keys.forget();
            committed
        });
        let committed = committing.await.map_err(|why| Error::Internal(format!("commit: {why}")))?;
        committed.map_err(Error::from)
    }

    /// Another node wrote `key`. The log is not remembered: to forget for each of its entries would have a
    /// standby read its whole configuration again for every refusal elsewhere.
    pub(crate) fn changed(&self, key: &str) {
        let elsewhere = ["record/", "refused/", "log/", "object/", "proposal/", "applied/"];
        if key.starts_with("bars/") {
            self.log.forget_bars();
        } else if key.starts_with("keys/") {
            self.keys.forget();
        } else if nodes::is_register(key) {
            self.nodes.forget();
        } else if key.starts_with(collateral::INDEX) {
            self.collateral.forget();
        } else if !elsewhere.iter().any(|records| key.starts_with(records)) {
            self.forget();
        }
    }

    pub(crate) async fn state(&self, host: &Host) -> Result<Arc<State>, Error> {
        if let Ok(state) = self.recall() {
            return Ok(state);
        }
        // One reads, the others wait for what it read.
        let turn = self.reading.lock().await;
        let reading = match self.recall() {
            Ok(state) => return Ok(state),
            Err(reading) => reading,
        };
        // Counted before anything is read: what changes meanwhile makes it old.
        let rules = self.log.rules();
        let state = Arc::new(State::load(host, &self.uuid, rules, self.anchors(), self.now()).await?);
        self.state.keep(&reading, &state);
        drop(turn);
        Ok(state)
    }

    /// Counts a request that came without a token, before anything is done for it.
    pub(crate) async fn enter(&self, request: &Request, host: &Host) -> Result<(), Error> {
        // OpenBao asks these itself, before it asks what the caller wants.
        let asked_before = matches!(request.operation, Operation::ResolveRole | Operation::AliasLookahead);
        if !request.unauthenticated || asked_before {
            return Ok(());
        }
        let state = self.state(host).await?;
        let source = Source::of(&request.remote_addr);
        self.limits.enter(source, &state.limits, self.now()).map_err(|limited| self.turn_away(limited))
    }

    fn turn_away(&self, limited: Limited) -> Error {
        self.metrics.limited(limited);
        limited.into()
    }

    /// The host's tick: forgets old refusals, and says what the limits did.
    pub(crate) async fn tick(&self, host: &Host) -> Result<(), Error> {
        self.metrics
            .newly_limited()
            .for_each(|(limit, requests)| events::limited(&self.uuid, limit, requests));
        emergency::tick(self, host).await?;
        collateral::warn(self, host).await?;
        prune(host, self.now()).await.map_err(Error::from)
    }

    /// What is remembered, until an emergency ends, when what was approved holds again, or a step of the rule is on record:
    /// whoever sent it may have gone before this was told.
    fn recall(&self) -> Result<Arc<State>, Reading> {
        match self.state.recall() {
            Ok(state) if self.now() >= state.holds_until() || state.rules != self.log.rules() => {
                self.forget();
                self.state.recall()
            }
            other => other,
        }
    }

    /// Whether this mount has items of this kind: only the secrets engine believes the tokens of another mount.
    pub(crate) fn has(&self, kind: attest::governance::Kind) -> Result<(), Error> {
        use attest::governance::Kind::{Auth, Guard, Role, Seal, TpmManufacturer};
        match (self.face, kind) {
            (config::Kind::Auth, Auth) => Err(bad_request("kind: an auth mount believes no other")),
            (config::Kind::Auth, Seal) => Err(bad_request("kind: an auth mount seals nothing")),
            (config::Kind::Auth, Guard) => Err(bad_request("kind: an auth mount has no secrets to guard")),
            (config::Kind::Secrets, Role) => Err(bad_request("kind: only an auth mount has roles")),
            (config::Kind::Secrets, TpmManufacturer) => {
                Err(bad_request("kind: only an auth mount enrols TPMs"))
            }
            _ => Ok(()),
        }
    }

    /// Draws a challenge. Nothing is stored.
    pub(crate) async fn challenge(&self, host: &Host) -> Result<ChallengeReply, Error> {
        let nonce = random::<32>()?;
        let (bytes, expires) = self.state(host).await?.challenges.issue(nonce, self.now());
        self.metrics.challenged();
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
        let mut brought = Brought::from(presentation)?;
        let now = self.now();
        let challenge = state.challenges.recognise(&brought.challenge, purpose.context.clone(), now);
        let challenge = challenge.map_err(bad_request)?;
        let (verifier, bars) = (Arc::clone(&self.verifier), self.bars(host).await?);
        let nodes = self.nodes_for(host, &purpose.asking).await?;
        let stock = self.stock(host, &mut brought).await?;
        let job = Job { verifier, state, bars, nodes, stock, brought, purpose, answered: false, now };
        // Whether the challenge was answered before, the log says when it is to take this answer's record:
        // to ask beforehand would settle nothing.
        let id = Id { id: DecisionId(challenge.nonce), answers: Some(challenge.expires) };
        let mut judged = self.judge_as(host, job.clone(), id).await;
        if matches!(judged, Err(LedgerError::Barred)) {
            // The bar came while it was judged: now it is among the reasons.
            let job = Job { bars: self.bars(host).await?, ..job.clone() };
            judged = self.judge_as(host, job, id).await;
        }
        if matches!(judged, Err(LedgerError::Changed)) {
            // Policies, roots, collateral or the node changed while it was judged: judged by what holds now.
            self.collateral.forget();
            self.nodes.forget();
            let nodes = self.nodes_for(host, &job.purpose.asking).await?;
            let job = Job { state: self.state(host).await?, nodes, ..job.clone() };
            judged = self.judge_as(host, job, id).await;
        }
        match judged {
            Err(LedgerError::Taken) => {
                let job = Job { answered: true, ..job };
                let id = Id { id: DecisionId(random()?), answers: None };
                self.judge_as(host, job, id).await.map_err(Error::from)
            }
            other => other.map_err(Error::from),
        }
    }

    /// The register of nodes.
    pub(crate) async fn nodes(&self, host: &Host) -> Result<Arc<Nodes>, Error> {
        if let Ok(nodes) = self.nodes.recall() {
            return Ok(nodes);
        }
        // There may be thousands: one reads, the others wait for what it read.
        let turn = self.registering.lock().await;
        let reading = match self.nodes.recall() {
            Ok(nodes) => return Ok(nodes),
            Err(reading) => reading,
        };
        let nodes = Arc::new(Nodes::load(host.storage()).await?);
        self.nodes.keep(&reading, &nodes);
        drop(turn);
        Ok(nodes)
    }

    /// Follows a change of the register that was stored. What was read meanwhile may be from before it.
    pub(crate) fn follow(&self, nodes: &Arc<Nodes>, binding: Binding) {
        nodes.apply(binding);
        if !self.nodes.recall().is_ok_and(|kept| Arc::ptr_eq(&kept, nodes)) {
            self.nodes.forget();
        }
    }

    /// The register, for somebody who asks in a name; others need none.
    async fn nodes_for(&self, host: &Host, asking: &Asking) -> Result<Arc<Nodes>, Error> {
        if asking.is_asked() { self.nodes(host).await } else { Ok(Arc::default()) }
    }

    /// The register changed, or may have.
    pub(crate) fn forget_nodes(&self) {
        self.nodes.forget();
    }

    /// A turn at the processor.
    pub(crate) async fn turn(&self, source: Source) -> Result<Turn, Error> {
        self.turns.turn(&self.uuid, source).await.map_err(|limited| self.turn_away(limited))
    }

    /// Lays what is in store beside what was brought.
    async fn stock(&self, host: &Host, brought: &mut Brought) -> Result<Shelf, Error> {
        let Brought { platform, evidence, bag, named, .. } = brought;
        let evidence = attest::parse(*platform, evidence).map_err(bad_request)?;
        named.retain(|name| !self.verifier.is_root(name));
        self.collateral.complete(host, bag, &evidence, named).await
    }

    async fn judge_as(&self, host: &Host, job: Job, id: Id) -> Result<Judged, LedgerError> {
        let (now, state, nodes) = (job.now, Arc::clone(&job.state), Arc::clone(&job.nodes));
        let (purpose, index) = (job.purpose.clone(), Arc::clone(&job.stock.index));
        let Verdict { decision, signed, objects, fresh, enrolled } =
            self.at_work(host, job, purpose.source).await?;
        let case = Closing { ledger: self.ledger(host, &state, now), nodes, purpose, id };
        match decision {
            Ok(admitted) => {
                let draft = Draft { shared: objects, ..case.draft(Ok(&admitted), signed) };
                self.admit(case, admitted, draft, (fresh, enrolled)).await
            }
            Err(refused) => {
                let policy = refused.appraisal().policy_digest;
                let stored = |name: &_| self.log.has(name) || index.named(name).is_some();
                let unknown = objects.into_iter().filter(|(name, _)| !stored(name));
                // A refusal's own objects go with it: anybody can bring any.
                let (shared, own): (Vec<_>, Vec<_>) = unknown.partition(|(name, _)| *name == policy);
                let own: Vec<_> = own.into_iter().map(|(_, object)| object).collect();
                let draft = Draft { own, shared, ..case.draft(Err(&refused), signed) };
                self.refuse(case, refused, draft, &state.limits).await
            }
        }
    }

    async fn admit(
        &self,
        case: Closing<'_>,
        admitted: Admitted,
        mut draft: Draft,
        (fresh, enrolled): (Vec<Candidate>, Option<KnownKey>),
    ) -> Result<Judged, LedgerError> {
        let (host, now) = (case.ledger.host, case.ledger.now);
        let taking = self.collateral.taking(host, fresh, now).await?;
        draft = taking.iter().try_fold(draft, |draft, taking| taking.onto(draft))?;
        let binding = case.nodes.admission(&admitted, enrolled, case.id.id, now)?;
        if let Some(binding) = &binding {
            draft = binding.onto(draft);
        }
        let receipt = record(&case.ledger, &admitted, draft).await?;
        taking.into_iter().for_each(Taking::done);
        if let Some(binding) = binding {
            self.follow(&case.nodes, binding);
        }
        self.metrics.admitted(admitted.appraisal().platform);
        Ok(Judged::Admitted(Box::new(admitted), receipt))
    }

    async fn refuse(
        &self,
        case: Closing<'_>,
        refused: Refused,
        draft: Draft,
        limits: &Settings,
    ) -> Result<Judged, LedgerError> {
        let (id, now) = (case.id.id, case.ledger.now);
        let size = draft.own.iter().map(Vec::len).fold(draft.signed.len(), usize::saturating_add);
        let ground = case.purpose.asking.name.as_ref().map(|name| case.nodes.ground(name));
        let draft = Draft {
            puts: vec![refusal_note(id, now, size)],
            change: failure(&refused, now),
            rests_on: ground.into_iter().collect(),
            ..draft
        };
        self.append_refusal(&case.ledger, draft, case.purpose.source, limits).await?;
        self.metrics.refused(refused.appraisal());
        events::refused(&self.uuid, id, &refused);
        Ok(Judged::Refused(id, Box::new(refused)))
    }

    /// Puts a refusal on record, within the budget. A machine's first failure is remembered whatever was spent: it takes
    /// genuine hardware to cause one.
    async fn append_refusal(
        &self,
        ledger: &StorageLedger<'_>,
        draft: Draft,
        source: Source,
        settings: &Settings,
    ) -> Result<(), LedgerError> {
        if draft.change.is_some() {
            return ledger.append(draft).await;
        }
        let spent = self.limits.refusal(source, settings, ledger.now);
        spent.map_err(|limited| self.turn_away(limited))?;
        let appended = ledger.append(draft).await;
        if appended.is_err() {
            self.limits.give_back(source, settings, ledger.now);
        }
        appended
    }

    /// What is known of machines.
    pub(crate) async fn bars(&self, host: &Host) -> Result<Arc<Bars>, Error> {
        self.log.bars(host.storage()).await
    }

    /// Puts a change of standing on record; from that entry on it holds.
    pub(crate) async fn change_standing(
        &self,
        host: &Host,
        change: Change,
        kind: Kind,
        request: &str,
    ) -> Result<DecisionId, Error> {
        let (state, now, id) = (self.state(host).await?, self.now(), DecisionId(random()?));
        let (request, subject) = (request.to_owned(), Subject::default());
        let facts = Facts { kind, at: now, id, under: None, request, subject };
        let draft = Draft { change: Some(change), ..Draft::statement(facts, &state.signer)? };
        self.ledger(host, &state, now).append(draft).await?;
        Ok(id)
    }

    /// The judgement, when it is its source's turn.
    async fn at_work(&self, host: &Host, job: Job, source: Source) -> Result<Verdict, Error> {
        let waiting = self.metrics.time(Step::Wait);
        let turn = self.turn(source).await?;
        drop(waiting);
        let (platform, judging) = (job.brought.platform, self.metrics.time(Step::Judge));
        let verdict = host.blocking(move |_| job.run()).await;
        drop((turn, judging));
        let verdict = verdict?;
        if verdict.is_err() {
            self.metrics.unjudged(platform);
        }
        verdict
    }

    /// The ledger, for one request.
    pub(crate) fn ledger<'a>(&'a self, host: &'a Host, state: &'a State, now: UnixTime) -> StorageLedger<'a> {
        let (log, signer, metrics) = (&self.log, &state.log_signer, &self.metrics);
        StorageLedger { host, log, signer, metrics, rules: state.rules, now }
    }
}

/// A judgement that is to be put on record.
struct Closing<'a> {
    ledger: StorageLedger<'a>,
    nodes: Arc<Nodes>,
    purpose: Purpose,
    id: Id,
}

impl Closing<'_> {
    fn draft(&self, decision: Result<&Admitted, &Refused>, signed: Vec<u8>) -> Draft {
        let secret = self.purpose.secret.clone();
        let (kind, subject) = match decision {
            Ok(admitted) => {
                (Kind::Admission, subject(admitted.appraisal(), Some(admitted.machine()), secret))
            }
            Err(refused) => (Kind::Refusal, subject(refused.appraisal(), refused.machine(), secret)),
        };
        let (at, id, request) = (self.ledger.now, self.id.id, self.purpose.request.clone());
        let facts = Facts { kind, at, id, under: None, request, subject };
        Draft { answers: self.id.answers, ..Draft::new(facts, signed) }
    }
}

/// What an entry is to be called.
#[derive(Clone, Copy, Debug)]
struct Id {
    id: DecisionId,
    /// The expiry of the challenge that it answers.
    answers: Option<UnixTime>,
}

/// Whether a request changes what is stored. All that does is decided on the active node, by what is stored there
/// now; a challenge and the beginning of an enrolment leave nothing behind, so whichever node is asked makes them.
pub(crate) fn writes(request: &Request) -> bool {
    let changes = matches!(request.operation, Operation::Update | Operation::Patch | Operation::Delete);
    changes && !["challenge", "enrol"].contains(&request.path.as_str())
}

/// A salted name for a secret: tells records of one secret apart from another's without naming either.
pub(crate) fn salted(state: &State, name: &str) -> SaltedName {
    SaltedName(AwsLcRs.sha256(&[&state.salt, name.as_bytes()]))
}
