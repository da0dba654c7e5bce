//! TPM entries: quotes, put together from the files of a set.
//!
//! A set keeps the parts apart (`TPMS_ATTEST`, signature, key, PCR values); here they become the evidence that
//! a machine sends. A role that is missing may be found in the folder that the role `others` names.

use anyhow::Result;
use attest::crypto::{AwsLcRs, Hash};
use attest::tpm::{Fields, Quote, assemble};
use attest::{
    AttestedKey, Claims, Endorsements, Evidence, Part, Platform, Revocation, Stale, TrustAnchors, Verified,
};
use attest::{eventlog::EventLog, parcel};

use crate::ak::{self, Ak};
use crate::entry::{Entry, Set};
use crate::verdict::{Answer, Expected};
use crate::{eventlog, pcrs, policy};

/// Puts a TPM entry to the verifier.
pub(crate) fn ask(set: &Set, entry: &Entry) -> Result<Answer> {
    if matches!(entry.kind(), "tcg-event-log" | "ccel") {
        return eventlog::ask(set, entry);
    }
    if entry.kind().starts_with("ima-log") {
        return eventlog::ask_ima(set, entry);
    }
    if entry.kind() != "tpm-quote" {
        return Ok(Answer::Unsupported(format!("kind {}", entry.kind())));
    }
    let parts = Parts { set, entry };
    let logs = parts.logs()?;
    let attest = parts.file("tpm_quote", &[".sha256.msg", ".msg"])?;
    let signature = parts.file("tpm_signature", &[".sha256.sig", ".sig"])?;
    let (Some(attest), Some(signature)) = (attest, signature) else {
        // A log that is none needs no quote to be refused.
        for (_, log) in logs.iter().filter(|(part, _)| *part == Part::EventLog) {
            if let Err(problem) = EventLog::parse_all(log) {
                return Ok(Answer::Malformed { problem: problem.to_string() });
            }
        }
        return Ok(Answer::Unsupported("no quote or no signature".to_owned()));
    };
    let stated = ak::Stated { scheme: entry.text("signature_scheme"), hash: entry.text("signature_hash") };
    let signature = ak::signature(&signature, stated);
    let ak = match parts.ak(&signature)? {
        Some(ak) => ak,
        None => Ak::placeholder(),
    };
    let bare = assemble(&attest, &signature, &ak.area, &[]);
    let quote = match Quote::parse(&bare) {
        Ok(quote) => quote,
        Err(problem) => return Ok(Answer::Malformed { problem: problem.to_string() }),
    };
    let selected: Vec<(Hash, u32)> = quote.fields().into_iter().flat_map(Fields::selected).collect();
    let values = match parts.values(&selected) {
        Ok(values) => values,
        Err(problem) => return Ok(Answer::Malformed { problem: format!("PCR values: {problem:#}") }),
    };
    let quote = assemble(&attest, &signature, &ak.area, &values);
    if logs.is_empty() {
        return judge(&parts, &quote, &ak);
    }
    let logs = logs.iter().map(|(part, bytes)| (*part, bytes.as_slice()));
    let pieces: Vec<(Part, &[u8])> =
        std::iter::once((Part::TpmQuote, quote.as_slice())).chain(logs).collect();
    judge(&parts, &parcel::assemble(&pieces), &ak)
}

fn judge(parts: &Parts<'_>, evidence: &[u8], ak: &Ak) -> Result<Answer> {
    let now = parts.entry.verify_at()?;
    let evidence = match Evidence::parse(Platform::Tpm2, evidence) {
        Ok(evidence) => evidence,
        Err(problem) => return Ok(Answer::Malformed { problem: problem.to_string() }),
    };
    let anchors = TrustAnchors::vendor().with_attestation_keys(ak.enrolled(&AwsLcRs)?);
    let none = Endorsements::default();
    let verified = none
        .prepare(&AwsLcRs, &evidence, &anchors, Revocation::Required, now)
        .and_then(|prepared| evidence.verify(&AwsLcRs, &prepared, now));
    let claims = match verified {
        Ok(claims) => claims,
        Err(unverified) => return Ok(unverified.into()),
    };
    if parts.nonce()?.is_some_and(|nonce| nonce != claims.caller_data()) {
        return Ok(Answer::Refused { ids: vec!["challenge.bound".to_owned()] });
    }
    if parts.entry.expected() == Some(Expected::PolicyReject) {
        return appraised(&claims, now);
    }
    Ok(Answer::Verified { note: "" })
}

fn appraised(claims: &Verified<Claims>, now: attest::UnixTime) -> Result<Answer> {
    let pcrs = if let Claims::Tpm(quote) = claims.claims() { quote.pcrs.as_slice() } else { &[] };
    let pcrs: Vec<_> =
        pcrs.iter().map(|pcr| (pcr.bank.to_string(), pcr.index, hex::encode(&pcr.value))).collect();
    let policy = policy::tpm(&pcrs)?;
    let nobody: Result<AttestedKey, Stale> = Err(Stale::NotBound);
    match policy.appraise(claims, nobody, now) {
        Ok(_) => Ok(Answer::Verified { note: "" }),
        Err(refused) => Ok(Answer::policy_refuses(refused.appraisal(), "")),
    }
}

/// The files of an entry.
#[derive(Debug)]
pub(crate) struct Parts<'s> {
    pub(crate) set: &'s Set,
    pub(crate) entry: &'s Entry,
}

impl Parts<'_> {
    /// The file of a role, or, from the folder of the others, the first whose name ends so.
    pub(crate) fn file(&self, role: &str, endings: &[&str]) -> Result<Option<Vec<u8>>> {
        let own = self.entry.role(role);
        let path = own.or_else(|| endings.iter().find_map(|ending| self.other(ending)));
        path.map(|path| self.set.read(&path)).transpose()
    }

    fn other(&self, ending: &str) -> Option<String> {
        let folder = self.entry.role("others")?;
        self.set.folder(&folder).into_iter().find(|path| path.ends_with(ending))
    }

    /// The attestation key: its public area if the set has it, else made of the PEM key.
    fn ak(&self, signature: &[u8]) -> Result<Option<Ak>> {
        if let Some(public) = self.file("ak_public", &[".tpmt"])? {
            return Ok(Some(Ak::from_public(&public)));
        }
        let pem = self.file("ak_public_pem", &["ak_pub.pem", "ak.pem"])?;
        pem.map(|pem| Ak::from_pem(&pem, signature)).transpose()
    }

    /// The values of the selected PCRs, as far as the entry has them; none if it has none.
    pub(crate) fn values(&self, selected: &[(Hash, u32)]) -> Result<Vec<(Hash, u32, Vec<u8>)>> {
        let named = self.entry.roles().filter(|(role, _)| role.starts_with("pcrs"));
        let mut paths: Vec<String> = named.map(|(_, path)| path.to_owned()).collect();
        if let Some(blob) = paths.iter().find(|path| !pcrs::is_json(path)) {
            return pcrs::tpm2_tools(&self.set.read(blob)?);
        }
        if paths.is_empty() {
            paths.extend(self.entry.role("others").map(|folder| format!("{folder}/")));
        }
        pcrs::json(self.set, &paths, selected)
    }

    /// The logs that came with the quote, in the order of a parcel.
    fn logs(&self) -> Result<Vec<(Part, Vec<u8>)>> {
        let wanted = [(Part::EventLog, "event_log"), (Part::ImaLog, "ima_log")];
        let found = wanted.into_iter().filter_map(|(part, role)| Some((part, self.entry.role(role)?)));
        found.map(|(part, path)| Ok((part, self.set.read(&path)?))).collect()
    }

    /// What the quote has to carry. An entry that must be rejected and says no nonce is asked with one.
    pub(crate) fn nonce(&self) -> Result<Option<Vec<u8>>> {
        if let Some(path) = self.entry.role("expected_nonce_ascii") {
            return Ok(Some(self.set.read(&path)?.trim_ascii().to_vec()));
        }
        if let Some(path) = self.entry.role("nonce") {
            return self.set.read(&path).map(Some);
        }
        let stated = self.entry.text("expected_nonce").or_else(|| self.entry.text("nonce"));
        let stated = stated.or_else(|| self.entry.text("extra_data"));
        let bytes = |text: &str| hex::decode(text).unwrap_or_else(|_not_hex| text.as_bytes().to_vec());
        let stated = stated.map(bytes);
        let rejected = self.entry.expected() == Some(Expected::Reject);
        Ok(match stated {
            Some(empty) if empty.is_empty() && rejected => Some(b"a nonce was asked for".to_vec()),
            other => other,
        })
    }
}
