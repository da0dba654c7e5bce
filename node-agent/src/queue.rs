//! Before a device: one at a time, and by turns.
//!
//! Of those who wait, whoever was served longest ago comes next; so a caller with many requests keeps another waiting for one
//! of them, not for all.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::caller::Key;

/// Those who wait for one device.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    line: Mutex<Line>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct Line {
    busy: bool,
    /// Turns that were begun.
    turns: u64,
    tickets: u64,
    waiting: Vec<(u64, Key)>,
    /// The turn at which each of those who wait was served last.
    served: BTreeMap<Key, u64>,
}

/// A turn at the device; dropped, it is over.
#[derive(Debug)]
pub(crate) struct Turn(Arc<Queue>);

impl Queue {
    /// Waits for a turn, and at most this long.
    pub(crate) fn enter(self: &Arc<Self>, key: &Key, patience: Duration) -> Option<Turn> {
        let start = Instant::now();
        let mut line = self.line();
        let ticket = line.join(key.clone());
        while line.busy || line.first() != Some(ticket) {
            let left = patience.checked_sub(start.elapsed()).filter(|left| !left.is_zero());
            let Some(left) = left else {
                line.leave(ticket);
                self.moved.notify_all();
                return None;
            };
            line = self.moved.wait_timeout(line, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        line.serve(ticket, key.clone());
        Some(Turn(Arc::clone(self)))
    }

    /// The line is whole whatever happened to the thread that held the lock: nothing in between panics.
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn join(&mut self, key: Key) -> u64 {
        self.tickets = self.tickets.wrapping_add(1);
        self.waiting.push((self.tickets, key));
        self.tickets
    }

    fn leave(&mut self, ticket: u64) {
        self.waiting.retain(|(held, _)| *held != ticket);
    }

    /// The ticket whose turn it is.
    fn first(&self) -> Option<u64> {
        let last_turn = |key| self.served.get(key).copied().unwrap_or_default();
        self.waiting.iter().min_by_key(|(ticket, key)| (last_turn(key), *ticket)).map(|(ticket, _)| *ticket)
    }

    fn serve(&mut self, ticket: u64, key: Key) {
        self.leave(ticket);
        self.turns = self.turns.wrapping_add(1);
        self.busy = true;
        self.served.insert(key, self.turns);
        let waiting = &self.waiting;
        self.served.retain(|key, _| waiting.iter().any(|(_, held)| held == key));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.line().busy = false;
        self.0.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_many_requests_keeps_another_waiting_for_one_of_them() {
        let mut line = Line::default();
        for user in [0, 0, 0, 0, 1, 2, 2] {
            line.join(Key::User(user));
        }
        let mut order = Vec::new();
        while let Some(ticket) = line.first() {
            let key = line.waiting.iter().find(|(held, _)| *held == ticket).unwrap().1.clone();
            line.serve(ticket, key.clone());
            order.push(key);
        }
        assert_eq!(order, [0, 1, 2, 0, 2, 0, 0].map(Key::User));
        assert!(line.served.is_empty());
    }

    #[test]
    fn a_turn_that_is_over_is_taken_by_who_waits_and_who_waited_too_long_is_out() {
        let queue = Arc::new(Queue::default());
        let turn = queue.enter(&Key::User(0), Duration::ZERO).unwrap();
        assert!(queue.enter(&Key::User(1), Duration::from_millis(1)).is_none());
        let waiting = std::thread::spawn({
            let queue = Arc::clone(&queue);
            move || queue.enter(&Key::User(2), Duration::from_secs(30)).is_some()
        });
        drop(turn);
        assert!(waiting.join().unwrap());
        assert!(queue.line().waiting.is_empty());
    }
}
