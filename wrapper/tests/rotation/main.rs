//! Values that change, end and are taken back while a program runs, with a real OpenBao.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a test")]

#[expect(dead_code, reason = "not all that tests of programs share is needed here")]
#[path = "../bench/mod.rs"]
mod bench;
mod files;
mod leases;
mod openbao;
#[expect(dead_code, reason = "few of the played answers are needed here")]
#[path = "../stage/mod.rs"]
mod stage;
mod strategies;
mod withdrawal;
