//! README.md says how a client speaks to the agent; these tests hold the code to it.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "tests")]

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

/// By a reader of CBOR that knows nothing of our types.
#[test]
fn replies_have_the_fields_of_the_manual_in_its_order() {
    let stamp = Stamp { uid: "7f1c".parse().unwrap(), container: Some("3d".repeat(32)) };
    let evidence = EvidenceReply {
        platform: Platform::SevSnp,
        evidence: vec![1],
        certificates: vec![vec![2].into()],
        revocation_lists: vec![vec![3].into()],
        documents: vec![vec![4].into()],
        pod: Some(stamp),
    };
    let failure = Failure { code: "agent.busy".to_owned(), message: "too many callers".to_owned() };
    let diagnosis = |reply: &Reply| {
        let frame = to_frame(reply).unwrap();
        minicbor::display(frame.get(4..).unwrap()).to_string()
    };
    let said = diagnosis(&Reply::Evidence(evidence));
    let container = "3d".repeat(32);
    let expected = format!(r#"[0, [["sev-snp", h'01', [h'02'], [h'03'], [h'04'], ["7f1c", "{container}"]]]]"#);
    assert_eq!(said, expected);
    assert_eq!(diagnosis(&Reply::Failed(failure)), r#"[1, [["agent.busy", "too many callers"]]]"#);
}

#[test]
fn limits_versions_and_codes_are_those_of_the_manual() {
    assert_eq!((MAX_REQUEST, MAX_REPLY, MAX_CONTEXT), (16 * 1024, 512 * 1024, 1024));
    assert_eq!((UNSTAMPED, VERSION), (1, 2));
    for code in ["denied", "caller", "version", "malformed", "stamped", "rate", "busy", "platform", "hardware"] {
        assert!(README.contains(&format!("`agent.{code}`")), "{code}");
    }
    assert!(README.lines().count() <= 60, "a README is read whole");
}
