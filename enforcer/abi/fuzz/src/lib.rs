//! Fuzz targets of `enforcer-abi`.
#![forbid(unsafe_code)]

pub mod targets;
