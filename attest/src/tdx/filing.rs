//! For whom Intel's documents are, and which of them a quote asks for: what a store files them under.
//!
//! Untrusted: all of it. A document is believed after [`super::verify_collateral`], a quote after a judgement.

use crate::x509::Certificate;
use crate::{CannotJudge, Digest, Window};

use super::Quote;
use super::bag;
use super::collateral::Dated;
use super::documents::{Document, DocumentKind};
use super::pck::PckClaims;
use super::qe_identity::QeIdentity;
use super::tcb_info::TcbInfo;

/// What a document says it is.
pub(crate) enum Filing {
    TcbInfo {
        fmspc: Digest<6>,
        pce_id: Digest<2>,
        window: Window,
        edition: u32,
    },
    QeIdentity {
        window: Window,
        edition: u32,
    },
    /// Not for TDX, or of a version that is not understood.
    Other(String),
}

/// What a quote asks for.
pub(crate) struct Asks {
    pub(crate) fmspc: Digest<6>,
    pub(crate) pce_id: Digest<2>,
    /// Who issued its platform's certificate.
    pub(crate) authority: String,
    /// Whether that certificate comes with the quote, as it usually does.
    pub(crate) authority_comes: bool,
}

/// Reads what a document says it is, whoever signed it.
pub(crate) fn filed(json: &[u8]) -> Result<Filing, CannotJudge> {
    let document = Document::parse(json)?;
    let head = document.head()?;
    let (id, version) = match document.kind() {
        DocumentKind::TcbInfo => (TcbInfo::ID, TcbInfo::VERSION),
        DocumentKind::QeIdentity => (QeIdentity::ID, QeIdentity::VERSION),
    };
    if head.id != id || head.version != version {
        return Ok(Filing::Other(format!("a document {:?} of version {}", head.id, head.version)));
    }
    match document.kind() {
        DocumentKind::TcbInfo => {
            let info: TcbInfo = document.read()?;
            let (window, edition) = (info.window(), info.tcb_evaluation_data_number);
            Ok(Filing::TcbInfo { fmspc: info.fmspc, pce_id: info.pce_id, window, edition })
        }
        DocumentKind::QeIdentity => {
            let identity: QeIdentity = document.read()?;
            let (window, edition) = (identity.window(), identity.tcb_evaluation_data_number);
            Ok(Filing::QeIdentity { window, edition })
        }
    }
}

/// Reads which documents and lists a quote asks for. Its platform's certificate must come with it.
pub(crate) fn asks(quote: &Quote<'_>) -> Result<Asks, CannotJudge> {
    let chain = certificates(quote)?;
    let chain = chain.iter().map(|der| Certificate::parse(der)).collect::<Result<Vec<_>, _>>()?;
    for certificate in &chain {
        if certificate.common_name() == bag::PCK {
            let pck = PckClaims::read(certificate)?;
            let authority = certificate.issuer_common_name().to_owned();
            let comes = chain.iter().any(|found| found.common_name() == authority);
            return Ok(Asks { fmspc: pck.fmspc, pce_id: pck.pce_id, authority, authority_comes: comes });
        }
    }
    Err(CannotJudge::MissingEndorsement(format!("the platform's certificate ({}) in the quote", bag::PCK)))
}

/// The certificates that a quote brings, DER.
pub(crate) fn certificates(quote: &Quote<'_>) -> Result<Vec<Vec<u8>>, CannotJudge> {
    bag::of_quote(quote)
}

pub(crate) use bag::{ROOT, SIGNER};
/// Who certifies platforms.
pub(crate) const PCK_AUTHORITIES: [&str; 2] = [bag::PLATFORM_CA, bag::PROCESSOR_CA];
