//! A document about to be signed, with every part settable.
//!
//! A [`DocumentBuilder`] starts as what production firmware would write; each method departs from it. Nothing is
//! checked, because tests need the documents that nobody should accept.

use aws_lc_rs::digest;

use super::cbor::{self, Length};
use super::module::{Kind, Module, Role, bytes_of};
use crate::ecdsa::Key;

/// A document about to be signed.
#[derive(Clone, Debug)]
pub struct DocumentBuilder {
    module_id: String,
    digest: String,
    timestamp: u64,
    registers: &'static str,
    pcrs: Vec<(u64, Vec<u8>)>,
    certificate: Vec<u8>,
    bundle: Vec<Vec<u8>>,
    public_key: Attached,
    user_data: Attached,
    nonce: Attached,
    fields: Length,
    more: Vec<Field>,
    without: Vec<&'static str>,
    envelope: Envelope,
    key: Key,
}

/// What a caller gave with the request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Attached {
    /// The field is left out.
    Absent,
    /// The field is null.
    Null,
    /// The field has these bytes.
    Bytes(Vec<u8>),
}

/// A field of the payload: its name, and its value as CBOR.
pub type Field = (String, Vec<u8>);

#[derive(Clone, Debug)]
struct Envelope {
    tag: Option<u64>,
    protected: Vec<u8>,
    unprotected: Vec<u8>,
}

impl DocumentBuilder {
    pub(super) fn new(module: &Module) -> Self {
        let (registers, pcrs) = match module.kind() {
            Kind::Enclave => ("pcrs", enclave_registers(module)),
            Kind::Tpm => ("nitrotpm_pcrs", tpm_registers()),
        };
        Self {
            module_id: module.id().to_owned(),
            digest: "SHA384".to_owned(),
            timestamp: module.now().saturating_mul(1_000).saturating_add(136),
            registers,
            pcrs,
            certificate: module.certificate(Role::Leaf).der(),
            bundle: module.bundle(),
            public_key: Attached::Null,
            user_data: Attached::Null,
            nonce: Attached::Null,
            fields: Length::Definite,
            more: Vec::new(),
            without: Vec::new(),
            envelope: Envelope { tag: None, protected: ES384.to_vec(), unprotected: vec![0xa0] },
            key: module.key(Role::Leaf),
        }
    }

    /// Signs, and gives the document.
    #[must_use]
    pub fn sign(&self) -> Vec<u8> {
        let payload = self.payload();
        let signature = self.key.sign(&to_be_signed(&self.envelope.protected, &payload));
        self.seal(&payload, &signature)
    }

    /// The document with this payload and signature, whatever they are.
    #[must_use]
    pub fn seal(&self, payload: &[u8], signature: &[u8]) -> Vec<u8> {
        let Envelope { tag, protected, unprotected } = &self.envelope;
        let parts =
            [cbor::bytes(protected), unprotected.clone(), cbor::bytes(payload), cbor::bytes(signature)];
        let array = cbor::array(&parts);
        tag.map_or(array.clone(), |tag| cbor::tagged(tag, &array))
    }

    /// Signs a payload that was made by hand.
    #[must_use]
    pub fn sign_payload(&self, payload: &[u8]) -> Vec<u8> {
        self.seal(payload, &self.key.sign(&to_be_signed(&self.envelope.protected, payload)))
    }

    /// What is to be signed, without the envelope.
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        let pairs: Vec<_> =
            self.fields().into_iter().map(|(name, value)| (cbor::text(&name), value)).collect();
        cbor::map(self.fields, &pairs)
    }

    /// The fields in the order of AWS' firmware.
    fn fields(&self) -> Vec<Field> {
        let pcrs: Vec<_> =
            self.pcrs.iter().map(|(index, value)| (cbor::unsigned(*index), cbor::bytes(value))).collect();
        let bundle: Vec<Vec<u8>> = self.bundle.iter().map(|der| cbor::bytes(der)).collect();
        let mut fields = vec![
            ("module_id", cbor::text(&self.module_id)),
            ("digest", cbor::text(&self.digest)),
            ("timestamp", cbor::unsigned(self.timestamp)),
            (self.registers, cbor::map(Length::Definite, &pcrs)),
            ("certificate", cbor::bytes(&self.certificate)),
            ("cabundle", cbor::array(&bundle)),
        ];
        let attached =
            [("public_key", &self.public_key), ("user_data", &self.user_data), ("nonce", &self.nonce)];
        fields.extend(attached.into_iter().filter_map(|(name, value)| Some((name, value.encoded()?))));
        fields.retain(|(name, _)| !self.without.contains(name));
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
        fields.chain(self.more.iter().cloned()).collect()
    }

    /// Sets a register, in place or at the end. The value has 48 bytes unless a test wants another length.
    #[must_use]
    pub fn pcr(mut self, index: u64, value: &[u8]) -> Self {
        match self.pcrs.iter_mut().find(|(found, _)| *found == index) {
            Some((_, found)) => value.clone_into(found),
            None => self.pcrs.push((index, value.to_vec())),
        }
        self
    }

    /// Adds a register, even one that is already there.
    #[must_use]
    pub fn another_pcr(mut self, index: u64, value: &[u8]) -> Self {
        self.pcrs.push((index, value.to_vec()));
        self
    }

    /// Leaves a register out.
    #[must_use]
    pub fn without_pcr(mut self, index: u64) -> Self {
        self.pcrs.retain(|(found, _)| *found != index);
        self
    }

    /// Leaves all registers out.
    #[must_use]
    pub fn without_pcrs(mut self) -> Self {
        self.pcrs.clear();
        self
    }

    /// Runs the enclave in debug mode: registers 0, 1, 2 and 8 are zero.
    #[must_use]
    pub fn debug(self) -> Self {
        [0, 1, 2, 8].into_iter().fold(self, |document, index| document.pcr(index, &[0; 48]))
    }

    /// Runs the enclave on an instance with this IAM role: PCR 3 is extended by its ARN.
    #[must_use]
    pub fn role(self, arn: &str) -> Self {
        self.pcr(3, &extend(arn.as_bytes()))
    }

    /// Sets the verifier's nonce.
    #[must_use]
    pub fn nonce(self, nonce: &[u8]) -> Self {
        self.attach_nonce(Attached::Bytes(nonce.to_vec()))
    }

    /// Sets, empties or leaves out the nonce.
    #[must_use]
    pub fn attach_nonce(mut self, nonce: Attached) -> Self {
        self.nonce = nonce;
        self
    }

    /// Sets the caller's data.
    #[must_use]
    pub fn user_data(self, data: &[u8]) -> Self {
        self.attach_user_data(Attached::Bytes(data.to_vec()))
    }

    /// Sets, empties or leaves out the caller's data.
    #[must_use]
    pub fn attach_user_data(mut self, data: Attached) -> Self {
        self.user_data = data;
        self
    }

    /// Sets the caller's key.
    #[must_use]
    pub fn public_key(self, key: &[u8]) -> Self {
        self.attach_public_key(Attached::Bytes(key.to_vec()))
    }

    /// Sets, empties or leaves out the caller's key.
    #[must_use]
    pub fn attach_public_key(mut self, key: Attached) -> Self {
        self.public_key = key;
        self
    }

    /// Claims to be another module.
    #[must_use]
    pub fn module_id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.module_id);
        self
    }

    /// Names another hash.
    #[must_use]
    pub fn digest(mut self, name: &str) -> Self {
        name.clone_into(&mut self.digest);
        self
    }

    /// Sets the time, in milliseconds since 1970.
    #[must_use]
    pub const fn timestamp(mut self, milliseconds: u64) -> Self {
        self.timestamp = milliseconds;
        self
    }

    /// Brings another leaf.
    #[must_use]
    pub fn certificate(mut self, der: Vec<u8>) -> Self {
        self.certificate = der;
        self
    }

    /// Brings another bundle.
    #[must_use]
    pub fn bundle(mut self, bundle: Vec<Vec<u8>>) -> Self {
        self.bundle = bundle;
        self
    }

    /// Says where the map of fields ends.
    #[must_use]
    pub const fn fields_length(mut self, length: Length) -> Self {
        self.fields = length;
        self
    }

    /// Adds a field, even one that is already there; the value is CBOR.
    #[must_use]
    pub fn another_field(mut self, name: &str, value: &[u8]) -> Self {
        self.more.push((name.to_owned(), value.to_vec()));
        self
    }

    /// Leaves a field out.
    #[must_use]
    pub fn without_field(mut self, name: &'static str) -> Self {
        self.without.push(name);
        self
    }

    /// Puts the registers under another name.
    #[must_use]
    pub const fn registers(mut self, name: &'static str) -> Self {
        self.registers = name;
        self
    }

    /// Sets the protected header, as CBOR.
    #[must_use]
    pub fn protected(mut self, header: &[u8]) -> Self {
        header.clone_into(&mut self.envelope.protected);
        self
    }

    /// Sets the unprotected header, as CBOR.
    #[must_use]
    pub fn unprotected(mut self, header: &[u8]) -> Self {
        header.clone_into(&mut self.envelope.unprotected);
        self
    }

    /// Puts a tag in front.
    #[must_use]
    pub const fn tag(mut self, tag: u64) -> Self {
        self.envelope.tag = Some(tag);
        self
    }

    /// Signs with another key.
    #[must_use]
    pub fn signed_by(mut self, key: Key) -> Self {
        self.key = key;
        self
    }
}

impl Attached {
    fn encoded(&self) -> Option<Vec<u8>> {
        match self {
            Self::Absent => None,
            Self::Null => Some(vec![cbor::NULL]),
            Self::Bytes(bytes) => Some(cbor::bytes(bytes)),
        }
    }
}

/// `Sig_structure` (RFC 9052, section 4.4).
fn to_be_signed(protected: &[u8], payload: &[u8]) -> Vec<u8> {
    cbor::array(&[cbor::text("Signature1"), cbor::bytes(protected), cbor::bytes(&[]), cbor::bytes(payload)])
}

/// Sixteen locked registers: image, kernel, applications, parent; no role, and an image that nobody signed.
pub(super) fn enclave_registers(module: &Module) -> Vec<(u64, Vec<u8>)> {
    (0..16)
        .map(|index| {
            let value = match index {
                0..=2 => bytes_of::<48>(&format!("PCR {index}")).to_vec(),
                4 => extend(module.instance().as_bytes()),
                _ => vec![0; 48],
            };
            (index, value)
        })
        .collect()
}

/// The 24 registers of a TPM: measured, untouched, and those that only a dynamic launch resets.
fn tpm_registers() -> Vec<(u64, Vec<u8>)> {
    (0..24)
        .map(|index| {
            let value = match index {
                0..=7 | 9 | 11 => bytes_of::<48>(&format!("NitroTPM PCR {index}")).to_vec(),
                17..=22 => vec![0xff; 48],
                _ => vec![0; 48],
            };
            (index, value)
        })
        .collect()
}

/// A register that was extended once, by these bytes and not by their hash.
pub(super) fn extend(bytes: &[u8]) -> Vec<u8> {
    let mut context = digest::Context::new(&digest::SHA384);
    context.update(&[0; 48]);
    context.update(bytes);
    context.finish().as_ref().to_vec()
}

/// {1: -35}.
const ES384: [u8; 4] = [0xa1, 0x01, 0x38, 0x22];
