//! What a program on the operator's list goes on doing, though others may not; and that nobody takes it over.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command};

use rustix::process::{WaitOptions, waitpid};

use crate::early::{is_from_before, reached};
use crate::kernel::{Side, fork, leave};
use crate::told::{Found, absent, told};
use crate::{OPEN, Probe, Stage, call};

pub(crate) const PROBES: &[Probe] = &[
    Probe::new("runtime/trusted-kallsyms", OPEN, "a trusted program reads the kernel's addresses", |stage| {
        told(run(stage, &["head", "-c", "64", "/proc/kallsyms"]))
    }),
    Probe::new(
        "runtime/trusted-proc",
        OPEN,
        "a trusted program mounts procfs in name spaces of its own",
        |stage| told(proc(stage)),
    ),
    Probe::new("runtime/trusted-log", OPEN, "a trusted program reads the kernel's log", |stage| {
        told(run(stage, &["dmesg"]))
    }),
    Probe::new("trusted/ptrace", "trusted-process", "attach to a trusted program", |stage| {
        told(attached(stage))
    }),
    Probe::new("trusted/mem-write", "trusted-process", "open its memory for writing", |stage| {
        told(memory(stage))
    }),
    Probe::new("trusted/file-write", "trusted-process", "open its program's file for writing", |stage| {
        told(program(stage).and_then(|path| {
            OpenOptions::new().append(true).open(path)?;
            Ok("its file, to be written".into())
        }))
    }),
    Probe::new(
        "trusted/mem-early",
        "trusted-process",
        "open its memory for writing while it is being executed",
        |stage| told(early(stage)),
    ),
    Probe::new(
        "trusted/started-traced",
        "trusted-process",
        "start a trusted program under a debugger",
        |stage| told(traced(stage)),
    ),
];

/// A program of many names, such as busybox, which the operator trusts.
fn program(stage: &Stage) -> io::Result<&Path> {
    stage.extras.trusted.as_deref().ok_or_else(|| absent("no trusted program was given (--trusted)"))
}

/// It sleeps until this is dropped.
struct Sleeper(Child);

impl Sleeper {
    fn start(stage: &Stage) -> io::Result<Self> {
        Command::new(program(stage)?).args(["sleep", "60"]).spawn().map(Self)
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        // Ended already, perhaps.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn attached(stage: &Stage) -> Found {
    let sleeper = Sleeper::start(stage)?;
    call!(libc::SYS_ptrace, libc::PTRACE_SEIZE, sleeper.0.id(), 0, 0)?;
    Ok("its debugger".into())
}

fn memory(stage: &Stage) -> Found {
    let sleeper = Sleeper::start(stage)?;
    let path = format!("/proc/{}/mem", sleeper.0.id());
    // It shares our memory until it has its own, and nobody is refused his own.
    while is_from_before(&OpenOptions::new().read(true).write(true).open(&path)?)? {}
    Ok("its memory, to be written".into())
}

fn early(stage: &Stage) -> Found {
    reached(Command::new(program(stage)?).args(["sleep", "60"]))
}

/// Who traces it from the start could make it do anything; here it does what others may not.
fn traced(stage: &Stage) -> Found {
    let (program, said) = (program(stage)?, stage.directory.join("traced"));
    let output = File::create(&said)?;
    match fork()? {
        Side::Child => {
            call!(libc::SYS_ptrace, libc::PTRACE_TRACEME, 0, 0, 0).ok();
            drop(Command::new(program).args(["head", "-c", "64", "/proc/kallsyms"]).stdout(output).exec());
            leave(1)
        }
        Side::Parent(pid) => {
            while let Some((_, status)) = waitpid(Some(pid), WaitOptions::UNTRACED)?
                && status.stopped()
            {
                call!(libc::SYS_ptrace, libc::PTRACE_CONT, pid.as_raw_nonzero().get(), 0, 0)?;
            }
        }
    }
    match fs::read(&said)?.len() {
        0 => Err(io::Error::from_raw_os_error(libc::EPERM)),
        length => Ok(format!("{length} bytes of what only the trusted read")),
    }
}

fn run(stage: &Stage, words: &[&str]) -> Found {
    let program = program(stage)?;
    let answer = Command::new(program).args(words).output()?;
    if answer.status.success() && !answer.stdout.is_empty() {
        return Ok(format!("{} bytes", answer.stdout.len()));
    }
    if String::from_utf8_lossy(&answer.stderr).contains("not permitted") {
        return Err(io::Error::from_raw_os_error(libc::EPERM));
    }
    Err(absent(format!("{}: {}", program.display(), answer.status)))
}

/// As a container runtime does for each container.
fn proc(stage: &Stage) -> Found {
    let folder = super::mount::folder(stage, "container")?;
    let folder = folder.to_string_lossy();
    let line = format!("mount -t proc proc {folder} && head -c 16 {folder}/1/status");
    run(stage, &["unshare", "-m", "-p", "-f", "sh", "-c", &line])
}
