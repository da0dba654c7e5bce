//! A pack: collateral in one signed file, for a site without internet.
//!
//! Deterministic CBOR in a `COSE_Sign1`. The signature says who put it together; what each object is worth, its own
//! vendor's signature says ([`super::verify`]). Objects stand sorted and once.
//!
//! Trusted: the keys that the caller pins. Untrusted: the file.

use minicbor::{Decode, Encode};

use super::{Kind, NotCollateral, file};
use crate::envelope::{BadEnvelope, Envelope};
use crate::{Crypto, Digest, UnixTime};

/// The Ed25519 public key of somebody who may bring collateral.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PackSigner(pub [u8; 32]);

impl PackSigner {
    /// SHA-256 of the key: the `kid` of its signatures.
    #[must_use]
    pub fn id(&self, crypto: &dyn Crypto) -> Digest<32> {
        crypto.sha256(&[&self.0])
    }
}

/// What is in a pack.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub struct Pack {
    #[n(0)]
    format: String,
    /// When it was put together.
    #[n(1)]
    pub made: UnixTime,
    /// Words for people.
    #[n(2)]
    pub note: String,
    #[n(3)]
    objects: Vec<Packed>,
}

/// One object.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Encode, Decode)]
pub struct Packed {
    /// What it is.
    #[n(0)]
    pub kind: Kind,
    /// The object.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
    /// Where it came from: a URL, a file name.
    #[n(2)]
    pub origin: String,
}

impl Pack {
    /// The only format so far.
    pub const FORMAT: &'static str = "cloudtaser/collateral-pack/v1";
    /// The longest file that is opened, in bytes.
    pub const MAX_BYTES: usize = 16 * 1024 * 1024;
    /// The most objects in one pack.
    pub const MAX_OBJECTS: usize = 8192;

    /// A pack of these, sorted. What has no place in a store has none in a pack.
    pub fn new(made: UnixTime, note: &str, objects: Vec<(Vec<u8>, String)>) -> Result<Self, BadPack> {
        let packed = objects.into_iter().map(|(bytes, origin)| {
            let kind = file(&bytes).map_err(|why| BadPack::Object(shortened(&origin), why))?.kind;
            Ok(Packed { kind, bytes, origin: shortened(&origin) })
        });
        let mut objects = packed.collect::<Result<Vec<_>, BadPack>>()?;
        objects.sort();
        objects.dedup_by(|next, first| next.bytes == first.bytes);
        let pack = Self { format: Self::FORMAT.to_owned(), made, note: shortened(note), objects };
        pack.sound()?;
        Ok(pack)
    }

    /// The objects, sorted by kind.
    #[must_use]
    pub fn objects(&self) -> &[Packed] {
        &self.objects
    }

    /// The COSE `Sig_structure` that a signer's key signs.
    pub fn to_be_signed(&self, key: &PackSigner, crypto: &dyn Crypto) -> Result<Vec<u8>, BadPack> {
        Ok(ENVELOPE.to_be_signed(self.to_cbor()?, &key.0, crypto))
    }

    /// The file: pack, key id and signature.
    pub fn signed(
        &self,
        key: &PackSigner,
        crypto: &dyn Crypto,
        signature: Vec<u8>,
    ) -> Result<Vec<u8>, BadPack> {
        Ok(ENVELOPE.signed(self.to_cbor()?, &key.0, crypto, signature)?)
    }

    /// The key id that a file names, before anything is checked.
    pub fn signer(file: &[u8]) -> Result<Digest<32>, BadPack> {
        Ok(ENVELOPE.signer(file)?)
    }

    /// Checks the file's signature under one of `keys`; with the pack comes the id of the key.
    pub fn open(
        file: &[u8],
        keys: &[PackSigner],
        crypto: &dyn Crypto,
    ) -> Result<(Self, Digest<32>), BadPack> {
        let keys: Vec<[u8; 32]> = keys.iter().map(|key| key.0).collect();
        let (payload, signer) = ENVELOPE.open(file, &keys, crypto)?;
        Ok((Self::parse(&payload)?, signer))
    }

    /// Decodes a file without asking who signed it.
    pub fn insecure_peek(file: &[u8]) -> Result<Self, BadPack> {
        Self::parse(&ENVELOPE.insecure_peek(file)?)
    }

    fn to_cbor(&self) -> Result<Vec<u8>, BadPack> {
        minicbor::to_vec(self).map_err(|error| BadPack::Content(error.to_string()))
    }

    fn parse(bytes: &[u8]) -> Result<Self, BadPack> {
        let pack: Self = minicbor::decode(bytes).map_err(|error| BadPack::Content(error.to_string()))?;
        if pack.format != Self::FORMAT {
            return Err(BadPack::Format(shortened(&pack.format)));
        }
        // What does not encode to the same bytes has a second reading, or something after its end.
        if pack.to_cbor()? != bytes {
            return Err(BadPack::Content("not the deterministic encoding".to_owned()));
        }
        pack.sound()?;
        Ok(pack)
    }

    fn sound(&self) -> Result<(), BadPack> {
        if self.objects.len() > Self::MAX_OBJECTS {
            return Err(BadPack::TooMany { limit: Self::MAX_OBJECTS, found: self.objects.len() });
        }
        let pairs = self.objects.iter().zip(self.objects.iter().skip(1));
        let sorted = pairs.map(|(one, next)| (one.kind, &one.bytes) < (next.kind, &next.bytes));
        let short = |text: &str| *text == shortened(text);
        let worded = short(&self.note) && self.objects.iter().all(|object| short(&object.origin));
        if sorted.fold(worded, |all, one| all && one) {
            return Ok(());
        }
        Err(BadPack::Content(
            "expected sorted objects and notes of at most 200 printable characters".to_owned(),
        ))
    }
}

/// At most 200 characters of a text, safe for a terminal.
fn shortened(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { '?' } else { c }).collect()
}

const ENVELOPE: Envelope =
    Envelope { media_type: "application/vnd.cloudtaser.collateral-pack.v1+cbor", max_bytes: Pack::MAX_BYTES };

/// Why a file is not a pack.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadPack {
    /// Longer than any pack.
    #[error("collateral pack: expected at most {limit} bytes, found {found}")]
    TooLong {
        /// The limit.
        limit: usize,
        /// The length.
        found: usize,
    },
    /// More objects than a pack may have.
    #[error("collateral pack: expected at most {limit} objects, found {found}")]
    TooMany {
        /// The limit.
        limit: usize,
        /// How many there are.
        found: usize,
    },
    /// Not a `COSE_Sign1` of the expected shape.
    #[error("not a signed collateral pack: {0}")]
    Cose(String),
    /// The key that the file names is none of the caller's.
    #[error("collateral pack: signed by key {0}, which is not among the trusted ones")]
    UnknownSigner(Digest<32>),
    /// The signature does not verify.
    #[error("collateral pack: signature by key {0} does not verify")]
    Signature(Digest<32>),
    /// The payload is not a pack.
    #[error("malformed collateral pack: {0}")]
    Content(String),
    /// A format that this version does not know.
    #[error("collateral pack format: expected cloudtaser/collateral-pack/v1, found {0:?}")]
    Format(String),
    /// An object that is no collateral.
    #[error("{0}: {1}")]
    Object(String, NotCollateral),
}

impl From<BadEnvelope> for BadPack {
    fn from(error: BadEnvelope) -> Self {
        match error {
            BadEnvelope::TooLong { limit, found } => Self::TooLong { limit, found },
            BadEnvelope::Cose(why) => Self::Cose(why),
            BadEnvelope::UnknownSigner(signer) => Self::UnknownSigner(signer),
            BadEnvelope::Signature(signer) => Self::Signature(signer),
        }
    }
}
