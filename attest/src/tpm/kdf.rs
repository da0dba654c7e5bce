//! HMAC and the two key derivation functions of a TPM, over the hashes of a provider.
//!
//! TPM 2.0 Part 1, clause 11.4.10 (`KDFa`: SP 800-108 in counter mode, `KDFe`: SP 800-56A concatenation). Labels
//! end in a zero byte, which is part of what is hashed.

use super::algorithm::{digest, hash_len};
use crate::crypto::{Crypto, Hash};

/// HMAC (RFC 2104). The key is never longer than a block here; a longer one is hashed first, as HMAC says.
pub(super) fn hmac(crypto: &dyn Crypto, hash: Hash, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let block = match hash {
        Hash::Sha1 | Hash::Sha256 => 64,
        Hash::Sha384 | Hash::Sha512 => 128,
    };
    let mut padded = if key.len() > block { digest(crypto, hash, &[key]) } else { key.to_vec() };
    padded.resize(block, 0);
    let inner: Vec<u8> = padded.iter().map(|byte| byte ^ 0x36).collect();
    let outer: Vec<u8> = padded.iter().map(|byte| byte ^ 0x5c).collect();
    let inner = digest(crypto, hash, &[&[inner.as_slice()], parts].concat());
    digest(crypto, hash, &[&outer, &inner])
}

/// `KDFa`: `bits` of key material, a multiple of 8.
pub(super) fn kdf_a(
    crypto: &dyn Crypto,
    hash: Hash,
    key: &[u8],
    label: &[u8],
    context: &[u8],
    bits: u32,
) -> Vec<u8> {
    let mut out = Vec::new();
    for counter in 1_u32..=blocks(hash, bits) {
        let (counter, length) = (counter.to_be_bytes(), bits.to_be_bytes());
        out.extend(hmac(crypto, hash, key, &[&counter, label, context, &length]));
    }
    out.truncate(bytes(bits));
    out
}

/// `KDFe`: `bits` of key material out of the shared coordinate `z`.
pub(super) fn kdf_e(
    crypto: &dyn Crypto,
    hash: Hash,
    z: &[u8],
    label: &[u8],
    parties: [&[u8]; 2],
    bits: u32,
) -> Vec<u8> {
    let [ours, theirs] = parties;
    let mut out = Vec::new();
    for counter in 1_u32..=blocks(hash, bits) {
        out.extend(digest(crypto, hash, &[&counter.to_be_bytes(), z, label, ours, theirs]));
    }
    out.truncate(bytes(bits));
    out
}

fn bytes(bits: u32) -> usize {
    usize::try_from(bits / 8).unwrap_or_default()
}

fn blocks(hash: Hash, bits: u32) -> u32 {
    u32::try_from(bytes(bits).div_ceil(hash_len(hash))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{AwsLcRs, RustCrypto};

    #[test]
    fn hmac_gives_the_answers_of_rfc_4231() {
        let providers: [&dyn Crypto; 2] = [&AwsLcRs, &RustCrypto];
        for crypto in providers {
            let mac = hmac(crypto, Hash::Sha256, b"Jefe", &[b"what do ya want ", b"for nothing?"]);
            let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
            assert_eq!(hex::encode(mac), expected);
            let long = hmac(
                crypto,
                Hash::Sha384,
                &[0xaa; 131],
                &[b"Test Using Larger Than Block-Size Key - Hash Key First"],
            );
            assert!(hex::encode(long).starts_with("4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f"));
        }
    }

    #[test]
    fn material_of_any_length_is_a_prefix_of_longer_material_but_for_the_length_that_kdf_a_hashes() {
        let short = kdf_e(&AwsLcRs, Hash::Sha256, b"z", b"IDENTITY\0", [b"a", b"b"], 128);
        let long = kdf_e(&AwsLcRs, Hash::Sha256, b"z", b"IDENTITY\0", [b"a", b"b"], 512);
        assert_eq!((short.len(), long.len()), (16, 64));
        assert!(long.starts_with(&short));
        let short = kdf_a(&AwsLcRs, Hash::Sha256, b"k", b"STORAGE\0", b"n", 128);
        assert!(!kdf_a(&AwsLcRs, Hash::Sha256, b"k", b"STORAGE\0", b"n", 256).starts_with(&short));
    }
}
