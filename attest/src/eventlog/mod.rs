//! TCG event logs: what a machine booted, as far as its registers prove it.
//!
//! [`EventLog::parse`] checks the shape; [`EventLog::replay`] computes the registers; [`Boot::proved`] compares
//! them with quoted ones and reads the events. A log is text that anybody can write: of an event only its digest
//! and its place among the events of its register are proved by the replay. Its type and its data are hints. So
//! nothing is claimed from data whose digest was not recomputed, and nothing is left out because of a type: what
//! is not recognised by its digest counts as an image, a file, an authority, whatever its register holds.
//!
//! After the TCG's PC Client Platform Firmware Profile 1.06, section 10, and the EFI CC measurement protocol.
//!
//! Trusted: the quoted values. Untrusted: the log, all of it.

mod boot;
mod content;
mod facts;
mod kind;
mod known;
mod log;
mod measurement;
mod reading;
mod replay;

pub use boot::{Boot, CommandLine, Loader, Opaque, Section, SecureBoot, Unproved, Variable};
pub use facts::Facts;
pub use kind::kind_name;
pub use log::{Event, EventLog};
pub use measurement::Measurement;
pub use replay::{Layout, Register, Replay, State, Unreplayable};
