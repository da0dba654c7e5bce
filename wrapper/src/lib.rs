//! PID 1 that hands secrets to an unchanged program.
//!
//! [`config`] says what is wanted. The first process, the [`keeper`], has all others made by a [`stem`] that is forked
//! before anything else. [`fetch`] obtains the secrets in a process of its own ([`errand`]), [`graft`] decides what
//! the program sees.
//!
//! Trusted: the configuration and what was opened with our own key. Untrusted: the node agent, the network,
//! the child and its children.

#![deny(unsafe_code)]

pub mod config;
pub mod enforcer;
pub mod errand;
mod escalation;
pub mod fetch;
pub mod files;
pub mod graft;
pub mod harden;
mod in_place;
pub mod interpose;
pub mod keeper;
pub mod line;
pub mod local;
pub mod rotate;
mod run;
pub mod selftest;
pub mod signals;
pub mod stem;
mod supervise;
mod terminal;

pub use run::run;
pub(crate) use run::say;
