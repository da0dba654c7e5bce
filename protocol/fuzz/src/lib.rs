//! Fuzz targets of `protocol`.
#![forbid(unsafe_code)]

pub mod targets;
