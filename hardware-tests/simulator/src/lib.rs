//! Silicon you can hold in your hand: chips that sign reports, and the devices that present them.
//!
//! [`snp`] makes AMD SEV-SNP chips with a whole certificate chain of their own and signs reports whose
//! every field is settable; [`tdx`] makes Intel platforms with quotes and collateral; [`nitro`] makes
//! the security modules of AWS with their documents; [`tpm`] makes quotes and certified attestation keys, [`azure`] the
//! paravisor above them. The other modules
//! present such silicon, or a TPM, to an unchanged program.
//!
//! Trusted: nothing. Every key in this crate is public (`fixtures/`), so whoever accepts one of its
//! roots accepts everybody. Never shipped: `publish = false`, and only in dev-dependencies.

#![forbid(unsafe_code)]

pub mod azure;
mod der;
pub mod ecdsa;
pub mod nitro;
pub mod snp;
pub mod td;
pub mod tdx;
pub mod tpm;
pub mod tsm;
pub mod vtpm;
pub mod x509;
