//! PID 1 that hands secrets to an unchanged program.
//!
//! [`config`] says what is wanted. [`graft`] decides what the child process sees. [`supervise`] is what an init program owes its child.
//!
//! Trusted: the configuration and what was opened with our own key. Untrusted: the child and its children.

#![deny(unsafe_code)]

pub mod config;
pub mod graft;
pub mod harden;
pub mod signals;
pub mod supervise;
