//! One protected group that takes all the places in which the others are known.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::kernel::{Side, adopt, fork, pause};
use crate::{Attempt, Outcome, Probe, Stage, call, flat};

pub(crate) const PROBES: &[Probe] = &[
    Probe::new(
        "own/fill-tasks",
        "group-share",
        "fork, as a protected process, until no place is left",
        |stage| flat(tasks(stage)),
    )
    .invasive(),
    Probe::new(
        "own/fill-made",
        "group-share",
        "make secret memory, as a protected process, until no place is left",
        |stage| flat(made(stage)),
    )
    .invasive(),
];

/// More than a group may make.
const MADE: u64 = 4_200;

/// The children end with the probe. More than a group may have is a question of what the enforcer was told.
fn tasks(stage: &Stage) -> Attempt {
    let wanted =
        stage.extras.flood.ok_or(Outcome::impossible("no number of processes was given (--flood)"))?;
    stage.protect_self()?;
    for number in 0..wanted {
        match fork() {
            Ok(Side::Child) => pause(),
            Ok(Side::Parent(_)) => {}
            // The guard's word here; without one, nothing limits so few.
            Err(Errno::AGAIN) if number > 0 => {
                return Ok(Outcome::nothing(format!("{number} places, and no more: EAGAIN")));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Outcome::got(format!("{wanted} places")))
}

fn made(stage: &Stage) -> Attempt {
    let room = Rlimit { current: Some(2 * MADE), maximum: Some(2 * MADE) };
    setrlimit(Resource::Nofile, room)?;
    stage.protect_self()?;
    let mut kept: Vec<OwnedFd> = Vec::new();
    for _ in 0..MADE {
        match call!(libc::SYS_memfd_secret, 0).and_then(adopt) {
            Ok(memory) => kept.push(memory),
            Err(Errno::NOSYS) => return Ok(Outcome::impossible("this kernel has no memfd_secret")),
            Err(Errno::NOMEM) if !kept.is_empty() => {
                return Ok(Outcome::nothing(format!("{} places, and no more: ENOMEM", kept.len())));
            }
            Err(error) => return Ok(error.into()),
        }
    }
    Ok(Outcome::got(format!("{} places", kept.len())))
}
