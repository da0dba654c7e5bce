//! Power on, and off: QEMU with firmware, a TPM, one disk, one network and one serial port for commands.
//!
//! A machine's TPM is the folder with its state, and outlives the machine's boots.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::kit::{FIRMWARE, VARIABLES};
use crate::owner::Owner;
use crate::process::{PATIENCE, Running, wait};
use crate::shell::Shell;

/// What is on before the power is.
#[derive(Clone, Copy, Debug)]
pub struct Power<'a> {
    /// Whose keys the firmware has, if Secure Boot is on.
    pub secure_boot: SecureBoot<'a>,
    /// The program that the firmware is to start.
    pub image: &'a Path,
    /// The TPM's state.
    pub tpm: &'a Path,
}

/// What firmware asks of an image.
#[derive(Clone, Copy, Debug)]
pub enum SecureBoot<'a> {
    /// A signature of this owner.
    On(&'a Owner),
    /// Nothing.
    Off,
}

/// A machine that is on. It goes off when dropped.
#[derive(Debug)]
pub struct Machine {
    // In this order: the machine goes off before its TPM.
    emulator: Running,
    _tpm: Running,
    port: UnixListener,
    folder: tempfile::TempDir,
}

impl Power<'_> {
    /// Turns the machine on.
    pub fn on(&self) -> Result<Machine> {
        let folder = tempfile::tempdir()?;
        let boot = folder.path().join("disk/EFI/BOOT");
        fs::create_dir_all(&boot)?;
        fs::copy(self.image, boot.join("BOOTX64.EFI"))?;
        let variables = match self.secure_boot {
            SecureBoot::On(owner) => owner.variables(),
            SecureBoot::Off => VARIABLES.into(),
        };
        fs::copy(variables, folder.path().join("variables.fd"))?;
        let tpm = self.start_tpm(folder.path())?;
        let port = UnixListener::bind(folder.path().join("shell"))?;
        let emulator = Running(qemu(folder.path()).spawn().context("qemu-system-x86_64")?);
        port.set_nonblocking(true)?;
        Ok(Machine { emulator, _tpm: tpm, port, folder })
    }

    fn start_tpm(&self, folder: &Path) -> Result<Running> {
        let socket = folder.join("tpm");
        let mut swtpm = Command::new("swtpm");
        swtpm.args(["socket", "--tpm2", "--tpmstate"]).arg(format!("dir={}", self.tpm.display()));
        swtpm.arg("--ctrl").arg(format!("type=unixio,path={}", socket.display()));
        let tpm = Running(swtpm.stdin(Stdio::null()).spawn().context("swtpm")?);
        wait("the TPM", PATIENCE, || Ok(socket.exists().then_some(())))?;
        Ok(tpm)
    }
}

impl Machine {
    /// Waits until the system inside is up.
    pub fn shell(&mut self) -> Result<Shell> {
        let (stream, _) = self.wait("the serial port", |machine| match machine.port.accept() {
            Ok(accepted) => Ok(Some(accepted)),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        })?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut shell = Shell::new(stream);
        let greeting = shell.greeting().with_context(|| self.console());
        ensure!(greeting?.trim_end() == "ready", "{}", self.console());
        Ok(shell)
    }

    /// Waits until firmware or kernel have said this on the console.
    pub fn says(&mut self, text: &str) -> Result<()> {
        let what = format!("{text:?} on the console");
        self.wait(&what, |machine| Ok(machine.console().contains(text).then_some(())))
    }

    /// Shuts down in order, as the TPM wants it: its clock is not safe after a power cut.
    pub fn off(mut self, mut shell: Shell) -> Result<()> {
        shell.tell("poweroff -f")?;
        let status = wait("the machine to go off", PATIENCE, || Ok(self.emulator.0.try_wait()?))?;
        ensure!(status.success(), "{status}: {}", self.console());
        Ok(())
    }

    /// All that firmware and kernel said so far.
    #[must_use]
    pub fn console(&self) -> String {
        let said = fs::read(self.folder.path().join("console")).unwrap_or_default();
        String::from_utf8_lossy(&said).into_owned()
    }

    fn wait<T>(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> Result<Option<T>>) -> Result<T> {
        let waited = wait(what, PATIENCE, || match self.emulator.0.try_wait()? {
            Some(status) => bail!("the machine went off: {status}"),
            None => done(self),
        });
        waited.with_context(|| self.console())
    }
}

fn qemu(folder: &Path) -> Command {
    let file = |name: &str| folder.join(name).display().to_string();
    let mut qemu = Command::new("qemu-system-x86_64");
    // Without cmpxchg16b, which QEMU 7.2 emulates wrongly, and with four levels of pages, which are quicker.
    qemu.args(["-machine", "q35,smm=on", "-accel", "tcg", "-cpu", "max,-cx16,-la57", "-m", "512M"]);
    qemu.args(["-nodefaults", "-display", "none", "-no-reboot"]);
    qemu.args(["-global", "driver=cfi.pflash01,property=secure,value=on"]);
    qemu.args(["-drive", &format!("if=pflash,format=raw,unit=0,readonly=on,file={FIRMWARE}")]);
    qemu.args(["-drive", &format!("if=pflash,format=raw,unit=1,file={}", file("variables.fd"))]);
    qemu.args(["-chardev", &format!("socket,id=tpm,path={}", file("tpm"))]);
    qemu.args(["-tpmdev", "emulator,id=tpm,chardev=tpm", "-device", "tpm-crb,tpmdev=tpm"]);
    qemu.args(["-drive", &format!("if=none,id=disk,format=raw,readonly=on,file=fat:{}", file("disk"))]);
    qemu.args(["-device", "virtio-blk-pci,drive=disk,bootindex=0"]);
    // The host's loopback is 10.0.2.2 inside.
    qemu.args(["-netdev", "user,id=net"]);
    qemu.args(["-device", "virtio-net-pci,netdev=net,romfile="]);
    qemu.args(["-device", "virtio-serial-pci"]);
    qemu.args(["-chardev", &format!("socket,id=shell,path={}", file("shell"))]);
    qemu.args(["-device", "virtconsole,chardev=shell"]);
    qemu.args(["-serial", &format!("file:{}", file("console"))]);
    qemu.stdin(Stdio::null());
    qemu
}
