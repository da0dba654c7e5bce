//! What each target does with its bytes, and what must hold whatever they are.
//!
//! Used twice: by the fuzz targets, and by `tests/corpus.rs`, which replays the committed corpora.

use protocol::agent::{self, MAX_CONTEXT};
use protocol::protection::{Report, Score};
use protocol::release::{Presentation, Refusal, Sealed};
use protocol::released::Released;
use protocol::{secret, unseal};

/// A request to the agent: what parses is within bounds and is written back as it came.
pub fn agent_request(bytes: &[u8]) {
    let Ok(request) = agent::parse_request(bytes) else { return };
    assert!(request.context.len() <= MAX_CONTEXT);
    assert!(request.key.kem.public_len().contains(request.key.public.len()));
    let frame = agent::to_frame(&request).expect("what was parsed can be written");
    assert_eq!(frame.get(4..), Some(bytes), "one value, one encoding");
}

/// A reply of the agent: likewise.
pub fn agent_reply(bytes: &[u8]) {
    let Ok(reply) = agent::parse_reply(bytes) else { return };
    let frame = agent::to_frame(&reply).expect("what was parsed can be written");
    assert_eq!(frame.get(4..), Some(bytes), "one value, one encoding");
}

/// The JSON of a release, in both directions: a key that is offered has the length of its kind.
pub fn release(bytes: &[u8]) {
    if let Ok(presentation) = serde_json::from_slice::<Presentation>(bytes) {
        if let Ok(offered) = presentation.offered() {
            assert!(offered.kem.public_len().contains(offered.public.len()));
        }
        let again = serde_json::to_vec(&presentation).expect("what was parsed can be written");
        assert_eq!(serde_json::from_slice::<Presentation>(&again).ok(), Some(presentation));
    }
    drop(serde_json::from_slice::<Sealed>(bytes));
    drop(serde_json::from_slice::<Released>(bytes));
    drop(serde_json::from_slice::<Refusal>(bytes));
}

/// The plaintext of a secret: what parses is written back as it came.
pub fn secret(bytes: &[u8]) {
    let Ok(fields) = secret::fields_of(bytes) else { return };
    assert!(fields.is_sorted_by(|(left, _), (right, _)| left < right));
    if let Ok(again) = secret::encode(fields) {
        assert_eq!(*again, bytes);
    }
}

/// A request of a custodian: what parses is written back as it came.
pub fn unseal_request(bytes: &[u8]) {
    let Ok(request) = unseal::parse_request(bytes) else { return };
    let frame = unseal::to_frame(&request).expect("what was parsed can be written");
    assert_eq!(frame.get(4..), Some(bytes), "one value, one encoding");
}

/// A reply to a custodian: likewise.
pub fn unseal_reply(bytes: &[u8]) {
    let Ok(reply) = unseal::parse_reply(bytes) else { return };
    let frame = unseal::to_frame(&reply).expect("what was parsed can be written");
    assert_eq!(frame.get(4..), Some(bytes), "one value, one encoding");
}

/// A protection report: what parses is within bounds, is written back as it came, in JSON too, and can be counted.
pub fn protection(bytes: &[u8]) {
    let Ok(report) = Report::parse(bytes) else { return };
    assert!(bytes.len() <= Report::MAX_BYTES && report.attacks.len() <= Report::MAX_ATTACKS);
    assert_eq!(report.to_cbor(), bytes, "one value, one encoding");
    let score = Score::of(&report.measures);
    assert!(score.points <= score.most && score.most <= 135);
    let json = serde_json::to_vec(&report).expect("what was parsed can be written");
    assert_eq!(serde_json::from_slice::<Report>(&json).ok(), Some(report));
}
