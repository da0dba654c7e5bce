//! The path, link by link.
//!
//! Every part is judged by itself and every link between two parts is asked, whatever came out before: two
//! faults are two entries. Claims come out only where all hold.

use super::{Claims, Composite, Links, ReportType, Runtime};
use crate::check::{Check, Checks};
use crate::crypto::{Crypto, Hash, PublicKey};
use crate::verified::Rejected;
use crate::{Claims as AnyClaims, Evidence, Platform, Roots, UnixTime, Unverified, Verified, tpm};

/// Checks `evidence` under the verified key of its hardware.
pub(crate) fn verify(
    evidence: &Composite<'_>,
    crypto: &dyn Crypto,
    links: &Links,
    now: UnixTime,
) -> Result<Verified<AnyClaims>, Unverified> {
    let mut checks = Checks::default();
    let hardware = settle(evidence.hardware.verify(crypto, &links.hardware, now), &mut checks)?;
    let (runtime, tpm) = path(evidence, crypto, links.roots, now, &mut checks)?;
    match (hardware, runtime, tpm) {
        (Some(hardware), Some(runtime), Some(AnyClaims::Tpm(tpm))) if checks.hold() => {
            let claims = Claims { platform: evidence.platform, hardware, runtime, tpm: *tpm };
            let claims = AnyClaims::Azure(Box::new(claims));
            Ok(Verified::assertion(claims, checks.into_vec(), links.roots))
        }
        _ => Err(Unverified::Rejected(Rejected::new(evidence.platform, checks, links.roots))),
    }
}

/// The path from the challenge to the hardware's report data, without the hardware's own part: for those who
/// look at evidence whose collateral they do not have. What comes out is a list of checks, and nobody's word.
pub fn verify_path(
    evidence: &Composite<'_>,
    crypto: &dyn Crypto,
    now: UnixTime,
) -> Result<Vec<Check>, Unverified> {
    let mut checks = Checks::default();
    path(evidence, crypto, Roots::Vendor, now, &mut checks)?;
    if checks.hold() {
        return Ok(checks.into_vec());
    }
    Err(Unverified::Rejected(Rejected::new(evidence.platform, checks, Roots::Vendor)))
}

/// Every link, and the TPM quote at the end.
fn path(
    evidence: &Composite<'_>,
    crypto: &dyn Crypto,
    roots: Roots,
    now: UnixTime,
    checks: &mut Checks,
) -> Result<(Option<Runtime>, Option<AnyClaims>), Unverified> {
    paravisor(evidence, checks);
    let runtime = runtime_data(evidence, crypto, checks);
    attestation_key(runtime.as_ref(), evidence.quote.public_key(), checks);
    let ak = tpm::Ak::vouched(&evidence.quote, crypto, roots);
    let tpm = settle(tpm::verify(&evidence.quote, crypto, &ak, now), checks)?;
    Ok((runtime, tpm))
}

/// The checks of a part go into the record; its claims, if they are genuine, come out.
fn settle(
    verified: Result<Verified<AnyClaims>, Unverified>,
    checks: &mut Checks,
) -> Result<Option<AnyClaims>, Unverified> {
    match verified {
        Ok(verified) => {
            checks.extend(verified.checks());
            Ok(Some(verified.claims().clone()))
        }
        Err(Unverified::Rejected(rejected)) => {
            checks.extend(rejected.checks());
            Ok(None)
        }
        Err(error @ Unverified::CannotJudge(_)) => Err(error),
    }
}

/// The paravisor asked for the report, and nobody else: at the highest privilege level for SNP, where a guest
/// below could have other report data signed; by the very `TDREPORT` for TDX.
fn paravisor(evidence: &Composite<'_>, checks: &mut Checks) {
    let (platform, found) = (evidence.platform, evidence.hcl.report_type);
    let expected = if platform == Platform::AzureTdx { ReportType::Tdx } else { ReportType::Snp };
    checks.ask("azure.binding.report_type", found == expected, expected.to_string(), found.to_string());
    match &*evidence.hardware {
        Evidence::Snp(report) => {
            let vmpl = report.fields().vmpl;
            checks.ask("azure.binding.vmpl", vmpl == 0, "0, the paravisor's", vmpl.to_string());
        }
        Evidence::Tdx(quote) => {
            let (quoted, reported) = (quote.report().report_data, evidence.hcl.report_data());
            let expected = format!("the TDREPORT's report data, {}", hex::encode(reported));
            checks.ask("azure.binding.td_report", quoted.0 == reported, expected, quoted.to_string());
        }
        Evidence::Tpm(_) | Evidence::Nitro(_) | Evidence::Azure(_) => {
            checks.ask("azure.binding.vmpl", false, "an SNP report or a TD quote", "other evidence");
        }
    }
}

/// The hardware signed the digest of the runtime data, and nothing else. Only then is it read.
fn runtime_data(evidence: &Composite<'_>, crypto: &dyn Crypto, checks: &mut Checks) -> Option<Runtime> {
    let hcl = &evidence.hcl;
    let digest = digest(crypto, hcl.hash, hcl.runtime_data());
    let signed = hcl.report_data();
    let bound = signed.strip_prefix(digest.as_slice()).is_some_and(|rest| rest.iter().all(|byte| *byte == 0));
    let expected =
        format!("the {} digest of the runtime data, {}, then zeros", hcl.hash, hex::encode(&digest));
    checks.ask("azure.binding.runtime_data", bound, expected, hex::encode(signed));
    let id = "azure.runtime.readable";
    let expected = "JSON with keys and vm-configuration, no name twice";
    if !bound {
        checks.ask(id, false, expected, "not looked at: the hardware did not sign it");
        return None;
    }
    match Runtime::parse(hcl.runtime_data()) {
        Ok(runtime) => {
            checks.ask(id, true, expected, format!("{} bytes", hcl.runtime_data().len()));
            Some(runtime)
        }
        Err(error) => {
            checks.ask(id, false, expected, error.to_string());
            None
        }
    }
}

/// The key that signed the quote is the one that the runtime data names.
fn attestation_key(runtime: Option<&Runtime>, quoted: &PublicKey, checks: &mut Checks) {
    let named = runtime.and_then(Runtime::attestation_key);
    let expected = named.as_ref().map_or("an RSA key HCLAkPub in the runtime data".to_owned(), |named| {
        format!("HCLAkPub of the runtime data, {}", words(named))
    });
    checks.ask("azure.binding.attestation_key", named.as_ref() == Some(quoted), expected, words(quoted));
}

/// A key, by the head of its modulus.
fn words(key: &PublicKey) -> String {
    match key {
        PublicKey::Rsa { n, .. } => {
            let head: Vec<u8> = n.iter().take(16).copied().collect();
            format!("RSA with {} bits, modulus {}…", n.len().saturating_mul(8), hex::encode(head))
        }
        PublicKey::P256(_) => "a key on P-256".to_owned(),
        PublicKey::P384(_) => "a key on P-384".to_owned(),
        PublicKey::Ed25519(_) => "a key on Ed25519".to_owned(),
    }
}

fn digest(crypto: &dyn Crypto, hash: Hash, data: &[u8]) -> Vec<u8> {
    match hash {
        Hash::Sha1 => crypto.sha1(&[data]).0.to_vec(),
        Hash::Sha256 => crypto.sha256(&[data]).0.to_vec(),
        Hash::Sha384 => crypto.sha384(&[data]).0.to_vec(),
        Hash::Sha512 => crypto.sha512(&[data]).0.to_vec(),
    }
}
