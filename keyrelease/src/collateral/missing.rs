//! What machines asked for and the store did not have.
//!
//! Only what genuine hardware asked for: an unauthenticated caller must not fill the list with chips that it made up.
//! Kept in memory, on the node that was asked.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use attest::UnixTime;
use attest::collateral::{Kind, Want};

/// Wants, with the last time that each was asked for.
#[derive(Debug, Default)]
pub(crate) struct Missing(Mutex<BTreeMap<Want, UnixTime>>);

impl Missing {
    /// Notes one; when the list is full, the one that was not asked for longest makes room.
    pub(crate) fn note(&self, want: Want, now: UnixTime) {
        let mut wants = self.lock();
        if wants.len() >= MOST && !wants.contains_key(&want) {
            let oldest = wants.iter().min_by_key(|(_, at)| **at).map(|(want, _)| want.clone());
            oldest.map(|oldest| wants.remove(&oldest));
        }
        wants.insert(want, now);
    }

    /// Those that still do not exist, by `has`; the others are forgotten.
    pub(crate) fn still(&self, has: impl Fn(&Want) -> bool) -> Vec<(Want, UnixTime)> {
        let mut wants = self.lock();
        wants.retain(|want, _| !has(want));
        wants.iter().map(|(want, at)| (want.clone(), *at)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Want, UnixTime>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The chip of a key, without its TCB: `genoa.<chip>.`
pub(crate) fn chip_of(want: &Want) -> Option<&str> {
    let (chip, _tcb) = want.key.rsplit_once('.')?;
    (want.kind == Kind::Vek && !chip.starts_with("vlek.")).then_some(chip)
}

const MOST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn want(number: u64) -> Want {
        Want { kind: Kind::TcbInfo, key: number.to_string() }
    }

    #[test]
    fn the_list_stays_short_and_forgets_what_came() {
        let missing = Missing::default();
        for number in 0..300 {
            missing.note(want(number), UnixTime(number));
        }
        let left = missing.still(|_| false);
        assert_eq!(left.len(), MOST);
        assert!(left.iter().all(|(_, at)| at.0 >= 300 - 256), "{left:?}");
        assert_eq!(missing.still(|found| *found != want(299)), [(want(299), UnixTime(299))]);
    }

    #[test]
    fn the_key_of_a_chip_names_the_chip_and_a_providers_key_none() {
        let vek = |key: &str| Want { kind: Kind::Vek, key: key.to_owned() };
        assert_eq!(chip_of(&vek("genoa.ab.01")), Some("genoa.ab"));
        assert_eq!(chip_of(&vek("vlek.genoa.01")), None);
        assert_eq!(chip_of(&want(1)), None);
    }
}
