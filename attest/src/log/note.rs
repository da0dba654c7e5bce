//! Signed notes: a text and who signed it, as C2SP's `signed-note` has it.
//!
//! A note is lines of text, an empty line, and a line for each signature. A signature names its key by name and by
//! four bytes of a hash; the reader brings the whole key, so a collision of the four bytes fools nobody. Unknown
//! signatures are passed over; a known key's signature that does not verify spoils the note.
//!
//! Trusted: the keys. Untrusted: the note.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Crypto;
use crate::crypto::{PublicKey, Scheme};

/// A note, taken apart. Nothing of it is believed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<Signature>,
}

/// One line under a note.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Signature {
    pub(super) name: KeyName,
    pub(super) id: KeyId,
    pub(super) bytes: Vec<u8>,
}

impl SignedNote {
    /// The longest note that is read, in bytes: what Go's reader takes too.
    pub const MAX_BYTES: usize = 1_000_000;
    /// The most signatures; 16 must be taken.
    pub const MAX_SIGNATURES: usize = 100;

    /// Takes a note apart.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadNote> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(BadNote::TooLong(bytes.len()));
        }
        let all = std::str::from_utf8(bytes).map_err(|_why| BadNote::Text("UTF-8"))?;
        if all.chars().any(|character| character < ' ' && character != '\n') {
            return Err(BadNote::Text("no control characters but newlines"));
        }
        let (text, signatures) = all.rsplit_once("\n\n").ok_or(BadNote::Text("signatures under the text"))?;
        let lines = signatures.strip_suffix('\n').ok_or(BadNote::Text("a newline at the end"))?;
        let signatures: Vec<&str> = lines.split('\n').collect();
        if signatures.len() > Self::MAX_SIGNATURES {
            return Err(BadNote::TooMany(signatures.len()));
        }
        let signatures = signatures.into_iter().map(signature).collect::<Result<_, _>>()?;
        Ok(Self { text: format!("{text}\n"), signatures })
    }

    /// A note with a text, which ends in a newline, and these lines from [`NoteKey::line`].
    pub fn assemble(text: &str, lines: &[String]) -> Result<Vec<u8>, BadNote> {
        let note = format!("{text}\n{}", lines.concat()).into_bytes();
        let parsed = Self::parse(&note)?;
        if parsed.text == text { Ok(note) } else { Err(BadNote::Text("a newline at the end of the text")) }
    }

    /// This note with more signature lines; what the same keys signed before gives way.
    pub fn with(&self, lines: &str) -> Result<Vec<u8>, BadNote> {
        let new = Self::parse(format!("{}\n{lines}", self.text).as_bytes())?;
        if new.text != self.text {
            return Err(BadNote::Text("signatures alone"));
        }
        let stays = |old: &&Signature| {
            new.signatures.iter().all(|signature| (&signature.name, signature.id) != (&old.name, old.id))
        };
        let all = self.signatures.iter().filter(stays).chain(&new.signatures);
        Self::assemble(&self.text, &all.map(Signature::line).collect::<Vec<_>>())
    }

    /// The lines of signatures.
    #[must_use]
    pub fn lines(&self) -> String {
        self.signatures.iter().map(Signature::line).collect()
    }

    /// The text that was signed, with its last newline.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures of `key`, in their order.
    pub(super) fn by<'n>(
        &'n self,
        crypto: &dyn Crypto,
        key: &'n NoteKey,
    ) -> impl Iterator<Item = &'n Signature> {
        let id = key.id(crypto);
        self.signatures.iter().filter(move |signature| signature.id == id && signature.name == key.name)
    }

    /// Whether the Ed25519 key `key` signed the text. A signature of its that does not verify is an error.
    pub fn is_signed_by(&self, crypto: &dyn Crypto, key: &NoteKey) -> Result<bool, BadNote> {
        let mut signed = false;
        for signature in self.by(crypto, key) {
            key.verify(crypto, self.text.as_bytes(), &signature.bytes)?;
            signed = true;
        }
        Ok(signed)
    }

    /// Who signed, as the note has it.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.signatures.iter().map(|signature| format!("{}+{}", signature.name, signature.id)).collect()
    }
}

impl Signature {
    fn line(&self) -> String {
        line(&self.name, self.id, &self.bytes)
    }
}

/// Reads `— <name> <base64 of id and signature>`.
fn signature(line: &str) -> Result<Signature, BadNote> {
    let bad = || BadNote::Signature(line.chars().take(120).collect());
    let (name, encoded) = line.strip_prefix("— ").and_then(|rest| rest.split_once(' ')).ok_or_else(bad)?;
    let name = KeyName::new(name).map_err(|_why| bad())?;
    let bytes = STANDARD.decode(encoded).map_err(|_why| bad())?;
    let (id, bytes) = bytes.split_first_chunk::<4>().ok_or_else(bad)?;
    if bytes.is_empty() {
        return Err(bad());
    }
    Ok(Signature { name, id: KeyId(*id), bytes: bytes.to_vec() })
}

fn line(name: &KeyName, id: KeyId, signature: &[u8]) -> String {
    format!("— {name} {}\n", STANDARD.encode([&id.0, signature].concat()))
}

/// What a key's signatures say. The numbers are those of `signed-note`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum SignatureKind {
    /// Type 1: an Ed25519 signature over the text.
    Ed25519,
    /// Type 4: a witness's Ed25519 signature over an instant and a checkpoint (`tlog-cosignature`).
    CosignatureV1,
}

impl SignatureKind {
    fn number(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::CosignatureV1 => 4,
        }
    }
}

/// A public key with the name under which it signs notes.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NoteKey {
    /// Whose it is.
    pub name: KeyName,
    /// What it signs.
    pub kind: SignatureKind,
    /// The Ed25519 public key.
    pub key: [u8; 32],
}

impl NoteKey {
    /// Reads a verifier key: `name+<8 hex digits>+<base64 of type and key>`.
    pub fn parse(crypto: &dyn Crypto, text: &str) -> Result<Self, BadKey> {
        let bad = || BadKey::Form(text.chars().take(120).collect());
        let (name, rest) = text.split_once('+').ok_or_else(bad)?;
        // The base64 of the key may have a plus in it too.
        let (id, encoded) = rest.split_once('+').ok_or_else(bad)?;
        let bytes = STANDARD.decode(encoded).map_err(|_why| bad())?;
        let (kind, bytes) = bytes.split_first().ok_or_else(bad)?;
        let kind = match kind {
            1 => SignatureKind::Ed25519,
            4 => SignatureKind::CosignatureV1,
            other => return Err(BadKey::Kind(*other)),
        };
        let key = bytes.try_into().map_err(|_why| BadKey::Length(bytes.len()))?;
        let parsed = Self { name: KeyName::new(name)?, kind, key };
        let expected = parsed.id(crypto).to_string();
        if expected == id { Ok(parsed) } else { Err(BadKey::Id { expected, found: id.to_owned() }) }
    }

    /// The verifier key as a text.
    #[must_use]
    pub fn to_text(&self, crypto: &dyn Crypto) -> String {
        let encoded = STANDARD.encode([&[self.kind.number()], self.key.as_slice()].concat());
        format!("{}+{}+{encoded}", self.name, self.id(crypto))
    }

    /// The key's id: the first four bytes of a hash over name, type and key.
    #[must_use]
    pub fn id(&self, crypto: &dyn Crypto) -> KeyId {
        let hash = crypto.sha256(&[self.name.as_str().as_bytes(), b"\n", &[self.kind.number()], &self.key]);
        let [a, b, c, d, ..] = hash.0;
        KeyId([a, b, c, d])
    }

    /// The line under a note for a signature of this key.
    #[must_use]
    pub fn line(&self, crypto: &dyn Crypto, signature: &[u8]) -> String {
        line(&self.name, self.id(crypto), signature)
    }

    pub(super) fn verify(
        &self,
        crypto: &dyn Crypto,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadNote> {
        let key = PublicKey::Ed25519(self.key);
        let spoilt = || BadNote::Spoilt(format!("{}+{}", self.name, self.id(crypto)));
        crypto.verify(Scheme::Ed25519, &key, message, signature).map_err(|_why| spoilt())
    }
}

/// The first four bytes of the hash that names a key.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KeyId(pub [u8; 4]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The name of a key: no spaces, no plus, no control characters, at most 255 bytes.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KeyName(String);

impl KeyName {
    /// This name, if a key may have it.
    pub fn new(name: &str) -> Result<Self, BadKey> {
        let wrong = |character: char| character.is_whitespace() || character.is_control() || character == '+';
        if name.is_empty() || name.len() > 255 || name.chars().any(wrong) {
            return Err(BadKey::Name(name.chars().take(80).collect()));
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not a verifier key.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadKey {
    /// Not of the form.
    #[error("expected a verifier key like name+1234abcd+base64, found {0:?}")]
    Form(String),
    /// No key may have this name.
    #[error("expected a key name of 1 to 255 bytes without spaces and plus, found {0:?}")]
    Name(String),
    /// Another algorithm.
    #[error("expected a key of type 1 (Ed25519) or 4 (Ed25519 cosignatures), found type {0}")]
    Kind(u8),
    /// Not 32 bytes.
    #[error("expected an Ed25519 key of 32 bytes, found {0}")]
    Length(usize),
    /// The id is another key's, or the name was changed.
    #[error("the key's id is not that of its name and bytes: expected {expected}, found {found:?}")]
    Id {
        /// What follows from name, type and key.
        expected: String,
        /// What the text says.
        found: String,
    },
}

/// Why bytes are not a note, or a note is not to be believed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadNote {
    /// Longer than any note.
    #[error("expected a note of at most 1000000 bytes, found {0}")]
    TooLong(usize),
    /// More signatures than any note has.
    #[error("expected at most 100 signatures, found {0}")]
    TooMany(usize),
    /// Not of the form.
    #[error("not a signed note: expected {0}")]
    Text(&'static str),
    /// A line that is no signature.
    #[error("expected a line like \"— name base64\", found {0:?}")]
    Signature(String),
    /// A known key's signature does not verify.
    #[error("the signature by {0} does not verify")]
    Spoilt(String),
}
