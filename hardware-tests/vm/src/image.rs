//! A unified kernel image: the systemd stub with kernel, initial RAM disk and command line as sections of one
//! program, which firmware verifies, starts and measures.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::kit::{Kit, STUB};
use crate::owner::Owner;
use crate::process::read;

/// An image that nobody signed.
#[derive(Clone, Debug)]
pub struct Image {
    path: PathBuf,
}

/// An image with its owner's signature.
#[derive(Clone, Debug)]
pub struct Signed {
    path: PathBuf,
}

impl Image {
    pub(crate) fn build(kit: &Kit, initrd: Vec<u8>, command_line: &str, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let file = |name: &str| folder.join(name);
        fs::write(file("initrd"), initrd)?;
        compress(&file("initrd"), &file("initrd.gz"))?;
        fs::write(file("cmdline"), command_line)?;
        fs::write(file("osrel"), "ID=cloudtaser-vm\n")?;
        // The kernel comes last: it is unpacked in place.
        let sections = [
            (".osrel", file("osrel")),
            (".cmdline", file("cmdline")),
            (".initrd", file("initrd.gz")),
            (".linux", kit.kernel()),
        ];
        let mut objcopy = Command::new("objcopy");
        let mut address = end_of_sections(Path::new(STUB))?;
        for (name, content) in &sections {
            address = address.checked_next_multiple_of(PAGE).context("an address")?;
            objcopy.arg("--add-section").arg(format!("{name}={}", content.display()));
            objcopy.arg("--change-section-vma").arg(format!("{name}={address:#x}"));
            address = address.saturating_add(fs::metadata(content)?.len());
        }
        let path = file("linux.efi");
        read(objcopy.arg(STUB).arg(&path))?;
        Ok(Self { path })
    }

    /// Has the owner sign it.
    pub fn sign(&self, owner: &Owner) -> Result<Signed> {
        let path = self.path.with_extension("signed.efi");
        let mut sbsign = Command::new("sbsign");
        sbsign.arg("--key").arg(owner.key()).arg("--cert").arg(owner.certificate());
        read(sbsign.arg("--output").arg(&path).arg(&self.path))?;
        Ok(Signed { path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The content of a section, as it was put in.
    pub fn section(&self, name: &str, kit: &Kit) -> Result<Vec<u8>> {
        let file = match name {
            ".linux" => kit.kernel(),
            ".initrd" => self.path.with_file_name("initrd.gz"),
            other => self.path.with_file_name(other.trim_start_matches('.')),
        };
        fs::read(&file).with_context(|| file.display().to_string())
    }
}

impl Signed {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

// A small image is read and hashed sooner by emulated firmware.
fn compress(from: &Path, to: &Path) -> Result<()> {
    let output = fs::File::create(to)?;
    let input = fs::File::open(from)?;
    let status = Command::new("gzip").args(["-6", "-n"]).stdin(input).stdout(Stdio::from(output)).status()?;
    ensure!(status.success(), "gzip: {status}");
    Ok(())
}

/// The first address behind everything in a PE image.
fn end_of_sections(image: &Path) -> Result<u64> {
    let said = read(Command::new("objdump").arg("-h").arg(image))?;
    let end = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [number, _name, size, address, ..] = words.as_slice() else { return None };
        number.parse::<u32>().ok()?;
        let (size, address) = (u64::from_str_radix(size, 16).ok()?, u64::from_str_radix(address, 16).ok()?);
        size.checked_add(address)
    };
    said.lines().filter_map(end).max().with_context(|| format!("{}: expected sections", image.display()))
}

const PAGE: u64 = 0x1000;
