//! What the wrapper wrote into the image: whom to ask, and what its references look like.
//!
//! Trusted: all of it. The image was sealed before anybody else had it.

use core::ffi::c_int;

/// Written over by the wrapper: the name of its door (32), the number of our own descriptor (4, little-endian), the
/// length of what references begin with (1), and that (27).
#[used]
static STAMP: [u8; LEN] = *b"cloudtaser interposer: the wrapper writes its stamp over this...";

const LEN: usize = 64;
const DESCRIPTOR: usize = 32;
const PREFIX_LEN: usize = 36;
const PREFIX: usize = 37;

/// The name of the wrapper's door.
pub(crate) fn door() -> [u8; 32] {
    let mut name = [0; 32];
    for (at, place) in name.iter_mut().enumerate() {
        *place = byte(at);
    }
    name
}

/// The number of the descriptor that we were loaded from.
pub(crate) fn descriptor() -> c_int {
    c_int::from_le_bytes([0, 1, 2, 3].map(|at| byte(DESCRIPTOR + at)))
}

/// What every reference begins with.
pub(crate) fn prefix() -> impl Iterator<Item = u8> {
    (0..usize::from(byte(PREFIX_LEN))).map(|at| byte(PREFIX + at))
}

/// Read as something that changes, or the compiler would answer with what stands in the source.
fn byte(at: usize) -> u8 {
    let place = (&raw const STAMP).cast::<u8>().wrapping_add(at % LEN);
    // SAFETY: the place is within the array.
    unsafe { place.read_volatile() }
}
