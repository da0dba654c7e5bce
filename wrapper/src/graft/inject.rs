//! System calls and stores made by a stopped process on our behalf.
//!
//! One word of its text is replaced by instructions of ours, single steps are taken, and in the end text
//! and registers are as they were. Signals that arrive in between are kept and sent again afterwards.
//!
//! Untrusted: the tracee, which may be killed at any step: that is [`Error::Gone`], not a fault of ours.

use std::fs;
use std::path::PathBuf;

use rustix::process::{Pid, WaitOptions, WaitStatus, waitpid};

use super::{Error, registers};
use crate::graft::kernel::{self, Registers, Resume};

/// Single steps that one system call may take: leaving `execve`, and signals in between.
const MAX_STEPS: usize = 64;
const WORD: usize = 8;

/// A traced process that stands still.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tracee {
    pub(super) pid: Pid,
}

impl Tracee {
    pub(super) fn registers(self) -> Result<Registers, Error> {
        let narrow = || Error::NarrowProgram(self.file().unwrap_or_default());
        kernel::registers(self.pid).map_err(trace("reading registers"))?.ok_or_else(narrow)
    }

    /// The file that it runs, where that can be seen.
    pub(super) fn file(self) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/exe", self.pid)).ok()
    }

    /// Reads memory from `address` on; how many bytes could be read.
    pub(super) fn read(self, address: usize, into: &mut [u8]) -> Result<usize, Error> {
        match kernel::read_memory(self.pid, address, into) {
            // After a change of user the tracer may not read at once, but may still read word by word.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS)) => {
                self.peek_all(address, into)
            }
            other => other.map_err(trace("reading the stack")),
        }
    }

    fn peek_all(self, address: usize, into: &mut [u8]) -> Result<usize, Error> {
        // Words are read at aligned addresses: the last one must not reach into the next page.
        let mut skip = address.checked_rem(WORD).unwrap_or(0);
        let (mut from, mut read) = (address.saturating_sub(skip), 0_usize);
        while let Some(left) = into.get_mut(read..).filter(|left| !left.is_empty()) {
            let word = self.word(from)?.to_le_bytes();
            let fresh = word.get(skip..).unwrap_or_default();
            left.iter_mut().zip(fresh).for_each(|(place, byte)| *place = *byte);
            read = read.saturating_add(fresh.len().min(left.len()));
            from = from.saturating_add(WORD);
            skip = 0;
        }
        Ok(read)
    }

    pub(super) fn set_word(self, address: usize, word: u64) -> Result<(), Error> {
        kernel::poke(self.pid, address, word).map_err(trace("writing memory"))
    }

    fn word(self, address: usize) -> Result<u64, Error> {
        kernel::peek(self.pid, address).map_err(trace("reading memory"))
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
    /// Where our instructions stand, and what stood there.
    text: (usize, u64),
    signals: Vec<i32>,
}

impl Session {
    /// Brings the tracee out of `execve` and puts the instructions in place.
    pub(super) fn begin(tracee: Tracee) -> Result<Self, Error> {
        let mut signals = Vec::new();
        // The kernel still writes execve's own result on the way out: let it, before we set registers.
        let stop = tracee.step()?;
        if stop != libc::SIGTRAP {
            signals.push(stop);
        }
        let saved = tracee.registers()?;
        // The whole word that the next instruction lies in: a word never crosses into another page.
        let at = address(registers::program_counter(&saved)) & !(WORD - 1);
        let word = tracee.word(at)?;
        tracee.set_word(at, registers::CODE)?;
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
        self.tracee.set_registers(registers::with_call(self.saved, self.code(), number, arguments))?;
        let set = self.step_over(self.code(), doing)?;
        let result = registers::result(&set);
        // System calls answer -4095..-1 for errors.
        if (-4095..0).contains(&result) {
            let errno = i32::try_from(result.saturating_neg()).unwrap_or(0);
            return Err(Error::Refused { doing, source: std::io::Error::from_raw_os_error(errno) });
        }
        Ok(result.cast_unsigned())
    }

    /// Has the tracee write to memory of its own that no other process reaches. What is beyond the last
    /// byte of the last word becomes zero.
    pub(super) fn store(&mut self, at: u64, bytes: impl IntoIterator<Item = u8>) -> Result<(), Error> {
        let mut bytes = bytes.into_iter();
        for index in 0_u64.. {
            let mut word = [0; WORD];
            let taken = word.iter_mut().zip(&mut bytes).map(|(place, byte)| *place = byte).count();
            if taken == 0 {
                break;
            }
            self.store_word(at.saturating_add(index.saturating_mul(8)), u64::from_le_bytes(word))?;
        }
        Ok(())
    }

    /// Goes the way of the last word once more, with none: what it left in registers, the tracee's and those
    /// on our own stack, is overwritten.
    pub(super) fn forget_stored(&mut self) -> Result<(), Error> {
        self.store(self.below(), [0; WORD])
    }

    /// Puts a word where the tracee can point a system call to; its address.
    pub(super) fn push(&mut self, word: [u8; WORD]) -> Result<u64, Error> {
        self.store(self.below(), word)?;
        Ok(self.below())
    }

    /// Below the stack pointer, where the program has put nothing yet.
    fn below(&self) -> u64 {
        registers::stack_pointer(&self.saved).saturating_sub(64) & !7
    }

    fn store_word(&mut self, at: u64, word: u64) -> Result<(), Error> {
        let code = self.code().saturating_add(registers::STORE);
        self.tracee.set_registers(registers::with_store(self.saved, code, at, word))?;
        self.step_over(code, "storing a value").map(drop)
    }

    /// Puts text and registers back; returns the signals that came in between.
    pub(super) fn end(self) -> Result<Vec<i32>, Error> {
        let (at, word) = self.text;
        self.tracee.set_word(at, word)?;
        self.tracee.set_registers(self.saved)?;
        Ok(self.signals)
    }

    fn code(&self) -> u64 {
        let (at, _) = self.text;
        u64::try_from(at).unwrap_or(u64::MAX)
    }

    fn step_over(&mut self, start: u64, doing: &'static str) -> Result<Registers, Error> {
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
