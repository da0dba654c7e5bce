//! Three OpenBao nodes with the plugin: what holds on each of them, and what survives which fault.
//!
//! Needs `bao` 2.7 on the path, or named by `CLOUDTASER_BAO`.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    reason = "a test that panics says what it found"
)]
#![expect(
    clippy::print_stdout,
    reason = "how long a recovery took is worth reading, and not worth asserting"
)]
#![forbid(unsafe_code)]

mod chaos;
mod cluster;
mod configuration;
mod evidence;
mod faults;
mod governance;
mod keeper;
mod links;
mod load;
#[path = "../release/machine.rs"]
#[expect(dead_code, reason = "the release tests spoil their machines")]
mod machine;
mod namespaces;
mod nodes;
mod register;
mod requests;
mod server;
mod upgrade;
