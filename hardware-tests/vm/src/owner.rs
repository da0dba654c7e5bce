//! The machine's owner: one key that signs kernels, and that the firmware knows as PK, KEK and db.
//!
//! Also what the firmware will measure of it (PCR 7), computed from the variables and not from a boot.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::kit::{Kit, VARIABLES};
use crate::process::read;

/// A key, its certificate, and the firmware's variables with it.
#[derive(Clone, Debug)]
pub struct Owner {
    folder: PathBuf,
}

impl Owner {
    /// Draws a key and writes it and the variables into `folder`.
    pub fn create(kit: &Kit, folder: &Path) -> Result<Self> {
        let owner = Self { folder: folder.to_owned() };
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-newkey", "rsa:2048", "-nodes", "-new", "-x509", "-sha256", "-days", "3650"]);
        openssl.args(["-subj", "/CN=owner of the machine/", "-keyout"]).arg(owner.key());
        read(openssl.arg("-out").arg(owner.certificate()))?;
        let mut editor = Command::new(kit.firmware_editor());
        editor.arg("--input").arg(VARIABLES);
        for key in ["--set-pk", "--add-kek", "--add-db"] {
            editor.args([key, GUID]).arg(owner.certificate());
        }
        read(editor.arg("--sb").arg("--output").arg(owner.variables()))?;
        Ok(owner)
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.folder.join("owner.key")
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.join("owner.pem")
    }

    /// The firmware's variables: these keys, Secure Boot on.
    pub(crate) fn variables(&self) -> PathBuf {
        self.folder.join("variables.fd")
    }

    /// What the firmware measures of its list `PK`, `KEK` or `db` (UEFI variables, TCG Platform Firmware Profile
    /// 1.06, section 3.3.3): to be hashed.
    pub fn variable(&self, name: &str) -> Result<Vec<u8>> {
        let vendor = if name == "db" { IMAGE_SECURITY } else { GLOBAL };
        Ok(measured(vendor, name, &list(&self.der()?)))
    }

    /// What the firmware measures when the owner's signature vouched for an image: the entry of `db` alone.
    pub fn authority(&self) -> Result<Vec<u8>> {
        Ok(measured(IMAGE_SECURITY, "db", &[&GUID_BYTES[..], &self.der()?].concat()))
    }

    fn der(&self) -> Result<Vec<u8>> {
        let pem = fs::read_to_string(self.certificate())?;
        let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        STANDARD.decode(body).context("the owner's certificate")
    }
}

/// `UEFI_VARIABLE_DATA`.
fn measured(vendor: [u8; 16], name: &str, data: &[u8]) -> Vec<u8> {
    let name: Vec<u16> = name.encode_utf16().collect();
    let size = |count: usize| u64::try_from(count).unwrap_or(u64::MAX).to_le_bytes();
    let mut bytes = vendor.to_vec();
    bytes.extend_from_slice(&size(name.len()));
    bytes.extend_from_slice(&size(data.len()));
    bytes.extend(name.iter().flat_map(|unit| unit.to_le_bytes()));
    bytes.extend_from_slice(data);
    bytes
}

/// `EFI_SIGNATURE_LIST` with one X.509 certificate.
fn list(der: &[u8]) -> Vec<u8> {
    let entry = der.len().saturating_add(GUID_BYTES.len());
    let whole = entry.saturating_add(28);
    let size = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes();
    [&X509[..], &size(whole), &[0; 4], &size(entry), &GUID_BYTES, der].concat()
}

/// Whose entries these are: ours.
const GUID: &str = "c10d7a5e-0000-4000-8000-000000000001";
const GUID_BYTES: [u8; 16] = [0x5e, 0x7a, 0x0d, 0xc1, 0, 0, 0, 0x40, 0x80, 0, 0, 0, 0, 0, 0, 1];
/// `EFI_GLOBAL_VARIABLE`, 8be4df61-93ca-11d2-aa0d-00e098032b8c.
const GLOBAL: [u8; 16] =
    [0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c];
/// `EFI_IMAGE_SECURITY_DATABASE_GUID`, d719b2cb-3d3a-4596-a3bc-dad00e67656f.
const IMAGE_SECURITY: [u8; 16] =
    [0xcb, 0xb2, 0x19, 0xd7, 0x3a, 0x3d, 0x96, 0x45, 0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f];
/// `EFI_CERT_X509_GUID`, a5c059a1-94e4-4aa7-87b5-ab155c2bf072.
const X509: [u8; 16] =
    [0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72];
