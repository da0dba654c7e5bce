//! The example plugin in a real OpenBao: what callers get, and what survives which fault.
//!
//! Needs `bao` 2.7 on the path, or named by `CLOUDTASER_BAO`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics says what it found"
)]

mod answers;
mod cluster;
mod configuration;
mod faults;
mod identity;
mod output;
mod process;
mod registration;
mod seal;
mod sealed;
mod server;
mod storage;
