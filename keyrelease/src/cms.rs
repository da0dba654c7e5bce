//! The CMS form of sealing: what AWS KMS calls `CiphertextForRecipient`, for enclaves that open that already.
//!
//! `EnvelopedData` of RFC 5652, version 2: one `KeyTransRecipientInfo`, version 2, that names the key by its identifier; the
//! content key wrapped by RSAES-OAEP (RFC 8017) with SHA-256 and MGF1 with SHA-256, no label; AES-256-CBC (RFC 3565), PKCS #7
//! padding. Five of its lengths are indefinite: `ContentInfo`, its `[0]`, `EnvelopedData`, `EncryptedContentInfo` and the
//! `[0]` of the content, which holds an OCTET STRING. All others are DER. So do three answers of KMS that were published
//! (aws-nitro-enclaves-sdk-c `tests/cms_test.c`; RustCrypto/formats#779; librasn/rasn#66), and so does that SDK's parser
//! want it (`source/cms.c`): it steps over headers, and takes an element of definite length for one to skip.
//! KMS's key identifier has 32 bytes, of what AWS does not say, and readers pass over it; ours is the SHA-256 of the
//! `SubjectPublicKeyInfo` (RFC 7093, 2, method 4). KMS may cut a long content into several strings; ours is one.
//!
//! CBC says nothing of who wrote a message or whether it was changed, and OAEP with a public key neither: docs/nitro.md.
//!
//! Trusted: the key, because its recipient was admitted. Nothing is parsed here.

use aws_lc_rs::cipher::{AES_256, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use zeroize::Zeroizing;

use attest::Crypto;
use attest::crypto::AwsLcRs;

/// A message that only the holder of this key opens: its DER `SubjectPublicKeyInfo`.
pub(crate) fn envelop(spki: &[u8], value: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let mut key = Zeroizing::new([0; 32]);
    rand::fill(key.as_mut_slice())?;
    let wrapped = wrap(spki, key.as_slice())?;
    let (iv, content) = encrypt(key.as_slice(), value)?;
    let identifier = AwsLcRs.sha256(&[spki]).0;
    Ok(message(&identifier, &wrapped, &iv, &content))
}

fn wrap(spki: &[u8], key: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let public = PublicEncryptingKey::from_der(spki).map_err(|_why| Unspecified)?;
    let public = OaepPublicEncryptingKey::new(public)?;
    let mut wrapped = vec![0; public.ciphertext_size()];
    let length = public.encrypt(&OAEP_SHA256_MGF1SHA256, key, &mut wrapped, None)?.len();
    wrapped.truncate(length);
    Ok(wrapped)
}

fn encrypt(key: &[u8], value: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Unspecified> {
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_256, key)?)?;
    // Room for the padding: growing would leave a copy of the value behind.
    let mut content = Vec::with_capacity(value.len().saturating_add(16));
    content.extend_from_slice(value);
    let used = key.encrypt(&mut content)?;
    let iv: &[u8] = (&used).try_into()?;
    Ok((iv.to_vec(), content))
}

fn message(identifier: &[u8], wrapped: &[u8], iv: &[u8], content: &[u8]) -> Vec<u8> {
    let recipient = [VERSION_2, &tlv(0x80, identifier), KEY_ENCRYPTION, &tlv(OCTET_STRING, wrapped)].concat();
    let recipients = tlv(SET, &tlv(SEQUENCE, &recipient));
    let cipher = tlv(SEQUENCE, &[AES_256_CBC, &tlv(OCTET_STRING, iv)].concat());
    let content = open(CONTEXT_0, &[&tlv(OCTET_STRING, content)]);
    let content = open(SEQUENCE, &[DATA, &cipher, &content]);
    let enveloped = open(SEQUENCE, &[VERSION_2, &recipients, &content]);
    open(SEQUENCE, &[ENVELOPED_DATA, &open(CONTEXT_0, &[&enveloped])])
}

/// A value of definite length (X.690, 8.1.3.4 and 8.1.3.5).
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let digits = content.len().to_be_bytes();
    let digits: Vec<u8> = digits.into_iter().skip_while(|digit| *digit == 0).collect();
    let short = matches!(digits.as_slice(), [] | [0..=0x7f]);
    let count = u8::try_from(digits.len()).unwrap_or(u8::MAX);
    let head = match (short, digits.first()) {
        (true, first) => vec![tag, first.copied().unwrap_or(0)],
        (false, _) => [&[tag, 0x80 | count], digits.as_slice()].concat(),
    };
    [head.as_slice(), content].concat()
}

/// A value of indefinite length (X.690, 8.1.3.6), which two zeros end.
fn open(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    [&[tag, 0x80], parts.concat().as_slice(), &[0, 0]].concat()
}

const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const CONTEXT_0: u8 = 0xa0;
/// `INTEGER 2`: of the message, because its recipient is named by an identifier, and of the recipient likewise.
const VERSION_2: &[u8] = b"\x02\x01\x02";
/// id-envelopedData.
const ENVELOPED_DATA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03";
/// id-data.
const DATA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";
/// aes256-CBC.
const AES_256_CBC: &[u8] = b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2a";
/// id-RSAES-OAEP, with `[0]` SHA-256 and `[1]` MGF1 with SHA-256 (RFC 4055, 4.1).
const KEY_ENCRYPTION: &[u8] = b"\x30\x3c\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x07\x30\x2f\
    \xa0\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\
    \xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\
    \x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00";

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};

    /// The bytes that are the same in every published answer of KMS to a key of 2048 bits, of which the content is of 32
    /// to 47 bytes: X stands for 32 bytes of identifier, 256 of wrapped key, 16 of IV, 48 of content.
    const KMS: [&str; 5] = [
        "308006092a864886f70d010703a080308002010231 82016b308201670201028020",
        "303c06092a864886f70d010107302fa00f300d06096086480165030402010500a11c301a06092a864886f70d010108\
         300d0609608648016503040201050004820100",
        "308006092a864886f70d010701301d060960864801650304012a0410",
        "a0800430",
        "00000000000000000000",
    ];

    #[test]
    fn a_message_has_the_bytes_that_kms_sends() {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap().public_key();
        let spki: PublicKeyX509Der<'_> = key.as_der().unwrap();
        let message = envelop(spki.as_ref(), &[7; 32]).unwrap();
        let mut rest = message.as_slice();
        for (constant, random) in KMS.into_iter().zip([32, 256, 16, 48, 0]) {
            let constant = hex::decode(constant.replace(' ', "")).unwrap();
            rest = rest.strip_prefix(constant.as_slice()).unwrap();
            rest = rest.get(random..).unwrap();
        }
        assert_eq!(rest, [0; 0]);
    }

    /// X.690, 8.1.3: one byte up to 127, the fewest digits beyond.
    #[test]
    fn a_length_has_its_shortest_form() {
        for (length, head) in [
            (0, "0400"),
            (127, "047f"),
            (128, "048180"),
            (255, "0481ff"),
            (256, "04820100"),
            (65_535, "0482ffff"),
            (65_536, "0483010000"),
        ] {
            let value = tlv(OCTET_STRING, &vec![7; length]);
            assert_eq!(hex::encode(&value[..value.len() - length]), head, "{length}");
        }
    }

    #[test]
    fn the_same_value_is_never_enveloped_alike() {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap().public_key();
        let spki: PublicKeyX509Der<'_> = key.as_der().unwrap();
        let [one, two] = [(); 2].map(|()| envelop(spki.as_ref(), b"the same").unwrap());
        let differ = one.iter().zip(&two).filter(|(one, two)| one != two).count();
        assert!(differ > 256 + 16, "only {differ} bytes differ: a wrapped key or an IV came twice");
    }

    #[test]
    fn what_is_no_key_is_no_recipient() {
        assert!(envelop(b"", b"s").is_err());
        assert!(envelop(&[0x30, 0], b"s").is_err());
    }
}
