//! Calls that change or compare another process's memory without showing it.

use rustix::process::{PidfdFlags, pidfd_open};

use crate::layout::{iovec, u32_at, u64_at};
use crate::{Attempt, Outcome, Stage, call};

/// `MADV_PAGEOUT`: a secret that is in swap is on the disk.
pub(super) fn madvise(stage: &Stage) -> Attempt {
    const MADV_PAGEOUT: i32 = 21;
    let process = pidfd_open(stage.victim.process()?, PidfdFlags::empty())?;
    let range = iovec(stage.victim.held().memory.address, 4096);
    let bytes = call!(libc::SYS_process_madvise, &process, &range[..], 1, MADV_PAGEOUT, 0)?;
    Ok(if bytes == 4096 {
        Outcome::got("a page of its was advised")
    } else {
        Outcome::nothing(format!("{bytes} bytes"))
    })
}

/// `KCMP_VM`: parent and child have each their own memory.
pub(super) fn kcmp(stage: &Stage) -> Attempt {
    const KCMP_VM: i32 = 1;
    let held = stage.victim.held();
    let order = call!(libc::SYS_kcmp, held.pid, held.child, KCMP_VM, 0, 0)?;
    Ok(Outcome::got(format!("compared: {order}")))
}

/// Where its thread keeps the list of its locks.
pub(super) fn robust_list(stage: &Stage) -> Attempt {
    let (mut head, mut length) = ([0; 8], [0; 8]);
    call!(libc::SYS_get_robust_list, stage.victim.held().thread, &mut head[..], &mut length[..])?;
    Ok(Outcome::got(format!("head at {:#x}", u64_at(&head, 0))))
}

/// On which node of memory the canary's page is; no number of a node is negative.
pub(super) fn move_pages(stage: &Stage) -> Attempt {
    let page = stage.victim.held().memory.address.to_ne_bytes();
    let mut status = [0xff; 4];
    call!(libc::SYS_move_pages, stage.victim.pid(), 1, &page[..], 0, &mut status[..], 0)?;
    let node = u32_at(&status, 0).cast_signed();
    Ok(if node >= 0 {
        Outcome::got(format!("its page is on node {node}"))
    } else {
        Outcome::nothing(format!("error {node}"))
    })
}

/// From node 0 to node 0: asked, and harmless.
pub(super) fn migrate_pages(stage: &Stage) -> Attempt {
    let nodes = 1_u64.to_ne_bytes();
    let left = call!(libc::SYS_migrate_pages, stage.victim.pid(), 64, &nodes[..], &nodes[..])?;
    Ok(Outcome::got(format!("{left} pages were left")))
}
