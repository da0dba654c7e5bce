//! The files' turn in the keeper's loop.

use std::os::fd::BorrowedFd;

use rustix::event::PollFlags;
use rustix::time::{ClockId, clock_gettime};

use super::{Files, Shown};
use crate::keeper::{Core, Error, Event, Part};

impl Part for Files {
    fn waits(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        self.waiting().collect()
    }

    fn turn(&mut self, core: &mut Core<'_>, _events: &[Event]) -> Result<(), Error> {
        for listener in core.listeners() {
            self.adopt(listener);
        }
        // While nobody may be given anything there are no files; other paths still go on to the kernel.
        let Some(present) = core.lent() else {
            self.serve(&[]);
            return Ok(());
        };
        let generation = present.generation();
        let since = self.since(generation);
        let files = present.files(core.wanted());
        let shown = files.map(|(name, value)| Shown { name, value, generation, since });
        let shown: Vec<Shown<'_>> = shown.collect();
        self.serve(&shown);
        core.standing_mut().files = self.opened;
        Ok(())
    }
}

impl Files {
    /// When these values were first seen, for who looks at a file's time to learn that it has changed.
    fn since(&mut self, generation: u64) -> i64 {
        match self.known {
            Some((known, since)) if known == generation => since,
            Some(_) | None => {
                let since = clock_gettime(ClockId::Realtime).tv_sec;
                self.known = Some((generation, since));
                since
            }
        }
    }
}
