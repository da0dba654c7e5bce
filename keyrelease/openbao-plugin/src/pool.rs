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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_panicking_job_is_an_internal_error_and_its_thread_lives_on() {
        let pool = Pool::start(1, 1).unwrap();
        let panicked: Result<(), Error> = pool.run(|_| panic!("with a secret in it")).await;
        assert_eq!(panicked, Err(Error::Internal("internal error".to_owned())));
        assert_eq!(pool.run(|_| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn what_does_not_fit_into_the_queue_is_refused_at_once() {
        let pool = Pool::start(1, 1).unwrap();
        let (release, released) = sync_channel::<()>(0);
        let (started, has_started) = oneshot::channel();
        let mut working = Box::pin(pool.run(move |_| {
            started.send(()).unwrap();
            released.recv().unwrap_err();
        }));
        tokio::select! {
            _ = &mut working => unreachable!("nobody released it"),
            started = has_started => started.unwrap(),
        }
        let waiting = pool.run(|_| 2);
        let refused = async {
            let refused = pool.run(|_| 3).await;
            drop(release);
            refused
        };
        let (working, waiting, refused) = tokio::join!(working, waiting, refused);
        assert_eq!((working, waiting, refused), (Ok(()), Ok(2), Err(Error::busy())));
    }

    #[tokio::test]
    async fn a_job_whose_caller_left_the_queue_never_starts() {
        let pool = Pool::start(1, 2).unwrap();
        let (release, released) = sync_channel::<()>(0);
        let mut working = Box::pin(pool.run(move |_| released.recv().unwrap_err()));
        let mut waiting = Box::pin(pool.run(|_| panic!("started")));
        tokio::select! {
            biased;
            _ = &mut working => unreachable!("nobody released it"),
            _ = &mut waiting => unreachable!("it is behind the other"),
            () = tokio::time::sleep(Duration::from_millis(10)) => {}
        }
        drop(waiting);
        drop(release);
        working.await.unwrap();
        assert_eq!(pool.run(|_| 1).await, Ok(1));
    }
}
