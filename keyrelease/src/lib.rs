//! Does this secret go to this key, now?
//!
//! A plugin for OpenBao with two faces: an auth method that turns evidence into a token, and a secrets
//! engine that releases secrets sealed to the key that the hardware vouched for. Both judge with
//! [`attest`], record what they judged ([`record`]) and only then act ([`seal`]).
//!
//! Trusted: OpenBao, its storage and its policies. Untrusted: every request.
#![forbid(unsafe_code)]

pub mod auth;
mod caller;
pub mod challenge;
mod cms;
mod collateral;
pub mod config;
mod events;
mod forward;
mod governance;
mod guard;
mod judge;
mod keys;
mod ledger;
pub mod limits;
mod log;
mod manage;
mod memory;
mod metrics;
pub mod mount;
mod nodes;
pub mod paths;
mod policies;
mod protection;
pub mod record;
mod remembered;
mod reply;
mod role;
mod rotate;
pub mod seal;
pub mod secrets;
mod signer;
mod standing;
mod state;
mod verifier;
mod vouch;
mod workload;
