//! Entries: one encoding, nothing else.

use attest::crypto::AwsLcRs;
use attest::log::{
    BadEntry, BadText, DecisionId, Entry, EntryDigest, Event, Format, Kind, Measurement, PolicyRef,
    RecordDigest, SaltedName, SecretRef, Subject, Tail, Text,
};
use attest::{Digest, Platform, UnixTime};

use crate::shelf::release;

fn full() -> Entry {
    let subject = Subject {
        platform: Some(Platform::SevSnp),
        product_line: Some(Text::new("Genoa").unwrap()),
        hardware: Some(Digest([1; 32])),
        instance: Some(Digest([2; 32])),
        measurement: Some(Measurement::new(&[3; 48]).unwrap()),
        policy: Some(PolicyRef { name: Text::new("payments").unwrap(), version: 4, digest: Digest([5; 32]) }),
        secret: Some(SecretRef { name: SaltedName(Digest([6; 32])), version: 7 }),
        valid_until: Some(UnixTime(1_795_287_600)),
    };
    let event = Event {
        kind: Kind::Renewal,
        at: UnixTime(1_795_284_000),
        decision: DecisionId(Digest([8; 32])),
        under: Some(DecisionId(Digest([9; 32]))),
        request: Text::new("release of 06 version 7").unwrap(),
        record: RecordDigest(Digest([10; 32])),
        subject,
    };
    let previous = EntryDigest(Digest([11; 32]));
    Entry { format: Format::V1, index: 12, previous, clock: UnixTime(1_795_284_000), event }
}

#[test]
fn an_entry_survives_encoding() {
    for entry in [
        full(),
        Entry { event: Event { subject: Subject::default(), under: None, ..full().event }, ..full() },
    ] {
        let bytes = entry.encode().unwrap();
        assert_eq!(Entry::decode(&bytes), Ok(entry));
    }
}

/// The bytes are in every log that was ever written: they never change.
#[test]
fn the_encoding_is_what_it_always_was() {
    let expected = concat!(
        "a50001010c025820",
        "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
        "031a6b01dc2004a7000a011a6b01dc20025820",
        "0808080808080808080808080808080808080808080808080808080808080808",
        "035820",
        "0909090909090909090909090909090909090909090909090909090909090909",
        "047772656c65617365206f662030362076657273696f6e2037055820",
        "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a",
        "06a80001016547656e6f61025820",
        "0101010101010101010101010101010101010101010101010101010101010101",
        "035820",
        "0202020202020202020202020202020202020202020202020202020202020202",
        "045830",
        "030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303",
        "05a300687061796d656e74730104025820",
        "0505050505050505050505050505050505050505050505050505050505050505",
        "06a2005820",
        "0606060606060606060606060606060606060606060606060606060606060606",
        "0107071a6b01ea30",
    );
    assert_eq!(hex::encode(full().encode().unwrap()), expected);
}

#[test]
fn no_truncation_and_no_byte_more_is_an_entry() {
    let bytes = full().encode().unwrap();
    for length in 0..bytes.len() {
        assert!(Entry::decode(&bytes[..length]).is_err(), "{length}");
    }
    let long = [bytes.as_slice(), &[0]].concat();
    assert_eq!(Entry::decode(&long), Err(BadEntry::Trailing(1)));
}

#[test]
fn another_encoding_of_the_same_entry_is_refused() {
    let bytes = full().encode().unwrap();
    // A map of five, of indefinite length.
    let indefinite = [&[0xbf], &bytes[1..], &[0xff]].concat();
    assert_eq!(Entry::decode(&indefinite), Err(BadEntry::NotDeterministic));
    // The number 12 in two bytes.
    let long_number = [&bytes[..4], &[0x18, 12], &bytes[5..]].concat();
    assert_eq!(Entry::decode(&long_number), Err(BadEntry::NotDeterministic));
    // A sixth field that nobody knows.
    let unknown = [&[0xa6], &bytes[1..], &[5, 0]].concat();
    assert_eq!(Entry::decode(&unknown), Err(BadEntry::NotDeterministic));
}

#[test]
fn an_unknown_kind_and_an_unknown_format_are_named() {
    let bytes = full().encode().unwrap();
    let at = bytes.windows(3).position(|window| window == [0xa7, 0, 10]).unwrap() + 2;
    let kind = [&bytes[..at], &[0x17], &bytes[at + 1..]].concat();
    let Err(BadEntry::Content(why)) = Entry::decode(&kind) else { panic!("{kind:?}") };
    assert!(why.contains("23"), "{why}");
    let format = [&bytes[..2], &[2], &bytes[3..]].concat();
    let Err(BadEntry::Content(why)) = Entry::decode(&format) else { panic!("{format:?}") };
    assert!(why.contains('2'), "{why}");
}

#[test]
fn an_entry_is_never_longer_than_its_limit() {
    assert_eq!(Entry::decode(&[0; 4097]), Err(BadEntry::TooLong(4097)));
    let mut longest = full();
    longest.event.request = Text::new("x".repeat(512)).unwrap();
    longest.event.subject.product_line = Some(Text::new("x".repeat(64)).unwrap());
    longest.event.subject.measurement = Some(Measurement::new(&[3; 64]).unwrap());
    longest.index = u64::MAX;
    assert!(longest.encode().unwrap().len() < Entry::MAX_BYTES);
}

#[test]
fn a_text_is_short_and_on_one_line() {
    assert_eq!(Text::<3>::new("abcd"), Err(BadText::TooLong { limit: 3, found: 4 }));
    assert_eq!(Text::<3>::new("a\nb"), Err(BadText::Control('\n')));
    assert_eq!(Measurement::new(&[]), Err(BadText::Measurement(0)));
    assert_eq!(Measurement::new(&[0; 65]), Err(BadText::Measurement(65)));
    assert_eq!("0g".parse::<Measurement>(), Err(BadText::NotHex("0g".to_owned())));
}

#[test]
fn kinds_have_the_names_that_json_has() {
    for kind in [Kind::Admission, Kind::TokenRelease, Kind::CollateralImport, Kind::Renewal] {
        assert_eq!(serde_json::to_string(&kind).unwrap(), format!("{:?}", kind.name()));
    }
}

#[test]
fn the_tail_is_known_from_the_last_entry_alone() {
    let mut tail = Tail::EMPTY;
    for number in 0..3 {
        let (_, bytes) = tail.append(&AwsLcRs, release(number)).unwrap();
        assert_eq!(Tail::after(&AwsLcRs, &bytes), Ok(tail));
    }
    assert_eq!((tail.count(), tail.clock()), (3, UnixTime(1_795_284_002)));
}
