//! Fuzz targets of `node-agent`.
#![forbid(unsafe_code)]

pub mod targets;
