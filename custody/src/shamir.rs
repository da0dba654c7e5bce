//! Shamir's secret sharing over GF(256), byte by byte: any `threshold` shares give the secret, fewer say
//! nothing of it.
//!
//! The field is that of AES (FIPS 197, 4.2); the share of custodian `x` is the value at `x` of a polynomial
//! whose value at 0 is the secret. No tables and no branches on secret bytes.
//!
//! Trusted: the random source. Untrusted: shares, which this module cannot tell from wrong ones.

use zeroize::Zeroizing;

use crate::KEY;

/// 32 secret bytes.
pub type Secret = Zeroizing<[u8; KEY]>;

/// Splits `secret` into shares for the custodians 1 to `count`. `random` fills what it is given.
pub fn split<E>(
    secret: &[u8; KEY],
    threshold: u8,
    count: u8,
    mut random: impl FnMut(&mut [u8]) -> Result<(), E>,
) -> Result<Vec<Secret>, E> {
    let mut polynomial = Vec::with_capacity(usize::from(threshold));
    polynomial.push(Zeroizing::new(*secret));
    for _ in 1..threshold {
        let mut coefficient = Secret::default();
        random(coefficient.as_mut_slice())?;
        polynomial.push(coefficient);
    }
    Ok((1..=count).map(|at| value(&polynomial, at)).collect())
}

/// Puts the secret together in `place`, from the shares of different custodians, as many as the
/// threshold was. With fewer, or others in their place the result is another secret, not an error.
pub fn combine(shares: &[(u8, &[u8])], place: &mut [u8]) -> Result<(), BadShares> {
    let mut seen = Vec::with_capacity(shares.len());
    for (custodian, share) in shares {
        if *custodian == 0 || seen.contains(custodian) {
            return Err(BadShares::Custodian(*custodian));
        }
        if share.len() != place.len() {
            return Err(BadShares::Length { expected: place.len(), found: share.len() });
        }
        seen.push(*custodian);
    }
    place.fill(0);
    for (custodian, share) in shares {
        let weight = weight(*custodian, &seen);
        for (sum, byte) in place.iter_mut().zip(*share) {
            *sum ^= multiply(weight, *byte);
        }
    }
    Ok(())
}

/// The polynomial's value, by Horner's rule.
fn value(polynomial: &[Secret], at: u8) -> Secret {
    let mut value = Secret::default();
    for coefficient in polynomial.iter().rev() {
        for (sum, byte) in value.iter_mut().zip(coefficient.iter()) {
            *sum = multiply(*sum, at) ^ byte;
        }
    }
    value
}

/// Lagrange's coefficient for the value at 0.
fn weight(of: u8, all: &[u8]) -> u8 {
    let others = all.iter().filter(|other| **other != of);
    others.fold(1, |product, other| multiply(product, multiply(*other, inverse(*other ^ of))))
}

fn multiply(a: u8, b: u8) -> u8 {
    let (mut product, mut shifted) = (0, a);
    for bit in 0..8_u32 {
        product ^= shifted & all_if(b.wrapping_shr(bit) & 1);
        shifted = shifted.wrapping_shl(1) ^ (REDUCTION & all_if(shifted.wrapping_shr(7)));
    }
    product
}

/// The 254th power, which is the inverse of all but 0.
fn inverse(a: u8) -> u8 {
    (0..7)
        .fold((1, multiply(a, a)), |(product, square), _| {
            (multiply(product, square), multiply(square, square))
        })
        .0
}

/// All bits for 1, none for 0.
fn all_if(bit: u8) -> u8 {
    0_u8.wrapping_sub(bit)
}

/// x^8 + x^4 + x^3 + x + 1, without its highest term.
const REDUCTION: u8 = 0x1b;

/// Why shares cannot be put together.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadShares {
    /// A custodian comes twice, or is nobody.
    #[error("share of custodian {0}: expected each from 1 on once")]
    Custodian(u8),
    /// A share of another length.
    #[error("share: expected {expected} bytes, found {found}")]
    Length {
        /// The length of the secret.
        expected: usize,
        /// The length of the share.
        found: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// Not random, but different everywhere.
    fn counter() -> impl FnMut(&mut [u8]) -> Result<(), Infallible> {
        let mut state = 1_u32;
        move |place| {
            for byte in place {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = state.to_be_bytes()[0];
            }
            Ok(())
        }
    }

    fn secret() -> [u8; KEY] {
        std::array::from_fn(|place| u8::try_from(place).unwrap().wrapping_mul(8))
    }

    fn joined(shares: &[(u8, &[u8])]) -> [u8; KEY] {
        let mut place = [0xee; KEY];
        combine(shares, &mut place).unwrap();
        place
    }

    #[test]
    fn multiplication_is_that_of_fips_197_and_a_field() {
        assert_eq!((multiply(0x57, 0x83), multiply(0x57, 0x13)), (0xc1, 0xfe));
        for a in 0..=255 {
            assert_eq!(multiply(a, 1), a);
            assert_eq!(multiply(a, inverse(a)), u8::from(a != 0), "{a}");
            for b in 0..=255 {
                assert_eq!(multiply(a, b), multiply(b, a));
                assert_eq!(multiply(a, b ^ 0x35), multiply(a, b) ^ multiply(a, 0x35));
                assert_eq!(multiply(multiply(a, b), 0x35), multiply(a, multiply(b, 0x35)));
            }
        }
    }

    #[test]
    fn every_quorum_of_every_small_set_gives_the_secret() {
        for count in 1..=6_u8 {
            for threshold in 1..=count {
                let shares = split(&secret(), threshold, count, counter()).unwrap();
                for chosen in 1..1_u32 << count {
                    let holders = (1..=count).filter(|at| (chosen >> (at - 1)) & 1 == 1);
                    let points: Vec<(u8, &[u8])> =
                        holders.map(|at| (at, shares[usize::from(at) - 1].as_slice())).collect();
                    let enough = points.len() >= usize::from(threshold);
                    assert_eq!(joined(&points) == secret(), enough, "{points:?}");
                }
            }
        }
    }

    /// With one share of two, each secret byte is still possible for exactly one coefficient.
    #[test]
    fn fewer_shares_than_the_threshold_leave_every_secret_possible() {
        let share = 0x5c;
        let mut possible: Vec<u8> = (0..=255).map(|coefficient| share ^ multiply(coefficient, 3)).collect();
        possible.sort_unstable();
        possible.dedup();
        assert_eq!(possible.len(), 256);
    }

    #[test]
    fn the_largest_set_works_and_a_share_that_is_not_one_is_refused() {
        let shares = split(&secret(), 255, 255, counter()).unwrap();
        let points: Vec<(u8, &[u8])> = (1..=255).zip(shares.iter().map(|share| share.as_slice())).collect();
        assert_eq!(joined(&points), secret());
        let share = shares[0].as_slice();
        for (points, expected) in [
            (vec![(1, share), (1, share)], BadShares::Custodian(1)),
            (vec![(0, share)], BadShares::Custodian(0)),
            (vec![(1, &share[1..])], BadShares::Length { expected: 32, found: 31 }),
        ] {
            assert_eq!(combine(&points, &mut [0; KEY]), Err(expected));
        }
    }
}
