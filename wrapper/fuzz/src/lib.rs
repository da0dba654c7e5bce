//! Fuzz targets of `wrapper`.
#![forbid(unsafe_code)]

pub mod targets;
