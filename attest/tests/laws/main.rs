//! What every platform's evidence must obey, and what went wrong elsewhere.
//!
//! [`laws`] are generic over a [`case::Case`] and run over simulated chips, real captures and TPM quotes;
//! [`lessons`] are attacks that others met; [`snp`] asks about every field, bit and window of SNP evidence.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that cannot set up or read its evidence has failed"
)]

mod case;
mod document;
mod silicon;
mod snp;
