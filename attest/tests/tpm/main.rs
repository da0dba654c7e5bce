//! TPM quotes through the public API: captured ones, those of a real software TPM, and forged ones.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails there")]
#![expect(clippy::print_stdout, reason = "a skip is printed with its reason")]

mod activation;
mod certified;
mod forge;
mod ima;
mod judge;
mod lessons;
mod log;
mod log_lessons;
mod log_policy;
mod log_vectors;
mod policy;
mod swtpm;
mod vectors;
