//! Fuzz targets of `attest`.
#![forbid(unsafe_code)]

pub mod targets;
