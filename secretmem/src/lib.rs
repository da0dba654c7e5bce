//! Where a secret lives and when it dies.
//!
//! A [`Region`] is a few pages of `memfd_secret(2)` memory between two guard pages: out of the kernel's
//! direct map, locked, left out of core dumps, absent in forked children, wiped on drop. [`Builder`] fills
//! one once, value after value, and freezes it into read-only [`Values`]. A [`Parcel`] is memory that
//! another process will own: it keeps its descriptor until it is given away. [`Shared`] is memory that another
//! process owns, and that we may rewrite. [`Growing`] takes bytes of unknown number.
//!
//! Trusted: the kernel, and the process that holds the region. Untrusted: everybody else on the machine,
//! root included, as far as they only read memory. Whoever may run code in this process reads it all.

mod error;
mod growing;
mod kernel;
mod kind;
mod region;
mod values;

pub use error::Error;
pub use growing::Growing;
pub use kind::{Kind, allow_ordinary, kind};
pub use region::{Parcel, Region, Shared};
pub use values::{Builder, Span, Values};

/// Asks the kernel for one page of secret memory and gives it back.
///
/// Kernel versions say little here: the feature may be compiled out, switched off at boot, refused by a
/// seccomp filter or starved by a limit. Only trying tells.
pub fn probe() -> Result<(), Error> {
    Region::create(1).map(drop)
}
