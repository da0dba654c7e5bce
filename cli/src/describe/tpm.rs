//! A TPM quote in words: every field, every attribute of the key.
//!
//! Names and meanings: TCG TPM 2.0 Library, Part 2, clauses 6.3 (algorithms), 8.3 (object attributes),
//! 10.12.12 (`TPMS_ATTEST`) and 12.2.4 (`TPMT_PUBLIC`).

use attest::crypto::AwsLcRs;
use attest::tpm::{Fields, Quote};

use crate::layout::Section;

/// Every field of the quote.
pub(super) fn describe(quote: &Quote<'_>) -> Vec<Section> {
    let head = match quote.fields() {
        Some(fields) => attested(fields),
        None => foreign(quote),
    };
    let mut sections = vec![head, values(quote), key(quote), signature(quote)];
    sections.extend(quote.event_logs().iter().flat_map(super::eventlog::describe));
    sections.extend(quote.ima_log().into_iter().flat_map(super::eventlog::ima));
    sections
}

fn attested(fields: &Fields) -> Section {
    let mut section = Section::new("TPM 2.0 quote");
    section.row("qualified signer", hex::encode(&fields.qualified_signer));
    section.row("extra data", or_none(hex::encode(&fields.extra_data)));
    section.row("clock", format!("{} ms powered", fields.clock.clock));
    let safe = if fields.clock.safe { "yes" } else { "no: a later time may have been reported before" };
    section.row("clock safe", safe);
    section.row("resets", fields.clock.reset_count);
    section.row("restarts since reset", fields.clock.restart_count);
    section.row("firmware version", format!("{:#018x}", fields.firmware_version));
    for part in &fields.selection {
        let indices: Vec<String> = part.indices.iter().map(ToString::to_string).collect();
        section.row(format!("selected of {}", part.bank), or_none(indices.join(", ")));
    }
    section.row("pcr digest", hex::encode(&fields.pcr_digest));
    section
}

/// Something else that the key signed.
fn foreign(quote: &Quote<'_>) -> Section {
    let mut section = Section::new("signed by a TPM key, but no quote");
    section.row("begins", hex::encode(quote.own_bytes().get(2..8).unwrap_or_default()));
    section.row("expected", "ff5443478018 (TPM_GENERATED_VALUE, TPM_ST_ATTEST_QUOTE)");
    section
}

fn values(quote: &Quote<'_>) -> Section {
    let mut section = Section::new("PCR values (beside the quote; the digest decides)");
    for pcr in quote.values() {
        section.row(format!("{} {}", pcr.bank, pcr.index), hex::encode(&pcr.value));
    }
    if quote.values().is_empty() {
        section.row("none", "only their digest is claimed");
    }
    section
}

fn key(quote: &Quote<'_>) -> Section {
    let mut section = Section::new("attestation key");
    section.row("name (to enrol)", quote.ak_name(&AwsLcRs));
    let area = quote.ak_public();
    let Some(([t1, t2, n1, n2, a1, a2, a3, a4], _)) = area.split_first_chunk::<8>() else { return section };
    section.row("type", algorithm(u16::from_be_bytes([*t1, *t2])));
    section.row("name algorithm", algorithm(u16::from_be_bytes([*n1, *n2])));
    let attributes = u32::from_be_bytes([*a1, *a2, *a3, *a4]);
    section.row("attributes", format!("{attributes:#010x}"));
    for (bit, what) in ATTRIBUTES {
        let set = attributes.checked_shr(bit).is_some_and(|shifted| shifted & 1 == 1);
        section.row(format!("bit {bit} {what}"), if set { "set" } else { "clear" });
    }
    section.row("public area", hex::encode(area));
    section
}

/// `TPMT_SIGNATURE`, which stands between the signed bytes and the key.
fn signature(quote: &Quote<'_>) -> Section {
    let mut section = Section::new("signature");
    let bytes = quote.own_bytes();
    let values: usize = quote.values().iter().map(|pcr| pcr.value.len().saturating_add(8)).sum();
    let behind = values.saturating_add(4).saturating_add(quote.ak_public().len()).saturating_add(2);
    let attested = bytes.first_chunk::<2>().map_or(0, |length| usize::from(u16::from_be_bytes(*length)));
    let range = attested.saturating_add(2)..bytes.len().saturating_sub(behind);
    let signature = bytes.get(range).unwrap_or_default();
    if let Some(([s1, s2, h1, h2], number)) = signature.split_first_chunk::<4>() {
        section.row("scheme", algorithm(u16::from_be_bytes([*s1, *s2])));
        section.row("hash", algorithm(u16::from_be_bytes([*h1, *h2])));
        section.row("as received", hex::encode(number));
    }
    section
}

fn algorithm(id: u16) -> String {
    let name = ALGORITHMS.iter().find(|(known, _)| *known == id).map_or("unknown", |(_, name)| *name);
    format!("{name} ({id:#06x})")
}

fn or_none(text: String) -> String {
    if text.is_empty() { "none".to_owned() } else { text }
}

const ALGORITHMS: [(u16, &str); 10] = [
    (0x0001, "RSA"),
    (0x0004, "SHA-1"),
    (0x000b, "SHA-256"),
    (0x000c, "SHA-384"),
    (0x000d, "SHA-512"),
    (0x0010, "none"),
    (0x0014, "RSASSA"),
    (0x0016, "RSAPSS"),
    (0x0018, "ECDSA"),
    (0x0023, "ECC"),
];

const ATTRIBUTES: [(u32, &str); 12] = [
    (1, "fixedTPM"),
    (2, "stClear"),
    (4, "fixedParent"),
    (5, "sensitiveDataOrigin"),
    (6, "userWithAuth"),
    (7, "adminWithPolicy"),
    (10, "noDA"),
    (11, "encryptedDuplication"),
    (16, "restricted"),
    (17, "decrypt"),
    (18, "sign/encrypt"),
    (19, "x509sign"),
];
