//! The quick machine: a kernel and an initial RAM disk without firmware, TPM or disk, up in seconds.
//!
//! For tests of what a kernel does: [`Kernel`] and [`Lsm`] choose one, [`Guest::boot`] waits for its [`Turn`] and turns it
//! on, [`Guest::run`] runs a command as root. Kernel messages go to the console, commands through a second serial port:
//! that one is built into every kernel. Nothing is left of it when it is dropped.

use std::fmt;
use std::fs;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::archive::Archive;
use crate::kit::Kit;
use crate::process::{PATIENCE, Running, wait};
use crate::shell::{Said, Shell};
use crate::system::System;
use crate::turn::Turn;

/// A distribution's kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kernel {
    /// Of Ubuntu 22.04, where results of functions can be overridden; only where it has been asked for.
    V5_15,
    /// Of Debian 12, for clouds; and so are the rest.
    V6_1,
    /// Of Debian 12's backports.
    V6_12,
    /// Of Debian 13's backports; only where it has been asked for.
    V6_18,
}

/// What the kernel is told of its security modules.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lsm {
    /// Nothing: the distribution's own list. `bpf` is in Debian's, and not in Ubuntu's.
    Default,
    /// A list with `bpf`.
    WithBpf,
    /// A list without `bpf`.
    WithoutBpf,
}

/// Which kernel, with which security modules.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Boot {
    /// The kernel.
    pub kernel: Kernel,
    /// Its security modules.
    pub lsm: Lsm,
}

impl Boot {
    /// Those that every change is tried on.
    pub const ALL: [Self; 4] = [
        Self { kernel: Kernel::V6_1, lsm: Lsm::Default },
        Self { kernel: Kernel::V6_1, lsm: Lsm::WithoutBpf },
        Self { kernel: Kernel::V6_12, lsm: Lsm::Default },
        Self { kernel: Kernel::V6_12, lsm: Lsm::WithoutBpf },
    ];
    /// Those that are tried when somebody asks for them.
    pub const MORE: [Self; 4] = [
        Self { kernel: Kernel::V5_15, lsm: Lsm::Default },
        Self { kernel: Kernel::V5_15, lsm: Lsm::WithBpf },
        Self { kernel: Kernel::V6_18, lsm: Lsm::Default },
        Self { kernel: Kernel::V6_18, lsm: Lsm::WithoutBpf },
    ];

    fn command_line(self) -> String {
        // QEMU's clock is not a processor's; and 6.1 has secret memory switched off.
        let mut words =
            "console=ttyS0 quiet panic=-1 tsc=unstable random.trust_cpu=on secretmem.enable=1".to_owned();
        words.push_str(match self.lsm {
            Lsm::Default => "",
            Lsm::WithBpf => " lsm=landlock,lockdown,yama,bpf",
            Lsm::WithoutBpf => " lsm=landlock,lockdown,yama",
        });
        words
    }
}

/// What the guest's clock counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Clock {
    /// The host's time.
    Host,
    /// Instructions, one a nanosecond, of one processor: what work costs is the same each time, whatever else the host
    /// does. Four times as slow.
    Instructions,
}

impl fmt::Display for Boot {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lsm = match self.lsm {
            Lsm::Default => "default",
            Lsm::WithBpf => "with-bpf",
            Lsm::WithoutBpf => "without-bpf",
        };
        write!(to, "{} {lsm}", self.kernel)
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::V5_15 => "5.15",
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
            Self::V6_18 => "6.18",
        })
    }
}

/// A machine that is up. It goes off when dropped.
#[derive(Debug)]
pub struct Guest {
    // In this order: the machine is off before the next one has its turn.
    emulator: Running,
    shell: Shell,
    folder: tempfile::TempDir,
    _turn: Turn,
}

impl Guest {
    /// Turns a machine on and waits until it is up. A command may take as long as `patience`.
    pub fn boot(kit: &Kit, boot: Boot, system: &System, patience: Duration) -> Result<Self> {
        Self::with_clock(Clock::Host, kit, boot, system, patience)
    }

    /// The same with a clock of one's choice.
    pub fn with_clock(
        clock: Clock,
        kit: &Kit,
        boot: Boot,
        system: &System,
        patience: Duration,
    ) -> Result<Self> {
        let turn = Turn::wait()?;
        let folder = tempfile::tempdir()?;
        let initrd = folder.path().join("initrd");
        fs::write(&initrd, [system.archive(), modules(kit, boot.kernel)?.finish()].concat())?;
        let port = UnixListener::bind(folder.path().join("shell"))?;
        port.set_nonblocking(true)?;
        let mut qemu = qemu(clock, folder.path());
        qemu.arg("-kernel").arg(kit.kernel_of(boot.kernel)).arg("-initrd").arg(&initrd);
        let mut emulator =
            Running(qemu.args(["-append", &boot.command_line()]).spawn().context("qemu-system-x86_64")?);
        let mut shell = Shell::new(accept(&port, &mut emulator, patience)?);
        let greeting = shell.greeting().with_context(|| console(folder.path()))?;
        ensure!(greeting.trim_end() == "ready", "{greeting:?}: {}", console(folder.path()));
        Ok(Self { emulator, shell, folder, _turn: turn })
    }

    /// Runs a script of the shell to its end, as root. What the kernel said becomes part of an error.
    pub fn run(&mut self, script: &str) -> Result<Said> {
        let said = self.shell.run(script);
        said.with_context(|| console(self.folder.path()))
    }

    /// Runs a script that must succeed, and gives what it wrote.
    pub fn read(&mut self, script: &str) -> Result<String> {
        let said = self.run(script)?;
        ensure!(said.code == 0, "{script}: exit code {}: {}", said.code, said.text());
        Ok(said.text())
    }

    /// All that the kernel said so far.
    #[must_use]
    pub fn console(&self) -> String {
        console(self.folder.path())
    }

    /// Whether it still runs: a kernel that panics goes off.
    pub fn is_on(&mut self) -> Result<bool> {
        Ok(self.emulator.0.try_wait()?.is_none())
    }
}

fn accept(port: &UnixListener, emulator: &mut Running, patience: Duration) -> Result<UnixStream> {
    let stream = wait("the serial port", PATIENCE, || {
        if let Some(status) = emulator.0.try_wait()? {
            bail!("the machine went off: {status}");
        }
        match port.accept() {
            Ok((stream, _)) => Ok(Some(stream)),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    })?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(patience))?;
    Ok(stream)
}

fn console(folder: &Path) -> String {
    let said = fs::read(folder.join("console")).unwrap_or_default();
    String::from_utf8_lossy(&said).into_owned()
}

/// What depends on the kernel: modules that the machine loads at its start; and, for those who try to load one, a module
/// that does nothing and an image of the kernel.
fn modules(kit: &Kit, kernel: Kernel) -> Result<Archive> {
    let mut archive = Archive::new();
    let built_in = |name: &str| kernel == Kernel::V5_15 && name == "configfs";
    let all = [("lib/modules", "configfs"), ("lib/modules", "brd"), ("lib/spare", "dummy")];
    for (folder, name) in all.into_iter().filter(|(_, name)| !built_in(name)) {
        let file = kit.module_of(kernel, name);
        let content = fs::read(&file).with_context(|| file.display().to_string())?;
        let name = file.file_name().context("a module's name")?.to_string_lossy().into_owned();
        archive.file(&format!("{folder}/{name}"), &content);
    }
    archive.file("lib/spare/vmlinuz", &fs::read(kit.kernel_of(kernel))?);
    Ok(archive)
}

fn qemu(clock: Clock, folder: &Path) -> Command {
    let mut qemu = Command::new("nice");
    qemu.args(["qemu-system-x86_64", "-machine", "q35", "-m", "1024"]);
    qemu.args(match clock {
        Clock::Host => ["-accel", "tcg,thread=multi", "-smp", "2"],
        Clock::Instructions => ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off"],
    });
    // As in the machine with measured boot: cmpxchg16b is emulated wrongly, and four levels of pages are quicker.
    qemu.args([
        "-cpu",
        "max,-cx16,-la57",
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
    ]);
    qemu.args(["-serial", &format!("file:{}", folder.join("console").display())]);
    qemu.args(["-chardev", &format!("socket,id=shell,path={}", folder.join("shell").display())]);
    qemu.args(["-serial", "chardev:shell"]);
    qemu.stdin(Stdio::null());
    qemu
}
