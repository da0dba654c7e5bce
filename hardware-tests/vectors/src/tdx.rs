//! TDX entries: quotes with and without collateral, and collateral by itself.
//!
//! Files of quotes are buffers with padding: they are cut to the quote's own length first, and the line says
//! so. A quote without collateral is verified as far as it goes: its chain to Intel's root.

use anyhow::Result;
use attest::crypto::AwsLcRs;
use attest::{
    AttestedKey, Claims, Endorsements, Evidence, Platform, Revocation, Stale, TrustAnchors, UnixTime,
    Unverified, Verified, tdx,
};

use crate::entry::{Entry, Set};
use crate::verdict::{Answer, Expected};
use crate::{files, policy};

/// Puts a TDX entry to the verifier.
pub(crate) fn ask(set: &Set, entry: &Entry) -> Result<Answer> {
    let now = entry.verify_at()?;
    let anchors = TrustAnchors::vendor();
    match entry.kind() {
        "quote" | "quote+collateral" | "sgx-quote" => quote(set, entry, now),
        "collateral" | "root-ca" => {
            let brought = endorsements(set, entry)?;
            let verified = tdx::verify_collateral(&brought, &AwsLcRs, &anchors, now);
            Ok(verified.map_or_else(Answer::from, |_| Answer::Verified { note: "" }))
        }
        other => Ok(Answer::Unsupported(format!("kind {other}"))),
    }
}

fn quote(set: &Set, entry: &Entry, now: UnixTime) -> Result<Answer> {
    let Some(path) = quote_file(set, entry) else {
        return Ok(Answer::Unsupported("no quote".to_owned()));
    };
    let file = set.read(&path)?;
    let cut = tdx::Quote::length(&file).ok().and_then(|length| file.get(..length)).unwrap_or(&file);
    let note = if cut.len() == file.len() { "" } else { CUT };
    let evidence = match Evidence::parse(Platform::Tdx, cut) {
        Ok(evidence) => evidence,
        Err(problem) => return Ok(Answer::Malformed { problem: problem.to_string() }),
    };
    let brought = endorsements(set, entry)?;
    if brought.documents.is_empty() {
        return chain(entry, &evidence, &brought, now, note);
    }
    let verified = || -> Result<Verified<Claims>, Unverified> {
        let anchors = TrustAnchors::vendor();
        let prepared = brought.prepare(&AwsLcRs, &evidence, &anchors, Revocation::Required, now)?;
        evidence.verify(&AwsLcRs, &prepared, now)
    };
    let claims = match verified() {
        Ok(claims) => claims,
        Err(unverified) => return Ok(unverified.into()),
    };
    if entry.expected() != Some(Expected::PolicyReject) {
        return Ok(Answer::Verified { note });
    }
    let Claims::Tdx(td) = claims.claims() else {
        return Ok(Answer::Unsupported("claims of another platform".to_owned()));
    };
    let nobody: Result<AttestedKey, Stale> = Err(Stale::NotBound);
    match policy::tdx(&td.report)?.appraise(&claims, nobody, now) {
        Ok(_) => Ok(Answer::Verified { note }),
        Err(refused) => Ok(Answer::policy_refuses(refused.appraisal(), note)),
    }
}

/// A quote without collateral; what a policy says of the TD does not hang on it.
fn chain(
    entry: &Entry,
    evidence: &Evidence<'_>,
    brought: &Endorsements,
    now: UnixTime,
    note: &'static str,
) -> Result<Answer> {
    let Evidence::Tdx(quote) = evidence else {
        return Ok(Answer::Unsupported("evidence of another platform".to_owned()));
    };
    let verified = tdx::verify_quote_chain(quote, brought, &AwsLcRs, &TrustAnchors::vendor(), now);
    let chain = match verified {
        Ok(chain) => chain,
        Err(unverified) => return Ok(unverified.into()),
    };
    if entry.expected() != Some(Expected::PolicyReject) {
        return Ok(Answer::Verified { note: if note.is_empty() { ALONE } else { CUT_AND_ALONE } });
    }
    let checks = policy::tdx(&chain.report)?.inspect_td(&chain);
    Ok(Answer::policy_checks(&checks, ALONE))
}

fn quote_file(set: &Set, entry: &Entry) -> Option<String> {
    let in_set = || collateral_folder(entry).map(|folder| format!("{folder}quote.bin"));
    let listed = entry.files().into_iter().find(|path| path.ends_with("quote.bin")).map(str::to_owned);
    let named = entry.role("quote").or(listed).or_else(|| entry.main_file());
    named.or_else(|| in_set().filter(|path| set.read(path).is_ok()))
}

/// What the entry brings itself, and from the folder it names what it does not.
fn endorsements(set: &Set, entry: &Entry) -> Result<Endorsements> {
    let mut paths: Vec<String> = entry.roles().map(|(_, path)| path.to_owned()).collect();
    paths.extend(entry.files().into_iter().map(str::to_owned));
    let folder = collateral_folder(entry).map(|folder| set.folder(&folder)).unwrap_or_default();
    let kinds: Vec<&str> = paths.iter().map(|path| kind(path)).collect();
    let rest = folder.into_iter().filter(|path| !kinds.contains(&kind(path))).collect::<Vec<_>>();
    paths.extend(rest);
    paths.sort();
    paths.dedup();
    let mut brought = Endorsements::default();
    for path in paths {
        let name = path.rsplit('/').next().unwrap_or(&path);
        let is_json = std::path::Path::new(name).extension().is_some_and(|end| end == "json");
        if is_json && !name.contains("sample") {
            brought.documents.push(set.read(&path)?);
        } else if name.contains("crl.der") {
            brought.revocation_lists.extend(files::der(&set.read(&path)?));
        } else if [".pem", ".der"].iter().any(|end| name.ends_with(end)) {
            brought.certificates.extend(files::der(&set.read(&path)?));
        }
    }
    brought.certificates.sort();
    brought.certificates.dedup();
    Ok(brought)
}

/// What a file is, whichever set it is of.
fn kind(path: &str) -> &str {
    ["tcb_info", "qe_identity", "quote.bin"].into_iter().find(|kind| path.contains(kind)).unwrap_or(path)
}

fn collateral_folder(entry: &Entry) -> Option<String> {
    entry.role("others").or_else(|| entry.role("set"))
}

const CUT: &str = " (padding after the quote cut off)";
const ALONE: &str = " (no collateral in the set: quote, quoting enclave and chain only)";
const CUT_AND_ALONE: &str =
    " (padding cut off; no collateral in the set: quote, quoting enclave and chain only)";
