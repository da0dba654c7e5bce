//! A parcel: several pieces of evidence that one machine sent together.
//!
//! A quote with its event log, a TPM quote with the hardware report that vouches for its key: one map of
//! deterministic CBOR (RFC 8949, section 4.2), part number to byte string. A parcel says nothing of what its
//! parts are worth; each platform says which parts it takes, and refuses any other.
//!
//! Untrusted: everything. Every part stays a slice of the input.

use crate::bytes::Malformed;

/// What a piece is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Part {
    /// An SNP attestation report.
    SnpReport,
    /// A TD quote.
    TdQuote,
    /// A TPM quote with its key and values, as [`crate::tpm::assemble`] makes it.
    TpmQuote,
    /// The hardware report that Azure's paravisor keeps in the TPM's non-volatile memory.
    HclReport,
    /// The TCG event log of a TPM.
    EventLog,
    /// The event log of a TD (ACPI table CCEL).
    Ccel,
    /// The run-time list of Linux' integrity measurement architecture.
    ImaLog,
}

impl Part {
    /// The key in the map.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::SnpReport => 1,
            Self::TdQuote => 2,
            Self::TpmQuote => 3,
            Self::HclReport => 4,
            Self::EventLog => 5,
            Self::Ccel => 6,
            Self::ImaLog => 7,
        }
    }

    fn numbered(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.number() == number)
    }

    const ALL: [Self; 7] = [
        Self::SnpReport,
        Self::TdQuote,
        Self::TpmQuote,
        Self::HclReport,
        Self::EventLog,
        Self::Ccel,
        Self::ImaLog,
    ];
}

/// The parts of one machine's evidence, ascending, each at most once.
#[derive(Clone, Debug)]
pub struct Parcel<'a> {
    bytes: &'a [u8],
    parts: Vec<(Part, &'a [u8])>,
}

impl<'a> Parcel<'a> {
    /// The longest parcel that is read, in bytes: logs are long.
    pub const MAX_BYTES: usize = 16 * 1024 * 1024;

    /// Whether this begins like a parcel: with a map of CBOR. No evidence that comes alone does.
    #[must_use]
    pub fn looks_like(bytes: &[u8]) -> bool {
        matches!(bytes.first(), Some(0xa0..=0xbf))
    }

    /// Takes the parts apart.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.len() > Self::MAX_BYTES {
            let (what, expected) = ("length of a parcel", "at most 16 MiB");
            return Err(Malformed::Value { what, expected, found: bytes.len().to_string() });
        }
        let mut decoder = minicbor::Decoder::new(bytes);
        let count = decoder.map().map_err(|error| broken(&error))?;
        let count = count.ok_or_else(|| disorder("a map of indefinite length"))?;
        let mut parts: Vec<(Part, &[u8])> = Vec::new();
        for _ in 0..count {
            let number = decoder.u8().map_err(|error| broken(&error))?;
            let part = Part::numbered(number).ok_or_else(|| disorder(&format!("part {number}")))?;
            if parts.last().is_some_and(|(last, _)| *last >= part) {
                return Err(disorder(&format!("part {number} after a later one, or twice")));
            }
            parts.push((part, decoder.bytes().map_err(|error| broken(&error))?));
        }
        let extra = bytes.len().saturating_sub(decoder.position());
        if extra != 0 {
            return Err(Malformed::Trailing { extra });
        }
        // What does not encode to the same bytes has a second reading.
        if assemble(&parts) != bytes {
            return Err(disorder("another encoding of the same parts"));
        }
        Ok(Self { bytes, parts })
    }

    /// The parcel as it was received.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The piece of this kind, if there is one.
    #[must_use]
    pub fn part(&self, wanted: Part) -> Option<&'a [u8]> {
        self.parts.iter().find(|(part, _)| *part == wanted).map(|(_, bytes)| *bytes)
    }

    /// Refuses parts that nobody would look at: a part that carries a check must not be dropped in silence.
    pub fn only(&self, known: &[Part]) -> Result<(), Malformed> {
        match self.parts.iter().find(|(part, _)| !known.contains(part)) {
            None => Ok(()),
            Some((part, _)) => Err(disorder(&format!("part {} ({part:?})", part.number()))),
        }
    }
}

/// Puts parts, ascending, into a parcel: on the machine that has them.
#[must_use]
pub fn assemble(parts: &[(Part, &[u8])]) -> Vec<u8> {
    let mut encoder = minicbor::Encoder::new(Vec::new());
    // Writing to a Vec does not fail: its error type has no values.
    let written = encoder.map(u64::try_from(parts.len()).unwrap_or(u64::MAX)).and_then(|encoder| {
        parts.iter().try_fold(encoder, |encoder, (part, bytes)| encoder.u8(part.number())?.bytes(bytes))
    });
    match written.map(|_| ()) {
        Ok(()) => encoder.into_writer(),
        Err(error) => match error.into_write() {
            Some(never) => match never {},
            None => Vec::new(),
        },
    }
}

fn broken(error: &minicbor::decode::Error) -> Malformed {
    disorder(&error.to_string())
}

fn disorder(found: &str) -> Malformed {
    let expected = "a deterministic CBOR map of the parts that the platform has";
    Malformed::Value { what: "parcel", expected, found: found.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: &[u8]) -> String {
        match Parcel::parse(bytes) {
            Err(Malformed::Value { found, .. }) => found,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn parts_come_out_as_they_went_in() {
        let bytes = assemble(&[(Part::TpmQuote, b"quote"), (Part::EventLog, b"log")]);
        let parcel = Parcel::parse(&bytes).unwrap();
        assert_eq!(parcel.part(Part::TpmQuote), Some(&b"quote"[..]));
        assert_eq!(parcel.part(Part::EventLog), Some(&b"log"[..]));
        assert_eq!(parcel.part(Part::Ccel), None);
        assert!(Parcel::looks_like(&bytes));
    }

    #[test]
    fn a_parcel_has_one_reading() {
        assert_eq!(found(&[0xbf, 3, 0x41, 0, 0xff]), "a map of indefinite length");
        assert_eq!(found(&[0xa2, 3, 0x41, 0, 3, 0x41, 0]), "part 3 after a later one, or twice");
        assert_eq!(found(&[0xa2, 5, 0x41, 0, 3, 0x41, 0]), "part 3 after a later one, or twice");
        assert_eq!(found(&[0xa1, 3, 0x58, 1, 0]), "another encoding of the same parts");
        assert_eq!(found(&[0xa1, 0x18, 99, 0x41, 0]), "part 99");
        assert_eq!(Parcel::parse(&[0xa0, 0]).unwrap_err(), Malformed::Trailing { extra: 1 });
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = assemble(&[(Part::TpmQuote, b"quote"), (Part::EventLog, b"log")]);
        for length in 0..bytes.len() {
            assert!(Parcel::parse(&bytes[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_part_that_nobody_looks_at_is_refused() {
        let bytes = assemble(&[(Part::TpmQuote, b"quote"), (Part::Ccel, b"log")]);
        let parcel = Parcel::parse(&bytes).unwrap();
        assert!(parcel.only(&[Part::TpmQuote]).is_err());
        assert_eq!(parcel.only(&[Part::TpmQuote, Part::Ccel]), Ok(()));
    }

    #[test]
    fn a_claimed_count_of_billions_costs_nothing() {
        assert!(Parcel::parse(&[0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err());
        assert!(Parcel::parse(&[0xa1, 3, 0x5b, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]).is_err());
    }
}
