//! Which memory may stand in where the kernel gives none that is secret.
//!
//! One answer for the whole process and for those that are forked from it: [`allow_ordinary`] is called once, at the start.
//! Ordinary memory is locked where the limit allows it, left out of core dumps, absent in forked children and wiped, like
//! secret memory; but root reads it. [`kind`] says what was had in fact.
//!
//! Trusted: whoever configured the process.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

static ORDINARY_ALLOWED: AtomicBool = AtomicBool::new(false);
static WEAKEST: AtomicU8 = AtomicU8::new(0);

/// What memory is made of.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// `memfd_secret(2)`.
    Secret,
    /// Ordinary memory, locked.
    Locked,
    /// Ordinary memory that the limit keeps from being locked: it may be swapped out.
    Unlocked,
}

/// From here on ordinary memory will do where there is no other.
pub fn allow_ordinary() {
    ORDINARY_ALLOWED.store(true, Ordering::Relaxed);
}

/// The weakest memory that this process has had so far.
#[must_use]
pub fn kind() -> Kind {
    match WEAKEST.load(Ordering::Relaxed) {
        0 => Kind::Secret,
        1 => Kind::Locked,
        _ => Kind::Unlocked,
    }
}

pub(crate) fn ordinary_will_do() -> bool {
    ORDINARY_ALLOWED.load(Ordering::Relaxed)
}

pub(crate) fn had(kind: Kind) {
    let rank = match kind {
        Kind::Secret => 0,
        Kind::Locked => 1,
        Kind::Unlocked => 2,
    };
    WEAKEST.fetch_max(rank, Ordering::Relaxed);
}
