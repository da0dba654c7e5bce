//! A machine joins a cluster once, and goes on proving itself.
//!
//! [`machine`] decides what comes next, and [`schedule`] when; neither touches the world.
//!
//! Trusted: the configuration, and OpenBao's verdicts. Untrusted: everything else, the machine itself included: what it
//! says of itself counts for nothing here, only what OpenBao says of its evidence.

pub mod machine;
pub mod schedule;
