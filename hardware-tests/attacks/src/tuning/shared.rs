//! System V shared memory: whoever knows the number may ask.

use crate::kernel::attach;
use crate::victim::{PAGE, Place};
use crate::{Attempt, Outcome, Stage, found};

fn place(stage: &Stage) -> Result<&Place, Outcome> {
    stage.victim.held().shared.as_ref().ok_or(Outcome::impossible("no System V memory"))
}

pub(super) fn read(stage: &Stage) -> Attempt {
    let place = place(stage)?;
    let memory = attach(place.descriptor, PAGE, libc::SHM_RDONLY)?;
    Ok(found(&memory.copy(), &place.canary, "of its shared memory"))
}

/// Puts the canary there again, and sees that it may.
pub(super) fn write(stage: &Stage) -> Attempt {
    let place = place(stage)?;
    let mut memory = attach(place.descriptor, PAGE, 0)?;
    memory.put(b"written");
    let after = memory.copy();
    Ok(if after.starts_with(b"written") {
        Outcome::got("its shared memory changed")
    } else {
        Outcome::nothing("no change")
    })
}
