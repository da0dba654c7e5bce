//! Challenges without memory: nonce, expiry and a MAC over them.
//!
//! An unauthenticated caller may ask for as many as it likes and costs no memory; any node that has the
//! mount's key can redeem any of them. That a challenge is answered once only is the ledger's business
//! ([`crate::record`]).
//!
//! Trusted: the key, which lives in OpenBao's barrier. Untrusted: the bytes that come back.

use attest::{Challenge, UnixTime};
use aws_lc_rs::hmac;

/// Draws and recognises challenges.
#[derive(Debug)]
pub struct Challenges {
    key: hmac::Key,
}

impl Challenges {
    /// How long an answer may take, in seconds.
    pub const LIFETIME: u64 = 120;
    /// How far the clocks of two nodes may be apart, in seconds, for one to take the other's challenges.
    pub const SKEW: u64 = 30;
    /// The length of a challenge: nonce, expiry, MAC.
    pub const LEN: usize = 72;

    /// With this mount's key.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key) }
    }

    /// A challenge over a fresh `nonce`, and its expiry.
    #[must_use]
    pub fn issue(&self, nonce: [u8; 32], now: UnixTime) -> (Vec<u8>, UnixTime) {
        let expires = now.plus(Self::LIFETIME);
        let mut bytes = [nonce.as_slice(), &expires.0.to_be_bytes()].concat();
        let tag = hmac::sign(&self.key, &transcript(&bytes));
        bytes.extend_from_slice(tag.as_ref());
        (bytes, expires)
    }

    /// Recognises a challenge of this mount and gives it its purpose.
    pub fn recognise(&self, bytes: &[u8], context: String, now: UnixTime) -> Result<Challenge, NotOurs> {
        let (body, tag) = bytes.split_at_checked(40).ok_or(NotOurs::Length(bytes.len()))?;
        if bytes.len() != Self::LEN {
            return Err(NotOurs::Length(bytes.len()));
        }
        hmac::verify(&self.key, &transcript(body), tag).map_err(|_why| NotOurs::Mac)?;
        let (nonce, expires) = body.split_first_chunk::<32>().ok_or(NotOurs::Length(bytes.len()))?;
        let expires =
            expires.try_into().map(u64::from_be_bytes).map_err(|_why| NotOurs::Length(bytes.len()))?;
        let expires = UnixTime(expires);
        // What was answered is remembered for so long: see `log::recent`.
        if expires > now.plus(Self::LIFETIME).plus(Self::SKEW) {
            return Err(NotOurs::Ahead { expires, now });
        }
        Ok(Challenge { nonce: *nonce, context, expires, answered: false })
    }
}

fn transcript(body: &[u8]) -> Vec<u8> {
    [b"cloudtaser/challenge/v1".as_slice(), body].concat()
}

/// Why bytes are not a challenge of this mount.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NotOurs {
    /// Not as long as every challenge is.
    #[error("challenge: expected 72 bytes, found {0}")]
    Length(usize),
    /// Not drawn by this mount.
    #[error("challenge: expected one that this mount issued, found another")]
    Mac,
    /// Drawn by a node whose clock is ahead of this one's.
    #[error("challenge expires at {expires}, it is {now}: the clocks of two nodes are too far apart")]
    Ahead {
        /// The expiry.
        expires: UnixTime,
        /// This node's clock.
        now: UnixTime,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1000);

    #[test]
    fn a_challenge_is_recognised_until_one_bit_of_it_is_changed() {
        let challenges = Challenges::new(&[1; 32]);
        let (bytes, expires) = challenges.issue([7; 32], UnixTime(1000));
        let challenge = challenges.recognise(&bytes, "x".to_owned(), NOW).unwrap();
        assert_eq!((challenge.nonce, challenge.expires), ([7; 32], expires));
        for bit in 0..bytes.len() * 8 {
            let mut forged = bytes.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(challenges.recognise(&forged, "x".to_owned(), NOW), Err(NotOurs::Mac));
        }
        let other = Challenges::new(&[2; 32]);
        assert_eq!(other.recognise(&bytes, "x".to_owned(), NOW), Err(NotOurs::Mac));
    }

    #[test]
    fn a_challenge_of_a_node_whose_clock_is_far_ahead_is_refused() {
        let challenges = Challenges::new(&[1; 32]);
        let (near, _) = challenges.issue([7; 32], UnixTime(1000 + Challenges::SKEW));
        assert!(challenges.recognise(&near, String::new(), NOW).is_ok());
        let (far, expires) = challenges.issue([7; 32], UnixTime(1001 + Challenges::SKEW));
        assert_eq!(challenges.recognise(&far, String::new(), NOW), Err(NotOurs::Ahead { expires, now: NOW }));
    }

    #[test]
    fn every_other_length_is_refused() {
        let challenges = Challenges::new(&[1; 32]);
        let (bytes, _) = challenges.issue([7; 32], UnixTime(1000));
        for cut in 0..bytes.len() {
            assert_eq!(challenges.recognise(&bytes[..cut], String::new(), NOW), Err(NotOurs::Length(cut)));
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(challenges.recognise(&longer, String::new(), NOW), Err(NotOurs::Length(73)));
    }
}
