//! The node agent's socket: one request, one reply, then the agent closes.
//!
//! A frame is a big-endian u32 length and that many bytes of CBOR. The caller says which nonce, purpose
//! and key the hardware shall sign; the agent answers with evidence and the endorsements that the machine
//! has. The agent never judges and never sees a secret. Where the agent knows that the caller is in a pod, it writes
//! the pod into the purpose ([`Purpose::pod`]) before the hardware signs, and says so in its reply.
//!
//! Untrusted: both sides of the socket, for each other. The verifier decides later.

use attest::workload::{Purpose, is_stamped};
use attest::{OfferedKey, Platform, PodUid};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

/// What a local process asks.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub struct EvidenceRequest {
    /// The version of this protocol: [`VERSION`], or [`UNSTAMPED`] of a caller who knows no stamps.
    #[n(0)]
    pub version: u32,
    /// The verifier's nonce.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub nonce: [u8; 32],
    /// The purpose of the answer, for example `attest-keys/release/db`; without a stamp.
    #[n(2)]
    pub context: String,
    /// The key that the evidence shall vouch for.
    #[n(3)]
    pub key: OfferedKey,
    /// Which hardware shall speak; absent: whichever the agent prefers.
    #[n(4)]
    pub platform: Option<Platform>,
}

/// What the agent answers.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub enum Reply {
    /// Evidence over the nonce, purpose and key of the request.
    #[n(0)]
    Evidence(#[n(0)] EvidenceReply),
    /// Why there is none.
    #[n(1)]
    Failed(#[n(0)] Failure),
}

/// Evidence and what the machine has to go with it.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub struct EvidenceReply {
    /// Which hardware spoke.
    #[n(0)]
    pub platform: Platform,
    /// The evidence.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub evidence: Vec<u8>,
    /// Certificates that the host or the hardware handed out, DER.
    #[n(2)]
    pub certificates: Vec<ByteVec>,
    /// Revocation lists that the agent keeps, DER.
    #[n(3)]
    pub revocation_lists: Vec<ByteVec>,
    /// Signed documents that the agent keeps: Intel's TCB info and QE identity.
    #[n(4)]
    pub documents: Vec<ByteVec>,
    /// The pod that asked, which the hardware signed with the purpose; absent: the agent knows of none.
    #[n(5)]
    pub pod: Option<Stamp>,
}

/// Who asked, as the kernel told the agent.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub struct Stamp {
    /// The pod's unique id, as it stands in the signed purpose.
    #[n(0)]
    pub uid: PodUid,
    /// The container's id, 64 hex digits; not signed.
    #[n(1)]
    pub container: Option<String>,
}

impl EvidenceReply {
    /// What the hardware signed as the purpose, where this was asked for.
    #[must_use]
    pub fn purpose(&self, context: &str) -> String {
        stamped(context, self.pod.as_ref().map(|stamp| &stamp.uid))
    }
}

/// A purpose that was asked for, with the stamp of the pod that asked.
#[must_use]
pub fn stamped(context: &str, pod: Option<&PodUid>) -> String {
    Purpose { path: context, token: None, protection: None, pod: pod.map(PodUid::as_str) }.to_string()
}

/// Why the agent has no evidence.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub struct Failure {
    /// A stable name: `agent.denied`, `agent.caller`, `agent.version`, `agent.malformed`, `agent.stamped`,
    /// `agent.rate`, `agent.busy`, `agent.platform`, `agent.hardware`.
    #[n(0)]
    pub code: String,
    /// The same for people.
    #[n(1)]
    pub message: String,
}

/// The version of this protocol. Whoever sends it reads [`EvidenceReply::pod`].
pub const VERSION: u32 = 2;
/// The version before there were stamps: good for callers who are in no pod.
pub const UNSTAMPED: u32 = 1;
/// The longest request frame, in bytes.
pub const MAX_REQUEST: usize = 16 * 1024;
/// The longest reply frame, in bytes.
pub const MAX_REPLY: usize = 512 * 1024;
/// The longest purpose, in bytes.
pub const MAX_CONTEXT: usize = 1024;

/// Puts a message into a frame.
pub fn to_frame<M: Encode<()>>(message: &M) -> Result<Vec<u8>, BadFrame> {
    let body = minicbor::to_vec(message).map_err(|error| BadFrame::Content(error.to_string()))?;
    let length = u32::try_from(body.len())
        .map_err(|_why| BadFrame::TooLong { limit: MAX_REPLY, found: body.len() })?;
    Ok([length.to_be_bytes().as_slice(), &body].concat())
}

/// The length of the body that follows these four bytes.
pub fn body_length(header: [u8; 4], limit: usize) -> Result<usize, BadFrame> {
    let found = usize::try_from(u32::from_be_bytes(header)).unwrap_or(usize::MAX);
    if found > limit { Err(BadFrame::TooLong { limit, found }) } else { Ok(found) }
}

/// Decodes the body of a request.
pub fn parse_request(body: &[u8]) -> Result<EvidenceRequest, BadFrame> {
    let request: EvidenceRequest = parse(body)?;
    if ![UNSTAMPED, VERSION].contains(&request.version) {
        return Err(BadFrame::Version { expected: VERSION, found: request.version });
    }
    if is_stamped(&request.context) {
        return Err(BadFrame::Stamped);
    }
    if request.context.len() > MAX_CONTEXT {
        return Err(BadFrame::TooLong { limit: MAX_CONTEXT, found: request.context.len() });
    }
    if !request.key.kem.public_len().contains(request.key.public.len()) {
        let (expected, found) = (request.key.kem.public_len(), request.key.public.len());
        return Err(BadFrame::Key { expected, found });
    }
    Ok(request)
}

/// Decodes the body of a reply.
pub fn parse_reply(body: &[u8]) -> Result<Reply, BadFrame> {
    parse(body)
}

/// Exactly one value, in the one encoding that this side would have chosen: an unknown field is an error.
pub(crate) fn parse<'b, M: Decode<'b, ()> + Encode<()>>(body: &'b [u8]) -> Result<M, BadFrame> {
    let mut decoder = minicbor::Decoder::new(body);
    let message: M = decoder.decode().map_err(|error| BadFrame::Content(error.to_string()))?;
    if decoder.position() != body.len() {
        return Err(BadFrame::Content("bytes follow the end".to_owned()));
    }
    match minicbor::to_vec(&message) {
        Ok(again) if again == body => Ok(message),
        Ok(_) => Err(BadFrame::Content("unknown fields, or not the shortest encoding".to_owned())),
        Err(error) => Err(BadFrame::Content(error.to_string())),
    }
}

/// Why bytes are not a message.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadFrame {
    /// Longer than the limit.
    #[error("message too long: at most {limit} bytes, found {found}")]
    TooLong {
        /// The limit.
        limit: usize,
        /// The length.
        found: usize,
    },
    /// Not the CBOR of a message.
    #[error("malformed message: {0}")]
    Content(String),
    /// Another version of the protocol.
    #[error("protocol version: expected {expected}, found {found}")]
    Version {
        /// The version here.
        expected: u32,
        /// The version there.
        found: u32,
    },
    /// A caller who stamps: only the agent says which pod asks.
    #[error("purpose: expected one without #pod=, which the agent alone writes")]
    Stamped,
    /// A key of the wrong length for its kind.
    #[error("offered key: expected {expected} bytes, found {found}")]
    Key {
        /// The length that the kind has.
        expected: attest::KeyLength,
        /// The length that was sent.
        found: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use attest::Kem;

    fn request() -> EvidenceRequest {
        let key = OfferedKey { kem: Kem::X25519, public: vec![7; 32] };
        let context = "attest-keys/release/db".to_owned();
        EvidenceRequest { version: VERSION, nonce: [1; 32], context, key, platform: None }
    }

    fn body(frame: &[u8]) -> &[u8] {
        &frame[4..]
    }

    #[test]
    fn a_request_survives_the_wire_and_every_truncation_of_it_is_refused() {
        let frame = to_frame(&request()).unwrap();
        assert_eq!(body_length(frame[..4].try_into().unwrap(), MAX_REQUEST).unwrap(), frame.len() - 4);
        assert_eq!(parse_request(body(&frame)).unwrap(), request());
        for cut in 0..body(&frame).len() {
            assert!(matches!(parse_request(&body(&frame)[..cut]), Err(BadFrame::Content(_))), "{cut}");
        }
        let trailing = [body(&frame), &[0]].concat();
        assert_eq!(parse_request(&trailing), Err(BadFrame::Content("bytes follow the end".to_owned())));
    }

    #[test]
    fn another_version_and_a_key_of_the_wrong_length_are_named() {
        for found in [0, 3] {
            let other = EvidenceRequest { version: found, ..request() };
            let refused = Err(BadFrame::Version { expected: 2, found });
            assert_eq!(parse_request(body(&to_frame(&other).unwrap())), refused);
        }
        let older = EvidenceRequest { version: UNSTAMPED, ..request() };
        assert_eq!(parse_request(body(&to_frame(&older).unwrap())), Ok(older));
        let mut short = request();
        short.key.public.pop();
        let expected = Err(BadFrame::Key { expected: Kem::X25519.public_len(), found: 31 });
        assert_eq!(parse_request(body(&to_frame(&short).unwrap())), expected);
    }

    #[test]
    fn a_purpose_that_carries_a_stamp_already_is_refused_wherever_it_stands() {
        for context in ["attest-keys/release/db#pod=7f1c", "#pod=", "a#pod=x/b"] {
            let forged = EvidenceRequest { context: context.to_owned(), ..request() };
            assert_eq!(parse_request(body(&to_frame(&forged).unwrap())), Err(BadFrame::Stamped), "{context}");
        }
    }

    #[test]
    fn a_reply_without_a_pod_is_what_it_was_before_there_were_stamps() {
        let reply = EvidenceReply {
            platform: Platform::SevSnp,
            evidence: vec![1],
            certificates: vec![],
            revocation_lists: vec![],
            documents: vec![],
            pod: None,
        };
        let bytes = minicbor::to_vec(&reply).unwrap();
        assert_eq!(minicbor::Decoder::new(&bytes).array().unwrap(), Some(5));
        assert_eq!(reply.purpose("release/db"), "release/db");
        let stamp = Stamp { uid: "7f1c".parse().unwrap(), container: None };
        let stamped = EvidenceReply { pod: Some(stamp), ..reply };
        assert_eq!(stamped.purpose("release/db"), "release/db#pod=7f1c");
        let frame = to_frame(&Reply::Evidence(stamped.clone())).unwrap();
        assert_eq!(parse_reply(body(&frame)), Ok(Reply::Evidence(stamped)));
    }

    /// Lesson L5: a field that this version does not know may have carried a check.
    #[test]
    fn l05_an_unknown_field_is_refused() {
        let mut encoder = minicbor::Encoder::new(Vec::new());
        let plain = to_frame(&request()).unwrap();
        let fields = minicbor::Decoder::new(body(&plain)).array().unwrap().unwrap();
        encoder.array(fields + 2).unwrap();
        let mut longer = encoder.into_writer();
        longer.extend_from_slice(&body(&plain)[1..]);
        longer.extend_from_slice(&[0xf6, 0x01]);
        assert!(matches!(parse_request(&longer), Err(BadFrame::Content(_))));
    }

    #[test]
    fn a_frame_that_claims_four_gigabytes_is_not_allocated() {
        let found = usize::try_from(u32::MAX).unwrap();
        assert_eq!(body_length([0xff; 4], MAX_REPLY), Err(BadFrame::TooLong { limit: MAX_REPLY, found }));
    }
}
