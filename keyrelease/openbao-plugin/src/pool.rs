//! Work for the processor, kept away from the thread that speaks with the host.
//!
//! A fixed number of threads, a queue with an end: what does not fit is refused at once, because a
//! caller that waits longer than it cares for is work for nobody. A job whose caller has gone is
//! not started.
//!
//! Untrusted: the jobs' inputs; a panic in one is an internal error of that request only.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::oneshot;

use crate::Error;

/// Threads behind a bounded queue.
#[derive(Debug)]
pub(crate) struct Pool {
    queue: SyncSender<Job>,
}

impl Pool {
    /// Starts `threads` threads; `waiting` jobs may wait beside those at work.
    pub(crate) fn start(threads: usize, waiting: usize) -> std::io::Result<Self> {
        let (queue, jobs) = sync_channel(waiting);
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..threads.max(1) {
            let jobs = Arc::clone(&jobs);
            thread::Builder::new().name("blocking".to_owned()).spawn(move || work(&jobs))?;
        }
        Ok(Self { queue })
    }

    /// Runs `job` on a thread of the pool.
    pub(crate) async fn run<T, F>(&self, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Abandoned) -> T + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let abandoned = Abandoned::default();
        let guard = AbandonOnDrop(abandoned.clone());
        let job = Box::new(move || {
            if !abandoned.now() {
                let result = catch_unwind(AssertUnwindSafe(|| job(&abandoned)));
                // The receiver may have gone: then nobody wants the answer.
                drop(answer.send(result));
            }
        });
        self.queue.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => Error::busy(),
            TrySendError::Disconnected(_) => Error::Internal("no blocking threads".to_owned()),
        })?;
        let result = answered.await;
        drop(guard);
        result.ok().and_then(Result::ok).ok_or_else(|| Error::Internal("internal error".to_owned()))
    }
}

/// Says whether anybody still waits for a job's answer.
#[derive(Clone, Debug, Default)]
pub struct Abandoned(Arc<AtomicBool>);

impl Abandoned {
    /// Whether the caller has gone away.
    #[must_use]
    pub fn now(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

struct AbandonOnDrop(Abandoned);

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

type Job = Box<dyn FnOnce() + Send>;

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        // Taken in its own statement, so that the lock is free while the job runs.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}
