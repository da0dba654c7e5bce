//! What the kernel reports of our processes: who has stopped, who has ended, and what follows from it.
//!
//! Stops of the program's processes are its supervisor's business. An end is the stem's, which is ours too; or one
//! that a part waits for; or the program's, after which comes what was said before; or an orphan's, which is buried.
//!
//! Trusted: the kernel. Untrusted: the program, whose processes may be anything's children.

use std::collections::BTreeSet;

use rustix::process::{Pid, WaitOptions, WaitStatus, getpid, wait};

use super::part::Event;
use super::{Core, Error, family};
use crate::graft::kernel::is_traced;
use crate::supervise::{Stopped, Then, code};
use crate::{say, stem};

/// Reports that are taken in one go, before others get their turn.
const ROUND: usize = 256;

impl Core<'_> {
    /// Takes the reports that are there; of many only so many, and says that there may be more: who forks fast keeps
    /// nobody from a turn.
    pub(super) fn reap(&mut self) -> Result<(), Error> {
        let options = WaitOptions::NOHANG | WaitOptions::UNTRACED;
        let options = options | WaitOptions::from_bits_retain(libc::__WALL.cast_unsigned());
        self.has_reports = false;
        for _ in 0..ROUND {
            match wait(options) {
                Ok(Some((pid, status))) => self.report(pid, status)?,
                Err(rustix::io::Errno::INTR) => {}
                Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(()),
                Err(source) => return Err(Error::os("waitpid")(source.into())),
            }
        }
        self.has_reports = true;
        Ok(())
    }

    pub(super) fn report(&mut self, pid: Pid, status: WaitStatus) -> Result<(), Error> {
        if !status.stopped() {
            return self.over(pid, status);
        }
        let Some(child) = &mut self.child else { return Ok(()) };
        // A hook is one that was made, and may carry references.
        let is_made = pid == self.stem.pid() || self.made.contains(&pid.as_raw_pid());
        if is_made && !child.tracer.follows(pid) {
            return Ok(());
        }
        match child.stopped(pid, status, || is_traced(pid)) {
            Ok(()) => Ok(()),
            Err(Stopped::Gone(status)) => self.over(pid, status),
            Err(Stopped::Graft(error)) => Err(Error::Graft(error)),
        }
    }

    fn over(&mut self, pid: Pid, status: WaitStatus) -> Result<(), Error> {
        if pid == self.stem.pid() {
            return Err(Error::Stem(stem::Error::Gone));
        }
        self.made.remove(&pid.as_raw_pid());
        if self.awaited.remove(&pid.as_raw_pid()) {
            self.events.push(Event::Ended(pid, code(status)));
        }
        let Some(child) = &mut self.child else { return Ok(()) };
        child.ended(pid);
        if pid != child.main {
            return Ok(());
        }
        let then = child.then;
        self.child = None;
        self.ways.close();
        match then {
            Then::Follow => self.outcome = Some(code(status)),
            Then::Restart => {
                self.clear()?;
                self.start()?;
            }
            Then::End(code) => {
                self.clear()?;
                self.outcome = Some(code);
            }
        }
        Ok(())
    }

    /// Kills what is left of a program that was ended: it has values that it should not have any more.
    fn clear(&mut self) -> Result<(), Error> {
        if !family::kill(getpid(), &self.spared()).map_err(Error::os("ending the program's processes"))? {
            say("a process of the program was killed and does not end; it keeps the values that it has");
        }
        Ok(())
    }

    /// Processes of ours that are not the program's.
    pub(super) fn spared(&self) -> BTreeSet<i32> {
        self.made.iter().copied().chain([self.stem.pid().as_raw_pid()]).collect()
    }
}
