//! What the data of an event may be: variables, texts, names of sections.
//!
//! Each function says what the data looks like and which bytes the digest would then have to cover; whether it
//! does is asked by [`super::reading`].

use crate::bytes::Reader;

/// `UEFI_VARIABLE_DATA` (Platform Firmware Profile 1.06, section 10.2.6).
#[derive(Debug)]
pub(super) struct UefiVariable<'a> {
    vendor: [u8; 16],
    name: &'a [u8],
    pub(super) value: &'a [u8],
}

impl<'a> UefiVariable<'a> {
    pub(super) fn parse(data: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(data);
        let vendor = reader.array().ok()?;
        let (name, value) = (reader.u64_le().ok()?, reader.u64_le().ok()?);
        let name = reader.take(usize::try_from(name).ok()?.checked_mul(2)?).ok()?;
        let value = reader.take(usize::try_from(value).ok()?).ok()?;
        reader.finish().ok()?;
        Some(Self { vendor, name, value })
    }

    /// The name of a variable that decides about Secure Boot, under its own vendor only.
    pub(super) fn secure_boot_name(&self) -> Option<&'static str> {
        let known = |(vendor, name): &&([u8; 16], &str)| {
            *vendor == self.vendor
                && name.encode_utf16().flat_map(u16::to_le_bytes).eq(self.name.iter().copied())
        };
        SECURE_BOOT.iter().find(known).map(|(_, name)| *name)
    }
}

/// GRUB measures the text behind its prefix, without the NUL that the log adds.
pub(super) fn grub_text(data: &[u8]) -> Option<&[u8]> {
    let text = GRUB.iter().find_map(|prefix| data.strip_prefix(*prefix))?;
    Some(text.strip_suffix(&[0]).unwrap_or(text))
}

/// Whether a text of GRUB is what a kernel, a module or an initial disk gets: it begins with the file. The prefix
/// of the log is not measured and decides nothing.
pub(super) fn begins_with_file(text: &str) -> bool {
    text.starts_with(['/', '('])
}

/// A text in UTF-16, without the NUL at its end.
pub(super) fn utf16(data: &[u8]) -> Option<String> {
    let (units, []) = data.as_chunks::<2>() else { return None };
    let units: Vec<u16> = units.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
    let text = String::from_utf16(&units).ok()?;
    let text = text.strip_suffix('\0').unwrap_or(&text);
    (!text.is_empty() && !text.contains('\0')).then(|| text.to_owned())
}

/// A text as UTF-16.
pub(super) fn to_utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// systemd-stub logs the name of a section in UTF-16 and measures it in ASCII with its NUL.
pub(super) fn section_name(data: &[u8]) -> Option<String> {
    utf16(data).filter(|name| name.starts_with('.') && name.is_ascii() && name.len() <= 16)
}

/// The kernel's own stub says that it measured its command line (Linux, drivers/firmware/efi/libstub).
pub(super) fn is_load_options(data: &[u8]) -> bool {
    data.get(8..) == Some(b"LOADED_IMAGE::LoadOptions\0")
}

/// A version: UTF-16 where it is text, ASCII where it is that, else hex.
pub(super) fn version(data: &[u8]) -> String {
    let ascii = || {
        let text = std::str::from_utf8(data).ok()?.trim_end_matches('\0');
        (!text.is_empty() && !text.contains(char::is_control)).then(|| text.to_owned())
    };
    let wide = utf16(data).filter(|text| text.is_ascii() && !text.contains(char::is_control));
    wide.or_else(ascii).unwrap_or_else(|| hex::encode(data))
}

/// What a partition table begins with. No program does: they begin with `MZ`.
pub(super) const PARTITIONS: &[u8] = b"EFI PART";
const GRUB: [&[u8]; 3] = [b"grub_cmd: ", b"kernel_cmdline: ", b"module_cmdline: "];
/// UEFI 2.10, section 3.3: `EFI_GLOBAL_VARIABLE`.
const GLOBAL: [u8; 16] =
    [0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c];
/// UEFI 2.10, section 32.6.1: `EFI_IMAGE_SECURITY_DATABASE_GUID`.
const SECURITY: [u8; 16] =
    [0xcb, 0xb2, 0x19, 0xd7, 0x3a, 0x3d, 0x96, 0x45, 0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f];
const SECURE_BOOT: [([u8; 16], &str); 7] = [
    (GLOBAL, "SecureBoot"),
    (GLOBAL, "PK"),
    (GLOBAL, "KEK"),
    (SECURITY, "db"),
    (SECURITY, "dbx"),
    (SECURITY, "dbt"),
    (SECURITY, "dbr"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_of_another_vendor_is_another_variable() {
        let mut data = GLOBAL.to_vec();
        data.extend([2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, b'P', 0, b'K', 0, 9]);
        assert_eq!(UefiVariable::parse(&data).unwrap().secure_boot_name(), Some("PK"));
        data[0] ^= 1;
        assert_eq!(UefiVariable::parse(&data).unwrap().secure_boot_name(), None);
        data.push(0);
        assert!(UefiVariable::parse(&data).is_none());
    }

    #[test]
    fn l23_a_variable_of_2_to_the_64_bytes_is_none() {
        let data = [&GLOBAL[..], &[0xff; 16], &[0; 64]].concat();
        assert!(UefiVariable::parse(&data).is_none());
    }

    #[test]
    fn a_version_is_text_where_it_can_be() {
        assert_eq!(version(b"G\0C\0E\0\0\0"), "GCE");
        assert_eq!(version(b"M60 v1\0"), "M60 v1");
        assert_eq!(version(&[0, 0]), "0000");
    }
}
