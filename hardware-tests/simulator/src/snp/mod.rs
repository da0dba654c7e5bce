//! AMD SEV-SNP: chips, their certificates, revocation lists, reports and certificate tables.
//!
//! ```
//! use simulator::snp::{Chip, Product};
//!
//! let chip = Chip::new(1, Product::Genoa);
//! let chain = chip.chain(); // DER of ARK, ASK, ASVK, VCEK and VLEK
//! let report = chip.report().debug().nonce([7; 64]).sign();
//! assert_eq!(report.len(), 1184);
//! # assert!(chain.ark.len() > 1000);
//! ```
//!
//! Layouts: AMD 56860 (SNP firmware ABI), AMD 57230 (VCEK), AMD 58369 (VLEK), AMD 56421
//! (GHCB), compared with real evidence. Names, serials and extensions follow AMD's own certificates.

mod cert;
mod chip;
mod crl;
mod keys;
mod pem;
mod product;
mod report;
mod table;

pub use cert::{BasicConstraints, CertBuilder, Scheme, Trailer, oid};
pub use chip::{Chain, Chip, EPOCH};
pub use crl::CrlBuilder;
pub use keys::{Authority, Role, Vendor};
pub use pem::pem;
pub use product::{Product, Tcb};
pub use report::{DEFAULT_MEASUREMENT, REPORT_LEN, ReportBuilder, SigningKey, platform, policy};
pub use table::{CertTable, Guid, guid};

pub use crate::der::Oid;
