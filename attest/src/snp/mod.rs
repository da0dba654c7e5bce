//! AMD SEV-SNP: report, chip key, chain, verdict on genuineness.
//!
//! [`Report::parse`] → [`crate::Endorsements::prepare`] verifies the VCEK or VLEK once → [`crate::Evidence::verify`]
//! checks a report against it.
//! What a *policy* thinks of the claims is decided in [`crate::Policy`].
//!
//! Trusted: the roots in [`crate::TrustAnchors`]. Untrusted: the report, the certificates, the lists.

mod audit;
mod certtable;
mod chain;
mod product;
mod report;
mod root;
mod tcb;
mod vek;
mod verify;

pub use audit::{verify_authorities, verify_revocation_lists, verify_vek};
pub use certtable::certificates;
pub(crate) use chain::{prepare, readable};
pub use product::Product;
pub use report::{
    Cpuid, Fields, Firmware, GuestPolicy, KeyInfo, Mitigations, PlatformInfo, Report, SigningKey,
};
pub use root::{Root, vendor_intermediates, vendor_root_digests};
pub use tcb::{Tcb, TcbVersion};
pub(crate) use vek::filed;
pub use vek::{HardwareBinding, Vek, VekClaims};
pub(crate) use verify::verify;

/// What a genuine report says, and what its signing key's certificate says.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Claims {
    /// The report's fields.
    #[serde(flatten)]
    pub report: Fields,
    /// The VCEK or VLEK behind it.
    pub vek: VekClaims,
}

impl std::ops::Deref for Claims {
    type Target = Fields;

    fn deref(&self) -> &Fields {
        &self.report
    }
}
