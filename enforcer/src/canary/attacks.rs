//! What is tried, vector by vector, as far as it harms nobody where it goes through.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, Read as _, Seek as _, Write as _};
use std::os::unix::net::UnixStream;

use enforcer_abi::Vector;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, PidfdGetfdFlags, Signal, getpriority_process, kill_process,
    pidfd_getfd, pidfd_open, set_dumpable_behavior, setpriority_process,
};

use super::kernel;
use super::nursery::HELLO;

/// Who is attacked.
#[derive(Clone, Copy, Debug)]
struct Target {
    decoy: Pid,
    enforcer: Pid,
}

type Attack = fn(Target) -> io::Result<()>;

/// Those that there is a harmless attack for.
const ATTACKS: [(Vector, Attack); 20] = [
    (Vector::ProcMem, |target| open(target, "mem")),
    (Vector::Environ, |target| open(target, "environ")),
    (Vector::ProcView, |target| fs::read_link(folder(target.decoy, "exe")).map(drop)),
    (Vector::ProcList, |target| fs::read_dir(folder(target.decoy, "fd")).map(drop)),
    (Vector::ProcWrite, |target| write(&folder(target.decoy, "coredump_filter"))),
    (Vector::DescriptorOpen, |target| open(target, "fd/0")),
    (Vector::Ptrace, |target| kernel::seize(target.decoy.as_raw_pid())),
    (Vector::ProcessVm, |target| kernel::read_memory(number(target.decoy))),
    (Vector::ProcessInspect, |target| {
        kernel::compare(number(rustix::process::getpid()), number(target.decoy))
    }),
    (Vector::PidfdGetfd, take),
    (Vector::TaskTune, tune),
    // It has all of them blocked.
    (Vector::SignalCore, |target| Ok(kill_process(target.decoy, Signal::QUIT)?)),
    // It goes on as it does.
    (Vector::OwnSignal, |target| Ok(kill_process(target.enforcer, Signal::CONT)?)),
    // As it is.
    (Vector::HookSwitch, |_| rewrite("/proc/sys/kernel/ftrace_enabled")),
    (Vector::Sysctl, |_| rewrite("/proc/sys/kernel/core_pattern")),
    (Vector::KernelCore, |_| File::open("/proc/kallsyms").map(drop)),
    (Vector::IoUring, |_| kernel::ring()),
    (Vector::Userfaultfd, |_| kernel::faults()),
    (Vector::Dumpable, |_| Ok(set_dumpable_behavior(DumpableBehavior::Dumpable)?)),
    (Vector::SecretLeak, |_| send()),
];

/// Whether there is one.
pub(super) fn exists(vector: Vector) -> bool {
    ATTACKS.iter().any(|(of, _)| *of == vector)
}

/// The children's whole life: one line when they are there; then a line says by which vector, a line says what came of it.
pub(super) fn serve(target: Option<u32>, enforcer: Option<u32>) -> io::Result<()> {
    nix::sys::signal::SigSet::all().thread_block()?;
    let of = |pid: Option<u32>| pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    let ours = rustix::process::getpid();
    let target = Target { decoy: of(target).unwrap_or(ours), enforcer: of(enforcer).unwrap_or(ours) };
    let mut answers = io::stdout();
    answers.write_all(HELLO)?;
    answers.flush()?;
    for line in io::stdin().lock().lines() {
        let vector = Vector::named(&line?);
        let attack = ATTACKS.iter().find(|(of, _)| Some(*of) == vector).map(|(_, attack)| attack);
        let word = match attack.map(|attack| attack(target)) {
            Some(Ok(())) => "went\n",
            Some(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => "refused\n",
            Some(Err(_)) | None => "impossible\n",
        };
        answers.write_all(word.as_bytes())?;
        answers.flush()?;
    }
    Ok(())
}

fn folder(pid: Pid, name: &str) -> String {
    format!("/proc/{}/{name}", pid.as_raw_pid())
}

fn number(pid: Pid) -> libc::c_long {
    pid.as_raw_pid().into()
}

fn open(target: Target, name: &str) -> io::Result<()> {
    File::open(folder(target.decoy, name)).map(drop)
}

fn write(path: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path).map(drop)
}

/// Writes what stands there already. One descriptor for both: whoever runs this program, which the guards let through, may put
/// another file in that place for the first of two.
fn rewrite(path: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    file.rewind()?;
    file.write_all(&text)
}

/// Sends what it shall not: to a socket and to a file, which are searched by one program each. It went unless both refuse.
fn send() -> io::Result<()> {
    // Not in the program's own text, which need not be in memory.
    let secret = crate::leak::DECOY.to_vec();
    let (mut near, _far) = UnixStream::pair()?;
    let mut file = File::from(memfd_create("canary", MemfdFlags::CLOEXEC)?);
    match (near.write_all(&secret), file.write_all(&secret)) {
        (Err(refused), Err(_)) => Err(refused),
        (Ok(()), _) | (_, Ok(())) => Ok(()),
    }
}

fn take(target: Target) -> io::Result<()> {
    let process = pidfd_open(target.decoy, PidfdFlags::empty())?;
    Ok(pidfd_getfd(process, 0, PidfdGetfdFlags::empty()).map(drop)?)
}

/// Gives it the priority that it has.
fn tune(target: Target) -> io::Result<()> {
    let priority = getpriority_process(Some(target.decoy))?;
    Ok(setpriority_process(Some(target.decoy), priority)?)
}
