//! What groups shall not send: their fingerprints go to the kernel's maps, and the programs that search run only while
//! there are any.
//!
//! [`ledger`] decides, `tables` writes. Needles are written before the filter that lets bytes come to them, and the
//! programs are attached last; the other way round when a group is gone. What an enforcer before us wrote is taken in. While
//! anything is searched the canary's decoy has a secret, too, so that it can be tried.
//!
//! Untrusted: needles, which a protected process sends. A wrong one is wrong for its own group alone.

pub mod ledger;
mod tables;

use std::io;

use enforcer_abi::leak;
use enforcer_abi::leak::{Place, Set, Unread};
use protocol::enforcer::{Needle, needles};

pub use ledger::{Ledger, Refused};
pub(crate) use tables::{Dormant, Tables};

/// What the canary's decoy sends.
pub const DECOY: &[u8] = b"what-the-decoy-of-the-canary-shall-not-send";

/// Groups of canaries' decoys: one for each number that a process can have.
pub const DECOYS: u64 = 1 << 40;

/// The kernel's side, as far as it is needed here.
pub trait Kernel {
    /// Writes a needle.
    fn put(&mut self, place: Place, needle: leak::Needle) -> io::Result<()>;

    /// Takes one away; one that is not there is fine.
    fn take(&mut self, place: Place) -> io::Result<()>;

    /// Writes a group's filter.
    fn set(&mut self, group: u64, set: &Set) -> io::Result<()>;

    /// Takes it away; one that is not there is fine.
    fn unset(&mut self, group: u64) -> io::Result<()>;

    /// The groups that have a filter, with their keys.
    fn groups(&self) -> io::Result<Vec<(u64, [u8; 32])>>;

    /// All needles.
    fn needles(&self) -> io::Result<Vec<(Place, leak::Needle)>>;

    /// Whether the programs run that search.
    fn search(&mut self, on: bool) -> io::Result<()>;
}

/// The fingerprints of all groups.
#[derive(Debug)]
pub struct Leaks<K> {
    unread: Unread,
    ledger: Ledger,
    kernel: K,
    /// The decoy's group and key.
    decoy: Option<(u64, [u8; 32])>,
    /// What it has registered: nothing while nobody else has.
    planted: Ledger,
}

impl<K: Kernel> Leaks<K> {
    /// Nothing is registered yet. What cannot be looked at is treated like this.
    pub fn new(kernel: K, unread: Unread) -> Self {
        let [ledger, planted] = [unread, Unread::Count].map(Ledger::new);
        Self { unread, ledger, kernel, decoy: None, planted }
    }

    /// Takes in what is in the kernel's maps, of an enforcer before us: there is no moment in which it is not searched for. What
    /// is not as it should be is taken away, and registered anew when its group comes.
    pub fn adopt(&mut self) -> io::Result<()> {
        self.ledger = Ledger::new(self.unread);
        let mut needles = self.kernel.needles()?;
        needles.sort_by_key(|(place, _)| (place.group, place.spot, place.nth));
        for (group, key) in self.kernel.groups()? {
            let (of, others) = needles.into_iter().partition::<Vec<_>, _>(|(place, _)| place.group == group);
            needles = others;
            if self.decoy.is_some_and(|(decoy, _)| decoy == group) {
                continue;
            }
            // The decoy of a canary before ours has ended.
            let adopted =
                if group >> 32 == DECOYS >> 32 { None } else { self.ledger.adopt(group, &key, &of) };
            if let Some(set) = adopted {
                self.kernel.set(group, &set)?;
            } else {
                self.kernel.unset(group)?;
                needles.extend(of);
            }
        }
        for (place, _) in needles {
            self.kernel.take(place)?;
        }
        if self.ledger.is_empty() {
            self.uproot()?;
        }
        self.kernel.search(!self.ledger.is_empty())?;
        self.plant();
        Ok(())
    }

    /// Adds to what a group shall not send. The error is told to the caller.
    pub fn register(&mut self, group: u64, key: &[u8; 32], needles: &[Needle]) -> Result<(), String> {
        let change = self.ledger.register(group, key, needles).map_err(|refused| refused.to_string())?;
        write(&mut self.kernel, group, &change)?;
        self.kernel.search(true).map_err(|error| format!("attaching the search: {error}"))?;
        self.plant();
        Ok(())
    }

    /// The group is no more. What cannot be taken away stays, and is nobody's.
    pub fn forget(&mut self, group: u64) {
        let places = self.ledger.forget(group);
        let mut done = erase(&mut self.kernel, group, places);
        if self.ledger.is_empty() {
            done = done.and(self.uproot()).and(self.kernel.search(false));
        }
        drop(done);
    }

    /// Who the canary's decoy is.
    pub fn decoy_is(&mut self, group: u64, key: &[u8; 32]) {
        if self.decoy.is_none_or(|(decoy, _)| decoy != group) {
            // What stays of the one before is nobody's.
            self.uproot().unwrap_or_default();
            self.decoy = Some((group, *key));
            self.plant();
        }
    }

    /// Whether the decoy has something that it shall not send: the search can be tried.
    #[must_use]
    pub fn can_be_tried(&self) -> bool {
        !self.planted.is_empty()
    }

    /// The groups that have something registered.
    pub fn groups(&self) -> impl Iterator<Item = u64> {
        self.ledger.groups()
    }

    /// The key of such a group.
    #[must_use]
    pub fn key(&self, group: u64) -> Option<[u8; 32]> {
        self.ledger.key(group)
    }

    /// Gives the decoy its secret, where others have some. Where that fails the search is not tried, which the matrix says.
    fn plant(&mut self) {
        let Some((group, key)) = self.decoy else { return };
        if self.ledger.is_empty() || !self.planted.is_empty() {
            return;
        }
        let needles = needles(&key, DECOY).unwrap_or_default();
        let Ok(change) = self.planted.register(group, &key, &needles) else { return };
        if write(&mut self.kernel, group, &change).is_err() {
            self.uproot().unwrap_or_default();
        }
    }

    fn uproot(&mut self) -> io::Result<()> {
        let Some((group, _)) = self.decoy else { return Ok(()) };
        let places = self.planted.forget(group);
        erase(&mut self.kernel, group, places)
    }
}

fn write(kernel: &mut impl Kernel, group: u64, change: &ledger::Change) -> Result<(), String> {
    for (place, needle) in &change.needles {
        kernel.put(*place, *needle).map_err(|error| format!("writing a needle: {error}"))?;
    }
    kernel.set(group, &change.set).map_err(|error| format!("writing the filter: {error}"))
}

fn erase(kernel: &mut impl Kernel, group: u64, places: Vec<Place>) -> io::Result<()> {
    let mut done = kernel.unset(group);
    for place in places {
        done = done.and(kernel.take(place));
    }
    done
}

#[cfg(test)]
mod tests;
