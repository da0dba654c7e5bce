//! What a program may hold, for how long, and what is to be done about it.
//!
//! [`Tenant::step`] takes what happened and answers what to do: go on an errand to OpenBao, give the program other values,
//! end or freeze it, let it go on. [`Tenant::wake`] says when to come back though nothing happened. OpenBao's silence
//! leaves things as they are until a lease has ended and the operator's grace with it, or until its last word is too old;
//! OpenBao's refusal ends them at once.
//!
//! Trusted: OpenBao's answers. Untrusted: that it answers.

use std::collections::BTreeMap;
use std::time::Duration;

use release_client::pace::{Moment, Uptime};

use super::holding::{Grant, Holding, How, Of};
use super::schedule::{self, DISTANCE};
use crate::config::Withdrawal;

/// What the operator wants.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// How often what has no end is looked at again; none: never.
    pub refresh: Option<Duration>,
    /// How long past an end the program goes on while OpenBao does not answer.
    pub grace: Duration,
    /// How old OpenBao's last word on a secret may become.
    pub max_stale: Option<Duration>,
    /// What happens when a value is withdrawn.
    pub withdrawal: Withdrawal,
    /// Whether the program can be given other values than it has.
    pub exchanges: bool,
    /// Whether another token can be had when this one ends.
    pub logs_in: bool,
    /// How long an errand may take.
    pub patience: Duration,
}

/// A program's values, as time passes.
#[derive(Clone, Debug)]
pub struct Tenant {
    policy: Policy,
    holdings: BTreeMap<Of, Holding>,
    standing: Standing,
    trip: Option<Trip>,
    last_trip: Uptime,
    not_before: Uptime,
    failures: u32,
    /// OpenBao said no to something, and not to what.
    is_refused: bool,
    /// There are values that the program was not given yet.
    owes_exchange: bool,
    told_kept: bool,
}

/// Whether the program may go on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It may.
    Holding,
    /// It stands still, until OpenBao confirms everything again.
    Frozen(Reason),
    /// It has been ended.
    Over(Reason),
}

/// Why a program may not go on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// OpenBao said no.
    Refused,
    /// A lease, or the token that it hung on, ended without a word of OpenBao.
    Ended(Of),
    /// OpenBao's last word on it is older than allowed.
    Stale(Of),
}

/// What happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// Time passed.
    Woke,
    /// An errand came back.
    Brought {
        /// What OpenBao granted.
        grants: Vec<Grant>,
        /// Whether a value is another one than before.
        values: Values,
    },
    /// An errand came back with nothing.
    Failed(Failure),
}

/// Whether a value is another one than before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Values {
    /// All are the same.
    Same,
    /// At least one is not.
    Changed,
}

/// Why an errand came back with nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failure {
    /// Nobody answered, or not to the question.
    Away,
    /// OpenBao said no.
    Refused,
}

/// What to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// End the program, or stop it where it stands, before anything else.
    Withdraw(Reason),
    /// Give the program the values that just came.
    Exchange,
    /// Let the program go on.
    Thaw,
    /// Ask OpenBao for this.
    Errand(Vec<Want>),
    /// The errand has taken too long: end it. It came back with nothing.
    Abandon,
    /// For the operator.
    Tell(Notice),
}

/// One thing to ask for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Want {
    /// What.
    pub of: Of,
    /// In which way.
    pub how: How,
}

/// What an operator is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Notice {
    /// OpenBao does not answer; the program may go on for so long, or without an end.
    Away(Option<Duration>),
    /// It answers again.
    Back,
    /// There are other values, and the program keeps those that it has.
    Kept,
}

#[derive(Clone, Debug)]
struct Trip {
    since: Uptime,
    wants: Vec<Want>,
}

impl Tenant {
    /// A program that was given its values, which were asked for at `asked`.
    #[must_use]
    pub fn new(policy: Policy, grants: &[Grant], asked: Uptime, moment: &Moment) -> Self {
        let holdings = grants.iter().map(|grant| (grant.of, Holding::new(*grant, asked))).collect();
        let mut tenant = Self {
            policy,
            holdings,
            standing: Standing::Holding,
            trip: None,
            last_trip: asked,
            not_before: asked.plus(DISTANCE),
            failures: 0,
            is_refused: false,
            owes_exchange: false,
            told_kept: false,
        };
        tenant.plan(moment);
        tenant
    }

    /// Takes in what happened; answers what to do, in this order.
    pub fn step(&mut self, event: Event, moment: &Moment) -> Vec<Action> {
        if matches!(self.standing, Standing::Over(_)) {
            return Vec::new();
        }
        let is_refused = event == Event::Failed(Failure::Refused) && self.trip.is_some();
        let mut actions = self.take_in(event, moment);
        // First: a machine that slept is not blamed before it could ask.
        let errand = self.set_out(moment.now);
        let reason = is_refused.then_some(Reason::Refused).or_else(|| self.verdict(moment.now));
        if let Some(reason) = reason.filter(|_| self.may_run()) {
            actions.insert(0, self.withdraw(reason, moment));
        }
        let thaws = self.has_recovered(moment.now);
        if thaws {
            self.standing = Standing::Holding;
        }
        let exchanges = self.may_run() && std::mem::take(&mut self.owes_exchange);
        actions.extend(exchanges.then_some(Action::Exchange));
        actions.extend(thaws.then_some(Action::Thaw));
        actions.extend(errand.filter(|_| self.trip.is_some()));
        actions
    }

    /// When to come back with [`Event::Woke`], if nothing happens before.
    #[must_use]
    pub fn wake(&self) -> Option<Uptime> {
        if matches!(self.standing, Standing::Over(_)) {
            return None;
        }
        let next = match &self.trip {
            Some(trip) => Some(trip.since.plus(self.policy.patience)),
            None => self.next_trip(),
        };
        let limit = self.limit().filter(|_| self.may_run()).map(|(limit, _)| limit);
        next.into_iter().chain(limit).min()
    }

    /// Whether the program may go on.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// When OpenBao last confirmed what it was asked about least recently; none without a secret.
    #[must_use]
    pub fn confirmed(&self) -> Option<Uptime> {
        self.secrets().map(|holding| self.last_word(holding)).min()
    }

    /// When the program must stop, if OpenBao never says a word again, and why.
    #[must_use]
    pub fn limit(&self) -> Option<(Uptime, Reason)> {
        let grace = if self.failures > 0 || self.trip.is_some() { self.policy.grace } else { Duration::ZERO };
        let limits = self.secrets().flat_map(|holding| {
            let of = holding.grant.of;
            let end = self.end(holding).map(|(end, whose)| (end.plus(grace), Reason::Ended(whose)));
            let stale = self.policy.max_stale.map(|max| self.last_word(holding).plus(max));
            end.into_iter().chain(stale.map(|stale| (stale, Reason::Stale(of))))
        });
        limits.min_by_key(|(limit, _)| *limit)
    }

    /// How many errands in a row came back with nothing.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    fn take_in(&mut self, event: Event, moment: &Moment) -> Vec<Action> {
        match event {
            Event::Woke => self.lose_patience(moment),
            Event::Brought { grants, values } => self.brought(&grants, values, moment),
            Event::Failed(failure) => self.failed(failure, moment).into_iter().collect(),
        }
    }

    fn brought(&mut self, grants: &[Grant], values: Values, moment: &Moment) -> Vec<Action> {
        let Some(trip) = self.trip.take() else { return Vec::new() };
        let answers = |of: Of| grants.iter().any(|grant| grant.of == of);
        if let Some(token) = grants.iter().find(|grant| grant.of == Of::Token)
            && !trip.wants.contains(&Want { of: token.of, how: How::Extend })
        {
            self.orphan();
        }
        for grant in grants {
            self.granted(*grant, &trip);
        }
        self.plan(moment);
        let mut actions = Vec::new();
        if trip.wants.iter().all(|want| answers(want.of)) {
            actions.extend((self.failures > 0).then_some(Action::Tell(Notice::Back)));
            self.failures = 0;
            self.is_refused = false;
            self.not_before = self.last_trip.plus(DISTANCE);
        } else {
            actions.extend(self.silence(moment));
        }
        if values == Values::Changed {
            actions.extend(self.changed());
        }
        actions
    }

    /// The leases of the token so far end with it, whatever becomes of the next one.
    fn orphan(&mut self) {
        let end = self.holdings.get(&Of::Token).and_then(|token| token.end);
        for holding in self.holdings.values_mut().filter(|holding| holding.is_bound) {
            holding.cap = end;
            holding.is_bound = false;
        }
    }

    fn granted(&mut self, grant: Grant, trip: &Trip) {
        let extends = trip.wants.contains(&Want { of: grant.of, how: How::Extend });
        match self.holdings.get_mut(&grant.of).filter(|_| extends) {
            Some(holding) => holding.extend(grant, trip.since),
            None => {
                self.holdings.insert(grant.of, Holding::new(grant, trip.since));
            }
        }
    }

    fn changed(&mut self) -> Option<Action> {
        if self.policy.exchanges {
            self.owes_exchange = true;
            return None;
        }
        let first = !std::mem::replace(&mut self.told_kept, true);
        first.then_some(Action::Tell(Notice::Kept))
    }

    fn failed(&mut self, failure: Failure, moment: &Moment) -> Option<Action> {
        self.trip.take()?;
        let told = self.silence(moment);
        self.is_refused |= failure == Failure::Refused;
        told.filter(|_| failure == Failure::Away)
    }

    fn lose_patience(&mut self, moment: &Moment) -> Vec<Action> {
        let patience = self.policy.patience;
        if self.trip.take_if(|trip| trip.since.plus(patience) <= moment.now).is_none() {
            return Vec::new();
        }
        std::iter::once(Action::Abandon).chain(self.silence(moment)).collect()
    }

    /// OpenBao did not answer, and is asked again later.
    fn silence(&mut self, moment: &Moment) -> Option<Action> {
        self.failures = self.failures.saturating_add(1);
        let later = moment.now.plus(schedule::after_silence(self.failures, moment));
        self.not_before = later.max(self.last_trip.plus(DISTANCE));
        let left = || self.limit().map(|(limit, _)| limit.since(moment.now));
        (self.failures == 1 && self.may_run()).then(|| Action::Tell(Notice::Away(left())))
    }

    fn withdraw(&mut self, reason: Reason, moment: &Moment) -> Action {
        match self.policy.withdrawal {
            Withdrawal::Kill => {
                self.standing = Standing::Over(reason);
                self.trip = None;
            }
            Withdrawal::Freeze => {
                self.standing = Standing::Frozen(reason);
                for holding in self.holdings.values_mut() {
                    holding.is_doubted = holding.grant.of != Of::Token;
                    (holding.next, holding.early) = (Some(moment.now), Some(moment.now));
                }
                self.not_before = self.not_before.max(moment.now.plus(DISTANCE));
            }
        }
        Action::Withdraw(reason)
    }

    fn verdict(&self, now: Uptime) -> Option<Reason> {
        self.limit().filter(|(limit, _)| *limit <= now).map(|(_, reason)| reason)
    }

    fn has_recovered(&self, now: Uptime) -> bool {
        let is_frozen = matches!(self.standing, Standing::Frozen(_));
        is_frozen && !self.secrets().any(|holding| holding.is_doubted) && self.verdict(now).is_none()
    }

    fn may_run(&self) -> bool {
        self.standing == Standing::Holding
    }

    fn secrets(&self) -> impl Iterator<Item = &Holding> {
        self.holdings.values().filter(|holding| holding.grant.of != Of::Token)
    }

    /// Begins an errand, if something is due and none is on its way.
    fn set_out(&mut self, now: Uptime) -> Option<Action> {
        if self.trip.is_some() || self.next_trip().is_none_or(|next| next > now) {
            return None;
        }
        let mut wants = Vec::new();
        for of in self.due(now) {
            match self.how(of, now) {
                Some(how) => wants.push(Want { of, how }),
                None => self.give_up(of),
            }
        }
        if wants.is_empty() {
            return None;
        }
        self.trip = Some(Trip { since: now, wants: wants.clone() });
        self.last_trip = now;
        Some(Action::Errand(wants))
    }

    /// What is due, and what may come along; with a new token all that hung on the old one.
    fn due(&self, now: Uptime) -> Vec<Of> {
        let is_new = |of: Of| self.how(of, now) == Some(How::Anew);
        let is_early = |holding: &Holding| holding.early.is_some_and(|early| early <= now);
        let token = self.holdings.get(&Of::Token).is_some_and(|token| is_early(token) && is_new(Of::Token));
        let falls = |holding: &Holding| token && holding.is_bound && self.policy.exchanges;
        let due = self.holdings.values().filter(|holding| is_early(holding) || falls(holding));
        due.map(|holding| holding.grant.of).collect()
    }

    /// Nothing can be asked that would make it last longer.
    fn give_up(&mut self, of: Of) {
        if let Some(holding) = self.holdings.get_mut(&of) {
            holding.plan(None);
        }
    }

    fn how(&self, of: Of, now: Uptime) -> Option<How> {
        let holding = self.holdings.get(&of)?;
        let is_over = holding.dies() && self.end(holding).is_some_and(|(end, _)| end <= now);
        let falls = holding.is_bound && self.token_falls(now);
        let can_anew = self.policy.can_anew(of);
        let is_suspect = self.is_refused && holding.dies() && can_anew;
        let must_anew = is_over || is_suspect || (falls && can_anew);
        if holding.is_extendable() && !must_anew {
            return Some(How::Extend);
        }
        can_anew.then_some(How::Anew)
    }

    /// Whether the token is about to be replaced by another one.
    fn token_falls(&self, now: Uptime) -> bool {
        let early = |token: &Holding| token.early.is_some_and(|early| early <= now);
        let token = self.holdings.get(&Of::Token).filter(|token| early(token));
        token.is_some() && self.how(Of::Token, now) == Some(How::Anew)
    }

    /// When it ends, by itself or with the token that it hangs on; and which of the two it is.
    fn end(&self, holding: &Holding) -> Option<(Uptime, Of)> {
        let token = self.holdings.get(&Of::Token).filter(|_| holding.is_bound);
        let token = token.map_or(holding.cap, |token| token.end);
        let own = holding.end.map(|end| (end, holding.grant.of));
        token.map(|end| (end, Of::Token)).into_iter().chain(own).min()
    }

    /// When OpenBao last confirmed it. What cannot be confirmed itself lives by the word on the token.
    fn last_word(&self, holding: &Holding) -> Uptime {
        let token = self.holdings.get(&Of::Token).filter(|_| !holding.is_extendable());
        token.map_or(holding.confirmed, |token| token.confirmed.max(holding.confirmed))
    }

    fn next_trip(&self) -> Option<Uptime> {
        let next = self.holdings.values().filter_map(|holding| holding.next).min();
        next.map(|next| next.max(self.not_before))
    }

    /// When each is asked for next. All together: what one needs may hang on another.
    fn plan(&mut self, moment: &Moment) {
        let relies = self.secrets().any(|holding| !holding.is_extendable());
        let token = self.holdings.get(&Of::Token).filter(|token| token.end.is_some());
        let vouches = token.is_some_and(|token| token.is_extendable() || self.policy.logs_in);
        let policy = self.policy;
        for (of, holding) in &mut self.holdings {
            let can_anew = policy.can_anew(*of);
            let by_life = match holding.end {
                Some(_) => holding.two_thirds(moment).filter(|_| holding.is_extendable() || can_anew),
                None => policy.looks(holding).map(|every| schedule::interval(every, moment)),
            };
            let confirms = match of {
                Of::Token => vouches && (holding.is_extendable() || relies),
                Of::Secret(_) => holding.is_extendable() || (can_anew && !vouches),
            };
            let by_age = policy.max_stale.filter(|_| confirms);
            let by_age = by_age.map(|max| schedule::two_thirds(max, moment));
            holding.plan(by_life.into_iter().chain(by_age).min());
        }
    }
}

impl Policy {
    /// How often something without an end is looked at again.
    fn looks(&self, holding: &Holding) -> Option<Duration> {
        let is_secret = holding.grant.of != Of::Token;
        self.refresh.filter(|_| is_secret && self.exchanges && holding.is_extendable())
    }

    fn can_anew(&self, of: Of) -> bool {
        match of {
            Of::Token => self.logs_in,
            Of::Secret(_) => self.exchanges,
        }
    }
}
