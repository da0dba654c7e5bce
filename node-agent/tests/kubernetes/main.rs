//! What a cluster is told of its machine, by a real API server; and by a false one.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test that cannot set up its world has failed; a skip says so"
)]

mod answers;
mod board;
mod chart;
mod harness;
mod node;
mod rights;
