//! The versioned endorsement key: a VCEK (of a chip) or a VLEK (of a cloud provider).
//!
//! AMD's certificate extensions tie the key to one TCB and to one chip or provider (AMD 57230 r1.00,
//! tables 8 and 9). A report counts only under the key of *its* TCB.

use crate::bytes::Malformed;
use crate::check::Check;
use crate::crypto::PublicKey;
use crate::x509::{Certificate, der};
use crate::{CannotJudge, ChipId, Roots, UnixTime, Window};

use super::{Product, SigningKey, TcbVersion};

/// A VCEK or VLEK whose chain, dates and revocation were checked. Made by [`crate::Endorsements::prepare`].
#[derive(Clone, Debug)]
pub struct Vek {
    pub(crate) key: PublicKey,
    pub(crate) claims: VekClaims,
    pub(crate) checks: Vec<Check>,
    pub(crate) roots: Roots,
}

impl Vek {
    /// When this key may be used: all certificates and lists behind it hold.
    #[must_use]
    pub fn window(&self) -> Window {
        self.claims.window
    }
}

/// What the certificate of a verified key says.
#[derive(Clone, Debug, serde::Serialize)]
pub struct VekClaims {
    /// VCEK or VLEK.
    pub kind: SigningKey,
    /// The line whose root is at the end of the chain.
    pub product: Product,
    /// AMD's product name, for example `Milan-B0`.
    pub product_name: String,
    /// The TCB for which the key was derived.
    pub tcb: TcbVersion,
    /// The chip or the provider.
    pub bound_to: HardwareBinding,
    /// When the chain and the revocation list hold.
    pub window: Window,
    /// When the revocation list was issued; `None` if none was asked for.
    pub revocation_list_from: Option<UnixTime>,
}

/// Whom a key belongs to.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HardwareBinding {
    /// One chip: a VCEK's hwID, padded with zeros to 64 bytes.
    Chip(ChipId),
    /// A cloud provider: a VLEK's `csp_id`.
    Provider(String),
}

/// What AMD's extensions of a VEK certificate say, before anything is believed.
#[derive(Clone, Debug)]
pub(crate) struct VekExtensions {
    pub(crate) kind: SigningKey,
    pub(crate) product_name: String,
    pub(crate) bound_to: HardwareBinding,
    spls: [Option<u8>; 9],
}

impl VekExtensions {
    pub(crate) fn read(certificate: &Certificate<'_>) -> Result<Self, CannotJudge> {
        let kind = match certificate.common_name() {
            "SEV-VCEK" => SigningKey::Vcek,
            "SEV-VLEK" => SigningKey::Vlek,
            other => return Err(unreadable(format!("expected SEV-VCEK or SEV-VLEK, found {other:?}"))),
        };
        let mut spls = [None; 9];
        for (spl, arc) in spls.iter_mut().zip(1_u8..) {
            let value = certificate.extension(&format!("{AMD}.3.{arc}"));
            *spl =
                value.map(der::small_integer).transpose().map_err(|e| problem(&format!("SPL {arc}"), &e))?;
        }
        let bound_to = if kind == SigningKey::Vcek { hwid(certificate)? } else { csp_id(certificate)? };
        Ok(Self { kind, product_name: text(certificate, ".2", "product name")?, bound_to, spls })
    }

    /// The TCB version whose bytes the SPL extensions spell, in the layout of `product`.
    pub(crate) fn tcb(&self, product: Product) -> Result<TcbVersion, CannotJudge> {
        let [bl, tee, snp, s4, s5, s6, s7, ucode, fmc] = self.spls;
        let layout = match product {
            Product::Milan | Product::Genoa => [bl, tee, s4, s5, s6, s7, snp, ucode],
            Product::Turin => [fmc, bl, tee, snp, s5, s6, s7, ucode],
        };
        let mut bytes = [0; 8];
        for (byte, spl) in bytes.iter_mut().zip(layout) {
            *byte = spl.ok_or_else(|| unreadable(format!("an SPL extension of {product} is missing")))?;
        }
        Ok(TcbVersion(bytes))
    }
}

/// What the certificate of a VEK says of itself: whose key, of which line, at which TCB. `None` for every other
/// certificate.
pub(crate) fn filed(
    certificate: &Certificate<'_>,
) -> Result<Option<(HardwareBinding, Product, TcbVersion)>, CannotJudge> {
    if !["SEV-VCEK", "SEV-VLEK"].contains(&certificate.common_name()) {
        return Ok(None);
    }
    let extensions = VekExtensions::read(certificate)?;
    let name = &extensions.product_name;
    let product = Product::ALL.into_iter().find(|product| product.owns_name(name));
    let product = product.ok_or_else(|| unreadable(format!("unknown product {name:?}")))?;
    let tcb = extensions.tcb(product)?;
    Ok(Some((extensions.bound_to, product, tcb)))
}

/// hwID: older certificates carry the bytes bare, newer ones in an OCTET STRING.
fn hwid(certificate: &Certificate<'_>) -> Result<HardwareBinding, CannotJudge> {
    let value = certificate.extension(&format!("{AMD}.4")).ok_or_else(|| unreadable("no hwID".to_owned()))?;
    let bytes = match value.len() {
        8 | 64 => value,
        _ => der::content(der::OCTET_STRING, value).map_err(|error| problem("hwID", &error))?,
    };
    let mut id = [0; 64];
    if bytes.len() != 8 && bytes.len() != 64 {
        return Err(unreadable(format!("hwID: expected 8 or 64 bytes, found {}", bytes.len())));
    }
    for (to, from) in id.iter_mut().zip(bytes) {
        *to = *from;
    }
    Ok(HardwareBinding::Chip(ChipId(id)))
}

fn csp_id(certificate: &Certificate<'_>) -> Result<HardwareBinding, CannotJudge> {
    text(certificate, ".5", "csp_id").map(HardwareBinding::Provider)
}

/// A string extension under AMD's arc.
fn text(certificate: &Certificate<'_>, arc: &str, what: &str) -> Result<String, CannotJudge> {
    let oid = format!("{AMD}{arc}");
    let value = certificate.extension(&oid).ok_or_else(|| unreadable(format!("no {what}")))?;
    let tags = [der::IA5_STRING, der::UTF8_STRING, der::PRINTABLE_STRING];
    let tag = value.first().copied().filter(|tag| tags.contains(tag)).unwrap_or(der::IA5_STRING);
    let bytes = der::content(tag, value).map_err(|error| problem(what, &error))?;
    let printable = bytes.iter().all(|byte| (0x20..0x7f).contains(byte));
    match std::str::from_utf8(bytes) {
        Ok(text) if printable && !text.is_empty() => Ok(text.to_owned()),
        _ => Err(unreadable(format!("{what}: expected printable ASCII, found {}", hex::encode(bytes)))),
    }
}

fn unreadable(problem: String) -> CannotJudge {
    CannotJudge::Endorsement { what: "VEK certificate", problem }
}

fn problem(what: &str, error: &Malformed) -> CannotJudge {
    unreadable(format!("{what}: {error}"))
}

/// AMD's arc for SEV certificate extensions.
const AMD: &str = "1.3.6.1.4.1.3704.1";
