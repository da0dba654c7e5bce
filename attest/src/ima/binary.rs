//! The list as bytes, in the byte order of the machine: little-endian.
//!
//! Linux, `ima_measurements_show`: u32 PCR, 20 bytes of SHA-1, u32 length and name of the template; then, but
//! for `ima`, the u32 length of all fields; then the fields, each behind its u32 length.

use std::borrow::Cow;

use super::entry::{Entry, Template, algorithm, odd, of_length, old_name};
use crate::bytes::{Malformed, Reader};
use crate::crypto::Hash;
use crate::eventlog::Measurement;

pub(super) fn entry(bytes: &[u8]) -> Result<(Entry<'_>, &[u8]), Malformed> {
    let mut reader = Reader::new(bytes);
    let register = reader.u32_le()?;
    if register != 10 {
        return Err(odd("PCR of an IMA entry", "10", &register.to_string()));
    }
    let recorded = Measurement::from(reader.take(20)?);
    let template = Template::named(text(field(&mut reader)?)?)?;
    if template == Template::Ima {
        let digest = of_length(Hash::Sha1, reader.take(20)?)?;
        let path = old_name(text(field(&mut reader)?)?)?;
        let (prefix, algorithm, extra) = ("sha1:", Hash::Sha1, Cow::Borrowed(&[][..]));
        let entry = Entry { recorded, template, prefix, algorithm, digest, path, extra };
        return Ok((entry, reader.rest()));
    }
    let mut fields = Reader::new(field(&mut reader)?);
    let (digest, path) = (field(&mut fields)?, field(&mut fields)?);
    let extra = if template == Template::ImaSig { field(&mut fields)? } else { &[] };
    fields.finish()?;
    let (prefix, digest) = split(digest)?;
    let algorithm = algorithm(prefix)?;
    let digest = of_length(algorithm, digest)?;
    let nul = || odd("path of an IMA entry", "a NUL at its end, and no other", "none, or another");
    let path = text(path.strip_suffix(&[0]).filter(|path| !path.contains(&0)).ok_or_else(nul)?)?;
    let entry = Entry { recorded, template, prefix, algorithm, digest, path, extra: Cow::Borrowed(extra) };
    Ok((entry, reader.rest()))
}

fn field<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Malformed> {
    let length = usize::try_from(reader.u32_le()?).unwrap_or(usize::MAX);
    reader.take(length)
}

/// `sha256:`, NUL, digest.
fn split(field: &[u8]) -> Result<(&str, &[u8]), Malformed> {
    let at = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    let (prefix, digest) = field.split_at_checked(at).unwrap_or((field, &[]));
    Ok((text(prefix)?, digest.get(1..).unwrap_or_default()))
}

fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    let wrong = |error: std::str::Utf8Error| odd("text of an IMA entry", "UTF-8", &error.to_string());
    std::str::from_utf8(bytes).map_err(wrong)
}
