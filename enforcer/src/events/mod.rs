//! Events: what the programs inside the kernel tell, made fit for people and for the machines that watch.
//!
//! Core, without I/O and clock: [`event`] makes a record an event, [`aggregate`] makes many that are alike one, [`place`] finds the pod in
//! the path of a control group, [`ocsf`] and [`otlp`] are two more spellings, [`metrics`] counts, [`heartbeat`] is the sign of life. Shell: [`ring`] takes records from the kernel, [`look`] asks procfs and the
//! control groups, [`outlet`] writes, [`pump`] joins them, [`feed`] is all that the program's loop sees.
//!
//! Trusted: the kernel's side of a record. Untrusted: names in it, and everything that is asked of procfs after the fact.

pub mod aggregate;
mod call;
pub mod clock;
pub mod event;
pub mod feed;
pub mod heartbeat;
pub mod look;
pub mod metrics;
pub mod ocsf;
pub mod otlp;
pub mod outlet;
pub mod place;
pub mod pump;
pub mod ring;
mod stopped;
