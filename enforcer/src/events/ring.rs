//! Takes records from the ring buffer that the programs fill.
//!
//! Trusted: the kernel's side. What is not as long as a record is none, and is counted.

use std::borrow::Borrow;

use aya::maps::{MapData, RingBuf};
use enforcer_abi::Record;

/// What was taken.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Taken {
    /// Records.
    pub records: u64,
    /// What is no record.
    pub odd: u64,
}

/// Gives at most `most` records to `each`, without waiting. Fewer: there are no more for now.
pub fn drain<T: Borrow<MapData>>(ring: &mut RingBuf<T>, most: u64, mut each: impl FnMut(&Record)) -> Taken {
    let mut taken = Taken::default();
    while taken.records.saturating_add(taken.odd) < most {
        let Some(item) = ring.next() else { break };
        match Record::of_bytes(&item) {
            Some(record) => {
                each(&record);
                taken.records = taken.records.saturating_add(1);
            }
            None => taken.odd = taken.odd.saturating_add(1),
        }
    }
    taken
}
