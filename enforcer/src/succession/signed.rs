//! What an operator signs: one line of JSON, and on the next the Ed25519 signature of it in hexadecimal.
//!
//! The signature is over a line that says what it is about, and the statement's bytes as they are; not a word of them is read
//! before. There is one way to write a statement: its fields in their order, without blanks.
//!
//! Trusted: the key and what it is about, as arguments. Untrusted: the two lines.

use ed25519_dalek::{Signature, VerifyingKey};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A key that nobody has: none was given.
pub const NO_KEY: [u8; 32] = [0; 32];

/// Why a statement is none.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsigned {
    /// Not two lines, or too long, or not hexadecimal.
    #[error("expected a statement and its signature in hexadecimal, a line each")]
    Form,
    /// No key was told when the enforcer started.
    #[error("no key for it was given when the enforcer started")]
    NoKey,
    /// The key's or the signature's.
    #[error("the signature is not by the key that was given")]
    Signature,
    /// The words.
    #[error("the statement: {0}")]
    Words(String),
}

/// The statement of these two lines, of at most so many bytes, if `key` signed it as what `domain` says it is.
pub fn open<T: DeserializeOwned + Serialize>(
    text: &str,
    longest: usize,
    domain: &str,
    key: &[u8; 32],
) -> Result<T, Unsigned> {
    if key == &NO_KEY {
        return Err(Unsigned::NoKey);
    }
    if text.len() > longest {
        return Err(Unsigned::Form);
    }
    let (line, signature) = text.trim_end().split_once('\n').ok_or(Unsigned::Form)?;
    let signature = hex::decode(signature).map_err(|_not_hex| Unsigned::Form)?;
    let signature = Signature::from_slice(&signature).map_err(|_length| Unsigned::Form)?;
    let key = VerifyingKey::from_bytes(key).map_err(|_no_point| Unsigned::Signature)?;
    let signed = [domain.as_bytes(), line.as_bytes()].concat();
    key.verify_strict(&signed, &signature).map_err(|_wrong| Unsigned::Signature)?;
    let words = |error: serde_json::Error| Unsigned::Words(error.to_string());
    let statement: T = serde_json::from_str(line).map_err(words)?;
    let written = serde_json::to_string(&statement).map_err(words)?;
    if written == line {
        Ok(statement)
    } else {
        Err(Unsigned::Words(format!("expected it written as {written}, found {line}")))
    }
}

/// Digests as 64 letters.
pub(crate) mod digest {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(digest: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex::encode(digest))
    }

    pub(crate) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(from)?;
        let bytes = hex::decode(&text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| D::Error::custom(format!("expected 64 hexadecimal digits, found {text}")))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
    #[serde(deny_unknown_fields)]
    struct Words {
        name: String,
        number: u64,
    }

    const WORDS: &str = r#"{"name":"n1","number":7}"#;

    pub(crate) fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    pub(crate) fn sign(domain: &str, statement: &str) -> String {
        let signature = key().sign(format!("{domain}{statement}").as_bytes());
        format!("{statement}\n{}\n", hex::encode(signature.to_bytes()))
    }

    fn opened(text: &str) -> Result<Words, Unsigned> {
        open(text, 4096, "about\n", &key().verifying_key().to_bytes())
    }

    #[test]
    fn every_flipped_bit_of_a_statement_is_refused() {
        let text = sign("about\n", WORDS);
        assert_eq!(opened(&text), Ok(Words { name: "n1".into(), number: 7 }));
        for at in 0..WORDS.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            assert!(matches!(opened(&text), Err(Unsigned::Signature | Unsigned::Form)), "{at}");
        }
    }

    #[test]
    fn a_signature_over_the_bare_statement_is_for_something_else() {
        assert_eq!(opened(&sign("", WORDS)), Err(Unsigned::Signature));
        assert_eq!(opened(&sign("another\n", WORDS)), Err(Unsigned::Signature));
    }

    #[test]
    fn without_a_key_nothing_is_signed() {
        let text = sign("about\n", WORDS);
        assert_eq!(open::<Words>(&text, 4096, "about\n", &NO_KEY), Err(Unsigned::NoKey));
    }

    #[test]
    fn what_is_not_two_lines_is_refused() {
        for text in ["", WORDS, "a\nb", &format!("{WORDS}\n00"), &"x".repeat(5000)] {
            assert_eq!(opened(text), Err(Unsigned::Form), "{text:.20}");
        }
    }

    #[test]
    fn a_word_that_is_not_known_and_another_spelling_are_refused() {
        let more = opened(&sign("about\n", r#"{"also":1,"name":"n1","number":7}"#)).unwrap_err();
        assert!(more.to_string().starts_with("the statement: unknown field `also`"), "{more}");
        let blank = r#"{"name": "n1","number":7}"#;
        assert_eq!(
            opened(&sign("about\n", blank)).unwrap_err().to_string(),
            format!("the statement: expected it written as {WORDS}, found {blank}")
        );
    }
}
