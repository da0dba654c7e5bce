//! A report against its verified key: the signature, and everything that holds whatever the policy.

use crate::check::Checks;
use crate::crypto::{Crypto, Scheme};
use crate::verified::Rejected;
use crate::{Claims as AnyClaims, Platform, UnixTime, Unverified, Verified};

use super::{Claims, Fields, HardwareBinding, Product, Report, SigningKey, Vek};

/// Checks `report` under `vek`. All checks run; one that fails refuses.
pub(crate) fn verify(
    report: &Report<'_>,
    crypto: &dyn Crypto,
    vek: &Vek,
    now: UnixTime,
) -> Result<Verified<AnyClaims>, Unverified> {
    let fields = report.fields();
    let mut checks = Checks::default();
    checks.extend(&vek.checks);
    shape(fields, &mut checks);
    key(fields, vek, now, &mut checks);
    tcb(fields, vek.claims.product, &mut checks);
    let signed = report.signature().is_some_and(|signature| {
        crypto.verify(Scheme::EcdsaP384Sha384, &vek.key, report.signed(), signature).is_ok()
    });
    let found = if signed { "verifies" } else { "does not verify" };
    let expected = format!("a signature by the {} over the received bytes", vek.claims.kind);
    checks.ask("snp.signature", signed, expected, found);
    if !checks.hold() {
        return Err(Unverified::Rejected(Rejected::new(Platform::SevSnp, checks, vek.roots)));
    }
    let claims = Claims { report: fields.clone(), vek: vek.claims.clone() };
    Ok(Verified::assertion(AnyClaims::Snp(Box::new(claims)), checks.into_vec(), vek.roots))
}

/// What every genuine report looks like.
fn shape(fields: &Fields, checks: &mut Checks) {
    let reserved = &fields.reserved_set;
    let found = match reserved.first() {
        Some(first) => format!("{} set, the first at {first:#x}", reserved.len()),
        None => "zero".to_owned(),
    };
    checks.ask("snp.report.reserved", reserved.is_empty(), "zero", found);
    let algorithm = fields.signature_algorithm;
    let expected = "1 (ECDSA P-384 with SHA-384)";
    checks.ask("snp.report.signature_algorithm", algorithm == 1, expected, algorithm.to_string());
    let info = fields.key_info;
    let key = info.signing_key();
    let known = matches!(key, SigningKey::Vcek | SigningKey::Vlek) && info.reserved() == 0;
    checks.ask("snp.report.signing_key", known, "VCEK or VLEK", format!("{key} ({:#x})", info.0));
    let masked = info.mask_chip_key();
    checks.ask("snp.report.mask_chip_key", !masked, "a signed report", set(masked));
    let must_be_one = fields.policy.bit(17);
    checks.ask("snp.policy.reserved_one", must_be_one, "bit 17 set", set(must_be_one));
}

/// The report and the certificate speak of the same key, chip and TCB.
fn key(fields: &Fields, vek: &Vek, now: UnixTime, checks: &mut Checks) {
    let claims = &vek.claims;
    let window = claims.window;
    checks.ask("snp.endorsement.window", window.contains(now), format!("{now} inside"), window.to_string());
    let signing_key = fields.key_info.signing_key();
    checks.ask("snp.vek.kind", claims.kind == signing_key, signing_key.to_string(), claims.kind.to_string());
    let product = match fields.cpuid {
        Some(cpu) => Product::of_cpuid(cpu.family, cpu.model),
        // A report of version 2 does not name its CPU: the certificate does.
        None => Some(claims.product),
    };
    let said = match (fields.cpuid, product) {
        (Some(_), Some(product)) => product.to_string(),
        (Some(cpu), None) => format!("family {:#x}, model {:#x}", cpu.family, cpu.model),
        (None, _) => "not stated (version 2)".to_owned(),
    };
    checks.ask("snp.product.cpuid", product == Some(claims.product), claims.product.to_string(), said);
    let tcb = claims.tcb;
    let reported = fields.reported_tcb;
    checks.ask("snp.vek.tcb", tcb == reported, format!("the report's TCB {reported}"), tcb.to_string());
    match &claims.bound_to {
        HardwareBinding::Chip(id) => {
            let expected = format!("the report's chip {}", fields.chip_id);
            checks.ask("snp.vek.hwid", *id == fields.chip_id, expected, id.to_string());
        }
        HardwareBinding::Provider(name) => {
            checks.ask("snp.vek.csp_id", !name.is_empty(), "the provider's name", name);
        }
    }
    let used = fields.chip_id.0.iter().skip(claims.product.chip_id_len()).all(|byte| *byte == 0);
    let expected = format!("{} bytes, then zeros", claims.product.chip_id_len());
    checks.ask("snp.report.chip_id", used, expected, fields.chip_id.to_string());
}

/// The firmware never reports more than it runs, nor commits to more.
fn tcb(fields: &Fields, product: Product, checks: &mut Checks) {
    let current = fields.current_tcb;
    let at_most = format!("at most the current {}", current.parts(product));
    for (id, tcb) in [
        ("snp.tcb.reported_at_most_current", fields.reported_tcb),
        ("snp.tcb.committed_at_most_current", fields.committed_tcb),
    ] {
        checks.ask(id, tcb.at_most(current), at_most.clone(), tcb.parts(product).to_string());
    }
}

fn set(bit: bool) -> &'static str {
    if bit { "set" } else { "clear" }
}
