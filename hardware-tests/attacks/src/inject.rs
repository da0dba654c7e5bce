//! Calls made by another process against its will: what whoever takes it over could have it do.
//!
//! Each is a call that fails for everybody and changes nothing: the error number says whether the process was let as far as its
//! arguments. The process goes on as if nothing had been. x86-64 alone.

use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};

use crate::call;

/// Into whom.
#[derive(Args, Debug)]
pub struct Inject {
    /// The process's number.
    #[arg(long)]
    pub pid: i32,
}

/// Name, number, arguments.
type Call = (&'static str, i64, [i64; 5]);

/// No address, and no process or descriptor.
const NONE: i64 = 0;
const NOBODY: i64 = -1;

const CALLS: [Call; 16] = [
    ("execve", libc::SYS_execve, [NONE; 5]),
    ("execveat", libc::SYS_execveat, [NOBODY, NONE, NONE, NONE, 0]),
    // CLONE_SIGHAND without CLONE_VM.
    ("clone", libc::SYS_clone, [0x800, NONE, NONE, NONE, 0]),
    ("mount", libc::SYS_mount, [NONE; 5]),
    ("fsopen", libc::SYS_fsopen, [NONE; 5]),
    ("setns", libc::SYS_setns, [NOBODY, 0, 0, 0, 0]),
    ("init_module", libc::SYS_init_module, [NONE; 5]),
    ("finit_module", libc::SYS_finit_module, [NOBODY, NONE, 0, 0, 0]),
    ("ptrace", libc::SYS_ptrace, [16, 0, 0, 0, 0]),
    ("process_vm_readv", libc::SYS_process_vm_readv, [NOBODY, NONE, 0, NONE, 0]),
    ("perf_event_open", libc::SYS_perf_event_open, [NONE, 0, 0, NOBODY, 0]),
    // BPF_PROG_LOAD, BPF_PROG_GET_FD_BY_ID, BPF_PROG_DETACH
    ("bpf/load", libc::SYS_bpf, [5, NONE, 0, 0, 0]),
    ("bpf/open-by-number", libc::SYS_bpf, [13, NONE, 0, 0, 0]),
    ("bpf/detach", libc::SYS_bpf, [9, NONE, 0, 0, 0]),
    // A kind that there is not, of IPv4.
    ("socket/inet", libc::SYS_socket, [2, 0xff, 0, 0, 0]),
    // PROT_READ and PROT_EXEC of no page.
    ("mmap/executable", libc::SYS_mmap, [0, 0, 5, 0x22, NOBODY]),
];

impl Inject {
    /// Has the process make all of them, and says by name with which error number each failed; 0: it did not.
    pub fn run(&self, out: &mut impl Write) -> io::Result<()> {
        let traced = Traced::stop_waiting(self.pid)?;
        for (name, number, arguments) in CALLS {
            let result = traced.make(number, arguments)?;
            writeln!(out, "{name} {}", result.min(0).unsigned_abs())?;
        }
        traced.let_go()
    }
}

/// A process that stands still in a call.
struct Traced {
    pid: i32,
    registers: Registers,
}

/// `struct user_regs_struct` (`asm/user_64.h`), by the places of those that a call takes.
type Registers = [u8; 27 * 8];
const ARGUMENTS: [usize; 5] = [14, 13, 12, 7, 9];
const RESULT: usize = 10;
const CALL: usize = 15;
const NEXT: usize = 16;
/// How long the instruction is that calls the kernel.
const INSTRUCTION: i64 = 2;

impl Traced {
    fn stop(pid: i32) -> io::Result<Self> {
        call!(libc::SYS_ptrace, libc::PTRACE_SEIZE, pid, 0, 0)?;
        call!(libc::SYS_ptrace, libc::PTRACE_INTERRUPT, pid, 0, 0)?;
        wait(pid)?;
        let mut registers: Registers = [0; 27 * 8];
        call!(libc::SYS_ptrace, libc::PTRACE_GETREGS, pid, 0, &mut registers[..])?;
        Ok(Self { pid, registers })
    }

    /// One that computes just now is let go, and stopped later.
    fn stop_waiting(pid: i32) -> io::Result<Self> {
        for _ in 0..100 {
            let traced = Self::stop(pid)?;
            if get(&traced.registers, CALL) >= 0 {
                return Ok(traced);
            }
            traced.let_go()?;
            std::thread::sleep(Duration::from_millis(30));
        }
        Err(io::Error::other("expected a process that waits in a call, found one that computes"))
    }

    fn make(&self, number: i64, arguments: [i64; 5]) -> io::Result<i64> {
        let mut registers = self.registers;
        put(&mut registers, CALL, -1);
        put(&mut registers, RESULT, number);
        put(&mut registers, NEXT, get(&self.registers, NEXT).wrapping_sub(INSTRUCTION));
        for (place, argument) in ARGUMENTS.into_iter().zip(arguments) {
            put(&mut registers, place, argument);
        }
        call!(libc::SYS_ptrace, libc::PTRACE_SETREGS, self.pid, 0, &registers[..])?;
        call!(libc::SYS_ptrace, libc::PTRACE_SINGLESTEP, self.pid, 0, 0)?;
        wait(self.pid)?;
        call!(libc::SYS_ptrace, libc::PTRACE_GETREGS, self.pid, 0, &mut registers[..])?;
        Ok(get(&registers, RESULT))
    }

    fn let_go(self) -> io::Result<()> {
        call!(libc::SYS_ptrace, libc::PTRACE_SETREGS, self.pid, 0, &self.registers[..])?;
        call!(libc::SYS_ptrace, libc::PTRACE_DETACH, self.pid, 0, 0)?;
        Ok(())
    }
}

fn get(registers: &Registers, place: usize) -> i64 {
    let (words, _) = registers.as_chunks::<8>();
    words.get(place).map_or(0, |word| i64::from_ne_bytes(*word))
}

fn put(registers: &mut Registers, place: usize, value: i64) {
    let (words, _) = registers.as_chunks_mut::<8>();
    if let Some(word) = words.get_mut(place) {
        *word = value.to_ne_bytes();
    }
}

fn wait(pid: i32) -> io::Result<()> {
    let pid = Pid::from_raw(pid).ok_or(Errno::SRCH)?;
    let all = WaitOptions::from_bits_retain(WaitOptions::UNTRACED.bits() | libc::__WALL.cast_unsigned());
    let stopped = waitpid(Some(pid), all)?;
    if stopped.is_some_and(|(_, status)| status.stopped()) {
        Ok(())
    } else {
        Err(io::Error::other("it did not stop"))
    }
}
