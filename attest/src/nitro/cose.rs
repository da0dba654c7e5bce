//! The envelope: `COSE_Sign1`, four elements (RFC 9052, section 4.2).
//!
//! Tagged with 18 or not: AWS' text shows the tag, its firmware leaves it out. Everything around the protected
//! header, the payload and the signature has one spelling here (shortest lengths, nothing behind), so that
//! evidence has no bytes that nobody signed and that could be otherwise.
//!
//! Untrusted: every byte.

use super::cbor::Walk;
use crate::bytes::Malformed;

/// The parts of the envelope.
#[derive(Clone, Debug)]
pub(super) struct Envelope<'a> {
    /// The protected header, as it was received.
    pub(super) protected: &'a [u8],
    pub(super) payload: &'a [u8],
    /// r ‖ s, 48 bytes each, big-endian.
    pub(super) signature: &'a [u8],
}

impl<'a> Envelope<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut walk = Walk::new(bytes);
        let tag = walk.tag("COSE_Sign1")?;
        if tag.is_some_and(|tag| tag != SIGN1) {
            return Err(odd("COSE_Sign1", "no tag, or tag 18", format!("tag {}", tag.unwrap_or_default())));
        }
        let mut parts = walk.array("COSE_Sign1", 4)?;
        walk.more(&mut parts)?;
        let protected = walk.bytes("protected header")?;
        walk.more(&mut parts)?;
        let mut unprotected = walk.map("unprotected header", 0)?;
        walk.more(&mut unprotected)?;
        walk.more(&mut parts)?;
        let payload = walk.bytes("payload")?;
        walk.more(&mut parts)?;
        let signature = walk.bytes("signature")?;
        walk.finish()?;
        if signature.len() != 96 {
            return Err(Malformed::Length { what: "signature", expected: 96, found: signature.len() });
        }
        let envelope = Self { protected, payload, signature };
        // What does not encode to the same bytes has a second reading, or an array of another length.
        if envelope.to_bytes(tag.is_some()) == bytes {
            Ok(envelope)
        } else {
            Err(odd("COSE_Sign1", "an array of 4 in its shortest form", "another encoding".to_owned()))
        }
    }

    /// What was signed: the `Sig_structure` over the received bytes, without external data (section 4.4).
    pub(super) fn to_be_signed(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.payload.len().saturating_add(32));
        bytes.extend_from_slice(b"\x84\x6aSignature1");
        put(&mut bytes, self.protected);
        put(&mut bytes, &[]);
        put(&mut bytes, self.payload);
        bytes
    }

    fn to_bytes(&self, tagged: bool) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.payload.len().saturating_add(128));
        bytes.extend_from_slice(if tagged { &[0xd2, 0x84] } else { &[0x84] });
        put(&mut bytes, self.protected);
        bytes.push(0xa0);
        put(&mut bytes, self.payload);
        put(&mut bytes, self.signature);
        bytes
    }
}

/// The protected header that says ES384: {1: -35}.
pub(super) const ES384: [u8; 4] = [0xa1, 0x01, 0x38, 0x22];

/// A byte string with its length in the shortest form.
fn put(bytes: &mut Vec<u8>, string: &[u8]) {
    match u8::try_from(string.len()) {
        Ok(short @ 0..=23) => bytes.push(0x40 | short),
        Ok(long) => bytes.extend_from_slice(&[0x58, long]),
        // An envelope is shorter than 65536 bytes: `Document::MAX_BYTES`.
        Err(_) => {
            bytes.push(0x59);
            bytes.extend(u16::try_from(string.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    bytes.extend_from_slice(string);
}

fn odd(what: &'static str, expected: &'static str, found: String) -> Malformed {
    Malformed::Value { what, expected, found }
}

const SIGN1: u64 = 18;

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let signature = [7; 96];
        Envelope { protected: &ES384, payload: b"document", signature: &signature }.to_bytes(false)
    }

    #[test]
    fn an_envelope_may_be_tagged() {
        let plain = sample();
        let tagged = [&[0xd2], plain.as_slice()].concat();
        for bytes in [&plain, &tagged] {
            let envelope = Envelope::parse(bytes).unwrap();
            assert_eq!((envelope.protected, envelope.payload), (&ES384[..], &b"document"[..]));
        }
        for tag in [&[0xd1][..], &[0xd8, 18], &[0xd2, 0xd2]] {
            assert!(Envelope::parse(&[tag, plain.as_slice()].concat()).is_err(), "{tag:?}");
        }
    }

    #[test]
    fn coset_reads_the_same_and_signs_the_same() {
        use coset::CborSerializable;
        let bytes = sample();
        let ours = Envelope::parse(&bytes).unwrap();
        let theirs = coset::CoseSign1::from_slice(&bytes).unwrap();
        assert_eq!(theirs.payload.as_deref(), Some(ours.payload));
        assert_eq!(theirs.signature, ours.signature);
        assert_eq!(theirs.tbs_data(&[]), ours.to_be_signed());
    }

    #[test]
    fn an_envelope_has_one_spelling() {
        let plain = sample();
        let spoilt = |at: usize, bytes: &[u8]| {
            let mut copy = plain.clone();
            copy.splice(at..=at, bytes.iter().copied());
            copy
        };
        let header_of_the_payload = 7;
        for odd in [
            spoilt(0, &[0x98, 4]),
            spoilt(0, &[0x83]),
            spoilt(0, &[0x85]),
            spoilt(1, &[0x58, 4]),
            spoilt(6, &[0xbf, 0xff]),
            spoilt(6, &[0xa1, 1, 2]),
            spoilt(header_of_the_payload, &[0x58, 8]),
            [plain.as_slice(), &[0]].concat(),
            [&[0x9f], &plain[1..], &[0xff]].concat(),
        ] {
            assert!(Envelope::parse(&odd).is_err(), "{odd:02x?}");
        }
    }
}
