//! Event logs as firmware and boot loaders write them, and as somebody rewrites them.

use attest::crypto::{AwsLcRs, Crypto, Hash};

use super::forge::Value;

pub(crate) const NO_ACTION: u32 = 3;
pub(crate) const SEPARATOR: u32 = 4;
pub(crate) const TAG: u32 = 6;
pub(crate) const CRTM_VERSION: u32 = 8;
pub(crate) const IPL: u32 = 13;
pub(crate) const VARIABLE: u32 = 0x8000_0001;
pub(crate) const APPLICATION: u32 = 0x8000_0003;
pub(crate) const GPT: u32 = 0x8000_0006;
pub(crate) const ACTION: u32 = 0x8000_0007;
pub(crate) const AUTHORITY: u32 = 0x8000_00e0;

pub(crate) const GLOBAL: [u8; 16] =
    [0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c];
pub(crate) const SECURITY: [u8; 16] =
    [0xcb, 0xb2, 0x19, 0xd7, 0x3a, 0x3d, 0x96, 0x45, 0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f];

/// What was measured, and what the log says about it.
#[derive(Clone)]
pub(crate) struct Event {
    pub(crate) register: u32,
    pub(crate) kind: u32,
    pub(crate) measured: Vec<u8>,
    pub(crate) data: Vec<u8>,
}

/// A crypto-agile log of the SHA-1 and the SHA-256 bank.
#[derive(Clone, Default)]
pub(crate) struct Log(pub(crate) Vec<Event>);

impl Log {
    pub(crate) fn add(mut self, register: u32, kind: u32, measured: &[u8], data: &[u8]) -> Self {
        self.0.push(Event { register, kind, measured: measured.to_vec(), data: data.to_vec() });
        self
    }

    /// The data is what was measured.
    pub(crate) fn plain(self, register: u32, kind: u32, data: &[u8]) -> Self {
        self.add(register, kind, data, data)
    }

    pub(crate) fn secure_boot(self, on: bool) -> Self {
        self.plain(7, VARIABLE, &variable(GLOBAL, "SecureBoot", &[u8::from(on)]))
    }

    pub(crate) fn separators(mut self, registers: impl IntoIterator<Item = u32>) -> Self {
        for register in registers {
            self = self.plain(register, SEPARATOR, &[0; 4]);
        }
        self
    }

    pub(crate) fn grub(self, prefix: &str, text: &str) -> Self {
        self.add(8, IPL, text.as_bytes(), format!("{prefix}{text}\0").as_bytes())
    }

    pub(crate) fn section(self, name: &str, content: &[u8]) -> Self {
        let data = [wide(name), vec![0, 0]].concat();
        self.add(11, IPL, format!("{name}\0").as_bytes(), &data).add(11, IPL, content, &data)
    }

    pub(crate) fn load_options(self, text: &str) -> Self {
        let data = [&[0xed, 0x22, 0x3b, 0x8f, 0x1a, 0, 0, 0][..], b"LOADED_IMAGE::LoadOptions\0"].concat();
        self.add(9, TAG, &wide(text), &data)
    }

    /// Firmware with Secure Boot, up to the boot manager.
    pub(crate) fn firmware(secure_boot: bool) -> Self {
        let log = Self::default().plain(0, CRTM_VERSION, &wide("Firmware 1.0\0")).secure_boot(secure_boot);
        let log = [(GLOBAL, "PK"), (GLOBAL, "KEK"), (SECURITY, "db"), (SECURITY, "dbx")]
            .into_iter()
            .fold(log, |log, (vendor, name)| {
                log.plain(7, VARIABLE, &variable(vendor, name, name.as_bytes()))
            });
        log.separators([7]).plain(4, ACTION, b"Calling EFI Application from Boot Option").separators(0..7)
    }

    /// A whole boot: shim, GRUB, kernel.
    pub(crate) fn linux() -> Self {
        Self::firmware(true)
            .plain(5, GPT, b"EFI PART and what follows")
            .add(4, APPLICATION, b"MZ shim", b"a path")
            .plain(7, AUTHORITY, &variable(SECURITY, "db", b"certificate"))
            .add(14, IPL, b"list of keys", b"MokList\0")
            .add(4, APPLICATION, b"MZ grub", b"another path")
            .grub("grub_cmd: ", "set root=hd0")
            .add(9, IPL, b"content of grub.cfg", b"/grub.cfg\0")
            .grub("grub_cmd: ", "linux /vmlinuz root=/dev/sda1 ro")
            .add(9, IPL, b"content of vmlinuz", b"/vmlinuz\0")
            .grub("kernel_cmdline: ", "/vmlinuz root=/dev/sda1 ro")
            .load_options("BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro")
            .add(4, APPLICATION, b"MZ kernel", b"")
            .exit()
    }

    /// A whole boot of a unified kernel image.
    pub(crate) fn uki() -> Self {
        Self::firmware(true)
            .add(4, APPLICATION, b"MZ image", b"a path")
            .section(".linux", b"kernel")
            .section(".cmdline", b"root=/dev/vda ro")
            .section(".initrd", b"initrd")
            .exit()
    }

    pub(crate) fn exit(self) -> Self {
        self.plain(5, ACTION, b"Exit Boot Services Invocation").plain(
            5,
            ACTION,
            b"Exit Boot Services Returned with Success",
        )
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut spec = b"Spec ID Event03\0".to_vec();
        spec.extend([0, 0, 0, 0, 0, 2, 0, 2, 2, 0, 0, 0, 4, 0, 20, 0, 0x0b, 0, 32, 0, 0]);
        let mut bytes = [&[0, 0, 0, 0, 3, 0, 0, 0][..], &[0; 20], &length(&spec), &spec].concat();
        for event in &self.0 {
            bytes.extend([event.register.to_le_bytes(), event.kind.to_le_bytes(), [2, 0, 0, 0]].concat());
            bytes.extend([4, 0]);
            bytes.extend(AwsLcRs.sha1(&[&event.measured]).0);
            bytes.extend([0x0b, 0]);
            bytes.extend(AwsLcRs.sha256(&[&event.measured]).0);
            bytes.extend(length(&event.data));
            bytes.extend(&event.data);
        }
        bytes
    }

    /// PCRs 0 to 15 of the SHA-256 bank, as a TPM has them that really measured this.
    pub(crate) fn pcrs(&self) -> Vec<Value> {
        let value = |register: u32| {
            let events = self.0.iter().filter(|event| event.register == register && event.kind != NO_ACTION);
            let digests = events.map(|event| AwsLcRs.sha256(&[&event.measured]));
            digests.fold([0; 32], |value, digest| AwsLcRs.sha256(&[&value, &digest.0]).0)
        };
        (0..16).map(|register| (Hash::Sha256, register, value(register).to_vec())).collect()
    }
}

/// `UEFI_VARIABLE_DATA`.
pub(crate) fn variable(vendor: [u8; 16], name: &str, value: &[u8]) -> Vec<u8> {
    let mut bytes = vendor.to_vec();
    bytes.extend(u64::try_from(name.len()).unwrap().to_le_bytes());
    bytes.extend(u64::try_from(value.len()).unwrap().to_le_bytes());
    bytes.extend(wide(name));
    bytes.extend(value);
    bytes
}

pub(crate) fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    AwsLcRs.sha256(&[bytes]).to_string()
}

fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap().to_le_bytes()
}
