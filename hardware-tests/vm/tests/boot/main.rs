//! A machine of one's own, from power-on to the verdict: real firmware, Secure Boot, a real event log, the unchanged
//! agent, and a policy whose values were computed from the files that were to be booted.
//!
//! Emulated, so that it runs anywhere; four boots take about two minutes on idle processors. Needs the kit that
//! `cargo xtask tools` makes; without it the tests say `SKIP`, and `REQUIRE=vm` turns that into a failure.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests"
)]
#![forbid(unsafe_code)]

mod boots;
mod joined;
mod judge;
mod openbao;
mod policy;
mod programs;
mod refused;
