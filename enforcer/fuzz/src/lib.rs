//! Fuzz targets of `enforcer`.
#![forbid(unsafe_code)]

pub mod targets;
