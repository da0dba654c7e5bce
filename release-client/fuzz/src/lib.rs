//! Fuzz targets of `release-client`.
#![forbid(unsafe_code)]

pub mod targets;
