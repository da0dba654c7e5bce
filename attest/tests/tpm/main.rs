//! TPM quotes through the public API: captured ones, those of a real software TPM, and forged ones.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so")]

mod forge;
mod judge;
mod lessons;
mod policy;
mod swtpm;
mod vectors;
