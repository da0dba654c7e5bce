//! Intel TDX: quote, quoting enclave, platform, Intel's collateral, verdict on genuineness.
//!
//! [`Quote::parse`] → [`crate::Endorsements::prepare`] verifies the quoting enclave, the platform's
//! certificate and Intel's word on the TCB once → [`crate::Evidence::verify`] checks a quote against them.
//! What a *policy* thinks of the claims is decided in [`crate::Policy`].
//!
//! Trusted: the roots in [`crate::TrustAnchors`]. Untrusted: the quote, certificates, lists and documents.

mod attributes;
mod audit;
mod bag;
mod chain;
mod collateral;
mod documents;
mod filing;
mod log;
mod pck;
mod prepare;
mod qe_identity;
mod quote;
mod report;
mod root;
mod status;
mod tcb;
mod tcb_info;
mod verify;

use std::borrow::Cow;
use std::sync::Arc;

pub use attributes::{TD_ATTRIBUTES, TdAttributes, Xfam};
pub use audit::{QuoteChain, verify_collateral, verify_quote_chain};
pub use collateral::Issued;
pub(crate) use filing::{Asks, Filing, PCK_AUTHORITIES, ROOT, SIGNER, asks, certificates, filed};
pub use pck::{Configuration, PckClaims, PckTcb};
pub use prepare::{PlatformClaims, Qe};
pub(crate) use prepare::{prepare, readable};
pub use qe_identity::QeReport;
pub use quote::{Header, Quote};
pub use report::{Kind, Svns, TdReport, TdReport15, TdReport15Ex};
pub(crate) use root::vendor_roots;
pub use status::TcbStatus;
pub use tcb::TcbClaims;
pub use tcb_info::Judgement;
pub(crate) use verify::verify;

use crate::Window;
use crate::eventlog::Boot;

/// What a genuine quote says, and what is known of its platform.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Claims {
    /// The quote's header.
    pub quote: Header,
    /// The TD report.
    pub report: TdReport,
    /// The platform and its quoting enclave: shared by all claims of its quotes.
    #[serde(serialize_with = "shared")]
    pub platform: Arc<PlatformClaims>,
    /// What the event log (CCEL) proves. `None`: no log came with the quote.
    pub boot: Option<Box<Boot>>,
}

fn shared<S: serde::Serializer>(platform: &Arc<PlatformClaims>, serializer: S) -> Result<S::Ok, S::Error> {
    serde::Serialize::serialize(platform.as_ref(), serializer)
}

impl Claims {
    pub(crate) fn caller_data(&self) -> &[u8] {
        &self.report.report_data.0
    }

    pub(crate) fn hardware_id(&self) -> Option<Cow<'_, [u8]>> {
        let ppid = &self.platform.pck.ppid;
        (!ppid.is_zero()).then(|| Cow::from(ppid.0.as_slice()))
    }

    pub(crate) fn measurement(&self) -> String {
        self.report.mrtd.to_string()
    }

    pub(crate) fn window(&self) -> Window {
        self.platform.window
    }
}
