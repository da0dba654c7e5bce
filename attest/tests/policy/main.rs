//! The policy model: grants, signatures and editions, the Rego hook, the names of checks, the schema, and the
//! laws of the operators.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up or read its evidence has failed"
)]

#[path = "../laws/case.rs"]
#[expect(dead_code, reason = "the laws need more of it")]
mod case;
#[path = "../laws/document.rs"]
#[expect(dead_code, reason = "the laws need more of it")]
mod document;
mod grace;
mod grants;
mod names;
mod operators;
mod protection;
#[cfg(feature = "rego")]
mod rego;
mod signing;
#[path = "../laws/silicon.rs"]
#[expect(dead_code, reason = "the laws need more of it")]
mod silicon;
mod workload;
