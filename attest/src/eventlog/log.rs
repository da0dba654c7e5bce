//! The shape of an event log: a first record in the old form, then events in the form that it names.
//!
//! PC Client Platform Firmware Profile 1.06, section 10.2. In the old form every event has one SHA-1 digest; a
//! first event with the signature `Spec ID Event03` says that the others have a digest of each algorithm that it
//! lists. Events stay slices of the input: lengths are only compared with what is left.
//!
//! Untrusted: everything.

use super::Layout;
use super::kind::NO_ACTION;
use crate::bytes::{Malformed, Reader};
use crate::crypto::Hash;

/// A log that was walked to its end once.
#[derive(Clone, Debug)]
pub struct EventLog<'a> {
    events: &'a [u8],
    end: usize,
    count: usize,
    first_register: u32,
    format: Format,
}

/// One event, as the log says it was.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The register: a PCR, or the measurement register of the CC protocol (RTMR n is n + 1).
    pub register: u32,
    /// What somebody says it is: see [`super::kind_name`].
    pub kind: u32,
    /// What somebody says was measured, or words about it.
    pub data: &'a [u8],
    digests: [Option<&'a [u8]>; 4],
}

#[derive(Clone, Debug)]
enum Format {
    /// One SHA-1 digest, without an identifier.
    Old,
    /// A list of digests; identifiers and sizes as the first record has them.
    Agile(Vec<(u16, usize)>),
}

impl<'a> EventLog<'a> {
    /// The longest log that is read, in bytes: some hundred times that of a real machine.
    pub const MAX_BYTES: usize = 4 * 1024 * 1024;
    /// The most logs in one blob.
    pub const MAX_LOGS: usize = 16;

    /// Walks a log to its end. Bytes of 00 or ff after the last event are padding.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.len() > Self::MAX_BYTES {
            let (what, expected) = ("length of an event log", "at most 4 MiB");
            return Err(Malformed::Value { what, expected, found: bytes.len().to_string() });
        }
        let mut reader = Reader::new(bytes);
        let first = Format::Old.event(&mut reader)?;
        let format = if first.kind == NO_ACTION && first.data.starts_with(SPEC_ID_03) {
            Format::stated(first.data)?
        } else {
            reader = Reader::new(bytes);
            Format::Old
        };
        let events = reader.rest();
        let padding = padding(bytes);
        let mut count = 0_usize;
        while reader.rest().len() > padding {
            format.event(&mut reader)?;
            count = count.saturating_add(1);
        }
        let (length, end) = (events.len(), bytes.len().saturating_sub(reader.rest().len()));
        let events = events.get(..length.saturating_sub(reader.rest().len())).unwrap_or(events);
        Ok(Self { events, end, count, first_register: first.register, format })
    }

    /// Takes apart a blob of one log, or of several with a length (u32, little-endian) in front of each, as
    /// Windows keeps those of every resume.
    pub fn parse_all(bytes: &'a [u8]) -> Result<Vec<Self>, Malformed> {
        // A log begins with the number of a register; no log is as short as the highest.
        let several = bytes.first_chunk().is_some_and(|first| u32::from_le_bytes(*first) > 31);
        if !several {
            return Self::parse(bytes).map(|log| vec![log]);
        }
        let mut reader = Reader::new(bytes);
        let mut logs = Vec::new();
        while !reader.rest().is_empty() {
            if logs.len() == Self::MAX_LOGS {
                let (what, expected) = ("event logs in one blob", "at most 16");
                return Err(Malformed::Value { what, expected, found: "more".to_owned() });
            }
            let length = usize::try_from(reader.u32_le()?).unwrap_or(usize::MAX);
            logs.push(Self::parse(reader.take(length)?)?);
        }
        Ok(logs)
    }

    /// The events, without the record that only names the form.
    pub fn events(&self) -> impl Iterator<Item = Event<'a>> + '_ {
        let mut reader = Reader::new(self.events);
        // `parse` walked the same bytes: no event fails.
        std::iter::from_fn(
            move || {
                if reader.rest().is_empty() { None } else { self.format.event(&mut reader).ok() }
            },
        )
    }

    /// Whose registers the log seems to speak of. A guess for people at a terminal: a verifier is told.
    #[must_use]
    pub fn recognise(&self) -> Layout {
        // The record that names the form belongs to the first register that can be extended.
        let agile = matches!(self.format, Format::Agile(_));
        if agile && self.first_register == 1 { Layout::Cc } else { Layout::Tpm }
    }

    /// How many bytes there are before the padding: where another event would stand.
    #[must_use]
    pub fn end(&self) -> usize {
        self.end
    }

    /// Whether events have digests of several banks, as the first record states them, and not SHA-1 alone.
    #[must_use]
    pub fn is_agile(&self) -> bool {
        matches!(self.format, Format::Agile(_))
    }

    /// How many events there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The banks that the log has digests of and that are understood.
    #[must_use]
    pub fn banks(&self) -> Vec<Hash> {
        match &self.format {
            Format::Old => vec![Hash::Sha1],
            Format::Agile(algorithms) => algorithms.iter().filter_map(|(id, _)| Hash::of_id(*id)).collect(),
        }
    }
}

impl<'a> Event<'a> {
    /// The digest of a bank.
    #[must_use]
    pub fn digest(&self, bank: Hash) -> Option<&'a [u8]> {
        self.digests.get(place(bank)).copied().flatten()
    }

    /// Whether the event changed its register.
    #[must_use]
    pub fn is_extended(&self) -> bool {
        self.kind != NO_ACTION
    }
}

impl Format {
    /// `TCG_EfiSpecIDEvent` (section 10.4.5.1).
    fn stated(data: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(data);
        // Signature, platform class, version, errata, the size of a UINTN.
        reader.take(24)?;
        let count = reader.u32_le()?;
        if !(1..=MAX_ALGORITHMS).contains(&count) {
            let (what, expected) = ("algorithms of an event log", "1 to 16");
            return Err(Malformed::Value { what, expected, found: count.to_string() });
        }
        let mut algorithms: Vec<(u16, usize)> = Vec::new();
        for _ in 0..count {
            let (id, size) = (reader.u16_le()?, reader.u16_le()?);
            let right = Hash::of_id(id).is_none_or(|hash| hash.length() == usize::from(size));
            let once = algorithms.iter().all(|(other, _)| *other != id);
            if !right || !once || size == 0 {
                let (what, expected) = ("algorithm of an event log", "each once, with its size");
                return Err(Malformed::Value { what, expected, found: format!("{id:#06x} of {size} bytes") });
            }
            algorithms.push((id, usize::from(size)));
        }
        let vendor = reader.u8()?;
        reader.take(usize::from(vendor))?;
        reader.finish()?;
        Ok(Self::Agile(algorithms))
    }

    fn event<'a>(&self, reader: &mut Reader<'a>) -> Result<Event<'a>, Malformed> {
        let (register, kind) = (reader.u32_le()?, reader.u32_le()?);
        let digests = match self {
            Self::Old => [Some(reader.take(20)?), None, None, None],
            Self::Agile(algorithms) => digests(reader, algorithms)?,
        };
        let length = usize::try_from(reader.u32_le()?).unwrap_or(usize::MAX);
        Ok(Event { register, kind, data: reader.take(length)?, digests })
    }
}

/// `TPML_DIGEST_VALUES`: at most one digest of each stated algorithm.
fn digests<'a>(
    reader: &mut Reader<'a>,
    algorithms: &[(u16, usize)],
) -> Result<[Option<&'a [u8]>; 4], Malformed> {
    let count = reader.u32_le()?;
    let found = |found: String| {
        let (what, expected) = ("digests of an event", "at most one of each algorithm of the log");
        Malformed::Value { what, expected, found }
    };
    if usize::try_from(count).map_or(true, |count| count > algorithms.len()) {
        return Err(found(count.to_string()));
    }
    let mut digests = [None; 4];
    for _ in 0..count {
        let id = reader.u16_le()?;
        let stated = algorithms.iter().find(|(known, _)| *known == id);
        let (_, size) = stated.ok_or_else(|| found(format!("{id:#06x}")))?;
        let digest = reader.take(*size)?;
        let Some(slot) = Hash::of_id(id).and_then(|bank| digests.get_mut(place(bank))) else { continue };
        if slot.replace(digest).is_some() {
            return Err(found(format!("{id:#06x} twice")));
        }
    }
    Ok(digests)
}

fn place(bank: Hash) -> usize {
    match bank {
        Hash::Sha1 => 0,
        Hash::Sha256 => 1,
        Hash::Sha384 => 2,
        Hash::Sha512 => 3,
    }
}

/// How many bytes of 00, or how many of ff, stand at the end.
fn padding(bytes: &[u8]) -> usize {
    let run = |byte: u8| bytes.iter().rev().take_while(|found| **found == byte).count();
    run(0).max(run(0xff))
}

const SPEC_ID_03: &[u8] = b"Spec ID Event03\0";
const MAX_ALGORITHMS: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn old(register: u32, kind: u32, data: &[u8]) -> Vec<u8> {
        let length = u32::try_from(data.len()).unwrap().to_le_bytes();
        [&register.to_le_bytes()[..], &kind.to_le_bytes(), &[7; 20], &length, data].concat()
    }

    fn agile(algorithms: &[(u16, u16)]) -> Vec<u8> {
        let mut data =
            [SPEC_ID_03, &[0; 8], &u32::try_from(algorithms.len()).unwrap().to_le_bytes()].concat();
        for (id, size) in algorithms {
            data.extend([id.to_le_bytes(), size.to_le_bytes()].concat());
        }
        data.push(0);
        old(0, NO_ACTION, &data)
    }

    fn what(bytes: &[u8]) -> &'static str {
        match EventLog::parse(bytes) {
            Err(Malformed::Value { what, .. }) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn padding_is_no_event() {
        for byte in [0, 0xff] {
            let bytes = [old(4, 5, b"action"), vec![byte; 300]].concat();
            let log = EventLog::parse(&bytes).unwrap();
            assert_eq!((log.events().count(), log.end()), (1, bytes.len() - 300));
        }
        assert!(EventLog::parse(&[old(4, 5, b"action"), vec![0, 0xff, 0]].concat()).is_err());
    }

    #[test]
    fn l23_an_event_of_4_gib_is_refused_by_what_is_left() {
        let mut bytes = old(4, 5, b"action");
        bytes[28..32].fill(0xff);
        let error = EventLog::parse(&bytes).unwrap_err();
        assert_eq!(error, Malformed::Truncated { at: 32, wanted: 0xffff_ffff, left: 6 });
    }

    #[test]
    fn digests_are_those_that_the_first_record_states() {
        let head = agile(&[(4, 20), (0x0b, 32)]);
        assert_eq!(EventLog::parse(&head).unwrap().banks(), [Hash::Sha1, Hash::Sha256]);
        let event = |list: &[u8]| [&head[..], &[4, 0, 0, 0, 5, 0, 0, 0], list].concat();
        assert_eq!(what(&event(&[3, 0, 0, 0])), "digests of an event");
        assert_eq!(what(&event(&[0xff; 4])), "digests of an event");
        assert_eq!(what(&event(&[1, 0, 0, 0, 0x0c, 0])), "digests of an event");
        let twice = [&[2, 0, 0, 0][..], &[4, 0], &[1; 20], &[4, 0], &[1; 20], &[0; 4]].concat();
        assert_eq!(what(&event(&twice)), "digests of an event");
    }

    #[test]
    fn a_first_record_that_is_odd_is_refused() {
        assert_eq!(what(&agile(&[])), "algorithms of an event log");
        assert_eq!(what(&agile(&[(9, 8); 17])), "algorithms of an event log");
        assert_eq!(what(&agile(&[(4, 32)])), "algorithm of an event log");
        assert_eq!(what(&agile(&[(0x12, 0)])), "algorithm of an event log");
        assert_eq!(what(&agile(&[(4, 20), (4, 20)])), "algorithm of an event log");
    }

    #[test]
    fn an_algorithm_that_nobody_knows_has_the_size_that_is_stated() {
        let head = agile(&[(0x12, 32), (4, 20)]);
        let list = [&[2, 0, 0, 0][..], &[0x12, 0], &[1; 32], &[4, 0], &[2; 20], &[0; 4]].concat();
        let bytes = [&head[..], &[4, 0, 0, 0, 5, 0, 0, 0], &list].concat();
        let log = EventLog::parse(&bytes).unwrap();
        let event = log.events().next().unwrap();
        assert_eq!((event.digest(Hash::Sha1), event.digest(Hash::Sha256)), (Some(&[2; 20][..]), None));
    }

    #[test]
    fn several_logs_stand_behind_their_lengths() {
        let log = old(4, 5, b"action");
        let sized = [&38_u32.to_le_bytes()[..], &log].concat();
        assert_eq!(EventLog::parse_all(&sized.repeat(2)).unwrap().len(), 2);
        assert_eq!(EventLog::parse_all(&log).unwrap().len(), 1);
        assert!(EventLog::parse_all(&sized[..41]).is_err());
        assert!(EventLog::parse_all(&sized.repeat(17)).is_err());
    }
}
