//! A unified kernel image: which of its sections systemd's stub measures, and in which order.
//!
//! PCR 11 takes each section's name and content (systemd, `src/fundamental/uki.h` and `src/boot/measure.c`); PCR 4
//! takes the images that firmware loads (TCG PC Client Platform Firmware Profile §2.3.4.5); PCR 9 takes what the
//! kernel's own EFI stub is given; PCR 12 takes a command line that did not come from the image.
//!
//! Untrusted: the file.

use crate::answer::NotJudged;
use crate::measure::bank::Bank;
pub(crate) use crate::measure::bank::Register;
use crate::measure::bytes;
use crate::measure::pe::{BadImage, Image};

/// A kernel with everything that it needs, as one PE image.
#[derive(Debug)]
pub(crate) struct Uki<'f> {
    /// The stub's version.
    pub(crate) stub: u32,
    linux: &'f [u8],
    /// Names and contents, in the order of measurement.
    measured: Vec<(&'static str, &'f [u8])>,
    /// Sections that the stub puts into initial RAM disks of its own.
    synthesized: Vec<&'static str>,
}

impl<'f> Uki<'f> {
    /// Reads the sections of an image; none if it is no unified kernel image.
    pub(crate) fn of(image: &Image<'f>) -> Result<Option<Self>, BadUki> {
        let Some(linux) = image.section(".linux")? else {
            return Ok(None);
        };
        for section in BY_HARDWARE {
            if image.section(section)?.is_some() {
                return Err(BadUki::ByHardware(section));
            }
        }
        let stub = version(image.section(".sdmagic")?.unwrap_or_default()).ok_or(BadUki::Stub)?;
        let mut measured = Vec::new();
        for (name, since) in MEASURED {
            if let Some(content) = image.section(name)?.filter(|content| stub >= since && !content.is_empty())
            {
                measured.push((name, content));
            }
        }
        let mut synthesized = Vec::new();
        for name in SYNTHESIZED {
            synthesized.extend(image.section(name)?.map(|_| name));
        }
        Ok(Some(Self { stub, linux, measured, synthesized }))
    }

    /// What the stub measures, then the phases that systemd reaches.
    pub(crate) fn pcr11(&self, bank: Bank, phases: &[String]) -> Register {
        let mut register = Register::new(bank);
        for (name, content) in &self.measured {
            register.measure(&[name.as_bytes(), b"\0"].concat());
            register.measure(content);
        }
        for phase in phases {
            register.measure(phase.as_bytes());
        }
        register
    }

    /// The sections that are measured, in order.
    pub(crate) fn sections(&self) -> impl Iterator<Item = (&'static str, usize)> {
        self.measured.iter().map(|(name, content)| (*name, content.len()))
    }

    /// The kernel inside.
    pub(crate) fn linux(&self) -> &'f [u8] {
        self.linux
    }

    /// The command line and the initial RAM disk that the stub hands to the kernel, if they are those of the image.
    pub(crate) fn handed_on(&self) -> Result<(String, Option<&'f [u8]>), &'static str> {
        if !self.synthesized.is_empty() || self.stub >= 257 {
            return Err("the stub adds initial RAM disks of its own");
        }
        let content =
            |name| self.measured.iter().find(|(found, _)| *found == name).map(|(_, content)| *content);
        let cmdline = std::str::from_utf8(content(".cmdline").unwrap_or_default());
        let cmdline = cmdline.map_err(|_other| "its command line is not UTF-8")?;
        // Where the text ends early, or has space around it, versions of the stub differ.
        if cmdline.contains(char::is_control) || cmdline.trim() != cmdline {
            return Err("its command line has space around it or control characters in it");
        }
        Ok((cmdline.to_owned(), content(".initrd")))
    }
}

/// PCR 4: the firmware's announcement, and each image that is loaded.
pub(crate) fn pcr4(bank: Bank, loaded: &[&Image<'_>]) -> Register {
    let mut register = Register::new(bank);
    register.measure(b"Calling EFI Application from Boot Option");
    register.measure(&[0; 4]); // EV_SEPARATOR
    for image in loaded {
        register.extend(&image.digest(bank));
    }
    register
}

/// PCR 9: what the kernel's EFI stub is given, Linux 6.2 and later.
pub(crate) fn pcr9(bank: Bank, cmdline: &str, initrd: Option<&[u8]>) -> Register {
    let mut register = Register::new(bank);
    register.measure(&bytes::utf16_nul(cmdline));
    if let Some(initrd) = initrd {
        register.measure(initrd);
    }
    register
}

/// PCR 12: a command line that the boot loader or a person gave.
pub(crate) fn pcr12(bank: Bank, cmdline: Option<&str>) -> Register {
    let mut register = Register::new(bank);
    if let Some(cmdline) = cmdline {
        register.measure(&bytes::utf16_nul(cmdline));
    }
    register
}

/// The number in `#### LoaderInfo: systemd-stub 252.39-1 ####`.
fn version(magic: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(magic).ok()?.strip_prefix("#### LoaderInfo: systemd-stub ")?;
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    text.get(..digits)?.parse().ok().filter(|version| *version >= 252)
}

/// Why a unified kernel image cannot be measured.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum BadUki {
    #[error(transparent)]
    Image(#[from] BadImage),
    #[error(
        "expected a stub of systemd 252 or later (section .sdmagic): what another one measures is not known"
    )]
    Stub,
    #[error(
        "the image has a section {0}, which is measured or not depending on the machine or on a choice at boot"
    )]
    ByHardware(&'static str),
}

impl From<BadUki> for NotJudged {
    fn from(error: BadUki) -> Self {
        let code = match error {
            BadUki::Image(image) => return image.into(),
            BadUki::Stub => "uki.stub",
            BadUki::ByHardware(_) => "uki.by_hardware",
        };
        Self::new(code, error.to_string())
    }
}

/// In the stub's order, each with the version of systemd since which it is measured. `.pcrsig` never is: it signs the
/// result.
const MEASURED: [(&str, u32); 10] = [
    (".linux", 252),
    (".osrel", 252),
    (".cmdline", 252),
    (".initrd", 252),
    (".ucode", 256),
    (".splash", 252),
    (".dtb", 252),
    (".uname", 254),
    (".sbat", 254),
    (".pcrpkey", 252),
];
const BY_HARDWARE: [&str; 4] = [".profile", ".dtbauto", ".hwids", ".efifw"];
const SYNTHESIZED: [&str; 3] = [".ucode", ".pcrsig", ".pcrpkey"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stub_says_its_version() {
        assert_eq!(version(b"#### LoaderInfo: systemd-stub 252.39-1~deb12u2 ####"), Some(252));
        assert_eq!(version(b"#### LoaderInfo: systemd-stub 257~rc2 ####"), Some(257));
        assert_eq!(version(b"#### LoaderInfo: systemd-stub 251 ####"), None);
        assert_eq!(version(b"#### LoaderInfo: systemd-boot 252 ####"), None);
        assert_eq!(version(b""), None);
    }
}
