//! Reference values from artifacts, so that nobody has to take them from us.
//!
//! One folder per kind of measurement: what the hardware or the firmware will hash, in its order. [`report`] says
//! what came out, of which files (by their SHA-256), and what is not exact and why.
//!
//! Trusted: the words of the command line. Untrusted: every file; it may come from anybody, so each length is
//! checked before use and the work is bounded by the size of the files.

pub(crate) mod artifact;
pub(crate) mod bank;
pub(crate) mod bytes;
pub(crate) mod report;

pub(crate) mod firmware;
pub(crate) mod nitro;
pub(crate) mod pe;
pub(crate) mod snp;
pub(crate) mod tdx;
pub(crate) mod uki;
