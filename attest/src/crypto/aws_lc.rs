//! The provider for servers: aws-lc-rs.

use aws_lc_rs::{digest, signature};

use super::{BadSignature, Crypto, Hash, PublicKey, Scheme};
use crate::Digest;

/// aws-lc-rs: P-384 verification is 3.6 to 5.8 times faster than the other libraries'.
#[derive(Clone, Copy, Debug, Default)]
pub struct AwsLcRs;

impl Crypto for AwsLcRs {
    fn sha1(&self, parts: &[&[u8]]) -> Digest<20> {
        hash(&digest::SHA1_FOR_LEGACY_USE_ONLY, parts)
    }

    fn sha256(&self, parts: &[&[u8]]) -> Digest<32> {
        hash(&digest::SHA256, parts)
    }

    fn sha384(&self, parts: &[&[u8]]) -> Digest<48> {
        hash(&digest::SHA384, parts)
    }

    fn sha512(&self, parts: &[&[u8]]) -> Digest<64> {
        hash(&digest::SHA512, parts)
    }

    fn verify(
        &self,
        scheme: Scheme,
        key: &PublicKey,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        match (scheme, key) {
            (Scheme::EcdsaP256Sha256, PublicKey::P256(point)) => {
                unparsed(&signature::ECDSA_P256_SHA256_FIXED, point, message, signature)
            }
            (Scheme::EcdsaP384Sha384, PublicKey::P384(point)) => {
                unparsed(&signature::ECDSA_P384_SHA384_FIXED, point, message, signature)
            }
            (Scheme::Ed25519, PublicKey::Ed25519(point)) => {
                unparsed(&signature::ED25519, point, message, signature)
            }
            (Scheme::RsaPkcs1(hash), PublicKey::Rsa { n, e }) => rsa(pkcs1(hash), n, e, message, signature),
            (Scheme::RsaPss(hash), PublicKey::Rsa { n, e }) => rsa(pss(hash)?, n, e, message, signature),
            (Scheme::RsaPssLongestSalt(hash), PublicKey::Rsa { n, e }) => {
                rsa(pss_longest_salt(hash)?, n, e, message, signature)
            }
            (
                Scheme::EcdsaP256Sha256
                | Scheme::EcdsaP384Sha384
                | Scheme::RsaPkcs1(_)
                | Scheme::RsaPss(_)
                | Scheme::RsaPssLongestSalt(_)
                | Scheme::Ed25519,
                _,
            ) => Err(BadSignature),
        }
    }
}

fn hash<const N: usize>(algorithm: &'static digest::Algorithm, parts: &[&[u8]]) -> Digest<N> {
    let mut context = digest::Context::new(algorithm);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    Digest(out)
}

fn unparsed(
    algorithm: &'static dyn signature::VerificationAlgorithm,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), BadSignature> {
    signature::UnparsedPublicKey::new(algorithm, key).verify(message, signature).map_err(|_why| BadSignature)
}

fn rsa(
    parameters: &'static signature::RsaParameters,
    n: &[u8],
    e: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), BadSignature> {
    let key = signature::RsaPublicKeyComponents { n, e };
    key.verify(parameters, message, signature).map_err(|_why| BadSignature)
}

fn pkcs1(hash: Hash) -> &'static signature::RsaParameters {
    match hash {
        Hash::Sha1 => &signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        Hash::Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Hash::Sha384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Hash::Sha512 => &signature::RSA_PKCS1_2048_8192_SHA512,
    }
}

fn pss(hash: Hash) -> Result<&'static signature::RsaParameters, BadSignature> {
    match hash {
        Hash::Sha1 => Err(BadSignature),
        Hash::Sha256 => Ok(&signature::RSA_PSS_2048_8192_SHA256),
        Hash::Sha384 => Ok(&signature::RSA_PSS_2048_8192_SHA384),
        Hash::Sha512 => Ok(&signature::RSA_PSS_2048_8192_SHA512),
    }
}

fn pss_longest_salt(hash: Hash) -> Result<&'static signature::RsaParameters, BadSignature> {
    use signature::RsaPssSaltLength::Max;
    match hash {
        Hash::Sha1 => Err(BadSignature),
        Hash::Sha256 => Ok(&const { signature::RSA_PSS_2048_8192_SHA256.with_pss_salt_length(Max) }),
        Hash::Sha384 => Ok(&const { signature::RSA_PSS_2048_8192_SHA384.with_pss_salt_length(Max) }),
        Hash::Sha512 => Ok(&const { signature::RSA_PSS_2048_8192_SHA512.with_pss_salt_length(Max) }),
    }
}
