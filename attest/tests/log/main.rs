//! The release log, from the outside: files in, the exact fault out.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
#![expect(clippy::arithmetic_side_effects, reason = "small numbers")]

mod audit;
mod entries;
mod notes;
mod recall;
mod shelf;
mod sumdb;
mod tiles;
