//! Memory itself: `mem` and `environ`.

use std::fs::{File, OpenOptions, read};
use std::os::unix::fs::FileExt;

use crate::victim::Place;
use crate::{Attempt, Outcome, Stage, Victim, found};

/// Reads a canary through an open `mem`.
pub(crate) fn read_at(file: &File, place: &Place) -> Attempt {
    let mut bytes = [0; 64];
    let length = file.read_at(&mut bytes, place.address)?;
    Ok(found(bytes.get(..length).unwrap_or_default(), &place.canary, "of its memory"))
}

/// Reads the canary in a victim's ordinary memory.
pub(crate) fn read_victim(victim: &Victim) -> Attempt {
    read_at(&File::open(format!("/proc/{}/mem", victim.pid()))?, &victim.held().memory)
}

pub(super) fn read_mem(stage: &Stage, path: &str) -> Attempt {
    let file = File::open(format!("/proc/{}/{path}", stage.victim.pid()))?;
    read_at(&file, &stage.victim.held().memory)
}

pub(super) fn read_thread(stage: &Stage) -> Attempt {
    read_mem(stage, &format!("task/{}/mem", stage.victim.held().thread))
}

/// A thread has a directory of its own, which no listing shows.
pub(super) fn read_by_thread(stage: &Stage) -> Attempt {
    let held = stage.victim.held();
    read_at(&File::open(format!("/proc/{}/mem", held.thread))?, &held.memory)
}

/// A child's memory is a copy of its parent's.
pub(super) fn read_child(stage: &Stage) -> Attempt {
    let held = stage.victim.held();
    read_at(&File::open(format!("/proc/{}/mem", held.child))?, &held.memory)
}

/// The kernel itself refuses this one: EIO.
pub(super) fn read_secret(stage: &Stage) -> Attempt {
    let held = stage.victim.held();
    let place = held.secret.as_ref().ok_or(Outcome::impossible("no memfd_secret"))?;
    read_at(&File::open(format!("/proc/{}/mem", held.pid))?, place)
}

/// Writes to the scratch page.
pub(super) fn write(stage: &Stage) -> Attempt {
    let file = OpenOptions::new().write(true).open(format!("/proc/{}/mem", stage.victim.pid()))?;
    file.write_at(b"written", stage.victim.held().scratch)?;
    written(stage)
}

/// Whether the victim sees `written` in its scratch page.
pub(crate) fn written(stage: &Stage) -> Attempt {
    let seen = stage.victim.scratch()?;
    Ok(if seen == "written" { Outcome::got("its memory changed") } else { Outcome::nothing(seen) })
}

pub(super) fn environ(stage: &Stage, path: &str) -> Attempt {
    let bytes = read(format!("/proc/{}/{path}", stage.victim.pid()))?;
    Ok(found(&bytes, stage.victim.environment(), "of its environment"))
}
