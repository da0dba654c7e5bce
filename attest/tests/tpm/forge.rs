//! A key that is enrolled like a TPM's but signs whatever the test wants: a stolen one, so to speak.

use attest::crypto::{AwsLcRs, Crypto, Hash};
use attest::tpm::{Name, SigningScheme, assemble, usual_public_area};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PSS_SHA256};
use aws_lc_rs::signature::{RsaPssSaltLength, RsaSignatureEncoding};

pub(crate) const USUAL: u32 = 0x0005_0072;
pub(crate) const QUOTE: u16 = 0x8018;
pub(crate) const CERTIFY: u16 = 0x8017;

pub(crate) struct Key {
    pair: EcdsaKeyPair,
    pub(crate) area: Vec<u8>,
}

impl Key {
    pub(crate) fn new() -> Self {
        Self::with_attributes(USUAL)
    }

    pub(crate) fn with_attributes(attributes: u32) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref();
        let mut area = Vec::new();
        area.extend([0x00, 0x23, 0x00, 0x0b]);
        area.extend(attributes.to_be_bytes());
        // No policy, no symmetric algorithm, ECDSA with SHA-256, P-256, no key derivation.
        area.extend([0x00, 0x00, 0x00, 0x10, 0x00, 0x18, 0x00, 0x0b, 0x00, 0x03, 0x00, 0x10]);
        area.extend(sized(&point[1..33]));
        area.extend(sized(&point[33..]));
        Self { pair, area }
    }

    pub(crate) fn name(&self) -> Name {
        Name::of_public(&AwsLcRs, &self.area).unwrap()
    }

    /// A `TPMT_SIGNATURE`: ECDSA, SHA-256, r and s.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature = self.pair.sign(&SystemRandom::new(), message).unwrap();
        let (r, s) = signature.as_ref().split_at(32);
        [vec![0x00, 0x18, 0x00, 0x0b], sized(r), sized(s)].concat()
    }

    pub(crate) fn evidence(&self, attest: &[u8], values: &[Value]) -> Vec<u8> {
        assemble(attest, &self.sign(attest), &self.area, values)
    }
}

/// PSS with SHA-256 and a salt as long as the hash, as long as fits, and of neither length.
pub(crate) static SALT_OF_HASH: RsaSignatureEncoding = RSA_PSS_SHA256;
pub(crate) static LONGEST_SALT: RsaSignatureEncoding =
    RSA_PSS_SHA256.with_pss_salt_length(RsaPssSaltLength::Max);
pub(crate) static ODD_SALT: RsaSignatureEncoding =
    RSA_PSS_SHA256.with_pss_salt_length(RsaPssSaltLength::Custom(20));

/// The public area of a new RSA key, and its PSS signature with such a salt.
pub(crate) fn rsa_pss(encoding: &'static RsaSignatureEncoding, message: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(encoding, &SystemRandom::new(), message, &mut signature).unwrap();
    let spki = pair.public_key().as_der().unwrap();
    let area = usual_public_area(spki.as_ref(), SigningScheme::RsaPss, Hash::Sha256).unwrap();
    (area, [vec![0x00, 0x16, 0x00, 0x0b], sized(&signature)].concat())
}

pub(crate) type Value = (Hash, u32, Vec<u8>);

/// What a TPM would say.
#[derive(Clone)]
pub(crate) struct Statement {
    pub(crate) magic: u32,
    pub(crate) kind: u16,
    pub(crate) signer: Vec<u8>,
    pub(crate) extra_data: Vec<u8>,
    pub(crate) safe: u8,
    pub(crate) values: Vec<Value>,
}

impl Statement {
    /// A quote of PCR 0, 4 and 7 of the SHA-256 bank.
    pub(crate) fn quote(extra_data: &[u8]) -> Self {
        let values = [0u8, 4, 7].map(|index| (Hash::Sha256, u32::from(index), vec![index | 0x10; 32]));
        let signer = [vec![0x00, 0x0b], vec![0x51; 32]].concat();
        let extra_data = extra_data.to_vec();
        Self { magic: 0xff54_4347, kind: QUOTE, signer, extra_data, safe: 1, values: values.to_vec() }
    }

    /// The `TPMS_ATTEST`, with a selection for each run of values of one bank.
    pub(crate) fn marshal(&self) -> Vec<u8> {
        let mut bytes = self.magic.to_be_bytes().to_vec();
        bytes.extend(self.kind.to_be_bytes());
        bytes.extend(sized(&self.signer));
        bytes.extend(sized(&self.extra_data));
        bytes.extend([0, 0, 0, 0, 0, 0, 0x12, 0x34, 0, 0, 0, 5, 0, 0, 0, 6, self.safe]);
        bytes.extend(0x2019_1023_0016_3636_u64.to_be_bytes());
        bytes.extend(selections(&self.values));
        let parts: Vec<&[u8]> = self.values.iter().map(|(_, _, value)| value.as_slice()).collect();
        bytes.extend(sized(&AwsLcRs.sha256(&parts).0));
        bytes
    }
}

fn selections(values: &[Value]) -> Vec<u8> {
    let runs: Vec<&[Value]> = values.chunk_by(|a, b| a.0 == b.0).collect();
    let mut bytes = u32::try_from(runs.len()).unwrap().to_be_bytes().to_vec();
    for run in runs {
        let bank: u16 = if run[0].0 == Hash::Sha1 { 0x0004 } else { 0x000b };
        bytes.extend(bank.to_be_bytes());
        let mut bitmap = [0u8; 3];
        for (_, index, _) in run {
            bitmap[usize::try_from(index / 8).unwrap()] |= 1 << (index % 8);
        }
        bytes.push(3);
        bytes.extend(bitmap);
    }
    bytes
}

pub(crate) fn sized(bytes: &[u8]) -> Vec<u8> {
    [u16::try_from(bytes.len()).unwrap().to_be_bytes().to_vec(), bytes.to_vec()].concat()
}
