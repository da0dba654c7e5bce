//! What becomes of values later: leases are renewed, values exchanged, programs ended that lost the right to them.
//!
//! [`tenant`] decides, from OpenBao's answers and the clock; [`holding`] knows one lease, [`schedule`] when to ask.
//!
//! Trusted: OpenBao's answers, through a fetcher. Untrusted: that they come.

pub mod holding;
pub mod schedule;
pub mod tenant;
