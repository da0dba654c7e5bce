//! The list as text: `10 <digest> ima-ng sha256:<digest> <path>`, a line per entry.
//!
//! The kernel writes no space into a path: it puts underscores there, and hashes those.

use std::borrow::Cow;

use super::entry::{Entry, Template, algorithm, odd, of_length, old_name};
use crate::bytes::Malformed;
use crate::crypto::Hash;
use crate::eventlog::Measurement;

pub(super) fn entry(bytes: &[u8]) -> Result<(Entry<'_>, &[u8]), Malformed> {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (line, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
    let line = std::str::from_utf8(line).map_err(|error| {
        let found = format!("{error}");
        odd("line of an IMA list", "UTF-8", &found)
    })?;
    Ok((of_line(line)?, rest.strip_prefix(b"\n").unwrap_or(rest)))
}

fn of_line(line: &str) -> Result<Entry<'_>, Malformed> {
    // A signature that is not there leaves its space.
    let mut words = line.strip_suffix(' ').unwrap_or(line).split(' ');
    let mut word = || words.next().filter(|word| !word.is_empty()).ok_or_else(|| wrong(line));
    if word()? != "10" {
        return Err(odd("PCR of an IMA entry", "10", line));
    }
    let recorded = recorded(word()?)?;
    let template = Template::named(word()?)?;
    let digest = word()?;
    let (prefix, digest) = match (template, digest.rfind(':')) {
        (Template::Ima, None) => ("sha1:", digest),
        (Template::ImaNg | Template::ImaSig, Some(at)) => {
            digest.split_at_checked(at.saturating_add(1)).ok_or_else(|| wrong(line))?
        }
        _ => return Err(wrong(line)),
    };
    let path = if template == Template::Ima { old_name(word()?)? } else { word()? };
    if path.contains('\0') {
        return Err(wrong(line));
    }
    let extra = words.next().unwrap_or_default();
    if words.next().is_some() || (template != Template::ImaSig && !extra.is_empty()) {
        return Err(wrong(line));
    }
    let algorithm = algorithm(prefix)?;
    let digest = of_length(algorithm, &hex(digest)?)?;
    Ok(Entry { recorded, template, prefix, algorithm, digest, path, extra: Cow::Owned(hex(extra)?) })
}

/// The entry's own digest: SHA-1, or of the bank that the file is for (Linux 6.9: `…_sha256`).
fn recorded(text: &str) -> Result<Measurement, Malformed> {
    let bytes = hex(text)?;
    let known = [Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512].map(Hash::length);
    if known.contains(&bytes.len()) {
        return Ok(Measurement::from(&bytes));
    }
    Err(Malformed::Length { what: "digest of an IMA entry", expected: 20, found: bytes.len() })
}

fn hex(text: &str) -> Result<Vec<u8>, Malformed> {
    hex::decode(text).map_err(|_not_hex| odd("number in an IMA list", "hex digits", text))
}

fn wrong(line: &str) -> Malformed {
    odd("line of an IMA list", "10, digest, template, digest of the file, path", line)
}
