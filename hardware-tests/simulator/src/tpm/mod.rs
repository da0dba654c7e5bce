//! TPMs that exist only as keys: quotes of any content, and the authorities that certify attestation keys.
//!
//! [`vtpm`](crate::vtpm) runs a whole TPM as a process; here a quote is made in memory, with every field settable,
//! by a key that no TPM holds back. Layouts: TCG TPM 2.0 Library, Part 2.
//!
//! ```
//! use simulator::tpm::{AttestationKey, Provider, Statement};
//!
//! let key = AttestationKey::rsa(1);
//! let evidence = key.quote(&Statement::quote(b"nonce"));
//! assert_eq!(evidence[2..6], 0xff54_4347_u32.to_be_bytes());
//! let certificate = Provider::google().certificate(&key).der();
//! # assert!(certificate.len() > 300);
//! ```

mod key;
mod log;
mod provider;
mod statement;

pub use key::AttestationKey;
pub use log::{EventLog, FileList};
pub use provider::{AIK_CERTIFICATE, EXTENDED_KEY_USAGE, Provider, gce_instance};
pub use statement::{Statement, Value};
