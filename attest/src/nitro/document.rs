//! The document: what the security module says of an enclave or an instance.
//!
//! A map with nine keys, each at most once and no others: a key that is not understood here may carry a check.
//! An enclave's registers stand under `pcrs`, an instance's under `nitrotpm_pcrs`; that is how the two kinds are
//! told apart, and it is inside the signature.
//!
//! Untrusted: everything, until [`super::verify`] has checked the signature over it.

use super::cbor::Walk;
use super::cose::Envelope;
use crate::bytes::Malformed;
use crate::{Digest, Platform};

/// A parsed document.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    bytes: &'a [u8],
    platform: Platform,
    pub(super) envelope: Envelope<'a>,
    pub(super) fields: Fields,
    pub(super) certificate: &'a [u8],
    pub(super) bundle: Vec<&'a [u8]>,
}

/// What a document says, beside the certificates in it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Fields {
    /// The module that speaks: the instance's id, then `-enc` and the enclave's, or `-tpm` and zeros.
    pub module_id: String,
    /// The hash of the registers.
    pub digest: String,
    /// When it was made, in milliseconds since 1970.
    pub timestamp: u64,
    /// The registers, as they stand in the document.
    pub pcrs: Vec<Pcr>,
    /// The caller's key.
    pub public_key: Attached,
    /// The caller's data.
    pub user_data: Attached,
    /// The verifier's nonce.
    pub nonce: Attached,
}

/// A platform configuration register.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
pub struct Pcr {
    /// 0 to 31.
    pub index: u8,
    /// The value.
    pub value: Digest<48>,
}

/// What a caller gave with the request: three ways to give nothing, and bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Attached {
    /// The field is not there.
    Absent,
    /// The field is null.
    Null,
    /// The field is there, and may be empty.
    Bytes(Vec<u8>),
}

impl<'a> Document<'a> {
    /// The longest evidence that is read. AWS allows 16384 bytes of payload; real ones have 5000.
    pub const MAX_BYTES: usize = 17 * 1024;
    /// The most certificates in the bundle; real ones have four.
    pub const MAX_BUNDLE: usize = 8;

    /// Checks the shape, and that the document is about what `platform` says.
    pub fn parse(platform: Platform, bytes: &'a [u8]) -> Result<Self, Malformed> {
        let document = Self::read(bytes)?;
        if document.platform == platform {
            return Ok(document);
        }
        let expected = "pcrs for an enclave, nitrotpm_pcrs for an instance";
        Err(Malformed::Value { what: "registers", expected, found: document.platform.name().to_owned() })
    }

    /// Which platform's document this is, if it is one.
    pub(crate) fn platform_of(bytes: &'a [u8]) -> Option<Platform> {
        Self::read(bytes).ok().map(|document| document.platform)
    }

    fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.len() > Self::MAX_BYTES {
            let (what, expected) = ("length of a Nitro document", "at most 17408 bytes");
            return Err(Malformed::Value { what, expected, found: bytes.len().to_string() });
        }
        let envelope = Envelope::parse(bytes)?;
        let mut gathered = Gathered::default();
        gathered.payload(envelope.payload)?;
        let (platform, pcrs) = present("pcrs", gathered.pcrs)?;
        Ok(Self {
            bytes,
            platform,
            certificate: present("certificate", gathered.certificate)?,
            bundle: present("cabundle", gathered.bundle)?,
            fields: Fields {
                module_id: present("module_id", gathered.module_id)?.to_owned(),
                digest: present("digest", gathered.digest)?.to_owned(),
                timestamp: present("timestamp", gathered.timestamp)?,
                pcrs,
                public_key: gathered.public_key.unwrap_or(Attached::Absent),
                user_data: gathered.user_data.unwrap_or(Attached::Absent),
                nonce: gathered.nonce.unwrap_or(Attached::Absent),
            },
            envelope,
        })
    }

    /// The evidence as it was received.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What the document claims, unverified.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The leaf, then the bundle in its order, DER, unverified.
    pub fn certificates(&self) -> impl Iterator<Item = &'a [u8]> {
        std::iter::once(self.certificate).chain(self.bundle.iter().copied())
    }

    pub(crate) fn platform(&self) -> Platform {
        self.platform
    }

    /// The certificates in the document, each with its length in front.
    pub(crate) fn endorsement_id(&self) -> Vec<u8> {
        let mut id = Vec::new();
        for der in self.certificates() {
            id.extend(u16::try_from(der.len()).unwrap_or(u16::MAX).to_be_bytes());
            id.extend_from_slice(der);
        }
        id
    }
}

impl Attached {
    /// The bytes, if there are any: an empty string is none.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Absent | Self::Null => &[],
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl std::fmt::Display for Attached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Absent => f.write_str("absent"),
            Self::Null => f.write_str("null"),
            Self::Bytes(bytes) if bytes.is_empty() => f.write_str("empty"),
            Self::Bytes(bytes) => f.write_str(&hex::encode(bytes)),
        }
    }
}

impl serde::Serialize for Attached {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent => serializer.serialize_str("absent"),
            Self::Null => serializer.serialize_none(),
            Self::Bytes(bytes) => serializer.serialize_str(&hex::encode(bytes)),
        }
    }
}

/// The fields as they come, in whichever order.
#[derive(Default)]
struct Gathered<'a> {
    module_id: Option<&'a str>,
    digest: Option<&'a str>,
    timestamp: Option<u64>,
    pcrs: Option<(Platform, Vec<Pcr>)>,
    certificate: Option<&'a [u8]>,
    bundle: Option<Vec<&'a [u8]>>,
    public_key: Option<Attached>,
    user_data: Option<Attached>,
    nonce: Option<Attached>,
}

impl<'a> Gathered<'a> {
    fn payload(&mut self, payload: &'a [u8]) -> Result<(), Malformed> {
        let mut walk = Walk::new(payload);
        let mut fields = walk.map("document", FIELDS)?;
        while walk.more(&mut fields)? {
            let name = walk.text("name of a field")?;
            self.field(name, &mut walk)?;
        }
        walk.finish()
    }

    fn field(&mut self, name: &str, walk: &mut Walk<'a>) -> Result<(), Malformed> {
        match name {
            "module_id" => once("module_id", &mut self.module_id, walk.text("module_id")?),
            "digest" => once("digest", &mut self.digest, walk.text("digest")?),
            "timestamp" => once("timestamp", &mut self.timestamp, walk.number("timestamp")?),
            "pcrs" => once("pcrs", &mut self.pcrs, (Platform::Nitro, registers(walk)?)),
            "nitrotpm_pcrs" => once("pcrs", &mut self.pcrs, (Platform::NitroTpm, registers(walk)?)),
            "certificate" => once("certificate", &mut self.certificate, certificate(walk)?),
            "cabundle" => once("cabundle", &mut self.bundle, bundle(walk)?),
            "public_key" => once("public_key", &mut self.public_key, attached("public_key", walk)?),
            "user_data" => once("user_data", &mut self.user_data, attached("user_data", walk)?),
            "nonce" => once("nonce", &mut self.nonce, attached("nonce", walk)?),
            other => {
                let found = format!("{:?}", other.chars().take(40).collect::<String>());
                Err(odd("field of a document", "one that AWS names", found))
            }
        }
    }
}

fn registers(walk: &mut Walk<'_>) -> Result<Vec<Pcr>, Malformed> {
    let mut pcrs: Vec<Pcr> = Vec::new();
    let mut items = walk.map("pcrs", 32)?;
    while walk.more(&mut items)? {
        let number = walk.number("index of a PCR")?;
        let index = u8::try_from(number).ok().filter(|index| *index < 32);
        let index = index.ok_or_else(|| odd("index of a PCR", "0 to 31", number.to_string()))?;
        let value = walk.bytes("PCR")?;
        let digest = <[u8; 48]>::try_from(value).map(Digest);
        let wrong = |_| Malformed::Length { what: "PCR", expected: 48, found: value.len() };
        if pcrs.iter().any(|pcr| pcr.index == index) {
            return Err(odd("index of a PCR", "each once", format!("{index} twice")));
        }
        pcrs.push(Pcr { index, value: digest.map_err(wrong)? });
    }
    if pcrs.is_empty() { Err(odd("pcrs", "at least one", "none".to_owned())) } else { Ok(pcrs) }
}

fn bundle<'a>(walk: &mut Walk<'a>) -> Result<Vec<&'a [u8]>, Malformed> {
    let mut certificates = Vec::new();
    let mut items = walk.array("cabundle", Document::MAX_BUNDLE)?;
    while walk.more(&mut items)? {
        certificates.push(certificate(walk)?);
    }
    if certificates.is_empty() {
        return Err(odd("cabundle", "at least one certificate", "none".to_owned()));
    }
    Ok(certificates)
}

fn certificate<'a>(walk: &mut Walk<'a>) -> Result<&'a [u8], Malformed> {
    let der = walk.bytes("certificate")?;
    if (1..=1024).contains(&der.len()) {
        return Ok(der);
    }
    Err(odd("length of a certificate", "1 to 1024 bytes", der.len().to_string()))
}

fn attached(what: &'static str, walk: &mut Walk<'_>) -> Result<Attached, Malformed> {
    let bytes = walk.bytes_or_null(what)?;
    Ok(bytes.map_or(Attached::Null, |bytes| Attached::Bytes(bytes.to_vec())))
}

fn once<T>(what: &'static str, slot: &mut Option<T>, value: T) -> Result<(), Malformed> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(odd(what, "one value", "two".to_owned())),
    }
}

fn present<T>(what: &'static str, slot: Option<T>) -> Result<T, Malformed> {
    slot.ok_or_else(|| odd(what, "a value", "none".to_owned()))
}

fn odd(what: &'static str, expected: &'static str, found: String) -> Malformed {
    Malformed::Value { what, expected, found }
}

/// The fields that AWS names.
const FIELDS: usize = 9;
