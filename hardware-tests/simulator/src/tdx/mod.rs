//! Intel TDX: platforms, their certificates and revocation lists, collateral, quotes and event logs.
//!
//! ```
//! use simulator::tdx::{Body, Platform};
//!
//! let platform = Platform::new(1);
//! let collateral = platform.collateral(); // certificates, lists, TCB info and QE identity
//! let quote = platform.quote().body(Body::Td15).debug().report_data([7; 64]).sign();
//! assert_eq!(quote[..2], [5, 0]);
//! # assert!(collateral.root.len() > 400);
//! ```
//!
//! Layouts: Intel TDX DCAP quoting library API (quote formats 4 and 5), Intel SGX PCK certificate and CRL
//! profile, Intel PCS API version 4 (TCB info version 3, QE identity version 2), compared with real
//! evidence. Names, serials and extensions follow Intel's own certificates.

mod authority;
mod body;
mod collateral;
mod document;
mod eventlog;
mod json;
mod platform;
mod quote;
mod sgx;

pub use authority::{Authority, Role, intel_name};
pub use body::{Body, attributes};
pub use collateral::{Collateral, Level, levels};
pub use document::Document;
pub use eventlog::EventLog;
pub use json::{Json, Style};
pub use platform::{Ca, EPOCH, Platform};
pub use quote::{QE_MRSIGNER, QE_VENDOR, QuoteBuilder};
pub use sgx::{SGX_EXTENSIONS, SgxExtensions};

pub use crate::snp::{Vendor, pem};
