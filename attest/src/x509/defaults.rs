//! Defaults that are spelled out.
//!
//! DER leaves a default out (X.690, section 11.5). A certificate that writes `critical FALSE`, `cA FALSE` or
//! version 1 all the same has a second encoding of the same content, and was made by something that does not
//! obey DER. Some makers of TPMs do; whoever uses a hierarchy that never does asks here.
//!
//! Untrusted: every byte.

use super::{Certificate, der};
use crate::bytes::{Malformed, Reader};

impl Certificate<'_> {
    /// Whether a default is spelled out, or the encoding cannot be read that closely.
    pub(crate) fn spells_out_defaults(&self) -> bool {
        in_tbs(self.parsed.tbs_certificate.as_ref()).unwrap_or(true)
    }
}

/// `TBSCertificate` (RFC 5280, section 4.1): \[0\] version, then others, then \[3\] extensions.
fn in_tbs(tbs: &[u8]) -> Result<bool, Malformed> {
    let content = der::content(der::SEQUENCE, tbs)?;
    let mut fields = Reader::new(content);
    let mut found = false;
    while fields.position() < content.len() {
        found |= match der::next(&mut fields)? {
            (VERSION, version) => version == VERSION_1,
            (EXTENSIONS, wrapped) => in_extensions(der::content(der::SEQUENCE, wrapped)?)?,
            _ => false,
        };
    }
    Ok(found)
}

/// `Extension`: the id, `critical` DEFAULT FALSE, the value.
fn in_extensions(list: &[u8]) -> Result<bool, Malformed> {
    let mut extensions = Reader::new(list);
    let mut found = false;
    while extensions.position() < list.len() {
        let mut extension = Reader::new(der::expect(der::SEQUENCE, &mut extensions)?);
        let id = der::expect(OBJECT_IDENTIFIER, &mut extension)?;
        let (tag, mut value) = der::next(&mut extension)?;
        if tag == BOOLEAN {
            found |= value == FALSE;
            value = der::expect(der::OCTET_STRING, &mut extension)?;
        }
        if id == BASIC_CONSTRAINTS {
            found |= der::content(der::SEQUENCE, value)?.starts_with(&[BOOLEAN, 1, 0]);
        }
    }
    Ok(found)
}

const BOOLEAN: u8 = 0x01;
const OBJECT_IDENTIFIER: u8 = 0x06;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const VERSION_1: [u8; 3] = [2, 1, 0];
const FALSE: [u8; 1] = [0];
/// 2.5.29.19.
const BASIC_CONSTRAINTS: [u8; 3] = [0x55, 0x1d, 0x13];

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        [&[tag, u8::try_from(content.len()).unwrap()], content.as_slice()].concat()
    }

    fn with(version: &[u8], extension: &[u8]) -> bool {
        let id = [&[6, 3], BASIC_CONSTRAINTS.as_slice()].concat();
        let extension = sequence(0x30, &[&id, extension]);
        let extensions = sequence(EXTENSIONS, &[&sequence(0x30, &[&extension])]);
        in_tbs(&sequence(0x30, &[&sequence(VERSION, &[version]), &[2, 1, 7], &extensions])).unwrap_or(true)
    }

    #[test]
    fn every_default_of_a_certificate_is_seen() {
        assert!(!with(&[2, 1, 2], &[4, 2, 0x30, 0]));
        assert!(!with(&[2, 1, 2], &[1, 1, 0xff, 4, 5, 0x30, 3, 1, 1, 0xff]));
        assert!(with(&[2, 1, 0], &[4, 2, 0x30, 0]), "version 1");
        assert!(with(&[2, 1, 2], &[1, 1, 0, 4, 2, 0x30, 0]), "critical FALSE");
        assert!(with(&[2, 1, 2], &[4, 5, 0x30, 3, 1, 1, 0]), "cA FALSE");
        assert!(with(&[2, 1, 2], &[4, 1, 0x30]), "cut short");
    }
}
