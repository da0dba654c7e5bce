//! The environment as the kernel laid it out: the one place where a token can be overwritten.
//!
//! Trusted: the C library's `environ`, before anybody has changed it.

#![expect(unsafe_code, reason = "the environment's own bytes are reached by pointer alone")]

use std::ffi::{CStr, c_char};
use std::slice;

use zeroize::Zeroize as _;

unsafe extern "C" {
    static environ: *const *mut c_char;
}

/// Shows `take` the value of each variable of this name, and overwrites it with zeros afterwards.
///
/// To be called before there is a second thread, and before a variable is set.
pub(super) fn wipe(name: &str, mut take: impl FnMut(&[u8])) {
    // SAFETY: there is one thread, and nobody has set a variable: the list is as the kernel made it.
    let mut entry = unsafe { environ };
    while let Some(text) = next(&mut entry) {
        let Some((found, [b'=', value @ ..])) = text.split_at_mut_checked(name.len()) else { continue };
        if found != name.as_bytes() {
            continue;
        }
        take(value);
        value.zeroize();
    }
}

/// The next entry, without its NUL; none at the end of the list.
fn next(entry: &mut *const *mut c_char) -> Option<&'static mut [u8]> {
    if entry.is_null() {
        return None;
    }
    // SAFETY: `entry` points into the list, which ends with a null pointer that we do not go beyond.
    let text = unsafe { **entry };
    if text.is_null() {
        return None;
    }
    // SAFETY: as above; there is at least the null pointer behind this one.
    *entry = unsafe { entry.add(1) };
    // SAFETY: an entry ends with NUL and lies on the first stack, which outlives us.
    let len = unsafe { CStr::from_ptr(text) }.to_bytes().len();
    // SAFETY: these bytes are writable, and nobody else looks at them while we do.
    Some(unsafe { slice::from_raw_parts_mut(text.cast(), len) })
}
