//! The paravisor of an Azure confidential machine: its runtime data and its report.
//!
//! ```
//! use simulator::azure::Paravisor;
//! use simulator::snp::{Chip, Product};
//! use simulator::tpm::AttestationKey;
//!
//! let paravisor = Paravisor::new(AttestationKey::rsa(1));
//! let report = Chip::new(1, Product::Genoa).report().report_data(paravisor.report_data()).sign();
//! let hcl = paravisor.snp_report(&report);
//! assert_eq!(hcl.len(), 2600);
//! ```

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::tpm::AttestationKey;

/// A paravisor that keeps a TPM with one attestation key.
#[derive(Clone, Debug)]
pub struct Paravisor {
    modulus: Vec<u8>,
    kid: String,
    vm_id: String,
    secure_boot: bool,
    more: String,
    runtime: Option<Vec<u8>>,
}

impl Paravisor {
    /// With an RSA attestation key, as Azure's has.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "it keeps the key, in the words of its callers")]
    pub fn new(key: AttestationKey) -> Self {
        Self::of_modulus(key.modulus())
    }

    /// With the key of a running TPM: RSA, by its modulus.
    #[must_use]
    pub fn of_modulus(modulus: Vec<u8>) -> Self {
        Self {
            modulus,
            kid: "HCLAkPub".to_owned(),
            vm_id: "390CBCF5-6C67-4D9B-98EF-C3F1699CC8FC".to_owned(),
            secure_boot: true,
            more: String::new(),
            runtime: None,
        }
    }

    /// Gives the machine another identifier.
    #[must_use]
    pub fn vm_id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.vm_id);
        self
    }

    /// Starts the machine with Secure Boot off.
    #[must_use]
    pub fn without_secure_boot(mut self) -> Self {
        self.secure_boot = false;
        self
    }

    /// Names the attestation key otherwise.
    #[must_use]
    pub fn kid(mut self, kid: &str) -> Self {
        kid.clone_into(&mut self.kid);
        self
    }

    /// Adds members, with a comma in front, to the machine's configuration.
    #[must_use]
    pub fn configured(mut self, members: &str) -> Self {
        members.clone_into(&mut self.more);
        self
    }

    /// Writes this instead of runtime data.
    #[must_use]
    pub fn runtime(mut self, bytes: &[u8]) -> Self {
        self.runtime = Some(bytes.to_vec());
        self
    }

    /// The JSON whose digest the hardware signs.
    #[must_use]
    pub fn runtime_data(&self) -> Vec<u8> {
        if let Some(bytes) = &self.runtime {
            return bytes.clone();
        }
        let n = BASE64_URL_SAFE_NO_PAD.encode(&self.modulus);
        let Self { kid, vm_id, secure_boot, more, .. } = self;
        format!(
            "{{\"keys\":[{{\"kid\":\"{kid}\",\"key_ops\":[\"sign\"],\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"{n}\"}}],\
             \"vm-configuration\":{{\"console-enabled\":true,\"secure-boot\":{secure_boot},\"tpm-enabled\":true,\
             \"tpm-persisted\":true,\"vmUniqueId\":\"{vm_id}\"{more}}},\"user-data\":\"{}\"}}",
            "00".repeat(64)
        )
        .into_bytes()
    }

    /// What the hardware is asked to sign: the digest of the runtime data, then zeros.
    #[must_use]
    pub fn report_data(&self) -> [u8; 64] {
        let mut data = [0; 64];
        let digest = digest::digest(&digest::SHA256, &self.runtime_data());
        for (byte, value) in data.iter_mut().zip(digest.as_ref()) {
            *byte = *value;
        }
        data
    }

    /// The report in the TPM's memory, around an SNP report.
    #[must_use]
    pub fn snp_report(&self, report: &[u8]) -> Vec<u8> {
        self.report(2, report)
    }

    /// The report in the TPM's memory, around a `TDREPORT` of which only type and report data are filled in.
    #[must_use]
    pub fn td_report(&self) -> Vec<u8> {
        let head = [&[0x81][..], &[0; 127]].concat();
        self.report(4, &[head, self.report_data().to_vec(), vec![0; 832]].concat())
    }

    fn report(&self, kind: u32, hardware: &[u8]) -> Vec<u8> {
        let runtime = self.runtime_data();
        let length = u32::try_from(runtime.len()).unwrap_or(u32::MAX);
        let words = |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|word| word.to_le_bytes()).collect() };
        let head = words(&[2, length.saturating_add(1236), 2, 0, 0, 0, 0]);
        let mut report = [b"HCLA".to_vec(), head, hardware.to_vec()].concat();
        report.resize(1216, 0);
        report.extend(words(&[length.saturating_add(20), 1, kind, 1, length]));
        report.extend(runtime);
        report.resize(report.len().max(2600), 0);
        report
    }
}
