//! What is taken out again before the program begins: our entry in `LD_PRELOAD`, and our descriptor.
//!
//! A program sees its own `LD_PRELOAD` as it was. Those that carry references on keep ours, and so hand it on.
//!
//! Untrusted: the variable; a script may have put others before ours, or taken ours out.

use core::ffi::c_int;

use crate::environment::{Entries, Slot, Text};
use crate::{calls, stamp};

const VARIABLE: &[u8] = b"LD_PRELOAD=";
const OWN: &[u8] = b"/proc/self/fd/";

/// Leaves no trace for the program.
pub(crate) fn leave(first: Slot) {
    let descriptor = stamp::descriptor();
    let is_the_variable = |slot: &Slot| slot.text().starts_with(VARIABLE.iter().copied());
    if let Some(slot) = Entries(first).find(is_the_variable) {
        let list = slot.text().from(VARIABLE.len());
        match own_item(list, descriptor) {
            Some((start, end)) if start == list && end.byte(0) == 0 => remove(slot),
            Some((start, end)) if end.byte(0) == 0 => close_gap(start, end),
            // With the separator that follows it.
            Some((start, end)) => close_gap(start, end.from(1)),
            None => {}
        }
    }
    // Only what we were loaded from: by now the number may be something else's.
    if calls::is_sealed(descriptor) {
        calls::close(descriptor);
    }
}

/// Where our item of the list begins and ends.
fn own_item(list: Text, descriptor: c_int) -> Option<(Text, Text)> {
    let mut start = list;
    loop {
        let end = end_of_item(start);
        if is_own(start, end, descriptor) {
            return Some((start, end));
        }
        if end.byte(0) == 0 {
            return None;
        }
        start = end.from(1);
    }
}

/// `ld.so` separates by colons and spaces.
fn end_of_item(start: Text) -> Text {
    let mut at = start;
    while !matches!(at.byte(0), 0 | b':' | b' ') {
        at = at.from(1);
    }
    at
}

fn is_own(start: Text, end: Text, descriptor: c_int) -> bool {
    if !start.starts_with(OWN.iter().copied()) {
        return false;
    }
    let mut at = start.from(OWN.len());
    let mut number: c_int = 0;
    while at < end {
        let digit = at.byte(0).wrapping_sub(b'0');
        if digit > 9 {
            return false;
        }
        number = number.wrapping_mul(10).wrapping_add(c_int::from(digit));
        at = at.from(1);
    }
    number == descriptor
}

/// The variable was there for our sake alone: those after it move up.
fn remove(slot: Slot) {
    let mut slot = slot;
    while !slot.text().is_none() {
        slot.set(slot.next().text());
        slot = slot.next();
    }
}

/// Moves the string at `to` down to `from`, and fills what it leaves with NUL.
fn close_gap(from: Text, to: Text) {
    let len = to.len();
    let mut gap = 0;
    while from.from(gap) < to {
        gap += 1;
    }
    for at in 0..len {
        from.set(at, to.byte(at));
    }
    for at in len..len + gap {
        from.set(at, 0);
    }
}
