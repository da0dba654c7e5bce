//! Quotes, with every field settable.
//!
//! A [`QuoteBuilder`] starts as a production TD's quote; each method departs from it. What was changed is
//! signed: the TD report by the attestation key, the attestation key by the QE report, the QE report by the
//! platform's PCK. Layout: Intel TDX DCAP quoting library API, appendix 3 (versions 4 and 5).

use aws_lc_rs::digest::{SHA256, digest};

use super::authority::bytes_of;
use super::{Body, Platform, attributes, pem};
use crate::ecdsa::{Curve, Key};

/// The id of Intel's quoting enclaves.
pub const QE_VENDOR: [u8; 16] = 0x939a_7233_f79c_4ca9_940a_0db3_957f_0607_u128.to_be_bytes();

/// The signer of Intel's TD quoting enclave.
pub const QE_MRSIGNER: [u8; 32] = [
    0xdc, 0x9e, 0x2a, 0x7c, 0x6f, 0x94, 0x8f, 0x17, 0x47, 0x4e, 0x34, 0xa7, 0xfc, 0x43, 0xed, 0x03, 0x0f,
    0x7c, 0x15, 0x63, 0xf1, 0xba, 0xbd, 0xdf, 0x63, 0x40, 0xc8, 0x2e, 0x0e, 0x54, 0xa8, 0xc5,
];

/// A quote about to be signed.
#[derive(Clone, Debug)]
pub struct QuoteBuilder {
    version: u16,
    header: Vec<u8>,
    kind: Body,
    body: Vec<u8>,
    body_type: Option<u16>,
    body_size: Option<u32>,
    attestation_key: Key,
    signer: Option<Key>,
    qe_report: Vec<u8>,
    qe_report_data: Option<[u8; 64]>,
    qe_signer: Key,
    qe_auth: Vec<u8>,
    chain: Vec<u8>,
    certification_type: u16,
    chain_type: u16,
    trailing: Vec<u8>,
}

impl QuoteBuilder {
    pub(super) fn new(platform: &Platform) -> Self {
        let seed = platform.seed;
        let label = format!("cloudtaser simulator: attestation key of {seed}");
        let builder = Self {
            version: 4,
            header: vec![0; HEADER_LEN],
            kind: Body::Td10,
            body: vec![0; Body::Td15Ex.len()],
            body_type: None,
            body_size: None,
            attestation_key: Key::derive(Curve::P256, label.as_bytes()),
            signer: None,
            qe_report: vec![0; QE_REPORT_LEN],
            qe_report_data: None,
            qe_signer: platform.pck_key(),
            qe_auth: (0..32).collect(),
            chain: Vec::new(),
            certification_type: 6,
            chain_type: 5,
            trailing: Vec::new(),
        };
        let builder = builder.version(4).header_field(2, &[2, 0]).tee_type(0x81).qe_vendor(QE_VENDOR);
        builder.production_td().production_qe(seed).chain(&platform.chain())
    }

    fn production_td(self) -> Self {
        let svn = [6, 1, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        self.tee_tcb_svn(svn)
            .tee_tcb_svn_2(svn)
            .mr_seam(bytes_of("the TDX module"))
            .td_attributes(attributes::SEPT_VE_DISABLE)
            .xfam(0x0006_02e7)
            .mrtd([0x7d; 48])
            .rtmrs([[0x10; 48], [0x11; 48], [0x12; 48], [0x13; 48]])
            .body_field(649, &bytes_of::<32>("TD id"))
            .body_field(785, &bytes_of::<16>("CPU at the TD's creation"))
            .body_field(801, &svn)
    }

    fn production_qe(self, seed: u64) -> Self {
        self.header_field(28, &bytes_of::<16>(&format!("QE id of {seed}")))
            .qe_field(0, &[3, 3, 0x19, 0x1b, 4, 0xff, 0, 6])
            .qe_attributes([0x15, 0, 0, 0, 0, 0, 0, 0, 0xe7, 0, 0, 0, 0, 0, 0, 0])
            .qe_field(64, &bytes_of::<32>("the TD quoting enclave"))
            .qe_mrsigner(QE_MRSIGNER)
            .qe_isv_prod_id(2)
            .qe_isv_svn(6)
    }

    /// Signs, and gives the quote.
    #[must_use]
    pub fn sign(&self) -> Vec<u8> {
        let mut quote = self.signed_part();
        let signature = self.signer.as_ref().unwrap_or(&self.attestation_key).sign(&quote);
        let certification = self.certification();
        let signature_data = [
            signature.as_slice(),
            self.attestation_key.coordinates(),
            &self.certification_type.to_le_bytes(),
            &length(certification.len()),
            &certification,
        ]
        .concat();
        quote.extend(length(signature_data.len()));
        quote.extend(signature_data);
        quote.extend(&self.trailing);
        quote
    }

    /// What the attestation key signs: header and TD report, in version 5 with the report's descriptor.
    #[must_use]
    pub fn signed_part(&self) -> Vec<u8> {
        let mut part = self.header.clone();
        if self.version >= 5 {
            part.extend(self.body_type.unwrap_or(self.kind.number()).to_le_bytes());
            part.extend(self.body_size.map_or_else(|| length(self.kind.len()), u32::to_le_bytes));
        }
        part.extend(self.td_report());
        part
    }

    /// The TD report alone.
    #[must_use]
    pub fn td_report(&self) -> &[u8] {
        self.body.get(..self.kind.len()).unwrap_or_default()
    }

    /// Sets the version of the quote's format: 4 or 5.
    #[must_use]
    pub fn version(mut self, version: u16) -> Self {
        self.version = version;
        self.header_field(0, &version.to_le_bytes())
    }

    /// Sets the kind of report, and the version that can carry it.
    #[must_use]
    pub fn body(mut self, kind: Body) -> Self {
        self.kind = kind;
        match kind {
            Body::Td10 => self,
            Body::Td15 | Body::Td15Ex => self.version(5),
        }
    }

    /// Says another type of body than it has (version 5).
    #[must_use]
    pub const fn body_type(mut self, number: u16) -> Self {
        self.body_type = Some(number);
        self
    }

    /// Says another length of body than it has (version 5).
    #[must_use]
    pub const fn body_size(mut self, size: u32) -> Self {
        self.body_size = Some(size);
        self
    }

    /// Sets the attestation key's type; 2 is ECDSA P-256.
    #[must_use]
    pub fn attestation_key_type(self, number: u16) -> Self {
        self.header_field(2, &number.to_le_bytes())
    }

    /// Sets the type of environment; 0x81 is TDX, 0 is SGX.
    #[must_use]
    pub fn tee_type(self, number: u32) -> Self {
        self.header_field(4, &number.to_le_bytes())
    }

    /// Sets who made the quoting enclave.
    #[must_use]
    pub fn qe_vendor(self, id: [u8; 16]) -> Self {
        self.header_field(12, &id)
    }

    /// Sets bytes of the 48 that the header has.
    #[must_use]
    pub fn header_field(mut self, offset: usize, value: &[u8]) -> Self {
        put(&mut self.header, offset, value);
        self
    }

    /// Sets the TCB of the TDX module and its platform, as at the TD's launch.
    #[must_use]
    pub fn tee_tcb_svn(self, svn: [u8; 16]) -> Self {
        self.body_field(0, &svn)
    }

    /// Sets the module's measurement.
    #[must_use]
    pub fn mr_seam(self, value: [u8; 48]) -> Self {
        self.body_field(16, &value)
    }

    /// Sets the module's signer; zero is Intel.
    #[must_use]
    pub fn mr_signer_seam(self, value: [u8; 48]) -> Self {
        self.body_field(64, &value)
    }

    /// Sets the module's attributes.
    #[must_use]
    pub fn seam_attributes(self, value: u64) -> Self {
        self.body_field(112, &value.to_le_bytes())
    }

    /// Sets the TD's attributes; see [`attributes`].
    #[must_use]
    pub fn td_attributes(self, value: u64) -> Self {
        self.body_field(120, &value.to_le_bytes())
    }

    /// Lets the host debug the TD.
    #[must_use]
    pub fn debug(self) -> Self {
        self.td_attributes(attributes::SEPT_VE_DISABLE | attributes::DEBUG)
    }

    /// Sets the extended features that the TD may use.
    #[must_use]
    pub fn xfam(self, value: u64) -> Self {
        self.body_field(128, &value.to_le_bytes())
    }

    /// Sets the measurement of the TD's initial content.
    #[must_use]
    pub fn mrtd(self, value: [u8; 48]) -> Self {
        self.body_field(136, &value)
    }

    /// Sets the owner's configuration id.
    #[must_use]
    pub fn mr_config_id(self, value: [u8; 48]) -> Self {
        self.body_field(184, &value)
    }

    /// Sets the owner.
    #[must_use]
    pub fn mr_owner(self, value: [u8; 48]) -> Self {
        self.body_field(232, &value)
    }

    /// Sets the owner's configuration.
    #[must_use]
    pub fn mr_owner_config(self, value: [u8; 48]) -> Self {
        self.body_field(280, &value)
    }

    /// Sets a run-time measurement, 0 to 3; others do nothing.
    #[must_use]
    pub fn rtmr(self, number: usize, value: [u8; 48]) -> Self {
        if number > 3 {
            return self;
        }
        self.body_field(number.saturating_mul(48).saturating_add(RTMR0), &value)
    }

    /// Sets all run-time measurements.
    #[must_use]
    pub fn rtmrs(self, values: [[u8; 48]; 4]) -> Self {
        self.body_field(RTMR0, &values.concat())
    }

    /// RTMR 0 to 3 as they stand.
    pub(crate) fn values(&self) -> [[u8; 48]; 4] {
        let mut values = [[0; 48]; 4];
        let bytes = self.body.iter().skip(RTMR0);
        for (to, from) in values.iter_mut().flatten().zip(bytes) {
            *to = *from;
        }
        values
    }

    /// Sets the caller's 64 bytes.
    #[must_use]
    pub fn report_data(self, data: [u8; 64]) -> Self {
        self.body_field(520, &data)
    }

    /// Sets the TCB that runs now (TDX 1.5).
    #[must_use]
    pub fn tee_tcb_svn_2(self, svn: [u8; 16]) -> Self {
        self.body_field(584, &svn)
    }

    /// Sets the measurement of a service TD (TDX 1.5); zero where none is bound.
    #[must_use]
    pub fn mr_service_td(self, value: [u8; 48]) -> Self {
        self.body_field(600, &value)
    }

    /// Sets bytes of the TD report, at an offset from its start.
    #[must_use]
    pub fn body_field(mut self, offset: usize, value: &[u8]) -> Self {
        put(&mut self.body, offset, value);
        self
    }

    /// Signs with another attestation key, which the quote then carries.
    #[must_use]
    pub fn attestation_key(mut self, key: Key) -> Self {
        self.attestation_key = key;
        self
    }

    /// Signs with this key, whatever key the quote carries.
    #[must_use]
    pub fn signed_by(mut self, key: Key) -> Self {
        self.signer = Some(key);
        self
    }

    /// Sets the quoting enclave's security version.
    #[must_use]
    pub fn qe_isv_svn(self, svn: u16) -> Self {
        self.qe_field(258, &svn.to_le_bytes())
    }

    /// Sets the quoting enclave's product.
    #[must_use]
    pub fn qe_isv_prod_id(self, id: u16) -> Self {
        self.qe_field(256, &id.to_le_bytes())
    }

    /// Sets the quoting enclave's signer.
    #[must_use]
    pub fn qe_mrsigner(self, value: [u8; 32]) -> Self {
        self.qe_field(128, &value)
    }

    /// Sets the quoting enclave's attributes.
    #[must_use]
    pub fn qe_attributes(self, value: [u8; 16]) -> Self {
        self.qe_field(48, &value)
    }

    /// Sets the quoting enclave's miscellaneous selection.
    #[must_use]
    pub fn qe_misc_select(self, value: u32) -> Self {
        self.qe_field(16, &value.to_le_bytes())
    }

    /// Sets bytes of the 384 that the QE report has; its report data follows from the key: see
    /// [`Self::qe_report_data`].
    #[must_use]
    pub fn qe_field(mut self, offset: usize, value: &[u8]) -> Self {
        put(&mut self.qe_report, offset, value);
        self
    }

    /// Binds something else than attestation key and authentication data.
    #[must_use]
    pub const fn qe_report_data(mut self, data: [u8; 64]) -> Self {
        self.qe_report_data = Some(data);
        self
    }

    /// Signs the QE report with another key than the platform's PCK.
    #[must_use]
    pub fn qe_signed_by(mut self, key: Key) -> Self {
        self.qe_signer = key;
        self
    }

    /// Sets the QE's authentication data: 32 bytes in the field, none in Intel's samples.
    #[must_use]
    pub fn qe_auth(mut self, data: &[u8]) -> Self {
        data.clone_into(&mut self.qe_auth);
        self
    }

    /// Carries these certificates (DER, leaf first) as PEM, with a NUL after the last.
    #[must_use]
    pub fn chain(self, certificates: &[Vec<u8>]) -> Self {
        let text: String = certificates.iter().map(|der| pem(der)).collect();
        self.certification_data(&[text.as_bytes(), &[0]].concat())
    }

    /// Carries these certificates without the final NUL, as on Google's hosts.
    #[must_use]
    pub fn chain_without_nul(self, certificates: &[Vec<u8>]) -> Self {
        let text: String = certificates.iter().map(|der| pem(der)).collect();
        self.certification_data(text.as_bytes())
    }

    /// Carries these bytes in the place of the PCK chain.
    #[must_use]
    pub fn certification_data(mut self, bytes: &[u8]) -> Self {
        bytes.clone_into(&mut self.chain);
        self
    }

    /// Sets the type of the outer certification data; 6 is a QE report.
    #[must_use]
    pub const fn certification_type(mut self, number: u16) -> Self {
        self.certification_type = number;
        self
    }

    /// Sets the type of the inner certification data; 5 is a PCK chain.
    #[must_use]
    pub const fn chain_type(mut self, number: u16) -> Self {
        self.chain_type = number;
        self
    }

    /// Puts bytes after the quote's end, as some hosts do.
    #[must_use]
    pub fn trailing(mut self, bytes: &[u8]) -> Self {
        bytes.clone_into(&mut self.trailing);
        self
    }

    /// QE report, its signature, authentication data, PCK chain.
    fn certification(&self) -> Vec<u8> {
        let bound = self.qe_report_data.map_or_else(|| self.key_binding(), |data| data.to_vec());
        let mut report = self.qe_report.clone();
        put(&mut report, QE_REPORT_DATA, &bound);
        let signature = self.qe_signer.sign(&report);
        let auth_len = u16::try_from(self.qe_auth.len()).unwrap_or(u16::MAX);
        [
            report.as_slice(),
            &signature,
            &auth_len.to_le_bytes(),
            &self.qe_auth,
            &self.chain_type.to_le_bytes(),
            &length(self.chain.len()),
            &self.chain,
        ]
        .concat()
    }

    fn key_binding(&self) -> Vec<u8> {
        let hash = digest(&SHA256, &[self.attestation_key.coordinates(), &self.qe_auth].concat());
        [hash.as_ref(), &[0; 32]].concat()
    }
}

impl Platform {
    /// The chain that the platform's quotes carry: PCK, its authority, the root.
    #[must_use]
    pub fn chain(&self) -> [Vec<u8>; 3] {
        [self.pck().der(), self.ca().der(), self.root().der()]
    }
}

fn put(bytes: &mut [u8], offset: usize, value: &[u8]) {
    for (byte, value) in bytes.iter_mut().skip(offset).zip(value) {
        *byte = *value;
    }
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes()
}

const HEADER_LEN: usize = 48;
const RTMR0: usize = 328;
const QE_REPORT_LEN: usize = 384;
const QE_REPORT_DATA: usize = 320;
