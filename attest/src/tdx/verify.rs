//! A quote against its verified enclave: the signature, and everything that holds whatever the policy.

use std::sync::Arc;

use crate::check::Checks;
use crate::crypto::{Crypto, PublicKey, Scheme};
use crate::verified::Rejected;
use crate::{Claims as AnyClaims, Digest, Platform, UnixTime, Unverified, Verified};

use super::{Claims, Qe, Quote, log};

/// Checks `quote` under `qe`. All checks run; one that fails refuses.
pub(crate) fn verify(
    quote: &Quote<'_>,
    crypto: &dyn Crypto,
    qe: &Qe,
    now: UnixTime,
) -> Result<Verified<AnyClaims>, Unverified> {
    let mut checks = Checks::default();
    checks.extend(&qe.checks);
    let window = qe.claims.window;
    checks.ask("tdx.endorsement.window", window.contains(now), format!("{now} inside"), window.to_string());
    let same = qe.is_of(quote);
    let found = if same { "the same" } else { "another" };
    checks.ask("tdx.endorsement.qe", same, "the quoting enclave and TCB that were verified", found);
    signature(quote, &qe.key, crypto, &mut checks);
    let boot = log::replay(quote, crypto, &mut checks);
    if !checks.hold() {
        return Err(Unverified::Rejected(Rejected::new(Platform::Tdx, checks, qe.roots)));
    }
    let claims = Claims {
        quote: *quote.header(),
        report: quote.report().clone(),
        platform: Arc::clone(&qe.claims),
        boot: boot.map(Box::new),
    };
    Ok(Verified::assertion(AnyClaims::Tdx(Box::new(claims)), checks.into_vec(), qe.roots))
}

/// What can be said of a quote by an attestation key, whoever that belongs to.
pub(super) fn signature(quote: &Quote<'_>, key: &PublicKey, crypto: &dyn Crypto, checks: &mut Checks) {
    let vendor = quote.header().qe_vendor_id;
    checks.ask("tdx.quote.qe_vendor", vendor == INTEL, INTEL.to_string(), vendor.to_string());
    let signed = crypto.verify(Scheme::EcdsaP256Sha256, key, quote.signed, &quote.signature).is_ok();
    let found = super::chain::verifies(signed);
    let expected = "a signature by the attestation key over the received bytes";
    checks.ask("tdx.quote.signature", signed, expected, found);
}

/// The quoting enclave that Intel wrote.
const INTEL: Digest<16> = Digest(*b"\x93\x9a\x72\x33\xf7\x9c\x4c\xa9\x94\x0a\x0d\xb3\x95\x7f\x06\x07");
