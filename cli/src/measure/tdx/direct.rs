//! A kernel that QEMU hands to the firmware: what RTMR 1 and 2 will be.
//!
//! RTMR 1 holds the kernel's image, the call of it, a separator and the end of boot services (TCG PC Client Platform
//! Firmware Profile, PCR 4 and 5); RTMR 2 holds what the kernel's EFI stub measures, Linux 6.9 and later: its command
//! line and its initial RAM disk. Before QEMU 10.0 and EDK II 2025.02 the firmware got the kernel with a patched
//! header, so that its digest depends on the guest's memory too.
//!
//! Untrusted: the files.

use crate::answer::NotJudged;
use crate::measure::bank::{Bank, Register};
use crate::measure::bytes::{self, le16, le32};
use crate::measure::pe::{BadImage, Image};

/// What QEMU is given.
#[derive(Debug)]
pub(crate) struct DirectBoot<'a> {
    pub(crate) kernel: &'a [u8],
    pub(crate) initrd: Option<&'a [u8]>,
    pub(crate) append: &'a str,
    /// The guest's memory, in bytes.
    pub(crate) memory: u64,
}

/// Which kernel the firmware gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Header {
    /// The file.
    AsInFile,
    /// The file with a header that QEMU has filled in for a boot loader.
    Patched,
}

impl DirectBoot<'_> {
    /// Kernel image, its call, end of boot services.
    pub(crate) fn rtmr1(&self, header: Header) -> Result<Register, BadKernel> {
        let patched = match header {
            Header::AsInFile => self.kernel.to_vec(),
            Header::Patched => self.patched()?,
        };
        let mut register = Register::new(Bank::Sha384);
        register.extend(&Image::parse(&patched)?.digest(Bank::Sha384));
        register.measure(b"Calling EFI Application from Boot Option");
        register.measure(&[0; 4]); // EV_SEPARATOR
        register.measure(b"Exit Boot Services Invocation");
        register.measure(b"Exit Boot Services Returned with Success");
        Ok(register)
    }

    /// Command line and initial RAM disk.
    pub(crate) fn rtmr2(&self) -> Register {
        let mut register = Register::new(Bank::Sha384);
        // OVMF adds the name under which the stub finds the initial RAM disk (OvmfPkg/Library/GenericQemuLoadImageLib).
        let found = if self.initrd.is_some() { " initrd=initrd" } else { "" };
        register.measure(&bytes::utf16_nul(&format!("{}{found}", self.append)));
        if let Some(initrd) = self.initrd {
            register.measure(initrd);
        }
        register
    }

    /// The kernel with the header that QEMU fills in (QEMU 9, `hw/i386/x86-common.c`, `x86_load_linux`; the fields:
    /// Linux, Documentation/arch/x86/boot.rst).
    fn patched(&self) -> Result<Vec<u8>, BadKernel> {
        let protocol = le16(self.kernel, 0x206).ok_or(BadKernel::Protocol(0))?;
        let loads_high = self.kernel.get(0x211).is_some_and(|flags| flags & 1 == 1);
        if bytes::array(self.kernel, 0x202) != Some(*b"HdrS") || protocol < 0x20c || !loads_high {
            return Err(BadKernel::Protocol(protocol));
        }
        if self.append.contains("vga=") {
            return Err(BadKernel::VideoMode);
        }
        let mut kernel = self.kernel.to_vec();
        let flags = self.kernel.get(0x211).copied().unwrap_or_default() | CAN_USE_HEAP;
        put(&mut kernel, 0x210, &[QEMU_LOADER, flags]);
        put(&mut kernel, 0x224, &HEAP_END.to_le_bytes());
        put(&mut kernel, 0x228, &CMDLINE_ADDRESS.to_le_bytes());
        if let Some(initrd) = self.initrd {
            let (address, length) = self.initrd_at(initrd)?;
            put(&mut kernel, 0x218, &address.to_le_bytes());
            put(&mut kernel, 0x21c, &length.to_le_bytes());
        }
        Ok(kernel)
    }

    /// Where QEMU puts the initial RAM disk: as high as the kernel allows below 4 GiB.
    fn initrd_at(&self, initrd: &[u8]) -> Result<(u32, u32), BadKernel> {
        let length = u32::try_from(initrd.len()).map_err(|_long| BadKernel::Initrd)?;
        let anywhere = le16(self.kernel, 0x236).is_some_and(|flags| flags & LOADED_ABOVE_4G != 0);
        let allowed = if anywhere { u32::MAX } else { le32(self.kernel, 0x22c).unwrap_or_default() };
        // q35 ends low memory at 2 GiB if there is more than 2.75 GiB.
        let low = if self.memory >= Q35_LOW { 0x8000_0000 } else { self.memory };
        let low = u32::try_from(low).map_err(|_large| BadKernel::Initrd)?;
        let below = low.checked_sub(ACPI_DATA).and_then(|end| end.checked_sub(1)).ok_or(BadKernel::Initrd)?;
        let highest = allowed.min(below);
        let address = highest.checked_sub(length).ok_or(BadKernel::Initrd)?;
        Ok((address & !0xfff, length))
    }
}

fn put(kernel: &mut [u8], at: usize, value: &[u8]) {
    for (to, from) in kernel.iter_mut().skip(at).zip(value) {
        *to = *from;
    }
}

/// Why a kernel cannot be measured.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum BadKernel {
    #[error(transparent)]
    Image(#[from] BadImage),
    #[error("expected a Linux kernel of boot protocol 2.12 or later that loads high, found protocol {0:#x}")]
    Protocol(u16),
    #[error("with vga= on the command line QEMU changes more of the kernel's header than is known here")]
    VideoMode,
    #[error("the initial RAM disk does not fit into the guest's memory below 4 GiB")]
    Initrd,
}

impl From<BadKernel> for NotJudged {
    fn from(error: BadKernel) -> Self {
        let code = match error {
            BadKernel::Image(image) => return image.into(),
            BadKernel::Protocol(_) => "kernel.protocol",
            BadKernel::VideoMode => "kernel.video_mode",
            BadKernel::Initrd => "kernel.initrd",
        };
        Self::new(code, error.to_string())
    }
}

const QEMU_LOADER: u8 = 0xb0;
const CAN_USE_HEAP: u8 = 0x80;
const LOADED_ABOVE_4G: u16 = 2;
const CMDLINE_ADDRESS: u32 = 0x2_0000;
/// From the real-mode code at 0x10000 to the command line, without the last 512 bytes.
const HEAP_END: u32 = 0xfe00;
/// What QEMU keeps free for ACPI tables.
const ACPI_DATA: u32 = 0x2_8000;
const Q35_LOW: u64 = 0xb000_0000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_initrd_lies_at_one_place_for_every_large_memory() {
        let mut kernel = vec![0; 4096];
        kernel[0x236] = 2;
        let at = |memory| {
            let boot = DirectBoot { kernel: &kernel, initrd: None, append: "", memory };
            boot.initrd_at(&vec![0; 0x10_0000]).unwrap().0
        };
        assert_eq!(at(0x8000_0000), at(0xb000_0000));
        assert_eq!(at(0xb000_0000), at(64 << 30));
        assert_eq!(at(64 << 30), 0x7fed_7000);
        assert_ne!(at(0x8000_1000), at(64 << 30));
    }

    #[test]
    fn an_initrd_that_does_not_fit_is_refused() {
        let boot = DirectBoot { kernel: &[0; 4096], initrd: None, append: "", memory: 0x4_0000 };
        assert_eq!(boot.initrd_at(&vec![0; 0x2_0000]), Err(BadKernel::Initrd));
    }
}
