//! A key that quotes whatever PCR values it is given: for logs that come without the quote of their machine.
//!
//! So a log goes through the whole of the production verifier. What is proved is that it replays to the values
//! that the manifest states, not that any TPM had them.

use anyhow::{Context as _, Result};
use attest::crypto::{AwsLcRs, Hash};
use attest::tpm::{Name, assemble};
use attest::{Claims, Endorsements, Evidence, Part, Platform, Revocation, TrustAnchors, UnixTime};
use attest::{Unverified, Verified, parcel};
use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};

/// PCRs of one bank.
pub(crate) type Values = Vec<(u32, Vec<u8>)>;

/// What the verifier says of these logs on a machine with these PCRs.
pub(crate) fn judged(
    bank: Hash,
    values: &Values,
    logs: &[(Part, &[u8])],
    now: UnixTime,
) -> Result<Result<Verified<Claims>, Unverified>> {
    let (area, quote) = quote(bank, values)?;
    let bytes = parcel::assemble(&[&[(Part::TpmQuote, quote.as_slice())], logs].concat());
    let evidence = Evidence::parse(Platform::Tpm2, &bytes)?;
    let anchors = TrustAnchors::vendor().with_attestation_keys([Name::of_public(&AwsLcRs, &area)?]);
    let prepared = Endorsements::default().prepare(&AwsLcRs, &evidence, &anchors, Revocation::Required, now);
    Ok(prepared.and_then(|prepared| evidence.verify(&AwsLcRs, &prepared, now)))
}

/// A public area and a quote by its key.
fn quote(bank: Hash, values: &Values) -> Result<(Vec<u8>, Vec<u8>)> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok().context("a new key")?;
    let [_, point @ ..] = pair.public_key().as_ref() else { anyhow::bail!("a key without a point") };
    let (x, y) = point.split_at_checked(32).context("a short point")?;
    // ECC, SHA-256; restricted, sign, fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth; no policy; no
    // symmetric algorithm; ECDSA with SHA-256; P-256; no key derivation.
    let head = [0x00, 0x23, 0x00, 0x0b, 0x00, 0x05, 0x00, 0x72, 0x00, 0x00, 0x00, 0x10];
    let area =
        [&head[..], &[0x00, 0x18, 0x00, 0x0b, 0x00, 0x03, 0x00, 0x10], &sized(x)?, &sized(y)?].concat();
    let attest = attest(bank, values)?;
    let signature = pair.sign(&SystemRandom::new(), &attest).ok().context("a signature")?;
    let (r, s) = signature.as_ref().split_at_checked(32).context("a short signature")?;
    let signature = [&[0x00, 0x18, 0x00, 0x0b][..], &sized(r)?, &sized(s)?].concat();
    let values: Vec<_> = values.iter().map(|(index, value)| (bank, *index, value.clone())).collect();
    Ok((area.clone(), assemble(&attest, &signature, &area, &values)))
}

/// `TPMS_ATTEST`.
fn attest(bank: Hash, values: &Values) -> Result<Vec<u8>> {
    let id: u16 = match bank {
        Hash::Sha1 => 0x0004,
        Hash::Sha256 => 0x000b,
        Hash::Sha384 => 0x000c,
        Hash::Sha512 | _ => anyhow::bail!("no {bank} bank"),
    };
    let mut bitmap = 0_u32;
    for (index, _) in values {
        bitmap |= 1_u32.checked_shl(*index).context("an index above 31")?;
    }
    let [low, middle, high, _] = bitmap.to_le_bytes();
    let parts: Vec<u8> = values.iter().flat_map(|(_, value)| value.iter().copied()).collect();
    let signer = [&[0x00, 0x0b][..], &[0x51; 32]].concat();
    Ok([
        &[0xff, 0x54, 0x43, 0x47, 0x80, 0x18][..],
        &sized(&signer)?,
        &sized(b"asked by nobody")?,
        // Clock, counters, safe; firmware version; one selection.
        &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1],
        &[0; 8],
        &[0, 0, 0, 1],
        &id.to_be_bytes(),
        &[3, low, middle, high],
        &sized(digest::digest(&digest::SHA256, &parts).as_ref())?,
    ]
    .concat())
}

fn sized(bytes: &[u8]) -> Result<Vec<u8>> {
    Ok([&u16::try_from(bytes.len())?.to_be_bytes()[..], bytes].concat())
}
