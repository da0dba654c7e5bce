//! A TPM as Google's machines have it: the template of an attestation key in its memory, and Google's certificate.
//!
//! The key is not in the TPM: it is made from the template under the endorsement hierarchy, always the same.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::{Vtpm, VtpmError};
use crate::tpm::{Provider, gce_instance};

impl Vtpm {
    /// Puts the template of an ECC key, and its certificate by Google's simulated authority, where Google has them:
    /// NV index 0x01c10003 and 0x01c10002.
    pub fn certify(&self) -> Result<(), VtpmError> {
        let scratch = TempDir::new()?;
        let file = |name: &str| scratch.path().join(name).display().to_string();
        let (context, spki) = (file("context"), file("spki"));
        let key = ["-Q", "-C", "e", "-G", "ecc256:ecdsa-sha256:null", "-a", ATTRIBUTES, "-c", &context];
        self.tool("tpm2_createprimary", &key)?;
        self.tool("tpm2_readpublic", &["-Q", "-c", &context, "-f", "der", "-o", &spki])?;
        self.tool("tpm2_flushcontext", &["-t"])?;
        let certificate = Provider::google()
            .certificate_of(fs::read(spki)?)
            .extension(INSTANCE, &gce_instance("us-central1-a", "ours", "node-1"));
        for (index, content) in [("0x01c10002", certificate.der()), ("0x01c10003", TEMPLATE.to_vec())] {
            let (path, size) = (file(index), content.len().to_string());
            fs::write(&path, content)?;
            let attributes = "ownerwrite|ownerread|authread";
            self.tool("tpm2_nvdefine", &["-Q", "-C", "o", "-s", &size, "-a", attributes, index])?;
            self.tool("tpm2_nvwrite", &["-Q", "-C", "o", "-i", &path, index])?;
        }
        Ok(())
    }

    pub(super) fn tool(&self, program: &'static str, arguments: &[&str]) -> Result<(), VtpmError> {
        let mut command = Command::new(program);
        let output = command.args(arguments).env("TPM2TOOLS_TCTI", self.tcti()).output();
        let output = output.map_err(|source| VtpmError::Run { program, source })?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(VtpmError::Ended { program, status: output.status, output: said })
    }
}

const ATTRIBUTES: &str = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|sign";
/// The same as a `TPMT_PUBLIC`: ECC, SHA-256, attributes, no policy, no cipher, ECDSA with SHA-256, P-256, no key
/// derivation, no point.
const TEMPLATE: [u8; 24] = [
    0x00, 0x23, 0x00, 0x0b, 0x00, 0x05, 0x04, 0x72, 0x00, 0x00, 0x00, 0x10, 0x00, 0x18, 0x00, 0x0b, 0x00,
    0x03, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00,
];
const INSTANCE: &[u64] = &[1, 3, 6, 1, 4, 1, 11129, 2, 1, 21];
