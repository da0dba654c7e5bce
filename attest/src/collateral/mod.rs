//! Collateral: what vendors sign about hardware, as a store keeps it.
//!
//! [`file()`] says what an object is: its [`Kind`], for whom it is (the key), until when it is good. [`wants`] says which
//! of them evidence asks for, [`verify`] whether a vendor signed one. [`Filed::succeeds`] keeps a store from going
//! back. A [`Pack`] carries objects to a site without internet.
//!
//! Trusted: the anchors. Untrusted: the objects; packs, until a pinned key's signature holds.

mod pack;
mod verify;
mod wants;

use std::fmt;

use minicbor::{Decode, Encode};

use crate::snp::{self, HardwareBinding, Product};
use crate::x509::{Certificate, RevocationList};
use crate::{CannotJudge, Endorsements, Window, tdx};

pub use pack::{BadPack, Pack, PackSigner, Packed};
pub use verify::{Issuers, Unfit, verify};
pub use wants::{Want, is_genuine, wants};

/// What an object is.
#[derive(
    Clone,
    Copy,
    Debug,
    Eq,
    Hash,
    Ord,
    PartialEq,
    PartialOrd,
    Encode,
    Decode,
    serde::Serialize,
    serde::Deserialize,
)]
#[cbor(index_only)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Kind {
    /// The certificate of a chip's or a provider's key: VCEK or VLEK.
    #[n(1)]
    Vek,
    /// The certificate of an authority below a root (ASK, ASVK, Intel's PCK CAs), or of Intel's signer.
    #[n(2)]
    Issuer,
    /// A revocation list of AMD's root.
    #[n(3)]
    Crl,
    /// The revocation list of Intel's root.
    #[n(4)]
    RootCrl,
    /// The revocation list of an authority for platforms' certificates.
    #[n(5)]
    PckCrl,
    /// Intel's word on the TCBs of one model.
    #[n(6)]
    TcbInfo,
    /// Intel's word on its quoting enclave.
    #[n(7)]
    QeIdentity,
}

impl Kind {
    /// Every kind, in the order of reports.
    pub const ALL: [Self; 7] =
        [Self::Vek, Self::Issuer, Self::Crl, Self::RootCrl, Self::PckCrl, Self::TcbInfo, Self::QeIdentity];

    /// The name in reports and settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Vek => "vek",
            Self::Issuer => "issuer",
            Self::Crl => "crl",
            Self::RootCrl => "root-crl",
            Self::PckCrl => "pck-crl",
            Self::TcbInfo => "tcb-info",
            Self::QeIdentity => "qe-identity",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Puts an object of this kind where a verifier looks for it.
    pub fn put(self, object: Vec<u8>, into: &mut Endorsements) {
        let place = match self {
            Self::Vek | Self::Issuer => &mut into.certificates,
            Self::Crl | Self::RootCrl | Self::PckCrl => &mut into.revocation_lists,
            Self::TcbInfo | Self::QeIdentity => &mut into.documents,
        };
        if !place.contains(&object) {
            place.push(object);
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Under what an object is filed: what it says of itself, which is not believed before [`verify`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Filed {
    /// What it is.
    pub kind: Kind,
    /// For whom, the same for all editions: a chip at a TCB, an issuer's name, a model.
    pub key: String,
    /// From when until when it holds, by its own word.
    pub window: Window,
    /// Intel's tcbEvaluationDataNumber; 0 where there is none.
    pub edition: u32,
}

impl Filed {
    /// Whether this may take the place of `stored`, which has the same kind and key: only what was issued later may,
    /// and nothing of an earlier round of advisories.
    pub fn succeeds(&self, stored: &Self) -> Result<(), Older> {
        if self.edition < stored.edition {
            return Err(Older::Edition { expected: stored.edition, found: self.edition });
        }
        let newer = (self.edition, self.window.from) > (stored.edition, stored.window.from);
        if newer {
            return Ok(());
        }
        Err(Older::Issued { expected: stored.window.from, found: self.window.from })
    }
}

/// Why an object does not replace the stored one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Older {
    /// Of an earlier round of advisories.
    #[error("tcbEvaluationDataNumber: expected at least {expected}, found {found}")]
    Edition {
        /// The stored number.
        expected: u32,
        /// The object's.
        found: u32,
    },
    /// Not issued later.
    #[error("expected one issued after {expected}, found one of {found}")]
    Issued {
        /// When the stored one was issued.
        expected: crate::UnixTime,
        /// When this one was.
        found: crate::UnixTime,
    },
}

/// Why an object has no place in a store.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NotCollateral {
    /// Roots are pinned, never stored.
    #[error("the root {0:?}: roots are pinned and not stored")]
    Root(String),
    /// Something else than what a store keeps.
    #[error(
        "expected a VEK, an authority, a revocation list of a root or of a PCK CA, TCB info or QE identity for TDX, found {0}"
    )]
    Other(String),
    /// It does not parse.
    #[error(transparent)]
    Unreadable(#[from] CannotJudge),
}

/// Reads what an object says it is. Certificates and lists are DER, documents JSON.
pub fn file(object: &[u8]) -> Result<Filed, NotCollateral> {
    if object.len() > Endorsements::MAX_ITEM_BYTES {
        let (what, limit) = ("bytes of one endorsement", Endorsements::MAX_ITEM_BYTES);
        return Err(CannotJudge::TooMuch { what, limit, found: object.len() }.into());
    }
    if object.first() == Some(&b'{') {
        return of_document(object);
    }
    match RevocationList::parse(object) {
        Ok(list) => of_list(&list),
        Err(error) => Certificate::parse(object).map_or(Err(error.into()), |found| of_certificate(&found)),
    }
}

fn of_document(object: &[u8]) -> Result<Filed, NotCollateral> {
    match tdx::filed(object)? {
        tdx::Filing::TcbInfo { fmspc, pce_id, window, edition } => {
            Ok(Filed { kind: Kind::TcbInfo, key: format!("{fmspc}.{pce_id}"), window, edition })
        }
        tdx::Filing::QeIdentity { window, edition } => {
            Ok(Filed { kind: Kind::QeIdentity, key: QE_IDENTITY.to_owned(), window, edition })
        }
        tdx::Filing::Other(found) => Err(NotCollateral::Other(found)),
    }
}

fn of_list(list: &RevocationList<'_>) -> Result<Filed, NotCollateral> {
    let issuer = list.issuer_common_name();
    let kind = if issuer.starts_with(ARK) {
        Kind::Crl
    } else if issuer == tdx::ROOT {
        Kind::RootCrl
    } else if tdx::PCK_AUTHORITIES.contains(&issuer) {
        Kind::PckCrl
    } else {
        return Err(NotCollateral::Other(format!("a revocation list of {issuer:?}")));
    };
    let endless = || NotCollateral::Other("a revocation list without nextUpdate".to_owned());
    let window = list.window().ok_or_else(endless)?;
    Ok(Filed { kind, key: issuer.to_owned(), window, edition: 0 })
}

fn of_certificate(certificate: &Certificate<'_>) -> Result<Filed, NotCollateral> {
    let name = certificate.common_name();
    if certificate.subject() == certificate.issuer() {
        return Err(NotCollateral::Root(name.to_owned()));
    }
    let window = certificate.window();
    let filed = |kind, key| Ok(Filed { kind, key, window, edition: 0 });
    if let Some((binding, line, tcb)) = snp::filed(certificate)? {
        return filed(Kind::Vek, vek_key(line, &binding, tcb));
    }
    let known = certificate.issuer_common_name().starts_with(ARK)
        || name == tdx::SIGNER
        || tdx::PCK_AUTHORITIES.contains(&name);
    if known {
        filed(Kind::Issuer, name.to_owned())
    } else {
        Err(NotCollateral::Other(format!("a certificate of {name:?}")))
    }
}

/// The key of a VEK. Of a provider's key the report does not say whose it is: the provider comes last.
fn vek_key(line: Product, binding: &HardwareBinding, tcb: snp::TcbVersion) -> String {
    let line = line.name().to_lowercase();
    match binding {
        HardwareBinding::Chip(id) => format!("{line}.{id}.{tcb}"),
        HardwareBinding::Provider(name) => format!("vlek.{line}.{tcb}.{name}"),
    }
}

/// What the names of AMD's roots begin with.
const ARK: &str = "ARK-";
const QE_IDENTITY: &str = "TD_QE";
