//! One thing that OpenBao lets us have for a time: the token, or a secret.
//!
//! A lease can be extended until OpenBao grants visibly less than at first: then its longest time is near, and it is read
//! anew instead. A value without an end is looked at again. What is asked of OpenBao counts from when it was asked, so
//! that no answer that was long on its way makes a lease longer.
//!
//! Trusted: OpenBao's word on how long.

use std::time::Duration;

use release_client::pace::{Moment, Uptime, part};

use super::schedule;
pub use crate::errand::Of;

/// OpenBao's word on one of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Grant {
    /// What it is about.
    pub of: Of,
    /// Whether it hangs on the token: when the token ends, so does it.
    pub bond: Bond,
    /// How long it may be held; zero: without an end.
    pub lasts: Duration,
    /// Whether asking again makes this very value last longer.
    pub renewable: bool,
}

/// What a value's life hangs on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bond {
    /// A lease, which ends with the token that it was taken out with. Reading again makes another value.
    Lease,
    /// Nothing: reading again shows what is there.
    Free,
    /// Nothing, but reading again makes another value, as a certificate.
    Draw,
}

/// How OpenBao is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum How {
    /// A lease or a token is renewed; evidence is presented again; a value is looked at again.
    Extend,
    /// Another lease is taken out, another token logged in for.
    Anew,
}

/// A grant in the course of time.
#[derive(Clone, Debug)]
pub(super) struct Holding {
    pub(super) grant: Grant,
    /// The last thing that OpenBao said about when it ends.
    pub(super) end: Option<Uptime>,
    /// When OpenBao was last asked, and said yes.
    pub(super) confirmed: Uptime,
    /// When to ask again.
    pub(super) next: Option<Uptime>,
    /// From when on it is asked for along with others.
    pub(super) early: Option<Uptime>,
    /// Whether it must be confirmed before the program may go on.
    pub(super) is_doubted: bool,
    /// Whether it hangs on the present token.
    pub(super) is_bound: bool,
    /// The end of an earlier token, which it hangs on.
    pub(super) cap: Option<Uptime>,
    longest: Duration,
    is_spent: bool,
}

impl Holding {
    pub(super) fn new(grant: Grant, asked: Uptime) -> Self {
        let end = (!grant.lasts.is_zero()).then(|| asked.plus(grant.lasts));
        Self {
            grant,
            end,
            confirmed: asked,
            next: None,
            early: None,
            is_doubted: false,
            is_bound: grant.bond == Bond::Lease && grant.of != Of::Token,
            cap: None,
            longest: grant.lasts,
            is_spent: false,
        }
    }

    /// OpenBao said yes once more, to a question asked at `asked`.
    pub(super) fn extend(&mut self, grant: Grant, asked: Uptime) {
        self.grant = grant;
        self.confirmed = asked;
        self.is_doubted = false;
        if self.end.is_some() && grant.lasts.is_zero() {
            // Less than the second in which OpenBao counts. What it said before still holds.
            self.is_spent = true;
            return;
        }
        self.end = (!grant.lasts.is_zero()).then(|| asked.plus(grant.lasts));
        self.longest = self.longest.max(grant.lasts);
        self.is_spent = grant.lasts < part(self.longest, 3);
    }

    /// Whether OpenBao can be asked for more of the same, as long as it lasts.
    pub(super) fn is_extendable(&self) -> bool {
        match self.end {
            Some(_) => self.grant.renewable && !self.is_spent,
            // A token without an end has nothing to be asked for.
            None => self.grant.renewable || (self.grant.bond == Bond::Free && self.grant.of != Of::Token),
        }
    }

    /// Whether its end is final: nothing that has ended can be extended, but evidence can be presented at any time.
    pub(super) fn dies(&self) -> bool {
        self.grant.of == Of::Token || self.grant.bond == Bond::Lease
    }

    /// Plans the next question that many after the last one.
    pub(super) fn plan(&mut self, after: Option<Duration>) {
        self.next = after.map(|after| self.confirmed.plus(after));
        self.early = after.map(|after| self.confirmed.plus(part(after, 4).saturating_mul(3)));
    }

    /// Around two thirds of its time, and early enough that a quarter of a whole lease is left for trying again.
    pub(super) fn two_thirds(&self, moment: &Moment) -> Option<Duration> {
        let life = self.end?.since(self.confirmed);
        let latest = life.saturating_sub(part(self.longest, 4));
        Some(if self.is_spent { Duration::ZERO } else { schedule::two_thirds(life, moment).min(latest) })
    }
}
