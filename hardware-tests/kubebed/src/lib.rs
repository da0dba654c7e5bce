//! A real Kubernetes API server for tests: kube-apiserver and etcd, on loopback, in a folder of their own.
//!
//! [`program`] finds the server that `cargo xtask test` builds from the Go module beside this crate;
//! [`Cluster::start`] runs it; [`Client`] speaks to it in plain REST and JSON, as anyone, with anyone's token.
//! Nothing but the API server runs: pods stay pending and nodes are what tests make them. Admission,
//! authentication, authorisation and validation are the real ones.
//!
//! Trusted: the program. Nothing here is shipped.

#![forbid(unsafe_code)]

mod client;
mod cluster;

pub use client::{Answer, Client, Patch};
pub use cluster::{Cluster, Error, program};
