//! Processes that are made to be attacked: one that crashes, and one that is traced as a program is for the graft.
//!
//! They inherit what the attacker has inherited from the keeper: limits, and being not dumpable. Each dies with the
//! attacker, and each is waited for, with a bound.

use std::io;
use std::time::{Duration, Instant};

use rustix::process::{
    DumpableBehavior, Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, set_dumpable_behavior,
    set_parent_process_death_signal, waitpid,
};

use super::attack::refused;
use super::kernel::seize;
use super::spoils::Attempt;
use crate::graft::kernel::{Resume, ask_to_be_traced, resume};
use crate::line::Line;
use crate::stem::kernel::{Side, fork, unblock_signals};

/// How long anything may take that takes microseconds.
const PROMPT: Duration = Duration::from_millis(100);
const GLANCE: Duration = Duration::from_micros(20);

/// Has a process like the keeper crash: does it leave a core?
pub(super) fn crash() -> Attempt {
    match made(|| {
        unblock_signals()?;
        // Not by a signal that whoever started us may have had ignored.
        std::process::abort()
    }) {
        Err(error) => refused(&error),
        Ok(pid) => match wait_briefly(pid) {
            // `WCOREDUMP` of wait(2): the kernel's word that it wrote one.
            Ok(status) if status.as_raw() & 0x80 != 0 => Attempt::Took("a core".to_owned()),
            Ok(_) => Attempt::Refused(0),
            Err(error) => {
                bury(pid);
                refused(&error)
            }
        },
    }
}

/// Traces a program as the graft does, has somebody else try to trace it too, and again once it was let go. What came of both,
/// and the error number where tracing is refused to us.
pub(super) fn trace_a_program() -> (Attempt, Attempt, Option<i32>) {
    traced().unwrap_or_else(|error| (refused(&error), refused(&error), None))
}

fn traced() -> io::Result<(Attempt, Attempt, Option<i32>)> {
    let (ours, theirs) = Line::pair()?;
    let program = made(|| {
        // As after `execve`; a process that an enforcer protects may not.
        set_dumpable_behavior(DumpableBehavior::Dumpable).unwrap_or_default();
        let answer = ask_to_be_traced().err().and_then(|error| error.raw_os_error());
        theirs.send(&answer.unwrap_or(0).to_ne_bytes(), None)?;
        if answer.is_none() {
            kill_process(getpid(), Signal::STOP)?;
        }
        Ok(())
    })?;
    let told = told(&ours);
    let outcome = told.and_then(|refusal| {
        if refusal != 0 {
            let nothing = Attempt::Nothing("tracing is refused: there is no graft".to_owned());
            return Ok((nothing, attempt(program)?, Some(refusal)));
        }
        wait_briefly(program)?;
        let during = attempt(program)?;
        resume(program, Resume::Detach, 0)?;
        Ok((during, attempt(program)?, None))
    });
    bury(program);
    outcome
}

/// Somebody who is not its parent tries to trace it. Whom the kernel lets, could run code in it.
fn attempt(program: Pid) -> io::Result<Attempt> {
    let (ours, theirs) = Line::pair()?;
    let debugger = made(|| {
        let answer = seize(program).err().and_then(|error| error.raw_os_error());
        theirs.send(&answer.unwrap_or(0).to_ne_bytes(), None)
    })?;
    let told = told(&ours);
    bury(debugger);
    Ok(match told? {
        0 => Attempt::Took("control over the program".to_owned()),
        errno => Attempt::Refused(errno),
    })
}

fn told(line: &Line) -> io::Result<i32> {
    let message = line.receive_within(PROMPT)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let bytes = message.bytes.as_slice().try_into().map_err(|_length| io::ErrorKind::InvalidData)?;
    Ok(i32::from_ne_bytes(bytes))
}

/// A process that does this, and then waits for its end.
fn made(errand: impl FnOnce() -> io::Result<()>) -> io::Result<Pid> {
    match fork()? {
        Side::Old(pid) => Ok(pid),
        Side::New => {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // Whoever waits for an answer waits for so long only.
            errand().unwrap_or_default();
            loop {
                std::thread::sleep(PROMPT);
            }
        }
    }
}

/// Kills a process and takes it off the table.
fn bury(pid: Pid) {
    // Gone already is as good.
    kill_process(pid, Signal::KILL).unwrap_or_default();
    while wait_briefly(pid).is_ok_and(WaitStatus::stopped) {}
}

/// The next change of a child or tracee, if it comes promptly.
pub(super) fn wait_briefly(pid: Pid) -> io::Result<WaitStatus> {
    let options = WaitOptions::from_bits_retain(libc::__WALL.cast_unsigned()) | WaitOptions::NOHANG;
    let begun = Instant::now();
    loop {
        match waitpid(Some(pid), options) {
            Ok(Some((_, status))) => return Ok(status),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if begun.elapsed() > PROMPT {
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(GLANCE);
    }
}
