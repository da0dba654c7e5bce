//! AWS Nitro: security modules of enclaves and instances, their certificates, and the documents they sign.
//!
//! ```
//! use simulator::nitro::{Module, Role};
//!
//! let module = Module::enclave(1);
//! let root = module.certificate(Role::Root).der();
//! let document = module.document().nonce(&[7; 32]).user_data(&[9; 64]).sign();
//! assert_eq!(document[..6], [0x84, 0x44, 0xa1, 0x01, 0x38, 0x22]);
//! # assert!(root.len() > 400);
//! ```
//!
//! After AWS' "Nitro Enclaves Attestation Process" and "Validate a `NitroTPM` Attestation Document", compared
//! with real documents: names, lives, key usages and the order of fields are theirs.

mod cbor;
mod document;
mod instance;
mod module;
mod nsm;
mod request;
mod socket;
mod tpm;
mod wire;

pub use cbor::Length;
pub use document::{Attached, DocumentBuilder, Field};
pub use instance::NitroTpm;
pub use module::{Kind, Module, Role, aws_name};
pub use nsm::{Fault, Nsm};
pub use socket::NsmSocket;

pub use crate::snp::{EPOCH, Vendor, pem};
