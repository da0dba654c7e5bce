//! `ptrace(2)`: the memory of who is traced, a word at a time.

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};

use crate::victim::Order;
use crate::{Attempt, Outcome, Stage, Victim, call, found};

/// Attaches, and reads.
pub(crate) fn attach(target: i32, victim: &Victim) -> Attempt {
    call!(libc::SYS_ptrace, libc::PTRACE_ATTACH, target, 0, 0)?;
    peek(target, victim)
}

/// Seizes, interrupts, and reads.
pub(crate) fn seize(target: i32, victim: &Victim) -> Attempt {
    call!(libc::SYS_ptrace, libc::PTRACE_SEIZE, target, 0, 0)?;
    call!(libc::SYS_ptrace, libc::PTRACE_INTERRUPT, target, 0, 0)?;
    peek(target, victim)
}

/// A parent needs no right to attach by Yama's first rule.
pub(super) fn as_parent(stage: &Stage) -> Attempt {
    let victim = stage.another()?;
    attach(victim.pid(), &victim)
}

/// A tracer that is there already is asked nothing when it reads: the hand-shake must not go through.
pub(super) fn before(stage: &Stage) -> Attempt {
    let mut victim = stage.fresh()?;
    call!(libc::SYS_ptrace, libc::PTRACE_SEIZE, victim.pid(), 0, 0)?;
    stage.settle(&mut victim)?;
    call!(libc::SYS_ptrace, libc::PTRACE_INTERRUPT, victim.pid(), 0, 0)?;
    peek(victim.pid(), &victim)
}

pub(super) fn before_same_image(stage: &Stage) -> Attempt {
    let mut victim = stage.fresh()?;
    call!(libc::SYS_ptrace, libc::PTRACE_SEIZE, victim.pid(), 0, 0)?;
    stage.settle_in_place(&mut victim)?;
    call!(libc::SYS_ptrace, libc::PTRACE_INTERRUPT, victim.pid(), 0, 0)?;
    peek(victim.pid(), &victim)
}

/// The victim itself asks, and its parent, who is the attacker, may.
pub(super) fn me(stage: &Stage) -> Attempt {
    let victim = stage.another()?;
    victim.ask(&Order::TraceMe {})?.done()?;
    peek(victim.pid(), &victim)
}

/// Waits for it to stop, and reads where the canary is.
fn peek(target: i32, victim: &Victim) -> Attempt {
    let pid = Pid::from_raw(target).ok_or(Errno::SRCH)?;
    // Threads and other people's children too.
    let all = WaitOptions::from_bits_retain(WaitOptions::UNTRACED.bits() | libc::__WALL.cast_unsigned());
    let stopped = waitpid(Some(pid), all)?;
    if !stopped.is_some_and(|(_, status)| status.stopped()) {
        return Ok(Outcome::nothing("it did not stop"));
    }
    let place = &victim.held().memory;
    let mut bytes = Vec::new();
    for at in (0..32).step_by(8) {
        let mut word = [0; 8];
        call!(
            libc::SYS_ptrace,
            libc::PTRACE_PEEKDATA,
            target,
            place.address.saturating_add(at),
            &mut word[..]
        )?;
        bytes.extend(word);
    }
    call!(libc::SYS_ptrace, libc::PTRACE_DETACH, target, 0, 0).ok();
    Ok(found(&bytes, &place.canary, "of its memory"))
}
