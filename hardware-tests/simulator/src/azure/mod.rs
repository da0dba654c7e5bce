//! Confidential machines of Azure's: the paravisor's words, and whole machines.
//!
//! [`Paravisor`] writes the report in the TPM's memory; [`Machine`] runs a TPM that has it, with the paravisor's
//! key, beside a metadata service on loopback that says what Azure's would.

mod machine;
mod metadata;
mod paravisor;

pub use machine::{Fault, Kind, Machine, MachineError};
pub use paravisor::Paravisor;
