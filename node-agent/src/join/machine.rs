//! A machine joins once, and goes on proving itself: what to do next.
//!
//! [`Member::step`] takes what happened and answers what to do: claim the machine for its cluster (once per boot), enrol
//! its TPM, attest, tell the world. [`Member::wake`] says when to come back though nothing happened. OpenBao alone makes a
//! machine attested: no answer from it leaves the last verdict as it is until that verdict ends, and a refusal stays,
//! whatever happens, until OpenBao itself admits the machine again.
//!
//! Trusted: OpenBao's verdicts. Untrusted: how often the world says that something changed.

use std::time::Duration;

use release_client::pace::{Moment, Uptime};

use super::schedule;

/// What the operator wants of a member.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Terms {
    /// How long after a verdict the machine proves itself again, at the latest.
    pub interval: Duration,
    /// Whether a register takes in the name of a cluster first.
    pub claims: bool,
    /// Whether the TPM proves first whose it is.
    pub enrols: bool,
}

/// A machine on its way into a cluster, or in it.
#[derive(Clone, Debug)]
pub struct Member {
    terms: Terms,
    claim: Claim,
    is_enrolled: bool,
    holds_token: bool,
    standing: Standing,
    errand: Option<Errand>,
    /// Something changed since the evidence on its way was asked for.
    is_outdated: bool,
    failures: u32,
    last_try: Option<Uptime>,
    next_try: Option<Uptime>,
    told: Option<Notice>,
}

/// Whether the machine counts as attested, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Standing {
    /// OpenBao has not judged it, or its verdict has ended.
    Unknown(Unknown),
    /// OpenBao admitted it.
    Attested {
        /// When it was first admitted, without a break since.
        since: Uptime,
        /// When the verdict ends.
        until: Uptime,
    },
    /// OpenBao refused it.
    Refused {
        /// When it was first refused, without an admission since.
        since: Uptime,
        /// What the latest refusal says.
        refusal: Refusal,
    },
}

/// Why nobody knows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Unknown {
    /// The agent has started.
    Starting,
    /// OpenBao could not be asked since, or did not judge.
    Unanswered(String),
    /// The last verdict ended before there was another.
    VerdictEnded,
    /// The machine belongs to another cluster until it reboots.
    OtherCluster(String),
    /// The agent has ended.
    Stopped,
}

/// A "no" of OpenBao.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The decision, under which the record can be read.
    pub decision: String,
    /// The failing checks.
    pub checks: Vec<String>,
}

/// What an agent that has ended left behind.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Left {
    /// That it was refused.
    pub refusal: Refusal,
    /// Since when.
    pub since: Uptime,
    /// When it would have asked again.
    pub next_try: Uptime,
}

/// What happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// Time passed.
    Woke,
    /// The registers have taken in the cluster's name, or will not.
    Claimed(Result<(), Unclaimed>),
    /// The TPM has proved whose it is, or there is no such proof.
    Enrolled(Result<(), String>),
    /// The answer to evidence.
    Judged(Verdict),
    /// Something about the machine changed.
    Changed,
    /// The agent is told to end.
    Ending,
}

/// Why the registers do not say that the machine is this cluster's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Unclaimed {
    /// They hold something else.
    OtherCluster(String),
    /// They could not be asked.
    Failed(String),
}

/// The answer to evidence.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Yes, for this long from when the evidence was asked for.
    Admitted(Duration),
    /// No.
    Refused(Refusal),
    /// None: nobody answered, or nothing was judged.
    Unanswered(String),
}

/// What to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// Tell the world, before anything else.
    Publish(Notice),
    /// Have the registers take in the cluster's name, unless they have; the answer is [`Event::Claimed`].
    Claim,
    /// Have the TPM prove whose it is; the answer is [`Event::Enrolled`].
    Enrol,
    /// Present evidence; the answer is [`Event::Judged`].
    Attest,
    /// Have OpenBao forget the token, and with it what was leased by it.
    Revoke,
}

/// What the world is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Notice {
    /// Whether OpenBao admits this machine.
    pub attested: bool,
    /// One word, for programs.
    pub reason: &'static str,
    /// The same for people.
    pub message: String,
    /// Since when it is so.
    pub since: Uptime,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Claim {
    Open,
    Made,
    Lost,
}

/// What is on its way. There is one at a time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Errand {
    kind: Kind,
    since: Uptime,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Claim,
    Enrol,
    Attest,
}

impl Member {
    /// An agent has started: nobody knows, whatever an earlier one knew. A refusal that it left behind stands, and so does
    /// the time before which there is no use in asking again.
    #[must_use]
    pub fn new(terms: Terms, left: Option<Left>) -> Self {
        let (standing, next_try) = match left {
            Some(Left { refusal, since, next_try }) => (Standing::Refused { since, refusal }, next_try),
            None => (Standing::Unknown(Unknown::Starting), Uptime::default()),
        };
        Self {
            terms,
            claim: if terms.claims { Claim::Open } else { Claim::Made },
            is_enrolled: false,
            holds_token: false,
            standing,
            errand: None,
            is_outdated: false,
            failures: 0,
            last_try: None,
            next_try: Some(next_try),
            told: None,
        }
    }

    /// Takes in what happened; answers what to do, in this order.
    pub fn step(&mut self, event: Event, moment: &Moment) -> Vec<Action> {
        let mut actions = Vec::from_iter(self.take_in(event, moment));
        self.end_verdict(moment.now);
        actions.extend(self.set_out(moment.now));
        let notice = self.notice(moment.now);
        if self.told.as_ref().is_none_or(|told| !told.says_the_same(&notice)) {
            self.told = Some(notice.clone());
            actions.insert(0, Action::Publish(notice));
        }
        actions
    }

    /// When to come back with [`Event::Woke`], if nothing happens before.
    #[must_use]
    pub fn wake(&self) -> Option<Uptime> {
        let end = match self.standing {
            Standing::Attested { until, .. } => Some(until),
            Standing::Unknown(_) | Standing::Refused { .. } => None,
        };
        let next = self.next_try.filter(|_| self.errand.is_none());
        end.into_iter().chain(next).min()
    }

    /// Whether the machine counts as attested, and why.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// When the next evidence is due; nothing while some is on its way.
    #[must_use]
    pub fn next_try(&self) -> Option<Uptime> {
        self.next_try
    }

    /// What the world is to know, if it knows already.
    #[must_use]
    pub fn told(&self) -> Option<&Notice> {
        self.told.as_ref()
    }

    fn take_in(&mut self, event: Event, moment: &Moment) -> Option<Action> {
        if self.is_over() {
            return None;
        }
        match event {
            Event::Woke => None,
            Event::Changed => {
                self.hurry(moment.now);
                None
            }
            Event::Ending => self.stop(),
            Event::Claimed(result) => self.returned(Kind::Claim).and_then(|_| self.claimed(result, moment)),
            Event::Enrolled(result) => self.returned(Kind::Enrol).and_then(|_| self.enrolled(result, moment)),
            Event::Judged(verdict) => {
                self.returned(Kind::Attest).and_then(|errand| self.judged(verdict, errand.since, moment))
            }
        }
    }

    /// What was on its way, if it is this that came back. An answer that nobody waits for is none.
    fn returned(&mut self, kind: Kind) -> Option<Errand> {
        self.errand.take_if(|errand| errand.kind == kind)
    }

    fn claimed(&mut self, result: Result<(), Unclaimed>, moment: &Moment) -> Option<Action> {
        match result {
            Ok(()) => {
                self.claim = Claim::Made;
                Some(self.begin(moment.now))
            }
            Err(Unclaimed::Failed(why)) => self.unanswered(why, moment),
            Err(Unclaimed::OtherCluster(what)) => {
                self.claim = Claim::Lost;
                self.standing = Standing::Unknown(Unknown::OtherCluster(what));
                self.next_try = None;
                None
            }
        }
    }

    fn enrolled(&mut self, result: Result<(), String>, moment: &Moment) -> Option<Action> {
        match result {
            Ok(()) => Some(self.send(Kind::Attest, moment.now)),
            Err(why) => self.unanswered(why, moment),
        }
    }

    fn judged(&mut self, verdict: Verdict, asked: Uptime, moment: &Moment) -> Option<Action> {
        match verdict {
            Verdict::Admitted(lasts) => self.admitted(asked, lasts, moment),
            Verdict::Refused(refusal) => self.refused(refusal, moment),
            Verdict::Unanswered(why) => self.unanswered(why, moment),
        }
    }

    fn admitted(&mut self, asked: Uptime, lasts: Duration, moment: &Moment) -> Option<Action> {
        let since = match self.standing {
            Standing::Attested { since, .. } => since,
            Standing::Unknown(_) | Standing::Refused { .. } => moment.now,
        };
        self.standing = Standing::Attested { since, until: asked.plus(lasts) };
        self.failures = 0;
        self.is_enrolled = true;
        self.holds_token = true;
        self.next_try = Some(schedule::after_admission(asked, self.terms.interval, lasts, moment));
        if std::mem::take(&mut self.is_outdated) {
            self.hurry(moment.now);
        }
        None
    }

    fn refused(&mut self, refusal: Refusal, moment: &Moment) -> Option<Action> {
        let since = match self.standing {
            Standing::Refused { since, .. } => since,
            Standing::Unknown(_) | Standing::Attested { .. } => moment.now,
        };
        self.standing = Standing::Refused { since, refusal };
        // What the server knew of the TPM may be what it refused.
        self.is_enrolled = false;
        self.is_outdated = false;
        self.failures = 0;
        self.next_try = Some(schedule::after_refusal(self.terms.interval, moment));
        self.give_up_token()
    }

    /// Nobody answered: that is no refusal, and what was said before holds as long as it was to hold.
    fn unanswered(&mut self, why: String, moment: &Moment) -> Option<Action> {
        self.failures = self.failures.saturating_add(1);
        self.is_outdated = false;
        self.next_try = Some(match self.standing {
            Standing::Refused { .. } => schedule::after_refusal(self.terms.interval, moment),
            Standing::Unknown(_) | Standing::Attested { .. } => {
                schedule::after_silence(self.failures, self.terms.interval, moment)
            }
        });
        if let Standing::Unknown(unknown) = &mut self.standing {
            *unknown = Unknown::Unanswered(why);
        }
        None
    }

    /// Something changed: evidence of before says nothing of now, whatever comes of it. Who was refused waits all the same.
    fn hurry(&mut self, now: Uptime) {
        if self.errand.is_some() {
            self.is_outdated = true;
            return;
        }
        if matches!(self.standing, Standing::Refused { .. }) {
            return;
        }
        let soon = self.last_try.map_or(now, |last| last.plus(schedule::quiet(self.terms.interval)).max(now));
        self.next_try = self.next_try.map(|next| next.min(soon));
    }

    fn stop(&mut self) -> Option<Action> {
        self.standing = Standing::Unknown(Unknown::Stopped);
        self.next_try = None;
        // A token may be on its way.
        self.holds_token |= self.errand.take().is_some_and(|errand| errand.kind == Kind::Attest);
        self.give_up_token()
    }

    fn give_up_token(&mut self) -> Option<Action> {
        std::mem::take(&mut self.holds_token).then_some(Action::Revoke)
    }

    fn end_verdict(&mut self, now: Uptime) {
        if matches!(self.standing, Standing::Attested { until, .. } if until <= now) {
            self.standing = Standing::Unknown(Unknown::VerdictEnded);
        }
    }

    /// Begins a try, if one is due and none is on its way.
    fn set_out(&mut self, now: Uptime) -> Option<Action> {
        if self.is_over() || self.errand.is_some() || self.next_try.is_none_or(|next| next > now) {
            return None;
        }
        self.last_try = Some(now);
        self.next_try = None;
        self.is_outdated = false;
        Some(self.begin(now))
    }

    /// The first thing that a try needs.
    fn begin(&mut self, now: Uptime) -> Action {
        let kind = match (self.claim, self.terms.enrols && !self.is_enrolled) {
            (Claim::Open | Claim::Lost, _) => Kind::Claim,
            (Claim::Made, true) => Kind::Enrol,
            (Claim::Made, false) => Kind::Attest,
        };
        self.send(kind, now)
    }

    fn send(&mut self, kind: Kind, now: Uptime) -> Action {
        self.errand = Some(Errand { kind, since: now });
        match kind {
            Kind::Claim => Action::Claim,
            Kind::Enrol => Action::Enrol,
            Kind::Attest => Action::Attest,
        }
    }

    /// Nothing that happens changes anything any more, until the machine or the agent starts anew.
    fn is_over(&self) -> bool {
        matches!(self.standing, Standing::Unknown(Unknown::OtherCluster(_) | Unknown::Stopped))
    }

    fn notice(&self, now: Uptime) -> Notice {
        let (attested, reason, message, since) = match &self.standing {
            Standing::Attested { since, .. } => {
                (true, "Attested", "OpenBao admits this machine".to_owned(), *since)
            }
            Standing::Refused { since, refusal } => (false, "Refused", refusal.to_string(), *since),
            Standing::Unknown(unknown) => (false, unknown.word(), unknown.to_string(), now),
        };
        Notice { attested, reason, message, since }
    }
}

impl Notice {
    /// When it began to be so is no news.
    fn says_the_same(&self, other: &Self) -> bool {
        (self.attested, self.reason, &self.message) == (other.attested, other.reason, &other.message)
    }
}

impl Unknown {
    /// One word, for programs.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Starting => "Starting",
            Self::Unanswered(_) => "Unanswered",
            Self::VerdictEnded => "VerdictEnded",
            Self::OtherCluster(_) => "OtherCluster",
            Self::Stopped => "AgentStopped",
        }
    }
}

impl std::fmt::Display for Unknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Starting => {
                f.write_str("the agent has started and OpenBao has not judged this machine yet")
            }
            Self::Unanswered(why) => write!(f, "OpenBao has not judged this machine: {why}"),
            Self::VerdictEnded => f.write_str("the last verdict ended before OpenBao could be asked again"),
            Self::OtherCluster(what) => {
                write!(f, "this machine belongs to another cluster until it reboots: {what}")
            }
            Self::Stopped => f.write_str("the agent has ended"),
        }
    }
}

impl std::fmt::Display for Unclaimed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OtherCluster(what) => Unknown::OtherCluster(what.clone()).fmt(f),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown: Vec<&str> = self.checks.iter().map(String::as_str).take(MOST_SHOWN).collect();
        let more = if self.checks.len() > MOST_SHOWN { ", …" } else { "" };
        write!(f, "OpenBao refused this machine: {}{more} (decision {})", shown.join(", "), self.decision)
    }
}

/// A condition's message is read in one line.
const MOST_SHOWN: usize = 8;
