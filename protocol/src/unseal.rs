//! A custodian and a machine that waits to be unsealed: evidence over the custodian's nonce, then a share.
//!
//! Frames as in [`crate::agent`], one request and one reply for each connection. The machine offers one key
//! for as long as it collects; each custodian has evidence made over a nonce of their own and that key,
//! verifies it on their own machine, and only then seals their share to the key.
//!
//! Untrusted: all of it, for both sides. Shares travel sealed, and what carries them sees nothing.

use minicbor::{Decode, Encode};

use crate::OfferedKey;
pub use crate::agent::{BadFrame, EvidenceReply, Failure, body_length, to_frame};

/// What a custodian asks.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub enum Request {
    /// Who are you?
    #[n(0)]
    Evidence(#[n(0)] Demand),
    /// Here is my share.
    #[n(1)]
    Share(#[n(0)] Share),
}

/// A demand for evidence.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub struct Demand {
    /// The version of this protocol: [`VERSION`].
    #[n(0)]
    pub version: u32,
    /// The custodian's nonce.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub nonce: [u8; 32],
}

/// A share, sealed to the machine's key.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub struct Share {
    /// The version of this protocol: [`VERSION`].
    #[n(0)]
    pub version: u32,
    /// The custodian's number.
    #[n(1)]
    pub custodian: u8,
    /// HPKE's encapsulated key.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub enc: Vec<u8>,
    /// HPKE's ciphertext with its tag.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub ciphertext: Vec<u8>,
}

/// What the machine answers.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub enum Reply {
    /// Evidence over the nonce, [`context`] and the key.
    #[n(0)]
    Evidence(#[n(0)] Offer),
    /// The share was taken.
    #[n(1)]
    Taken(#[n(0)] Progress),
    /// Why not.
    #[n(2)]
    Failed(#[n(0)] Failure),
}

/// What a custodian verifies.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub struct Offer {
    /// The set whose shares are collected.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub set: [u8; 32],
    /// The key to seal a share to.
    #[n(1)]
    pub key: OfferedKey,
    /// Evidence for it; what the hardware signed is [`EvidenceReply::purpose`] of [`context`].
    #[n(2)]
    pub evidence: EvidenceReply,
}

/// How far the collection is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Encode, Decode)]
pub struct Progress {
    /// Shares that were taken.
    #[n(0)]
    pub have: u8,
    /// Shares that are needed.
    #[n(1)]
    pub needed: u8,
}

/// The version of this protocol.
pub const VERSION: u32 = 1;
/// The longest request, in bytes.
pub const MAX_REQUEST: usize = 4 * 1024;
/// The longest reply, in bytes: an agent's, and a little around it.
pub const MAX_REPLY: usize = crate::agent::MAX_REPLY + 4 * 1024;

/// What the hardware signs beside nonce and key.
#[must_use]
pub fn context(set: &[u8; 32]) -> String {
    format!("attestseal/custodians/{}", hex::encode(set))
}

/// HPKE's `info` for shares that are sealed to a machine.
pub const SHARE_INFO: &[u8] = b"cloudtaser/unseal/v1";

/// HPKE's associated data for shares: the set and the custodian's number.
#[must_use]
pub fn share_aad(set: &[u8; 32], custodian: u8) -> [u8; 33] {
    let mut aad = [0; 33];
    for (to, from) in aad.iter_mut().zip(set.iter().copied().chain([custodian])) {
        *to = from;
    }
    aad
}

/// Decodes the body of a request.
pub fn parse_request(body: &[u8]) -> Result<Request, BadFrame> {
    let request: Request = crate::agent::parse(body)?;
    let version = match &request {
        Request::Evidence(demand) => demand.version,
        Request::Share(share) => share.version,
    };
    if version == VERSION {
        Ok(request)
    } else {
        Err(BadFrame::Version { expected: VERSION, found: version })
    }
}

/// Decodes the body of a reply.
pub fn parse_reply(body: &[u8]) -> Result<Reply, BadFrame> {
    crate::agent::parse(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests() -> [Request; 2] {
        [
            Request::Evidence(Demand { version: VERSION, nonce: [1; 32] }),
            Request::Share(Share {
                version: VERSION,
                custodian: 2,
                enc: vec![3; 1120],
                ciphertext: vec![4; 48],
            }),
        ]
    }

    #[test]
    fn requests_survive_the_wire_and_every_truncation_is_refused() {
        for request in requests() {
            let frame = to_frame(&request).unwrap();
            let body = &frame[4..];
            assert!(body.len() <= MAX_REQUEST);
            assert_eq!(parse_request(body), Ok(request));
            for cut in 0..body.len() {
                assert!(matches!(parse_request(&body[..cut]), Err(BadFrame::Content(_))), "{cut}");
            }
            assert!(parse_request(&[body, &[0]].concat()).is_err());
        }
    }

    #[test]
    fn another_version_is_named() {
        let newer = Request::Evidence(Demand { version: 2, nonce: [1; 32] });
        let expected = Err(BadFrame::Version { expected: 1, found: 2 });
        assert_eq!(parse_request(&to_frame(&newer).unwrap()[4..]), expected);
    }

    #[test]
    fn the_associated_data_tells_sets_and_custodians_apart() {
        assert_ne!(share_aad(&[1; 32], 1), share_aad(&[1; 32], 2));
        assert_ne!(share_aad(&[1; 32], 1), share_aad(&[2; 32], 1));
        assert_eq!(context(&[0xab; 32]), format!("attestseal/custodians/{}", "ab".repeat(32)));
    }
}
