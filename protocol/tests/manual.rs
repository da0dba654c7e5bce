//! README.md says how a client speaks to the agent; these tests hold the code to it.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "tests")]

use minicbor::Encoder;
use protocol::agent::{
    EvidenceReply, EvidenceRequest, Failure, MAX_CONTEXT, MAX_REPLY, MAX_REQUEST, Reply, Stamp, UNSTAMPED,
    VERSION, body_length, parse_request, to_frame,
};
use protocol::{Kem, OfferedKey, Platform};

const README: &str = include_str!("../README.md");

/// The digits of the block that is marked so.
fn example() -> Vec<u8> {
    let block = README.split("```hex\n").nth(1).unwrap().split("```").next().unwrap();
    hex::decode(block.split_whitespace().collect::<String>()).unwrap()
}

fn request() -> EvidenceRequest {
    let key = OfferedKey { kem: Kem::X25519, public: vec![7; 32] };
    let context = "attest-keys/release/db".to_owned();
    EvidenceRequest { version: VERSION, nonce: [1; 32], context, key, platform: None }
}

#[test]
fn the_frame_in_the_manual_is_the_request_that_it_says() {
    let frame = to_frame(&request()).unwrap();
    assert_eq!(hex::encode(&frame), hex::encode(example()));
    let (header, body) = frame.split_first_chunk().unwrap();
    assert_eq!(body_length(*header, MAX_REQUEST), Ok(body.len()));
    assert_eq!(parse_request(body), Ok(request()));
}

/// By a writer of CBOR that knows nothing of our types.
#[test]
fn replies_have_the_fields_of_the_manual_in_its_order() {
    let container = "3d".repeat(32);
    let stamp = Stamp { uid: "7f1c".parse().unwrap(), container: Some(container.clone()) };
    let evidence = EvidenceReply {
        platform: Platform::SevSnp,
        evidence: vec![1],
        certificates: vec![vec![2].into()],
        revocation_lists: vec![vec![3].into()],
        documents: vec![vec![4].into()],
        pod: Some(stamp),
    };
    let mut expected = Encoder::new(Vec::new());
    expected.array(2).unwrap().u8(0).unwrap().array(1).unwrap().array(6).unwrap();
    expected.u8(1).unwrap().bytes(&[1]).unwrap();
    for list in [2, 3, 4] {
        expected.array(1).unwrap().bytes(&[list]).unwrap();
    }
    expected.array(2).unwrap().str("7f1c").unwrap().str(&container).unwrap();
    assert_eq!(body(&Reply::Evidence(evidence)), expected.into_writer());

    let failure = Failure { code: "agent.busy".to_owned(), message: "too many callers".to_owned() };
    let mut expected = Encoder::new(Vec::new());
    expected.array(2).unwrap().u8(1).unwrap().array(1).unwrap().array(2).unwrap();
    expected.str("agent.busy").unwrap().str("too many callers").unwrap();
    assert_eq!(body(&Reply::Failed(failure)), expected.into_writer());
}

fn body(reply: &Reply) -> Vec<u8> {
    to_frame(reply).unwrap().split_off(4)
}

#[test]
fn limits_versions_and_codes_are_those_of_the_manual() {
    assert_eq!((MAX_REQUEST, MAX_REPLY, MAX_CONTEXT), (16 * 1024, 512 * 1024, 1024));
    assert_eq!((UNSTAMPED, VERSION), (1, 2));
    for code in
        ["denied", "caller", "version", "malformed", "stamped", "rate", "busy", "platform", "hardware"]
    {
        assert!(README.contains(&format!("`agent.{code}`")), "{code}");
    }
    assert!(README.lines().count() <= 60, "a README is read whole");
}
