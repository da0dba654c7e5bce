//! To be protected is not to be trusted: another group's process attacks.

use crate::debugger::memory;
use crate::debugger::trace::seize;
use crate::descriptors::take;
use crate::procfs::read_victim;
use crate::{Attempt, Stage};

pub(super) fn mem(stage: &Stage) -> Attempt {
    stage.protect_self()?;
    read_victim(&stage.victim)
}

pub(super) fn ptrace(stage: &Stage) -> Attempt {
    stage.protect_self()?;
    seize(stage.victim.pid(), &stage.victim)
}

pub(super) fn vm(stage: &Stage) -> Attempt {
    stage.protect_self()?;
    memory::read(stage.victim.pid(), stage)
}

pub(super) fn getfd(stage: &Stage) -> Attempt {
    stage.protect_self()?;
    take::memfd(stage)
}
