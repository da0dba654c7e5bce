//! `cloudtaser source` against real servers, and against things that pretend to be one.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]

mod backup;
mod chart;
mod cluster;
mod collateral;
mod doctor;
mod exported;
mod forged;
mod guest;
mod review;
mod ruled;
mod running;
mod server;
mod standing;
mod told;
