//! What the machine is made of, Debian's for the most part, and whether it is there.
//!
//! `cargo xtask tools` fills a folder, which `CLOUDTASER_VM` names: `vmlinuz`, `modules/`, `busybox`, a Python
//! environment with virt-firmware, and in `6.1/` the older kernel with its modules; in `5.15/` and `6.18/` one still older and
//! one newer, where somebody asked for them. QEMU, OVMF, swtpm and the signing tools are installed as packages.

use std::path::PathBuf;

use crate::guest::Kernel;

/// Where everything is.
#[derive(Clone, Debug)]
pub struct Kit {
    folder: PathBuf,
}

impl Kit {
    /// The kit in this folder, or the first thing that is missing.
    pub fn open(folder: Option<PathBuf>) -> Result<Self, String> {
        let folder = folder.ok_or("CLOUDTASER_VM names no folder with a kernel")?;
        let kit = Self { folder };
        let files = [
            kit.kernel(),
            kit.kernel_of(Kernel::V6_1),
            kit.busybox(),
            kit.firmware_editor(),
            FIRMWARE.into(),
            STUB.into(),
        ];
        let absent = |path: &&PathBuf| !path.is_file();
        if let Some(file) = files.iter().find(absent) {
            return Err(format!("{} is absent", file.display()));
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = |name: &str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
        match PROGRAMS.into_iter().find(|name| !found(name)) {
            Some(name) => Err(format!("{name} is not installed")),
            None => Ok(kit),
        }
    }

    pub(crate) fn kernel(&self) -> PathBuf {
        self.folder.join("vmlinuz")
    }

    pub(crate) fn kernel_of(&self, kernel: Kernel) -> PathBuf {
        match kernel {
            Kernel::V5_15 => self.folder.join("5.15/vmlinuz"),
            Kernel::V6_1 => self.folder.join("6.1/vmlinuz"),
            Kernel::V6_12 => self.kernel(),
            Kernel::V6_18 => self.folder.join("6.18/vmlinuz"),
        }
    }

    pub(crate) fn module_of(&self, kernel: Kernel, name: &str) -> PathBuf {
        match kernel {
            Kernel::V5_15 => self.folder.join(format!("5.15/modules/{name}.ko")),
            Kernel::V6_1 => self.folder.join(format!("6.1/modules/{name}.ko")),
            Kernel::V6_12 => self.module(name),
            Kernel::V6_18 => self.folder.join(format!("6.18/modules/{name}.ko.xz")),
        }
    }

    pub(crate) fn module(&self, name: &str) -> PathBuf {
        self.folder.join(format!("modules/{name}.ko.xz"))
    }

    pub(crate) fn busybox(&self) -> PathBuf {
        self.folder.join("busybox")
    }

    pub(crate) fn firmware_editor(&self) -> PathBuf {
        self.folder.join("venv/bin/virt-fw-vars")
    }
}

/// The firmware's code.
pub(crate) const FIRMWARE: &str = "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd";
/// Its variables, with no key and Secure Boot off.
pub(crate) const VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";
/// What a unified kernel image begins with.
pub(crate) const STUB: &str = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";
const PROGRAMS: [&str; 8] =
    ["qemu-system-x86_64", "swtpm", "swtpm_setup", "sbsign", "openssl", "objcopy", "objdump", "strip"];
