//! Files of `/proc/V` that were opened before V protected itself.

use std::fs::File;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{Dir, Mode, OFlags, openat};

use super::mem::read_at;
use super::views;
use crate::{Attempt, Outcome, Stage, Victim};

/// Opens, has it settle, reads and looks.
pub(super) fn read_and(stage: &Stage, path: &str, look: fn(&[u8], &Victim) -> Outcome) -> Attempt {
    let mut victim = stage.fresh()?;
    let mut file = File::open(format!("/proc/{}/{path}", victim.pid()))?;
    stage.settle(&mut victim)?;
    // It has answered, and goes to sleep again.
    sleep(Duration::from_millis(50));
    Ok(look(&views::read(&mut file)?, &victim))
}

/// `mem`. Executed anew it has other memory; where it is not, the file itself must have been closed.
pub(super) fn mem(stage: &Stage, anew: bool) -> Attempt {
    let mut victim = stage.fresh()?;
    if !anew {
        victim.hold()?;
    }
    let file = File::open(format!("/proc/{}/mem", victim.pid()))?;
    if anew {
        stage.settle(&mut victim)?;
    } else {
        stage.settle_in_place(&mut victim)?;
    }
    read_at(&file, &victim.held().memory)
}

/// A directory's descriptor leads past every path.
pub(super) fn directory(stage: &Stage) -> Attempt {
    let mut victim = stage.fresh()?;
    let directory = File::open(format!("/proc/{}", victim.pid()))?;
    stage.settle(&mut victim)?;
    let file = openat(&directory, Path::new("mem"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    read_at(&File::from(file), &victim.held().memory)
}

/// The kernel asks nothing when such a directory is listed.
pub(super) fn descriptors(stage: &Stage) -> Attempt {
    let mut victim = stage.fresh()?;
    let directory = File::open(format!("/proc/{}/fd", victim.pid()))?;
    stage.settle(&mut victim)?;
    let memfd = victim.held().memfd.descriptor.to_string();
    for entry in Dir::read_from(&directory)? {
        if entry?.file_name().to_bytes() == memfd.as_bytes() {
            return Ok(Outcome::got(format!("descriptor {memfd} is listed")));
        }
    }
    Ok(Outcome::nothing("its memfd is not listed"))
}
