//! Our keys, and what is sealed to them.
//!
//! HPKE (RFC 9180), base mode, X-Wing, HKDF-SHA256, `ChaCha20Poly1305`. Only seeds are kept, in secret memory;
//! a private key is derived from it for the moment of opening. Plaintext appears in the place that the
//! caller gives, and nowhere else.
//!
//! Untrusted: the sealed secret, until it has opened.

use std::fmt;

use hpke::aead::{AeadTag, ChaCha20Poly1305};
use hpke::inout::InOutBuf;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{Deserializable as _, Kem as _, OpModeR, Serializable as _, single_shot_open_inout_detached};
use protocol::release::{SEAL_INFO, Sealed, seal_aad};
use rustix::rand::{GetRandomFlags, getrandom};
use secretmem::Region;
use zeroize::Zeroize as _;

/// `Nsk` of X-Wing: the seed from which the pair is derived.
pub const SEED: usize = 32;
/// The tag of `ChaCha20Poly1305`, at the end of the ciphertext.
pub const TAG: usize = 16;
/// More stack than deriving and opening take, and far less than there is.
const DEEPEST: usize = 512 * 1024;

/// Key pairs for one start of one program, one for each secret: nobody in between can pass one secret off
/// as another, because it was released to another key.
#[derive(Debug)]
pub struct Keys {
    seeds: Region,
}

/// A key pair that one secret is sealed to.
pub struct Key<'k> {
    seed: &'k [u8],
    public: Vec<u8>,
}

impl Keys {
    /// Draws as many.
    pub fn generate(count: usize) -> Result<Self, Error> {
        let mut seeds = Region::create(SEED.saturating_mul(count))?;
        for seed in seeds.bytes_mut()?.chunks_exact_mut(SEED) {
            let drawn = getrandom(seed, GetRandomFlags::empty()).map_err(std::io::Error::from)?;
            if drawn != SEED {
                return Err(Error::Random(std::io::ErrorKind::UnexpectedEof.into()));
            }
        }
        Ok(Self { seeds })
    }

    /// The seed of each, one after the other, in secret memory; each is [`SEED`] bytes.
    #[must_use]
    pub fn seeds(&self) -> &[u8] {
        self.seeds.bytes()
    }

    /// Each of them.
    pub fn each(&self) -> impl Iterator<Item = Key<'_>> {
        self.seeds.bytes().chunks_exact(SEED).map(|seed| {
            let public = without_trace(|| XWing::derive_keypair(seed).1.to_bytes().to_vec());
            Key { seed, public }
        })
    }
}

impl fmt::Debug for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} public bytes)", self.public.len())
    }
}

impl Key<'_> {
    /// What others seal to.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// Opens into the start of `place`; returns how many bytes are plaintext.
    pub fn open(&self, sealed: &Sealed, place: &mut [u8]) -> Result<usize, Error> {
        open_with(self.seed, sealed, place)
    }

    /// Opens what was sealed in another context than a release.
    pub fn open_in(
        &self,
        context: Context<'_>,
        enc: &[u8],
        ciphertext: &[u8],
        place: &mut [u8],
    ) -> Result<usize, Error> {
        without_trace(|| open_with_trace(self.seed, context, (enc, ciphertext), place))
    }
}

/// Opens into the start of `place` with the key that is derived from `seed`; returns how many bytes are plaintext.
pub fn open_with(seed: &[u8], sealed: &Sealed, place: &mut [u8]) -> Result<usize, Error> {
    let decision = decision(&sealed.decision)?;
    let aad = seal_aad(&decision, sealed.version, sealed.lease_seconds);
    let context = Context { info: SEAL_INFO, aad: &aad };
    without_trace(|| open_with_trace(seed, context, (&sealed.enc.0, &sealed.ciphertext.0), place))
}

fn open_with_trace(
    seed: &[u8],
    context: Context<'_>,
    (enc, ciphertext): (&[u8], &[u8]),
    place: &mut [u8],
) -> Result<usize, Error> {
    let (body, tag) = ciphertext
        .split_at_checked(ciphertext.len().saturating_sub(TAG))
        .ok_or(Error::Malformed("ciphertext shorter than its tag"))?;
    let tag =
        AeadTag::from_bytes(tag).map_err(|_wrong| Error::Malformed("ciphertext shorter than its tag"))?;
    let enc = <XWing as hpke::Kem>::EncappedKey::from_bytes(enc)
        .map_err(|_wrong| Error::Malformed("encapsulated key of another kind"))?;
    let (private, _) = XWing::derive_keypair(seed);
    let place = place.get_mut(..body.len()).ok_or(Error::Malformed("secret longer than announced"))?;
    place.copy_from_slice(body);
    single_shot_open_inout_detached::<ChaCha20Poly1305, HkdfSha256, XWing>(
        &OpModeR::Base,
        &private,
        &enc,
        context.info,
        InOutBuf::from(place),
        context.aad,
        &tag,
    )
    .map_err(|_one_answer_for_all| Error::NotForUs)?;
    Ok(body.len())
}

/// What sealed bytes are bound to beside their key.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// HPKE's `info`.
    pub info: &'a [u8],
    /// HPKE's associated data.
    pub aad: &'a [u8],
}

/// Does `work` and overwrites the stack that it used: arithmetic on private keys leaves copies there, which
/// root could read for as long as we wait for others.
pub fn without_trace<T>(work: impl FnOnce() -> T) -> T {
    let result = apart(work);
    overwrite_stack();
    result
}

#[inline(never)]
fn apart<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
#[expect(clippy::large_stack_arrays, reason = "its place on the stack is the point")]
fn overwrite_stack() {
    let mut below = [0_u8; DEEPEST];
    below.zeroize();
    std::hint::black_box(&below);
}

/// Bytes of plaintext in a sealed secret.
#[must_use]
pub fn plaintext_len(sealed: &Sealed) -> usize {
    sealed.ciphertext.0.len().saturating_sub(TAG)
}

fn decision(text: &str) -> Result<[u8; 32], Error> {
    let mut decision = [0; 32];
    hex::decode_to_slice(text, &mut decision)
        .map_err(|_wrong| Error::Malformed("decision is not 64 hex digits"))?;
    Ok(decision)
}

/// Why a sealed secret does not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is not a sealed secret at all.
    #[error("malformed sealed secret: {0}")]
    Malformed(&'static str),
    /// It was sealed to another key, for another decision, version or lease, or altered on the way.
    #[error("the sealed secret does not open with our key, its decision, version and lease")]
    NotForUs,
    /// There is no secret memory for the key.
    #[error(transparent)]
    Memory(#[from] secretmem::Error),
    /// The kernel's random source.
    #[error("drawing a key: {0}")]
    Random(#[from] std::io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;
    use hpke::{OpModeS, single_shot_seal_inout_detached_with_rng};
    use protocol::release::Base64;

    const DECISION: [u8; 32] = [7; 32];

    /// Not random: tests need none.
    struct Counter(u8);

    impl hpke::rand_core::TryRng for Counter {
        type Error = std::convert::Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            Ok(4)
        }
        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            Ok(4)
        }
        fn try_fill_bytes(&mut self, place: &mut [u8]) -> Result<(), Self::Error> {
            place.fill(self.0);
            Ok(())
        }
    }
    impl hpke::rand_core::TryCryptoRng for Counter {}

    fn sealed(key: &Key<'_>, plaintext: &[u8]) -> Sealed {
        let public = <XWing as hpke::Kem>::PublicKey::from_bytes(key.public()).unwrap();
        let mut body = plaintext.to_vec();
        let (enc, tag) = single_shot_seal_inout_detached_with_rng::<ChaCha20Poly1305, HkdfSha256, XWing>(
            &OpModeS::Base,
            &public,
            SEAL_INFO,
            InOutBuf::from(body.as_mut_slice()),
            &seal_aad(&DECISION, 2, 3),
            &mut Counter(9),
        )
        .unwrap();
        body.extend(tag.to_bytes());
        let enc = Base64(enc.to_bytes().to_vec());
        Sealed {
            decision: hex::encode(DECISION),
            version: 2,
            lease_seconds: 3,
            enc,
            ciphertext: Base64(body),
        }
    }

    #[test]
    fn a_secret_opens_in_place_with_our_key() {
        let keys = Keys::generate(1).unwrap();
        let key = keys.each().next().unwrap();
        let mut place = [0; 8];
        assert_eq!(key.open(&sealed(&key, b"hello"), &mut place).unwrap(), 5);
        assert_eq!(&place[..5], b"hello");
    }

    #[test]
    fn a_secret_sealed_to_another_key_does_not_open() {
        let keys = Keys::generate(2).unwrap();
        let [one, other] = keys.each().collect::<Vec<_>>().try_into().ok().unwrap();
        let opened = other.open(&sealed(&one, b"hello"), &mut [0; 8]);
        assert!(matches!(opened, Err(Error::NotForUs)));
    }

    #[test]
    fn a_secret_with_another_decision_version_or_lease_does_not_open() {
        let keys = Keys::generate(1).unwrap();
        let key = keys.each().next().unwrap();
        let good = sealed(&key, b"hello");
        for changed in [
            Sealed { decision: hex::encode([8; 32]), ..good.clone() },
            Sealed { version: 1, ..good.clone() },
            Sealed { lease_seconds: 4, ..good },
        ] {
            assert!(matches!(key.open(&changed, &mut [0; 8]), Err(Error::NotForUs)));
        }
    }

    #[test]
    fn every_truncation_and_every_flipped_byte_is_refused() {
        let keys = Keys::generate(1).unwrap();
        let key = keys.each().next().unwrap();
        let good = sealed(&key, b"hello");
        for cut in 0..good.ciphertext.0.len() {
            let short = Sealed { ciphertext: Base64(good.ciphertext.0[..cut].to_vec()), ..good.clone() };
            assert!(
                matches!(key.open(&short, &mut [0; 64]), Err(Error::NotForUs | Error::Malformed(_))),
                "{cut}"
            );
            let mut flipped = good.clone();
            flipped.ciphertext.0[cut] ^= 1;
            assert!(matches!(key.open(&flipped, &mut [0; 64]), Err(Error::NotForUs)), "{cut}");
        }
    }

    #[test]
    fn a_place_that_is_too_small_is_refused() {
        let keys = Keys::generate(1).unwrap();
        let key = keys.each().next().unwrap();
        let opened = key.open(&sealed(&key, b"hello"), &mut [0; 4]);
        assert!(matches!(opened, Err(Error::Malformed("secret longer than announced"))));
    }
}
