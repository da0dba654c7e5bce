//! A real OpenBao that is sealed by the plugin, with real programs around it: the peer with the releasing
//! plugin, the node agent, simulated silicon.
//!
//! Needs `bao` 2.7 on the path, or named by `CLOUDTASER_BAO`, and FUSE.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests"
)]
#![forbid(unsafe_code)]

mod bao;
mod custodians;
mod liar;
mod machine;
mod migration;
mod peer;
mod peer_down;
mod programs;
mod refused;
mod sealed;
mod settings;
mod unsealed;
