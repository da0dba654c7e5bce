//! SNP entries: reports, and the endorsements by themselves.

use anyhow::Result;
use attest::crypto::AwsLcRs;
use attest::{
    AttestedKey, CannotJudge, Claims, Endorsements, Evidence, Platform, Revocation, Stale, TrustAnchors,
    UnixTime, Unverified, Verified, snp,
};

use crate::entry::{Entry, Set};
use crate::verdict::{self, Answer, Expected};
use crate::{files, policy};

/// Puts an SNP entry to the verifier.
pub(crate) fn ask(set: &Set, entry: &Entry) -> Result<Answer> {
    let now = entry.verify_at()?;
    let anchors = TrustAnchors::vendor();
    match entry.kind() {
        "report" => report(set, entry, now),
        "ca-chain" => {
            let brought = endorsements(set, entry)?;
            Ok(settled(snp::verify_authorities(&brought, &AwsLcRs, &anchors, now)))
        }
        "crl" => {
            let certificates = Vec::new();
            let revocation_lists = all_der(set, entry, is_list)?;
            let brought = Endorsements { certificates, revocation_lists, ..Endorsements::default() };
            Ok(settled(snp::verify_revocation_lists(&brought, &AwsLcRs, &anchors, now)))
        }
        "vcek-certificate" | "vlek-certificate" | "vek-certificate" | "cert-table" | "certificate-table" => {
            let brought = endorsements(set, entry)?;
            let verify = |lists: &Endorsements, revocation| {
                snp::verify_vek(lists, &AwsLcRs, &anchors, revocation, now).map(|_| ())
            };
            let (result, note) = with_lists(set, &brought, verify);
            Ok(result.map_or_else(Answer::from, |()| Answer::Verified { note }))
        }
        other => Ok(Answer::Unsupported(format!("kind {other}"))),
    }
}

fn report(set: &Set, entry: &Entry, now: UnixTime) -> Result<Answer> {
    let Some(path) = entry.role("report").or_else(|| entry.main_file()) else {
        return Ok(Answer::Unsupported("no report".to_owned()));
    };
    let bytes = set.read(&path)?;
    let evidence = match Evidence::parse(Platform::SevSnp, &bytes) {
        Ok(evidence) => evidence,
        Err(problem) => return Ok(Answer::Malformed { problem: problem.to_string() }),
    };
    let anchors = TrustAnchors::vendor();
    let verify = |brought: &Endorsements, revocation| {
        let prepared = brought.prepare(&AwsLcRs, &evidence, &anchors, revocation, now)?;
        evidence.verify(&AwsLcRs, &prepared, now)
    };
    let brought = endorsements(set, entry)?;
    let (result, note) = with_lists(set, &brought, verify);
    let claims = match result {
        Ok(claims) => claims,
        Err(unverified) => return Ok(unverified.into()),
    };
    if let Some(answer) = unexpected_data(entry, &claims) {
        return Ok(answer);
    }
    if entry.expected() == Some(Expected::PolicyReject) {
        return appraised(&claims, now, note);
    }
    Ok(Answer::Verified { note })
}

/// Caller's data that the entry asks for and the report does not carry.
fn unexpected_data(entry: &Entry, claims: &Verified<Claims>) -> Option<Answer> {
    let wanted = entry.text("expected_report_data").or_else(|| entry.text("report_data"))?;
    let wanted = hex::decode(wanted).ok()?;
    (claims.caller_data() != wanted).then(|| Answer::Refused { ids: vec!["challenge.bound".to_owned()] })
}

/// What the production policy says.
fn appraised(claims: &Verified<Claims>, now: UnixTime, note: &'static str) -> Result<Answer> {
    let policy = policy::snp(&claims.measurement())?;
    let nobody: Result<AttestedKey, Stale> = Err(Stale::NotBound);
    match policy.appraise(claims, nobody, now) {
        Ok(_) => Ok(Answer::Verified { note }),
        Err(refused) => Ok(Answer::policy_refuses(refused.appraisal(), note)),
    }
}

/// Verifies with the set's revocation lists; where none of them is current, without.
pub(crate) fn with_lists<T>(
    set: &Set,
    brought: &Endorsements,
    verify: impl Fn(&Endorsements, Revocation) -> Result<T, Unverified>,
) -> (Result<T, Unverified>, &'static str) {
    if !brought.revocation_lists.is_empty() {
        return (verify(brought, Revocation::Required), "");
    }
    let mut listed = brought.clone();
    listed.revocation_lists = set.revocation_lists();
    let strict = verify(&listed, Revocation::Required);
    if strict.as_ref().is_err_and(only_for_want_of_a_list) {
        return (verify(brought, Revocation::InsecureWaived), WAIVED);
    }
    (strict, "")
}

fn only_for_want_of_a_list(unverified: &Unverified) -> bool {
    if let Unverified::CannotJudge(CannotJudge::MissingEndorsement(what)) = unverified {
        return what.contains("revocation list");
    }
    matches!(unverified, Unverified::Rejected(it) if verdict::failing(it.checks()) == ["snp.crl.current"])
}

/// Every certificate and list that the entry brings; where it brings no authority, AMD's published ones.
fn endorsements(set: &Set, entry: &Entry) -> Result<Endorsements> {
    let mut certificates = all_der(set, entry, |role| !is_list(role))?;
    let brings_authority = entry.roles().any(|(role, _)| ["intermediate", "ask", "asvk"].contains(&role));
    if !brings_authority && entry.kind() != "ca-chain" {
        certificates.extend(snp::vendor_intermediates());
    }
    Ok(Endorsements {
        certificates,
        revocation_lists: all_der(set, entry, is_list)?,
        ..Endorsements::default()
    })
}

/// The DER of all files whose role is wanted.
fn all_der(set: &Set, entry: &Entry, wanted: impl Fn(&str) -> bool) -> Result<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    let roles: Vec<(&str, &str)> = entry.roles().collect();
    let alone = entry.main_file();
    let fallback = alone.as_deref().filter(|_| roles.is_empty()).map(|path| (entry.kind(), path));
    for (role, path) in roles.into_iter().chain(fallback) {
        if NOT_ENDORSEMENTS.contains(&role) || !wanted(role) {
            continue;
        }
        let bytes = set.read(path)?;
        if is_table(role) {
            all.extend(snp::certificates(&bytes)?.certificates);
        } else {
            all.extend(files::der(&bytes));
        }
    }
    Ok(all)
}

fn is_list(role: &str) -> bool {
    role.contains("crl")
}

fn is_table(role: &str) -> bool {
    role.contains("table") || role.contains("auxblob") || role == "certs"
}

fn settled<T>(result: Result<T, Unverified>) -> Answer {
    result.map_or_else(Answer::from, |_| Answer::Verified { note: "" })
}

const NOT_ENDORSEMENTS: [&str; 4] = ["report", "others", "nonce", "expected_nonce_ascii"];
const WAIVED: &str = " (revocation waived: no current list in the set)";
