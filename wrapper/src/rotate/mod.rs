//! What becomes of values later: leases are renewed, values exchanged, programs ended that lost the right to them.
//!
//! [`tenant`] decides, from OpenBao's answers and the clock; [`holding`] knows one lease, [`schedule`] when to ask.
//!
//! Trusted: OpenBao's answers, through a fetcher. Untrusted: that they come.

mod clock;
mod grants;
pub mod holding;
pub mod hook;
pub mod schedule;
pub mod tenant;
