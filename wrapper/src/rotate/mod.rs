//! What becomes of values later: leases are renewed, values exchanged, programs ended that lost the right to them.
//!
//! [`tenant`] decides, from OpenBao's answers and the clock; [`holding`] knows one lease, [`schedule`] when to ask,
//! [`strategy`] how a program gets at another value, [`hook`] when a command runs. [`Rotation`] has it done.
//!
//! Trusted: OpenBao's answers, through a fetcher. Untrusted: that they come.

mod clock;
mod grants;
pub mod holding;
pub mod hook;
mod part;
pub mod schedule;
pub mod strategy;
pub mod tenant;
mod words;

pub use part::Rotation;
