//! An OpenBao with a memory of its own: what it granted, to whom, and until when.

use std::collections::BTreeMap;
use std::time::Duration;

use release_client::pace::Uptime;
use wrapper::rotate::holding::{Bond, Grant, How, Of};
use wrapper::rotate::tenant::Want;

/// A kind of thing that OpenBao lets somebody have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// A value without an end.
    Value,
    /// Released on evidence, for so many milliseconds each time.
    Release(u64),
    /// Credentials under a lease: how long at a time, how long at most.
    Lease { ttl: u64, max: u64, renewable: bool },
    /// A certificate: it ends, and another one is another value.
    Certificate(u64),
}

#[derive(Clone, Copy, Debug)]
struct Paper {
    end: Option<Uptime>,
    max: Option<Uptime>,
    token: u64,
}

/// OpenBao.
#[derive(Debug)]
pub(crate) struct Landlord {
    kinds: BTreeMap<Of, Kind>,
    papers: BTreeMap<Of, Paper>,
    /// The number of each value: another number is another value.
    values: BTreeMap<Of, u64>,
    revoked: Vec<Of>,
    token: u64,
    drawn: u64,
}

impl Landlord {
    pub(crate) fn new(kinds: BTreeMap<Of, Kind>) -> Self {
        Self {
            kinds,
            papers: BTreeMap::new(),
            values: BTreeMap::new(),
            revoked: Vec::new(),
            token: 0,
            drawn: 0,
        }
    }

    /// Answers a request at `now`; none: it says no.
    pub(crate) fn answer(&mut self, wants: &[Want], now: Uptime) -> Option<Vec<Grant>> {
        // A token comes first in an order of wants, so that leases hang on the new one.
        let mut wants = wants.to_vec();
        wants.sort_by_key(|want| want.of);
        wants.iter().map(|want| self.grant(*want, now)).collect()
    }

    /// The values of the secrets.
    pub(crate) fn values(&self) -> BTreeMap<Of, u64> {
        self.values.iter().filter(|(of, _)| **of != Of::Token).map(|(of, value)| (*of, *value)).collect()
    }

    /// Somebody wrote another value, or took something back.
    pub(crate) fn rewrite(&mut self, of: Of) {
        let drawn = self.draw();
        self.values.insert(of, drawn);
    }

    pub(crate) fn revoke(&mut self, of: Of) {
        self.revoked.push(of);
    }

    pub(crate) fn forgive(&mut self) {
        self.revoked.clear();
    }

    /// Whether what stands on this paper is still so.
    pub(crate) fn is_alive(&self, of: Of, now: Uptime) -> bool {
        let paper = self.papers.get(&of);
        let own = paper.is_some_and(|paper| paper.end.is_none_or(|end| end > now));
        let hangs = matches!(self.kinds.get(&of), Some(Kind::Lease { .. })) && of != Of::Token;
        let token = self.papers.get(&Of::Token).filter(|_| hangs);
        own && token.is_none_or(|token| token.end.is_none_or(|end| end > now))
            && paper.is_some_and(|paper| !hangs || paper.token == self.token)
    }

    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.drawn
    }

    fn grant(&mut self, want: Want, now: Uptime) -> Option<Grant> {
        if self.revoked.contains(&want.of) {
            return None;
        }
        let kind = *self.kinds.get(&want.of)?;
        let (bond, renewable) = match kind {
            Kind::Value | Kind::Certificate(_) => (Bond::Free, false),
            Kind::Release(_) => (Bond::Free, true),
            Kind::Lease { renewable, .. } => (Bond::Lease, renewable),
        };
        let lasts = match want.how {
            How::Extend => self.extend(want.of, kind, now)?,
            How::Anew => self.issue(want.of, kind, now),
        };
        Some(Grant { of: want.of, bond, lasts, renewable })
    }

    fn issue(&mut self, of: Of, kind: Kind, now: Uptime) -> Duration {
        if of == Of::Token {
            self.token = self.draw();
        }
        let repeats = matches!(kind, Kind::Value | Kind::Release(_)) && self.values.contains_key(&of);
        if !repeats {
            self.rewrite(of);
        }
        let (lasts, max) = match kind {
            Kind::Value => (0, None),
            Kind::Release(lasts) | Kind::Certificate(lasts) => (lasts, None),
            Kind::Lease { ttl, max, .. } => (ttl.min(max), Some(now.plus(Duration::from_millis(max)))),
        };
        // OpenBao counts in seconds.
        let lasts = Duration::from_secs(lasts / 1000);
        let end = (!lasts.is_zero()).then(|| now.plus(lasts));
        self.papers.insert(of, Paper { end, max, token: self.token });
        lasts
    }

    fn extend(&mut self, of: Of, kind: Kind, now: Uptime) -> Option<Duration> {
        match kind {
            // A root token.
            Kind::Value if of == Of::Token => None,
            Kind::Value | Kind::Release(_) => Some(self.issue(of, kind, now)),
            Kind::Certificate(_) => None,
            Kind::Lease { ttl, renewable, .. } => {
                if !renewable || !self.is_alive(of, now) {
                    return None;
                }
                let paper = self.papers.get_mut(&of)?;
                let left = paper.max.map_or(Duration::MAX, |max| max.since(now));
                let lasts = Duration::from_millis(ttl).min(left);
                paper.end = Some(now.plus(lasts));
                Some(Duration::from_secs(lasts.as_secs()))
            }
        }
    }
}
