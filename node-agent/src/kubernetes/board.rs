//! The newest notice, posted in the background.
//!
//! One thread holds one notice: a newer one takes the place of one that has not been posted. What failed is
//! tried again, at first soon and then less often. A notice that is posted is looked after: a
//! Node that was made anew, or whose marks somebody changed, is put right again.
//!
//! Trusted: the notices. Untrusted: nothing else comes in.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::{Error, Node, Notice, Standing};
use crate::journal;

/// Where notices are put. When it is dropped, what was not posted is not.
#[derive(Debug)]
pub struct Board {
    shared: Arc<Shared>,
}

/// How it goes with the newest notice.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum State {
    /// There is none.
    Empty,
    /// It has not been posted, and this is why, if it was tried.
    Pending(Option<String>),
    /// The Node says it.
    Posted,
}

#[derive(Debug)]
struct Shared {
    content: Mutex<Content>,
    changed: Condvar,
}

#[derive(Debug)]
struct Content {
    notice: Option<Notice>,
    state: State,
    open: bool,
}

impl Board {
    /// An empty board beside `node`.
    pub fn start(node: Node) -> std::io::Result<Self> {
        let content = Content { notice: None, state: State::Empty, open: true };
        let shared = Arc::new(Shared { content: Mutex::new(content), changed: Condvar::new() });
        let poster = Poster { node, shared: Arc::clone(&shared) };
        thread::Builder::new().name("kubernetes".to_owned()).spawn(move || poster.work())?;
        Ok(Self { shared })
    }

    /// Puts up a notice instead of the one before. Waits for nothing.
    pub fn put(&self, notice: Notice) {
        self.shared.change(|content| {
            // The same again is no news.
            if content.notice.as_ref() != Some(&notice) {
                content.notice = Some(notice);
                content.state = State::Pending(None);
            }
        });
    }

    /// How it goes with the newest notice.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared.content.lock().unwrap_or_else(PoisonError::into_inner).state.clone()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.shared.change(|content| content.open = false);
    }
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut Content)) {
        change(&mut self.content.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    /// The notice, once there is another than `last` or that time has passed. `None` when the board is gone.
    fn wait(&self, last: Option<&Notice>, time: Duration) -> Option<Notice> {
        loop {
            let content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
            let same = |content: &mut Content| content.open && content.notice.as_ref() == last;
            let waited = self.changed.wait_timeout_while(content, time, same);
            let (content, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if !content.open || content.notice.is_some() {
                return if content.open { content.notice.clone() } else { None };
            }
        }
    }
}

#[derive(Debug)]
struct Poster {
    node: Node,
    shared: Arc<Shared>,
}

impl Poster {
    fn work(self) {
        let mut last = None;
        let mut told = None;
        let mut wait = self.node.settings.watch;
        while let Some(notice) = self.shared.wait(last.as_ref(), wait) {
            let outcome = self.node.post(&notice);
            // What is said once of a notice is not said at every attempt.
            let line = line(self.node.name(), &notice, &outcome);
            if told.as_ref() != Some(&line) {
                journal::write(&line);
                told = Some(line);
            }
            let is_new = last.as_ref() != Some(&notice);
            wait = match &outcome {
                Ok(()) => self.node.settings.watch,
                Err(_) => pause(is_new, wait),
            };
            self.shared.change(|content| {
                if content.notice.as_ref() == Some(&notice) {
                    content.state = state(&outcome);
                }
            });
            last = Some(notice);
        }
    }
}

/// Twice as long after each failure; a new notice is urgent again.
fn pause(is_new: bool, before: Duration) -> Duration {
    if is_new { SOON } else { before.saturating_mul(2).min(LATE) }
}

fn state(outcome: &Result<(), Error>) -> State {
    match outcome {
        Ok(()) => State::Posted,
        Err(error) => State::Pending(Some(error.to_string())),
    }
}

fn line(node: &str, notice: &Notice, outcome: &Result<(), Error>) -> String {
    let standing = match notice.standing {
        Standing::Attested => "attested",
        Standing::Refused => "not attested",
        Standing::Unknown => "unknown",
    };
    match outcome {
        Ok(()) => format!("kubernetes: node {node} is marked {standing}: {}", notice.reason),
        Err(error) => format!("kubernetes: node {node} could not be marked {standing}, trying on: {error}"),
    }
}

const SOON: Duration = Duration::from_millis(250);
const LATE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_get_rarer_until_there_is_news() {
        let first = pause(true, Duration::from_mins(5));
        assert_eq!(first, SOON);
        let later = (0..20).fold(first, |wait, _| pause(false, wait));
        assert_eq!(later, LATE);
        assert_eq!(pause(true, later), SOON);
        assert_eq!(
            pause(false, Duration::from_mins(5)),
            LATE,
            "a Node that was fine and no longer can be seen"
        );
    }
}
