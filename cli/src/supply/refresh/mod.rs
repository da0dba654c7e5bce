//! Refresh: fetches what ends, what is old and what machines asked for in vain, and brings it to the store.
//!
//! [`plan`] decides what to fetch, [`source`] where it is and how it is spelt there, [`pace`] how long to wait; none of
//! them touches the world. [`fetch`] does, and [`round`] puts them together. The store is in OpenBao and reaches no
//! vendor itself: this runs beside it.
//!
//! Trusted: the command line. Untrusted: every answer of a vendor's service or a mirror, until it was verified up to a root.

pub(crate) mod fetch;
pub(crate) mod pace;
pub(crate) mod plan;
pub(crate) mod round;
pub(crate) mod source;
