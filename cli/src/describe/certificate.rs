//! Certificates and revocation lists in words, AMD's extensions included.
//!
//! Extensions of a VCEK or VLEK: AMD 57230 r1.00, tables 8 and 9.

use attest::Endorsements;
use serde_json::Value;
use x509_parser::extensions::X509Extension;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};
use x509_parser::time::ASN1Time;

use crate::layout::Section;

/// One section for each certificate, each list and each signed document.
pub(crate) fn describe(endorsements: &Endorsements) -> Vec<Section> {
    let certificates = endorsements.certificates.iter().map(|der| certificate(der));
    let lists = endorsements.revocation_lists.iter().map(|der| revocation_list(der));
    certificates.chain(lists).chain(endorsements.documents.iter().map(|json| document(json))).collect()
}

/// Intel's TCB info or QE identity: what is not a list of levels, and the levels in a line each.
fn document(json: &[u8]) -> Section {
    let mut section = Section::new("signed document");
    let parsed: Result<Value, _> = serde_json::from_slice(json);
    let inner = parsed.as_ref().ok().and_then(|found| found.get("tcbInfo").or(found.get("enclaveIdentity")));
    let Some(Value::Object(fields)) = inner else {
        section.row("unreadable", format!("{} bytes", json.len()));
        return section;
    };
    for (name, value) in fields {
        match value {
            Value::Array(levels) => {
                for level in levels {
                    section.row(name, level);
                }
            }
            Value::String(text) => section.row(name, text),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => section.row(name, value),
        }
    }
    section
}

fn certificate(der: &[u8]) -> Section {
    let mut section = Section::new("certificate");
    let Ok((_, found)) = X509Certificate::from_der(der) else {
        section.row("unreadable", format!("{} bytes", der.len()));
        return section;
    };
    section.row("subject", found.subject());
    section.row("issuer", found.issuer());
    section.row("serial", hex::encode(found.raw_serial()));
    section.row("not before", instant(found.validity().not_before));
    section.row("not after", instant(found.validity().not_after));
    section.row("signature algorithm", found.signature_algorithm.algorithm.to_id_string());
    section.row("key", key(&found));
    section.row("authority", if found.is_ca() { "yes" } else { "no" });
    for extension in found.extensions() {
        section.row(name(extension), value(extension));
    }
    section
}

fn revocation_list(der: &[u8]) -> Section {
    let mut section = Section::new("revocation list");
    let Ok((_, found)) = CertificateRevocationList::from_der(der) else {
        section.row("unreadable", format!("{} bytes", der.len()));
        return section;
    };
    section.row("issuer", found.issuer());
    section.row("this update", instant(found.last_update()));
    section.row("next update", found.next_update().map_or("never".to_owned(), instant));
    for entry in found.iter_revoked_certificates() {
        let serial = hex::encode(entry.raw_serial());
        section.row("revoked", format!("serial {serial} on {}", instant(entry.revocation_date)));
    }
    if found.iter_revoked_certificates().next().is_none() {
        section.row("revoked", "none");
    }
    section
}

fn instant(time: ASN1Time) -> String {
    attest::UnixTime(u64::try_from(time.timestamp()).unwrap_or(0)).to_string()
}

fn key(certificate: &X509Certificate<'_>) -> String {
    let algorithm = certificate.public_key().algorithm.algorithm.to_id_string();
    let kind = match algorithm.as_str() {
        "1.2.840.113549.1.1.1" | "1.2.840.113549.1.1.10" => "RSA",
        "1.2.840.10045.2.1" => "elliptic curve",
        _ => "other",
    };
    format!("{kind} ({algorithm})")
}

fn name(extension: &X509Extension<'_>) -> String {
    let oid = extension.oid.to_id_string();
    let known = EXTENSIONS.iter().find(|(known, _)| *known == oid).map(|(_, name)| *name);
    let critical = if extension.critical { " (critical)" } else { "" };
    format!("{}{critical}", known.unwrap_or(&oid))
}

/// The value: numbers and texts as such, everything else as hex.
fn value(extension: &X509Extension<'_>) -> String {
    match extension.value {
        [2, 1, number] | [2, 2, 0, number] => number.to_string(),
        [0x0c | 0x13 | 0x16, length, text @ ..] if usize::from(*length) == text.len() => {
            String::from_utf8_lossy(text).into_owned()
        }
        other => hex::encode(other),
    }
}

const EXTENSIONS: [(&str, &str); 18] = [
    ("1.3.6.1.4.1.3704.1.1", "structVersion"),
    ("1.3.6.1.4.1.3704.1.2", "productName"),
    ("1.3.6.1.4.1.3704.1.3.1", "blSPL"),
    ("1.3.6.1.4.1.3704.1.3.2", "teeSPL"),
    ("1.3.6.1.4.1.3704.1.3.3", "snpSPL"),
    ("1.3.6.1.4.1.3704.1.3.4", "spl4"),
    ("1.3.6.1.4.1.3704.1.3.5", "spl5"),
    ("1.3.6.1.4.1.3704.1.3.6", "spl6"),
    ("1.3.6.1.4.1.3704.1.3.7", "spl7"),
    ("1.3.6.1.4.1.3704.1.3.8", "ucodeSPL"),
    ("1.3.6.1.4.1.3704.1.3.9", "fmcSPL"),
    ("1.3.6.1.4.1.3704.1.4", "hwID"),
    ("1.3.6.1.4.1.3704.1.5", "cspID"),
    ("2.5.29.14", "subjectKeyIdentifier"),
    ("2.5.29.15", "keyUsage"),
    ("2.5.29.19", "basicConstraints"),
    ("2.5.29.31", "cRLDistributionPoints"),
    ("2.5.29.35", "authorityKeyIdentifier"),
];
