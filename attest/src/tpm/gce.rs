//! The Compute Engine instance in a certificate of Google's.
//!
//! Extension 1.3.6.1.4.1.11129.2.1.21: SEQUENCE { zone `UTF8String`, project number INTEGER, project id
//! `UTF8String`, instance id INTEGER, instance name `UTF8String`, \[0\] security properties OPTIONAL }.
//!
//! Untrusted: the value, until the certificate's path was verified.

use serde::Serialize;

use crate::CannotJudge;
use crate::bytes::{Malformed, Reader};
use crate::x509::{Certificate, der};

/// A machine of Google's.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Instance {
    /// For example `us-central1-a`.
    pub zone: String,
    /// The project's number.
    pub project_number: u64,
    /// The project's name.
    pub project: String,
    /// The instance's number, which no other instance ever has.
    pub id: u64,
    /// The instance's name, which its owner chose.
    pub name: String,
}

impl Instance {
    /// The instance in `certificate`; `None` if it names none.
    pub(super) fn of(certificate: &Certificate<'_>) -> Result<Option<Self>, CannotJudge> {
        let value = certificate.extension("1.3.6.1.4.1.11129.2.1.21");
        let unreadable = |problem: Malformed| CannotJudge::Endorsement {
            what: "certificate",
            problem: format!("Compute Engine instance: {problem}"),
        };
        value.map(Self::parse).transpose().map_err(unreadable)
    }

    fn parse(value: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(der::content(der::SEQUENCE, value)?);
        let instance = Self {
            zone: text(&mut reader)?,
            project_number: number(&mut reader)?,
            project: text(&mut reader)?,
            id: number(&mut reader)?,
            name: text(&mut reader)?,
        };
        if reader.clone().finish().is_err() {
            // Security properties: how the machine's secrets are kept. Nothing depends on them.
            der::expect(0xa0, &mut reader)?;
        }
        reader.finish()?;
        Ok(instance)
    }
}

fn text(reader: &mut Reader<'_>) -> Result<String, Malformed> {
    let bytes = der::expect(der::UTF8_STRING, reader)?;
    let printable = bytes.len() <= LONGEST && bytes.iter().all(|byte| (0x20..0x7f).contains(byte));
    let wrong = || Malformed::Value {
        what: "text",
        expected: "printable ASCII",
        found: hex::encode(bytes.iter().take(32).copied().collect::<Vec<u8>>()),
    };
    if !printable {
        return Err(wrong());
    }
    String::from_utf8(bytes.to_vec()).map_err(|_why| wrong())
}

/// A positive INTEGER of at most 64 bits.
fn number(reader: &mut Reader<'_>) -> Result<u64, Malformed> {
    let bytes = der::expect(der::INTEGER, reader)?;
    let wide = match bytes {
        [0, rest @ ..] if rest.first().is_some_and(|byte| *byte >= 0x80) => rest,
        [0x00] | [0x01..=0x7f, ..] => bytes,
        _ => &[],
    };
    if wide.is_empty() || wide.len() > 8 {
        let (what, expected) = ("number", "0 to 2^64 - 1 in the shortest form");
        return Err(Malformed::Value { what, expected, found: hex::encode(bytes) });
    }
    Ok(wide.iter().fold(0, |value: u64, byte| value.wrapping_shl(8) | u64::from(*byte)))
}

/// Names of Google's have 63 characters at most.
const LONGEST: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a certificate that Google published with its tools.
    const VALUE: &str = "305c0c0d75732d63656e7472616c312d61020600f96d8365740c136d696e6572616c2d6d696e757469612d383230\
                         02085bef78d9bab2f14e0c026363a020301ea003020100a1030101ffa2030101ffa303010100a403010100a503010100";

    #[test]
    fn an_instance_is_read_field_by_field() {
        let instance = Instance::parse(&hex::decode(VALUE.replace(' ', "")).unwrap()).unwrap();
        assert_eq!((instance.zone.as_str(), instance.name.as_str()), ("us-central1-a", "cc"));
        assert_eq!(instance.project, "mineral-minutia-820");
        assert_eq!((instance.project_number, instance.id), (1_071_284_184_436, 6_624_646_453_420_814_670));
    }

    #[test]
    fn every_truncation_and_a_number_of_72_bits_are_refused() {
        let bytes = hex::decode(VALUE.replace(' ', "")).unwrap();
        for length in 0..bytes.len() {
            assert!(Instance::parse(&bytes[..length]).is_err(), "{length}");
        }
        let wide = [&[2, 9, 1][..], &[0; 8]].concat();
        assert!(matches!(number(&mut Reader::new(&wide)), Err(Malformed::Value { what: "number", .. })));
        assert!(number(&mut Reader::new(&[2, 1, 0x80])).is_err(), "negative");
    }
}
