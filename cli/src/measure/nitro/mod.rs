//! The PCRs of a Nitro enclave: what the Nitro hypervisor hashes of an enclave image file (EIF), and of where it runs.
//!
//! Kernel, command line and RAM disks are measured, and the signing certificate; headers and metadata are not. Each
//! PCR is extended once, from zero.
//!
//! Untrusted: the file.

mod eif;
mod signature;

use super::bank::{Bank, Register};
pub(crate) use eif::{Arch, BadEif, Eif};

impl Eif<'_> {
    /// PCR 0: the whole image.
    pub(crate) fn pcr0(&self) -> Register {
        let ramdisks = self.ramdisks.iter().copied();
        extended(&[self.kernel, self.cmdline].into_iter().chain(ramdisks).collect::<Vec<_>>())
    }

    /// PCR 1: kernel, command line and the first RAM disk.
    pub(crate) fn pcr1(&self) -> Register {
        let boot = self.ramdisks.first().copied();
        extended(&[self.kernel, self.cmdline].into_iter().chain(boot).collect::<Vec<_>>())
    }

    /// PCR 2: the application, which is in the other RAM disks. With none, the digest of nothing.
    pub(crate) fn pcr2(&self) -> Register {
        extended(self.ramdisks.get(1..).unwrap_or_default())
    }

    /// PCR 8: the signing certificate, if the image is signed.
    pub(crate) fn pcr8(&self) -> Result<Option<Register>, BadEif> {
        let signed = self.signature.map(signature::certificate).transpose()?;
        Ok(signed.map(|certificate| extended(&[&certificate])))
    }
}

/// PCR 3 (the parent's IAM role) and 4 (the parent's instance id): extended by the text itself.
pub(crate) fn of_text(text: &str) -> Register {
    let mut register = Register::new(Bank::Sha384);
    register.extend(text.as_bytes());
    register
}

fn extended(parts: &[&[u8]]) -> Register {
    let mut register = Register::new(Bank::Sha384);
    register.extend(&Bank::Sha384.hash(parts));
    register
}
