//! Threads that wait for work, so that nobody waits for a thread to start.
//!
//! There are as many as there is work at a time; afterwards a few stay and wait. How much work there may be is not decided
//! here: who hands it out holds a place for it.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

type Work = Box<dyn FnOnce() + Send>;

/// The threads.
pub(crate) struct Crew {
    name: &'static str,
    /// How many stay when there is nothing to do.
    most_idle: usize,
    desk: Mutex<Desk>,
    called: Condvar,
}

#[derive(Default)]
struct Desk {
    waiting: VecDeque<Work>,
    idle: usize,
}

impl Crew {
    pub(crate) fn new(name: &'static str, most_idle: usize) -> Arc<Self> {
        Arc::new(Self { name, most_idle, desk: Mutex::default(), called: Condvar::new() })
    }

    /// Has it done, at once: by a thread that waits, or by a new one.
    pub(crate) fn take_on(self: &Arc<Self>, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let mut desk = self.desk();
        if desk.idle > desk.waiting.len() {
            desk.waiting.push_back(Box::new(work));
            drop(desk);
            self.called.notify_one();
            return Ok(());
        }
        drop(desk);
        let crew = Arc::clone(self);
        let first: Work = Box::new(work);
        let live = move || {
            let mut work = Some(first);
            while let Some(now) = work {
                now();
                work = crew.wait();
            }
        };
        thread::Builder::new().name(self.name.to_owned()).spawn(live).map(drop)
    }

    /// The next work, or none if enough others wait for it.
    fn wait(&self) -> Option<Work> {
        let mut desk = self.desk();
        if desk.idle >= self.most_idle {
            return None;
        }
        desk.idle = desk.idle.saturating_add(1);
        loop {
            if let Some(work) = desk.waiting.pop_front() {
                desk.idle = desk.idle.saturating_sub(1);
                return Some(work);
            }
            desk = self.called.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// No work is done under the lock, so nothing panics there.
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crew").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn work_that_waits_for_other_work_is_done_too() {
        let crew = Crew::new("test", 2);
        let (told, hear) = channel();
        // Each waits for the next: all have to run at the same time.
        let mut before: Option<std::sync::mpsc::Sender<()>> = None;
        for number in 0..10 {
            let (done, next) = channel::<()>();
            let told = told.clone();
            let first = before.replace(done);
            crew.take_on(move || {
                if number < 9 {
                    next.recv().unwrap();
                }
                told.send(number).unwrap();
                if let Some(first) = first {
                    first.send(()).unwrap();
                }
            })
            .unwrap();
        }
        let mut numbers: Vec<u8> = (0..10).map(|_| hear.recv().unwrap()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..10).collect::<Vec<u8>>());
    }

    #[test]
    fn a_thread_that_waits_is_taken_before_a_new_one_starts() {
        let crew = Crew::new("test", 2);
        let (told, hear) = channel();
        let mut threads = std::collections::HashSet::new();
        for _ in 0..100 {
            let told = told.clone();
            crew.take_on(move || told.send(thread::current().id()).unwrap()).unwrap();
            threads.insert(hear.recv().unwrap());
            while crew.desk().idle == 0 {
                thread::yield_now();
            }
        }
        assert_eq!(threads.len(), 1);
    }
}
