//! System calls made by a stopped process on our behalf.
//!
//! The instruction at the program counter is replaced by `syscall`, one step is taken, and in the end text
//! and registers are as they were. Signals that arrive in between are kept and sent again afterwards.
//!
//! Untrusted: the tracee, which may be killed at any step: that is [`Error::Gone`], not a fault of ours.

use rustix::process::{Pid, WaitOptions, WaitStatus, waitpid};

use super::{Error, registers};
use crate::graft::kernel::{self, Registers, Resume};

/// Single steps that one system call may take: leaving `execve`, and signals in between.
const MAX_STEPS: usize = 64;

/// A traced process that stands still.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tracee {
    pub(super) pid: Pid,
}

impl Tracee {
    pub(super) fn registers(self) -> Result<Registers, Error> {
        kernel::registers(self.pid).map_err(trace("reading registers"))?.ok_or(Error::NarrowProgram)
    }

    pub(super) fn word(self, address: usize) -> Result<u64, Error> {
        kernel::peek(self.pid, address).map_err(trace("reading memory"))
    }

    pub(super) fn set_word(self, address: usize, word: u64) -> Result<(), Error> {
        kernel::poke(self.pid, address, word).map_err(trace("writing memory"))
    }

    fn set_registers(self, set: Registers) -> Result<(), Error> {
        kernel::set_registers(self.pid, set).map_err(trace("writing registers"))
    }

    /// One step; what stopped it.
    fn step(self) -> Result<i32, Error> {
        kernel::resume(self.pid, Resume::Step, 0).map_err(trace("stepping"))?;
        let status = wait_for(self.pid)?;
        status.stopping_signal().ok_or(Error::Gone(status))
    }
}

/// Waits for the next stop or the end of one child, which may be a thread of another group.
pub(crate) fn wait_for(pid: Pid) -> Result<WaitStatus, Error> {
    let options = WaitOptions::from_bits_retain(libc::__WALL.cast_unsigned());
    loop {
        match waitpid(Some(pid), options) {
            Ok(Some((_, status))) => return Ok(status),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(trace("waiting")(error.into())),
        }
    }
}

/// A tracee whose text is on loan.
pub(super) struct Session {
    tracee: Tracee,
    saved: Registers,
    text: (usize, u64),
    signals: Vec<i32>,
}

impl Session {
    /// Brings the tracee out of `execve` and puts the instruction in place.
    pub(super) fn begin(tracee: Tracee) -> Result<Self, Error> {
        let mut signals = Vec::new();
        // The kernel still writes execve's own result on the way out: let it, before we set registers.
        let stop = tracee.step()?;
        if stop != libc::SIGTRAP {
            signals.push(stop);
        }
        let saved = tracee.registers()?;
        let at = address(registers::program_counter(&saved));
        let word = tracee.word(at)?;
        tracee.set_word(at, (word & !registers::SYSCALL_MASK) | registers::SYSCALL)?;
        Ok(Self { tracee, saved, text: (at, word), signals })
    }

    /// Has the tracee make one system call.
    pub(super) fn call(
        &mut self,
        doing: &'static str,
        number: libc::c_long,
        arguments: [u64; 6],
    ) -> Result<u64, Error> {
        let number = u64::try_from(number).unwrap_or(u64::MAX);
        self.tracee.set_registers(registers::with_call(self.saved, number, arguments))?;
        let set = self.step_over(doing)?;
        let result = registers::result(&set);
        // System calls answer -4095..-1 for errors.
        if (-4095..0).contains(&result) {
            let errno = i32::try_from(result.saturating_neg()).unwrap_or(0);
            return Err(Error::Refused { doing, source: std::io::Error::from_raw_os_error(errno) });
        }
        Ok(result.cast_unsigned())
    }

    /// Puts text and registers back; returns the signals that came in between.
    pub(super) fn end(self) -> Result<Vec<i32>, Error> {
        let (at, word) = self.text;
        self.tracee.set_word(at, word)?;
        self.tracee.set_registers(self.saved)?;
        Ok(self.signals)
    }

    /// A place on the stack, below everything that the program will find there.
    pub(super) fn scratch(&self) -> usize {
        address(registers::stack_pointer(&self.saved)).saturating_sub(4096) & !0xf
    }

    fn step_over(&mut self, doing: &'static str) -> Result<Registers, Error> {
        let start = registers::program_counter(&self.saved);
        for _ in 0..MAX_STEPS {
            let stop = self.tracee.step()?;
            let set = self.tracee.registers()?;
            if stop != libc::SIGTRAP {
                self.signals.push(stop);
            }
            if registers::program_counter(&set) != start {
                return Ok(set);
            }
        }
        Err(Error::Stuck(doing))
    }
}

fn trace(doing: &'static str) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::Trace { doing, source }
}

fn address(word: u64) -> usize {
    usize::try_from(word).unwrap_or(usize::MAX)
}
