//! Just enough DER to read the value of an extension.

use crate::bytes::{Malformed, Reader};

/// `INTEGER`.
pub(crate) const INTEGER: u8 = 0x02;
/// `BIT STRING`.
pub(crate) const BIT_STRING: u8 = 0x03;
/// `OCTET STRING`.
pub(crate) const OCTET_STRING: u8 = 0x04;
/// `OBJECT IDENTIFIER`.
pub(crate) const OID: u8 = 0x06;
/// `UTF8String`.
pub(crate) const UTF8_STRING: u8 = 0x0c;
/// `PrintableString`.
pub(crate) const PRINTABLE_STRING: u8 = 0x13;
/// `IA5String`.
pub(crate) const IA5_STRING: u8 = 0x16;
/// `SEQUENCE`.
pub(crate) const SEQUENCE: u8 = 0x30;

/// The content of the one value that `bytes` must be, with this tag and a minimal definite length.
pub(crate) fn content(tag: u8, bytes: &[u8]) -> Result<&[u8], Malformed> {
    let mut reader = Reader::new(bytes);
    let content = expect(tag, &mut reader)?;
    reader.finish()?;
    Ok(content)
}

/// The content of the next value, which must have this tag.
pub(crate) fn expect<'a>(tag: u8, reader: &mut Reader<'a>) -> Result<&'a [u8], Malformed> {
    let (found, content) = next(reader)?;
    if found == tag {
        return Ok(content);
    }
    let expected = "another DER tag";
    Err(Malformed::Value { what: "DER tag", expected, found: format!("{found:#04x}") })
}

/// The tag and the content of the next value.
pub(crate) fn next<'a>(reader: &mut Reader<'a>) -> Result<(u8, &'a [u8]), Malformed> {
    let tag = reader.u8()?;
    let length = match reader.u8()? {
        short @ 0..=0x7f => usize::from(short),
        0x81 => minimal(usize::from(reader.u8()?), 0x80)?,
        0x82 => minimal(usize::from(reader.u16_be()?), 0x100)?,
        other => {
            let expected = "a definite length below 65536";
            return Err(Malformed::Value { what: "DER length", expected, found: format!("{other:#04x}") });
        }
    };
    Ok((tag, reader.take(length)?))
}

/// A non-negative INTEGER below 256.
pub(crate) fn small_integer(bytes: &[u8]) -> Result<u8, Malformed> {
    match content(INTEGER, bytes)? {
        [value @ 0..=0x7f] | [0, value @ 0x80..=0xff] => Ok(*value),
        other => {
            let found = hex::encode(other.iter().take(16).copied().collect::<Vec<u8>>());
            Err(Malformed::Value { what: "DER integer", expected: "0 to 255", found })
        }
    }
}

fn minimal(length: usize, at_least: usize) -> Result<usize, Malformed> {
    if length >= at_least {
        return Ok(length);
    }
    let expected = "the shortest form";
    Err(Malformed::Value { what: "DER length", expected, found: length.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_above_127_has_a_leading_zero() {
        assert_eq!(small_integer(&[2, 1, 0x7f]), Ok(0x7f));
        assert_eq!(small_integer(&[2, 2, 0, 0xd9]), Ok(0xd9));
        assert!(small_integer(&[2, 1, 0xd9]).is_err(), "that is a negative number");
        assert!(small_integer(&[2, 2, 0, 0x11]).is_err(), "not the shortest form");
        assert!(small_integer(&[2, 2, 1, 0]).is_err(), "256");
        assert!(small_integer(&[2, 1, 1, 0]).is_err(), "trailing byte");
    }
}
