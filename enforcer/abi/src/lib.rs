//! What the enforcer's two sides agree on: the programs inside the kernel, and the loader outside.
//!
//! [`Vector`]: what is defended, one row of the catalogue each; documents, events and tests take it from there.
//! [`Tag`]: what a task is. [`concerns`] and [`decide`]: the policy; pure, the same code on both sides.
//! [`leak`]: what a protected process shall not send.
//! [`Record`]: what the ring buffer carries. [`Offsets`]: where the running kernel keeps its fields; [`Settings`]: what else
//! the loader tells before anything is verified.
//! Everything is plain data without padding, so that it may be copied to and from the kernel as bytes.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod decide;
pub mod leak;
mod look;
mod numbers;
mod offsets;
mod own;
mod record;
mod settings;
pub mod share;
mod tag;
mod vector;

pub use decide::{Mode, Ruling, Scope, concerns, decide};
pub use look::Seen;
pub use numbers::{NOTHING, Numbers};
pub use offsets::{ABSENT, Offsets};
pub use own::{ENTRIES, Known, Own, Part, Place, Program, State, Trust, trust};
pub use record::{Record, Tier};
pub use settings::Settings;
pub use tag::{Tag, role};
pub use vector::{CATALOGUE, Guard, Row, Since, Vector};
