//! `process_vm_readv(2)` and `process_vm_writev(2)`.

use crate::kernel::Mapping;
use crate::layout::iovec;
use crate::procfs::written;
use crate::victim::{PAGE, Place};
use crate::{Attempt, Outcome, Stage, call, found};

/// Reads the canary in ordinary memory.
pub(crate) fn read(target: i32, stage: &Stage) -> Attempt {
    read_place(target, &stage.victim.held().memory)
}

/// The kernel itself refuses this one: EFAULT.
pub(super) fn read_secret(stage: &Stage) -> Attempt {
    let held = stage.victim.held();
    read_place(held.pid, held.secret.as_ref().ok_or(Outcome::impossible("no memfd_secret"))?)
}

fn read_place(target: i32, place: &Place) -> Attempt {
    let booty = Mapping::anonymous(PAGE)?;
    let (here, there) = (iovec(booty.address(), 64), iovec(place.address, 64));
    call!(libc::SYS_process_vm_readv, target, &here[..], 1, &there[..], 1, 0)?;
    Ok(found(&booty.copy(), &place.canary, "of its memory"))
}

/// Writes to the scratch page.
pub(super) fn write(stage: &Stage) -> Attempt {
    let mut words = Mapping::anonymous(PAGE)?;
    words.put(b"written");
    let (here, there) = (iovec(words.address(), 7), iovec(stage.victim.held().scratch, 7));
    call!(libc::SYS_process_vm_writev, stage.victim.pid(), &here[..], 1, &there[..], 1, 0)?;
    written(stage)
}
