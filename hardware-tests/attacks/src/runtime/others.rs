//! What nobody protects is anybody's as ever, and a protected group's processes are each other's.

use std::process::Command;

use crate::debugger::trace::seize;
use crate::procfs::read_victim;
use crate::victim::Order;
use crate::{Attempt, Outcome, Stage, call};

/// A victim that asked for nothing, though an enforcer listens.
pub(super) fn trace(stage: &Stage) -> Attempt {
    let mut victim = stage.fresh()?;
    victim.hold()?;
    seize(victim.pid(), &victim)
}

pub(super) fn read(stage: &Stage) -> Attempt {
    let mut victim = stage.fresh()?;
    victim.hold()?;
    read_victim(&victim)
}

pub(super) fn tune(stage: &Stage) -> Attempt {
    let victim = stage.fresh()?;
    call!(libc::SYS_setpriority, libc::PRIO_PROCESS, victim.pid(), 5)?;
    Ok(Outcome::got("nice 5"))
}

/// As the wrapper does with its program.
pub(super) fn own_child(stage: &Stage) -> Attempt {
    let words = vec![libc::PTRACE_SEIZE.into(), stage.victim.held().child.into()];
    stage.victim.ask(&Order::Call { number: libc::SYS_ptrace, words })?.done()?;
    Ok(Outcome::got("it traces its child"))
}

/// The attacker's child is protected, and executes this program: a program starts as ever.
pub(super) fn spawn(stage: &Stage) -> Attempt {
    stage.protect_self()?;
    let output = Command::new("/proc/self/exe").arg("list").output()?;
    let lines = output.stdout.split(|byte| *byte == b'\n').count();
    Ok(if output.status.success() {
        Outcome::got(format!("{lines} lines"))
    } else {
        Outcome::nothing(output.status.to_string())
    })
}
