//! What evidence asks for, so that a store can look it up.
//!
//! By what the evidence says of itself, before anything of it is believed: a lie finds nothing, or what does not fit.
//! [`is_genuine`] asks whether hardware signed evidence whose collateral is incomplete, so that only true machines
//! get on a list of what is missing.

use super::{ARK, Kind, QE_IDENTITY, vek_key};
use crate::snp::{self, HardwareBinding, Product, SigningKey};
use crate::{CannotJudge, Crypto, Endorsements, Evidence, Revocation, TrustAnchors, UnixTime, tdx};

/// One thing that evidence asks for.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Want {
    /// What.
    pub kind: Kind,
    /// For whom: a filed key, or its beginning up to a dot.
    pub key: String,
}

impl Want {
    fn new(kind: Kind, key: impl Into<String>) -> Self {
        Self { kind, key: key.into() }
    }

    /// Whether an object that is filed under `key` is wanted.
    #[must_use]
    pub fn fits(&self, key: &str) -> bool {
        key.strip_prefix(&self.key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

/// What a store should add to evidence, if it has it: chip or provider key, authorities, lists, documents. Nothing for
/// platforms whose evidence brings everything.
pub fn wants(evidence: &Evidence<'_>) -> Result<Vec<Want>, CannotJudge> {
    match evidence {
        Evidence::Snp(report) => Ok(of_report(report)),
        Evidence::Tdx(quote) => tdx::asks(quote).map(|asks| of_quote(&asks)),
        Evidence::Azure(composite) => wants(composite.hardware()),
        Evidence::Tpm(_) | Evidence::Nitro(_) => Ok(Vec::new()),
    }
}

fn of_report(report: &snp::Report<'_>) -> Vec<Want> {
    let fields = report.fields();
    // A report before version 3 does not say of which line its chip is.
    let lines = match fields.cpuid {
        Some(cpu) => Product::of_cpuid(cpu.family, cpu.model).into_iter().collect(),
        None => vec![Product::Milan, Product::Genoa],
    };
    let each = lines.into_iter().flat_map(|line| {
        let (vek, issuer) = if fields.key_info.signing_key() == SigningKey::Vlek {
            let provider = format!("vlek.{}.{}", line.name().to_lowercase(), fields.reported_tcb);
            (provider, format!("SEV-VLEK-{line}"))
        } else {
            let chip = HardwareBinding::Chip(fields.chip_id);
            (vek_key(line, &chip, fields.reported_tcb), format!("SEV-{line}"))
        };
        [
            Want::new(Kind::Vek, vek),
            Want::new(Kind::Issuer, issuer),
            Want::new(Kind::Crl, format!("{ARK}{line}")),
        ]
    });
    each.collect()
}

fn of_quote(asks: &tdx::Asks) -> Vec<Want> {
    let mut wants = vec![
        Want::new(Kind::TcbInfo, format!("{}.{}", asks.fmspc, asks.pce_id)),
        Want::new(Kind::QeIdentity, QE_IDENTITY),
        Want::new(Kind::Issuer, tdx::SIGNER),
        Want::new(Kind::PckCrl, &asks.authority),
        Want::new(Kind::RootCrl, tdx::ROOT),
    ];
    if !asks.authority_comes {
        wants.push(Want::new(Kind::Issuer, &asks.authority));
    }
    wants
}

/// Whether hardware signed this, as far as it can be told without lists and documents: for a store that notes what is
/// missing. Never a judgement.
#[must_use]
pub fn is_genuine(
    evidence: &Evidence<'_>,
    endorsements: &Endorsements,
    crypto: &dyn Crypto,
    anchors: &TrustAnchors,
    now: UnixTime,
) -> bool {
    match evidence {
        Evidence::Snp(_) => endorsements
            .prepare(crypto, evidence, anchors, Revocation::InsecureWaived, now)
            .is_ok_and(|prepared| evidence.verify(crypto, &prepared, now).is_ok()),
        Evidence::Tdx(quote) => {
            let bare =
                Endorsements { certificates: endorsements.certificates.clone(), ..Endorsements::default() };
            tdx::verify_quote_chain(quote, &bare, crypto, anchors, now).is_ok()
        }
        Evidence::Azure(composite) => is_genuine(composite.hardware(), endorsements, crypto, anchors, now),
        Evidence::Tpm(_) | Evidence::Nitro(_) => false,
    }
}
