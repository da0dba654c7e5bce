//! Values that change, end and are taken back while a program runs, with a real OpenBao.

#[path = "../bench/mod.rs"]
mod bench;
mod leases;
mod openbao;
#[path = "../stage/mod.rs"]
mod stage;
mod strategies;
mod withdrawal;
