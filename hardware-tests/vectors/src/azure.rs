//! Entries of Azure's confidential machines: the paravisor's report with what else the set has.
//!
//! A set keeps the parts apart; here they become the parcel that a machine sends. A part that is missing from
//! the whole set stays missing: what is there is then judged by itself, and the answer says what is not.

use anyhow::Result;
use attest::azure::{Hcl, ReportType};
use attest::crypto::{AwsLcRs, Hash};
use attest::tpm::{Fields, Quote, assemble};
use attest::{
    AttestedKey, Claims, Endorsements, Evidence, Part, Platform, Stale, TrustAnchors, Verified, azure,
    parcel, snp, tdx,
};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::ak::{self, Ak};
use crate::entry::{Entry, Set};
use crate::tpm::Parts;
use crate::verdict::{Answer, Expected};
use crate::{files, policy};

/// Puts an entry of an Azure machine to the verifier.
pub(crate) fn ask(set: &Set, entry: &Entry) -> Result<Answer> {
    if entry.kind() != "azure-paravisor-evidence" {
        return Ok(Answer::Unsupported(format!("kind {}", entry.kind())));
    }
    let parts = Parts { set, entry };
    let Some(report) = parts.file("hcl_report", &["hcl_report.bin"])? else {
        return Ok(Answer::Unsupported("no paravisor's report".to_owned()));
    };
    let hcl = match Hcl::parse(&report) {
        Ok(hcl) => hcl,
        Err(problem) => return Ok(Answer::Malformed { problem: problem.to_string() }),
    };
    let Some(quote) = quote(&parts, &hcl)? else { return alone(&parts, &hcl) };
    let quote = match quote {
        Ok(quote) => quote,
        Err(problem) => return Ok(Answer::Malformed { problem }),
    };
    if hcl.report_type == ReportType::Snp {
        let bytes = parcel::assemble(&[(Part::TpmQuote, &quote), (Part::HclReport, &report)]);
        return judge(&parts, Platform::AzureSnp, &bytes);
    }
    let Some(td) = parts.file("td_quote", &["td_quote.bin"])? else { return Ok(missing("no TD quote")) };
    let cut = tdx::Quote::length(&td).ok().and_then(|length| td.get(..length)).unwrap_or(&td);
    let bytes =
        parcel::assemble(&[(Part::TdQuote, cut), (Part::TpmQuote, &quote), (Part::HclReport, &report)]);
    without_collateral(&parts, &bytes, cut)
}

/// The sets have no collateral for the TD quotes of Azure: all but the level of the platform is asked.
fn without_collateral(parts: &Parts<'_>, bytes: &[u8], td: &[u8]) -> Result<Answer> {
    let now = parts.entry.verify_at()?;
    let evidence = match Evidence::parse(Platform::AzureTdx, bytes) {
        Ok(evidence) => evidence,
        Err(problem) => return Ok(Answer::Malformed { problem: problem.to_string() }),
    };
    let (Evidence::Azure(composite), Ok(quote)) = (&evidence, tdx::Quote::parse(td)) else {
        return Ok(Answer::Unsupported("evidence of another platform".to_owned()));
    };
    let (anchors, none) = (TrustAnchors::vendor(), Endorsements::default());
    let chain = tdx::verify_quote_chain(&quote, &none, &AwsLcRs, &anchors, now);
    if let Err(unverified) = chain.and_then(|_| azure::verify_path(composite, &AwsLcRs, now)) {
        return Ok(unverified.into());
    }
    let answered = composite.quote().fields().map(|fields| fields.extra_data.as_slice());
    if nonce(parts)?.is_some_and(|nonce| answered != Some(nonce.as_slice())) {
        return Ok(Answer::Refused { ids: vec!["challenge.bound".to_owned()] });
    }
    Ok(Answer::Verified { note: NO_COLLATERAL })
}

/// The TPM quote, assembled; `None` if the set has none; in it what is wrong with the PCR values.
fn quote(parts: &Parts<'_>, hcl: &Hcl<'_>) -> Result<Option<Result<Vec<u8>, String>>> {
    let attest = parts.file("tpm_quote", &["quote.msg"])?;
    let signature = parts.file("tpm_signature", &["quote.sig"])?;
    let (Some(attest), Some(signature)) = (attest, signature) else { return Ok(None) };
    let stated =
        ak::Stated { scheme: parts.entry.text("signature_scheme"), hash: parts.entry.text("signature_hash") };
    let signature = ak::signature(&signature, stated);
    let ak = match parts.file("ak_public", &["ak_pub.pem"])? {
        Some(pem) => Ak::from_pem(&pem, &signature)?,
        None => named(hcl),
    };
    let ak = ak.of_azure();
    let bare = assemble(&attest, &signature, &ak.area, &[]);
    let selected: Vec<(Hash, u32)> = match Quote::parse(&bare) {
        Ok(quote) => quote.fields().into_iter().flat_map(Fields::selected).collect(),
        Err(problem) => return Ok(Some(Err(problem.to_string()))),
    };
    let values = match parts.values(&selected) {
        Ok(values) => values,
        Err(problem) => return Ok(Some(Err(format!("PCR values: {problem:#}")))),
    };
    Ok(Some(Ok(assemble(&attest, &signature, &ak.area, &values))))
}

/// The key that the runtime data names, where the set does not have the TPM's own.
fn named(hcl: &Hcl<'_>) -> Ak {
    let modulus = || -> Option<Vec<u8>> {
        let document: serde_json::Value = serde_json::from_slice(hcl.runtime_data()).ok()?;
        let mut keys = document.get("keys")?.as_array()?.iter();
        let key = keys.find(|key| key.get("kid").and_then(serde_json::Value::as_str) == Some("HCLAkPub"))?;
        BASE64_URL_SAFE_NO_PAD.decode(key.get("n")?.as_str()?).ok()
    };
    modulus().map_or_else(Ak::placeholder, |modulus| Ak::from_modulus(&modulus))
}

fn judge(parts: &Parts<'_>, platform: Platform, bytes: &[u8]) -> Result<Answer> {
    let now = parts.entry.verify_at()?;
    let evidence = match Evidence::parse(platform, bytes) {
        Ok(evidence) => evidence,
        Err(problem) => return Ok(Answer::Malformed { problem: problem.to_string() }),
    };
    let anchors = TrustAnchors::vendor();
    let brought = endorsements(parts)?;
    let (result, note) = crate::snp::with_lists(parts.set, &brought, |brought, revocation| {
        let prepared = brought.prepare(&AwsLcRs, &evidence, &anchors, revocation, now)?;
        evidence.verify(&AwsLcRs, &prepared, now)
    });
    let claims = match result {
        Ok(claims) => claims,
        Err(unverified) => return Ok(unverified.into()),
    };
    if nonce(parts)?.is_some_and(|nonce| nonce != claims.caller_data()) {
        return Ok(Answer::Refused { ids: vec!["challenge.bound".to_owned()] });
    }
    if parts.entry.expected() == Some(Expected::PolicyReject) {
        return appraised(&claims, now, note);
    }
    Ok(Answer::Verified { note })
}

/// What the quote has to carry. An entry that changes nothing and must be rejected is asked with a nonce of ours.
fn nonce(parts: &Parts<'_>) -> Result<Option<Vec<u8>>> {
    let unchanged = parts.entry.roles().all(|(role, _)| role == "others");
    let stated = parts.nonce()?;
    Ok(if stated.is_none() && unchanged && parts.entry.expected() == Some(Expected::Reject) {
        Some(b"another nonce".to_vec())
    } else {
        stated
    })
}

fn appraised(claims: &Verified<Claims>, now: attest::UnixTime, note: &'static str) -> Result<Answer> {
    let Claims::Azure(machine) = claims.claims() else {
        return Ok(Answer::Unsupported("claims of another platform".to_owned()));
    };
    let pcrs = machine.tpm.pcrs.iter();
    let pcrs: Vec<_> = pcrs.map(|pcr| (pcr.bank.to_string(), pcr.index, hex::encode(&pcr.value))).collect();
    let policy = policy::azure(&claims.measurement(), &pcrs)?;
    let nobody: Result<AttestedKey, Stale> = Err(Stale::NotBound);
    match policy.appraise(claims, nobody, now) {
        Ok(_) => Ok(Answer::Verified { note }),
        Err(refused) => Ok(Answer::policy_refuses(refused.appraisal(), note)),
    }
}

/// A report without a TPM quote: the hardware's part by itself may be refused, but nothing is genuine.
fn alone(parts: &Parts<'_>, hcl: &Hcl<'_>) -> Result<Answer> {
    if hcl.report_type == ReportType::Tdx {
        return Ok(missing("no TPM quote"));
    }
    let now = parts.entry.verify_at()?;
    let anchors = TrustAnchors::vendor();
    let evidence = match Evidence::parse(Platform::SevSnp, hcl.snp_report()) {
        Ok(evidence) => evidence,
        Err(problem) => return Ok(Answer::Malformed { problem: problem.to_string() }),
    };
    let brought = endorsements(parts)?;
    let (result, _) = crate::snp::with_lists(parts.set, &brought, |brought, revocation| {
        let prepared = brought.prepare(&AwsLcRs, &evidence, &anchors, revocation, now)?;
        evidence.verify(&AwsLcRs, &prepared, now)
    });
    Ok(result.map_or_else(Answer::from, |_| missing("no TPM quote")))
}

/// The chip's certificate, and AMD's published intermediates.
fn endorsements(parts: &Parts<'_>) -> Result<Endorsements> {
    let vek = parts.file("vek", &["vcek.der"])?;
    let mut certificates: Vec<Vec<u8>> = vek.iter().flat_map(|bytes| files::der(bytes)).collect();
    certificates.extend(snp::vendor_intermediates());
    Ok(Endorsements { certificates, ..Endorsements::default() })
}

fn missing(what: &str) -> Answer {
    Answer::NotJudged { code: "evidence.incomplete", problem: what.to_owned() }
}

const NO_COLLATERAL: &str = " (no collateral in the set: quote, quoting enclave, chain and the path only)";
