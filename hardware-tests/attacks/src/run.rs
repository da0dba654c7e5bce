//! Runs probes, each in a forked child of its own with a time limit, and keeps the victim alive between them.
//!
//! What came of it is what the child wrote; how the child died tells the rest. A child that had its booty in hand and was
//! killed afterwards had it.
//!
//! Trusted: what the child writes.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, kill_process_group, pidfd_open, waitpid,
};

use crate::kernel::{Side, fork, leave};
use crate::leftover::Settings;
use crate::{Outcome, Probe, Stage, call};

/// How long a probe may take: emulated machines are slow.
const LIMIT: Duration = Duration::from_mins(1);

/// Runs one probe; the victim is there and well afterwards.
pub fn attempt(probe: &Probe, stage: &mut Stage, settings: &Settings) -> Result<Outcome, String> {
    let outcome = if probe.invasive && !stage.extras.invasive {
        return Ok(Outcome::impossible("changes the node: only with --invasive"));
    } else {
        alone(probe, stage)
            .unwrap_or_else(|error| Outcome::impossible(format!("no child for the probe: {error}")))
    };
    if probe.invasive {
        settings.restore()?;
    }
    stage.victim.skip(1000);
    if probe.spoils || !stage.victim.is_well() {
        stage.renew().map_err(|why| format!("after {}: {why}", probe.id))?;
    }
    Ok(outcome)
}

fn alone(probe: &Probe, stage: &Stage) -> Result<Outcome, Errno> {
    let (hear, say) = pipe_with(PipeFlags::CLOEXEC)?;
    match fork()? {
        Side::Child => {
            drop(hear);
            // A fault of a probe's must not run the destructors of what is the parent's.
            let ended = catch_unwind(AssertUnwindSafe(|| child(probe, stage, say)));
            leave(i32::from(!matches!(ended, Ok(Ok(())))))
        }
        Side::Parent(pid) => {
            drop(say);
            let late = wait(pid)?;
            Ok(judge(pid, &hear, late))
        }
    }
}

fn child(probe: &Probe, stage: &Stage, say: OwnedFd) -> std::io::Result<()> {
    // Whatever it starts dies with its process group, and it dies with us.
    rustix::process::setpgid(None, None)?;
    call!(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL)?;
    let outcome = (probe.run)(stage);
    let words = serde_json::to_vec(&outcome)?;
    std::fs::File::from(say).write_all(&words)
}

/// Whether it was late.
fn wait(pid: Pid) -> Result<bool, Errno> {
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    let end = Instant::now().checked_add(LIMIT).ok_or(Errno::TIME)?;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let time = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(0),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut [PollFd::new(&process.as_fd(), PollFlags::IN)], Some(&time)) {
            Ok(0) => return Ok(true),
            Ok(_) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

fn judge(pid: Pid, hear: &OwnedFd, late: bool) -> Outcome {
    // Who is left of the group, the child too when it is late; nobody: as it should be.
    kill_process_group(pid, Signal::KILL).ok();
    let status = waitpid(Some(pid), WaitOptions::empty()).ok().flatten().map(|(_, status)| status);
    let mut words = Vec::new();
    rustix::fs::fcntl_setfl(hear, rustix::fs::OFlags::NONBLOCK).ok();
    // Accomplices may still hold the other end: what is there is all that counts.
    drop(hear.try_clone().map(|hear| std::fs::File::from(hear).read_to_end(&mut words)));
    if let Ok(outcome) = serde_json::from_slice(&words) {
        return outcome;
    }
    if late {
        return Outcome::impossible(format!("no end within {} seconds", LIMIT.as_secs()));
    }
    match status.and_then(WaitStatus::terminating_signal) {
        Some(signal) => Outcome::Killed(signal),
        None => Outcome::impossible(format!("the probe ended without a word: {status:?}")),
    }
}
