//! The attacker: a process of our own that tries to take the canary from the keeper, in every way that we know of.
//!
//! It runs as what the wrapper runs as. A theft has worked when the canary's own bytes are in its hands, or when a
//! process stands still at its word; a return value alone proves nothing. Every wait is bounded, and nothing that it opens
//! could block: links to pipes and terminals are left alone.
//!
//! Trusted: the prey's description. Untrusted: nothing.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::Ordering;

use protocol::protection::Theft;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use secretmem::Shared;

use super::decoys;
use super::kernel::{self, absurd};
use super::spoils::{Attempt, CANARY, Prey, Spoils};
use crate::config::TOKENS;
use crate::graft::kernel::{Resume, peek, read_memory, resume};

/// Descriptors above the highest that is looked at where `/proc` does not list them.
const DESCRIPTORS: i32 = 64;

/// Tries everything.
pub(super) fn attack(prey: &Prey) -> Spoils {
    let Some(pid) = Pid::from_raw(prey.pid.max(0)) else { return Spoils::default() };
    let thief = Thief { prey, pid };
    let (during, after, untraceable) = decoys::trace_a_program();
    let thefts = vec![
        (Theft::ProcessVmReadv, thief.read_at_once()),
        (Theft::ProcMem, thief.read_mem()),
        (Theft::PtracePeek, thief.peek()),
        (Theft::PidfdGetfd, thief.steal_descriptors()),
        (Theft::PidfdGetfdLeftOpen, thief.steal_left_open()),
        (Theft::ProcFd, thief.open_links()),
        (Theft::MapFiles, thief.open_mapping()),
        (Theft::Environ, thief.read_environ()),
        (Theft::CoreDump, decoys::crash()),
        (Theft::PtraceDuringGraft, during),
        (Theft::PtraceAfterGraft, after),
    ];
    Spoils { thefts, filtered: filtered(), untraceable }
}

/// The calls that are refused whatever they ask for. The kernel knows no process and no descriptor -1, and says so.
fn filtered() -> Vec<(Theft, i32)> {
    let calls = [
        (Theft::ProcessVmReadv, libc::SYS_process_vm_readv),
        (Theft::PtracePeek, libc::SYS_ptrace),
        (Theft::PtraceAfterGraft, libc::SYS_ptrace),
        (Theft::PidfdGetfd, libc::SYS_pidfd_getfd),
        (Theft::PidfdGetfdLeftOpen, libc::SYS_pidfd_getfd),
    ];
    let asked = calls.into_iter().map(|(theft, call)| (theft, absurd(call)));
    asked.filter(|(_, errno)| [libc::EPERM, libc::ENOSYS, libc::EACCES].contains(errno)).collect()
}

struct Thief<'a> {
    prey: &'a Prey,
    pid: Pid,
}

impl Thief<'_> {
    fn judged(&self, taken: &[u8], how: &str) -> Attempt {
        if taken == self.prey.canary {
            Attempt::Took(format!("{} bytes of the canary {how}", taken.len()))
        } else {
            Attempt::Nothing(format!("bytes {how}, not those of the canary"))
        }
    }

    fn address(&self) -> usize {
        usize::try_from(self.prey.address).unwrap_or(usize::MAX)
    }

    fn read_at_once(&self) -> Attempt {
        let mut taken = [0; CANARY];
        match read_memory(self.pid, self.address(), &mut taken) {
            Ok(_) => self.judged(&taken, "read at once"),
            Err(error) => refused(&error),
        }
    }

    fn read_mem(&self) -> Attempt {
        let mut taken = [0; CANARY];
        let memory = File::open(format!("/proc/{}/mem", self.pid));
        match memory.and_then(|memory| memory.read_exact_at(&mut taken, self.prey.address)) {
            Ok(()) => self.judged(&taken, "read"),
            Err(error) => refused(&error),
        }
    }

    /// The keeper stands still for some microseconds; when we end, it is let go whatever happened.
    fn peek(&self) -> Attempt {
        if let Err(error) = kernel::seize(self.pid) {
            return refused(&error);
        }
        let stopped = kernel::interrupt(self.pid).and_then(|()| decoys::wait_briefly(self.pid));
        let word = |index: usize| {
            let at = self.address().saturating_add(index.saturating_mul(size_of::<u64>()));
            peek(self.pid, at).map(u64::to_le_bytes)
        };
        let taken = stopped.and_then(|_stop| Ok([word(0)?, word(1)?].concat()));
        // Not let go: then it is when we end.
        resume(self.pid, Resume::Detach, 0).unwrap_or_default();
        match taken {
            Ok(taken) => self.judged(&taken, "peeked"),
            Err(error) => refused(&error),
        }
    }

    /// Every descriptor that is really open, but for the one that is open on purpose.
    fn steal_descriptors(&self) -> Attempt {
        let numbers = self.listed().unwrap_or_else(|_hidden| (0..DESCRIPTORS).collect());
        let mut answer = Attempt::Nothing("no descriptor of memory is open".to_owned());
        for number in numbers.into_iter().filter(|number| Some(*number) != self.prey.left_open) {
            match self.steal(number) {
                Err(error) if error.raw_os_error() == Some(libc::EBADF) => {}
                Err(error) => return refused(&error),
                Ok(stolen) if is_memory(&stolen) => {
                    answer = Attempt::Took(format!("descriptor {number}, which is memory"));
                }
                Ok(_of_no_use) => {}
            }
        }
        answer
    }

    fn steal_left_open(&self) -> Attempt {
        let Some(number) = self.prey.left_open else {
            return Attempt::Nothing("no descriptor was left open".to_owned());
        };
        match self.steal(number).and_then(mapped) {
            Ok(taken) => self.judged(&taken, "mapped"),
            Err(error) => refused(&error),
        }
    }

    fn steal(&self, number: i32) -> io::Result<OwnedFd> {
        let pidfd = pidfd_open(self.pid, PidfdFlags::empty())?;
        Ok(pidfd_getfd(pidfd.as_fd(), number, PidfdGetfdFlags::empty())?)
    }

    fn listed(&self) -> io::Result<Vec<i32>> {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.pid))?;
        Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
    }

    /// The links to memory: others could block.
    fn open_links(&self) -> Attempt {
        let numbers = match self.listed() {
            Ok(numbers) => numbers,
            Err(error) => return refused(&error),
        };
        let mut answer = Attempt::Nothing("no descriptor of memory is open".to_owned());
        for number in numbers {
            let link = format!("/proc/{}/fd/{number}", self.pid);
            if !fs::read_link(&link).is_ok_and(|target| names_memory(&target)) {
                continue;
            }
            let mut taken = [0; CANARY];
            match File::open(&link).and_then(|file| file.read_exact_at(&mut taken, 0)) {
                Ok(()) => return Attempt::Took(format!("descriptor {number}, which opens and reads")),
                Err(error) => answer = refused(&error),
            }
        }
        answer
    }

    fn open_mapping(&self) -> Attempt {
        let Prey { address, end, .. } = self.prey;
        let mut taken = [0; CANARY];
        let file = File::open(format!("/proc/{}/map_files/{address:x}-{end:x}", self.pid));
        match file.and_then(|file| file.read_exact_at(&mut taken, 0)) {
            Ok(()) => self.judged(&taken, "read"),
            Err(error) => refused(&error),
        }
    }

    fn read_environ(&self) -> Attempt {
        let mut environ = Vec::new();
        let file = File::open(format!("/proc/{}/environ", self.pid));
        match file.and_then(|file| file.take(1 << 20).read_to_end(&mut environ)) {
            Err(error) => refused(&error),
            Ok(_) => match environ.split(|byte| *byte == 0).find_map(credential) {
                Some(name) => Attempt::Took(format!("the value of {name}")),
                None => Attempt::Nothing("it can be read, and has no credential".to_owned()),
            },
        }
    }
}

fn credential(entry: &[u8]) -> Option<&'static str> {
    TOKENS.into_iter().find(|name| {
        let value = entry.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        value.is_some_and(|value| value.iter().any(|byte| *byte != b'*'))
    })
}

fn is_memory(stolen: &OwnedFd) -> bool {
    use std::os::fd::AsRawFd as _;
    fs::read_link(format!("/proc/self/fd/{}", stolen.as_raw_fd())).is_ok_and(|target| names_memory(&target))
}

fn names_memory(target: &Path) -> bool {
    let name = target.to_string_lossy();
    name.contains("secretmem") || name.starts_with("/memfd:")
}

/// The first bytes of stolen memory.
fn mapped(stolen: OwnedFd) -> io::Result<Vec<u8>> {
    let file = File::from(stolen);
    let len = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let os = |error| {
        if let secretmem::Error::Os { source, .. } = error { source } else { io::Error::other(error) }
    };
    let memory = Shared::open(file.into(), len).map_err(os)?;
    Ok(memory.bytes().iter().take(CANARY).map(|byte| byte.load(Ordering::Relaxed)).collect())
}

pub(super) fn refused(error: &io::Error) -> Attempt {
    match error.raw_os_error() {
        Some(errno) => Attempt::Refused(errno),
        None => Attempt::Nothing(error.to_string()),
    }
}
