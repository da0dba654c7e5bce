//! The environment stays as it is, references and all; those who ask for a variable by name get the value.
//!
//! A variable that the program has set anew bears no reference, and is answered as it stands.
//!
//! Untrusted: what the program made of its environment. The mapping is only read.

use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use crate::environment::{Entries, Slot, Text};
use crate::reply::Values;

/// No such variable.
const NOTHING: Text = Text(ptr::null_mut());

static ADDRESS: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
static LEN: AtomicUsize = AtomicUsize::new(0);

/// Keeps the mapping.
pub(crate) fn give(_first: Slot, values: &Values<'_>) {
    ADDRESS.store(values.address, Ordering::Relaxed);
    LEN.store(values.len, Ordering::Release);
}

/// getenv(3).
///
/// # Safety
/// As the standard has it: `name` ends with NUL, and nobody changes the environment meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getenv(name: Text) -> Text {
    let Some(first) = Slot::first().filter(|_| !name.is_none() && name.len() > 0) else {
        return NOTHING;
    };
    let found = Entries(first).map(Slot::text).find_map(|entry| Some((entry, value(entry, name)?)));
    let Some((entry, plain)) = found else { return NOTHING };
    if !entry.bears_reference() {
        return plain;
    }
    Mapped::now().find_map(|entry| value(entry, name)).unwrap_or(plain)
}

/// `secure_getenv(3)`: a program that gained privileges by its start has not loaded us.
///
/// # Safety
/// As for [`getenv`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn secure_getenv(name: Text) -> Text {
    // SAFETY: the caller has the same duties.
    unsafe { getenv(name) }
}

/// What follows `NAME=` in `entry`, if that is its name.
fn value(entry: Text, name: Text) -> Option<Text> {
    let mut at = 0;
    loop {
        match (name.byte(at), entry.byte(at)) {
            (0, b'=') => return Some(entry.from(at + 1)),
            (wanted, found) if wanted == 0 || wanted != found => return None,
            _same => at += 1,
        }
    }
}

/// The strings of the mapping, the empty ones between entries among them.
struct Mapped {
    next: Text,
    left: usize,
}

impl Mapped {
    fn now() -> Self {
        let left = LEN.load(Ordering::Acquire);
        Self { next: Text(ADDRESS.load(Ordering::Relaxed)), left }
    }
}

impl Iterator for Mapped {
    type Item = Text;

    fn next(&mut self) -> Option<Text> {
        let text = self.next;
        // The last byte of the mapping is NUL: entries end with one, and what follows them is zeroed.
        let whole = (0..self.left).find(|at| text.byte(*at) == 0)? + 1;
        self.next = text.from(whole);
        self.left -= whole;
        Some(text)
    }
}
