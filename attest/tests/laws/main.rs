//! What every platform's evidence must obey, and what went wrong elsewhere.
//!
//! [`laws`] are generic over a [`case::Case`] and run over simulated chips and TDs, real captures and TPM
//! quotes; [`lessons`] are attacks that others met; the `snp_` and `tdx_` modules ask about every field, bit,
//! certificate, list and document of one platform's evidence. A refusal is asserted by the ids
//! of the checks that failed: those, and no others.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a test that cannot set up or read its evidence has failed; a skip is printed"
)]

mod azure;
mod captures;
mod case;
mod certified;
mod collateral;
mod document;
#[path = "../tpm/forge.rs"]
#[expect(dead_code, reason = "the TPM tests need more of it")]
mod forge;
mod laws;
mod lessons;
mod nitro_chain;
mod nitro_document;
mod nitro_policy;
mod oaep;
mod opinion;
mod security_module;
mod silicon;
mod snp_audit;
mod snp_chain;
mod snp_collateral;
mod snp_crl;
mod snp_policy;
mod snp_report;
mod software_tpm;
mod td;
mod tdx_chain;
mod tdx_collateral;
mod tdx_documents;
mod tdx_lists;
mod tdx_log;
mod tdx_policy;
mod tdx_quote;
