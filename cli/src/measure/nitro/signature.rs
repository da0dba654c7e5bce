//! The signature section: which certificate PCR 8 will name.
//!
//! CBOR, as the image's builder writes it: an array of one map `{"signing_certificate": PEM, "signature": COSE}`, both
//! as arrays of numbers. The signature itself is checked by the Nitro hypervisor at launch, not here.
//!
//! Untrusted: the section.

use minicbor::Decoder;
use minicbor::data::Type;
use x509_parser::pem::Pem;

use super::BadEif;

/// The signing certificate in DER.
pub(super) fn certificate(section: &[u8]) -> Result<Vec<u8>, BadEif> {
    let pem = pem(section).map_err(|_cbor| BadEif::Signature("it is no CBOR of the known form"))??;
    let mut blocks = Pem::iter_from_buffer(&pem);
    match (blocks.next(), blocks.next()) {
        (Some(Ok(block)), None) if block.label == "CERTIFICATE" => Ok(block.contents),
        _ => Err(BadEif::Signature("expected one certificate in PEM")),
    }
}

fn pem(section: &[u8]) -> Result<Result<Vec<u8>, BadEif>, minicbor::decode::Error> {
    let mut decoder = Decoder::new(section);
    if (decoder.array()?, decoder.map()?) != (Some(1), Some(2)) {
        return Ok(Err(BadEif::Signature("expected one signer, with a certificate and a signature")));
    }
    let mut found = None;
    for _ in 0..2 {
        match decoder.str()? {
            "signing_certificate" if found.is_none() => found = Some(octets(&mut decoder)?),
            "signature" => drop(octets(&mut decoder)?),
            _ => return Ok(Err(BadEif::Signature("it has a field that is not known"))),
        }
    }
    if decoder.position() != section.len() {
        return Ok(Err(BadEif::Signature("something stands behind it")));
    }
    Ok(found.ok_or(BadEif::Signature("it names no certificate")))
}

/// An array of numbers, which is how the builder writes bytes, or a byte string.
fn octets(decoder: &mut Decoder<'_>) -> Result<Vec<u8>, minicbor::decode::Error> {
    if decoder.datatype()? == Type::Bytes {
        return decoder.bytes().map(<[u8]>::to_vec);
    }
    // Each number is read from the section, so that the claimed length costs nothing.
    decoder.array_iter::<u8>()?.collect()
}
