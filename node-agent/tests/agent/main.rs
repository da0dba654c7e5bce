//! The agent as its callers and its operator meet it: the program itself, its socket, its journal.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::unnecessary_debug_formatting,
    reason = "a test that cannot set up its world has failed; a skip says so"
)]

mod azure;
mod callers;
mod cgroups;
mod cluster;
mod endorsement;
mod facts;
mod harness;
mod join;
mod logs;
mod nitro;
mod nitro_tpm;
mod openbao;
mod pods;
mod privileges;
mod registers;
mod snp;
mod socket;
mod story;
mod tdx;
mod tpm;
mod trouble;
mod unit;
