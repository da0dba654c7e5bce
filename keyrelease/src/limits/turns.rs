//! Turns at the processor: a bounded number at once, and nobody before his turn.
//!
//! Who waits stands in the lane of his source, and a source in the lane of its mount. A free turn goes round the mounts,
//! and within a mount round its sources: one that asks a thousand times waits for itself. Where too many wait, the last
//! of the longest lane leaves, of the mount for which most wait.
//!
//! Untrusted: how many ask at once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::{Limited, Source};

/// The turns of one process, for all its mounts.
#[derive(Debug)]
pub struct Turns {
    most_waiting: usize,
    queue: Mutex<Queue>,
}

#[derive(Debug)]
struct Queue {
    free: usize,
    waiting: usize,
    mounts: Lanes<Arc<str>, Lanes<Source, VecDeque<Waiting>>>,
}

/// Lanes in the order of their turns.
type Lanes<K, L> = VecDeque<(K, L)>;
type Waiting = oneshot::Sender<Turn>;

/// Leave to use the processor, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn(Option<Arc<Turns>>);

impl Turns {
    /// So many turns at once, and so many that wait for one.
    #[must_use]
    pub fn new(at_once: usize, most_waiting: usize) -> Arc<Self> {
        let queue = Queue { free: at_once.max(1), waiting: 0, mounts: Lanes::new() };
        Arc::new(Self { most_waiting, queue: Mutex::new(queue) })
    }

    /// Waits for a turn.
    pub(crate) async fn turn(self: &Arc<Self>, mount: &Arc<str>, source: Source) -> Result<Turn, Limited> {
        let (give, given) = oneshot::channel();
        {
            let mut queue = self.queue();
            if let Some(free) = queue.free.checked_sub(1) {
                queue.free = free;
                return Ok(Turn(Some(Arc::clone(self))));
            }
            queue.push(mount, source, give);
            if queue.waiting > self.most_waiting {
                queue.drop_last_of_longest();
            }
        }
        given.await.map_err(|_left| Limited::Waiting)
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue().waiting
    }

    /// A turn is free: it goes to the next who still waits.
    fn pass(self: &Arc<Self>) {
        loop {
            let next = {
                let mut queue = self.queue();
                let Some(next) = queue.pop() else {
                    queue.free = queue.free.saturating_add(1);
                    return;
                };
                next
            };
            match next.send(Turn(Some(Arc::clone(self)))) {
                Ok(()) => return,
                // Whoever waited has gone: this is not the end of a turn.
                Err(mut refused) => drop(refused.0.take()),
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.pass();
        }
    }
}

impl Queue {
    fn push(&mut self, mount: &Arc<str>, source: Source, waiting: Waiting) {
        if let Some(sources) = lane(&mut self.mounts, mount)
            && let Some(lane) = lane(sources, &source)
        {
            lane.push_back(waiting);
            self.waiting = self.waiting.saturating_add(1);
        }
    }

    fn pop(&mut self) -> Option<Waiting> {
        let (mount, mut sources) = self.mounts.pop_front()?;
        let (source, mut lane) = sources.pop_front()?;
        let next = lane.pop_front();
        if !lane.is_empty() {
            sources.push_back((source, lane));
        }
        if !sources.is_empty() {
            self.mounts.push_back((mount, sources));
        }
        self.waiting = self.waiting.saturating_sub(1);
        next
    }

    fn drop_last_of_longest(&mut self) {
        // First the mount: many sources with one request each must not keep another mount's only one out.
        let crowd = |sources: &Lanes<Source, VecDeque<Waiting>>| -> usize {
            sources.iter().map(|(_, lane)| lane.len()).fold(0, usize::saturating_add)
        };
        let mount = self.mounts.iter_mut().map(|(_, sources)| sources).max_by_key(|sources| crowd(sources));
        let lanes = mount.into_iter().flatten().map(|(_, lane)| lane);
        if let Some(lane) = lanes.max_by_key(|lane| lane.len()) {
            drop(lane.pop_back());
            self.waiting = self.waiting.saturating_sub(1);
        }
        for (_, sources) in &mut self.mounts {
            sources.retain(|(_, lane)| !lane.is_empty());
        }
        self.mounts.retain(|(_, sources)| !sources.is_empty());
    }
}

/// The lane of this key; a new one is the last.
fn lane<'l, K: Clone + PartialEq, L: Default>(lanes: &'l mut Lanes<K, L>, key: &K) -> Option<&'l mut L> {
    let place = lanes.iter().position(|(known, _)| known == key).unwrap_or_else(|| {
        lanes.push_back((key.clone(), L::default()));
        lanes.len().saturating_sub(1)
    });
    lanes.get_mut(place).map(|(_, lane)| lane)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    type Asking = Pin<Box<dyn Future<Output = Result<Turn, Limited>>>>;

    fn ask(turns: &Arc<Turns>, mount: &str, last: u8) -> Asking {
        let (turns, mount) = (Arc::clone(turns), Arc::from(mount));
        let mut asking: Asking =
            Box::pin(async move { turns.turn(&mount, Source::V4([192, 0, 2, last])).await });
        assert!(poll(&mut asking).is_none(), "the only turn is taken");
        asking
    }

    fn poll(asking: &mut Asking) -> Option<Result<Turn, Limited>> {
        match asking.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn),
            Poll::Pending => None,
        }
    }

    fn first(turns: &Arc<Turns>) -> Turn {
        let mut asking: Asking = Box::pin({
            let turns = Arc::clone(turns);
            async move { turns.turn(&Arc::from("first"), Source::Unknown).await }
        });
        poll(&mut asking).unwrap().unwrap()
    }

    /// Serves everybody, one after the other, and says in which order.
    fn serve(turn: Turn, mut all: Vec<(&'static str, Asking)>) -> Vec<&'static str> {
        let (mut order, mut turn) = (Vec::new(), Some(turn));
        while let Some(done) = turn.take() {
            drop(done);
            let next = all
                .iter_mut()
                .enumerate()
                .find_map(|(place, (_, asking))| poll(asking).map(|turn| (place, turn.unwrap())));
            if let Some((place, given)) = next {
                order.push(all.remove(place).0);
                turn = Some(given);
            }
        }
        order
    }

    #[test]
    fn a_source_that_asks_often_waits_for_itself() {
        let turns = Turns::new(1, 100);
        let turn = first(&turns);
        let mut all: Vec<_> = (0..4).map(|_| ("flood", ask(&turns, "a", 1))).collect();
        all.push(("honest", ask(&turns, "a", 2)));
        assert_eq!(serve(turn, all), ["flood", "honest", "flood", "flood", "flood"]);
    }

    #[test]
    fn a_mount_with_many_sources_does_not_take_the_turns_of_another() {
        let turns = Turns::new(1, 100);
        let turn = first(&turns);
        let mut all: Vec<_> = (0..4).map(|last| ("many", ask(&turns, "a", last))).collect();
        all.extend([("one", ask(&turns, "b", 9)), ("one", ask(&turns, "b", 9))]);
        assert_eq!(serve(turn, all), ["many", "one", "many", "one", "many", "many"]);
    }

    #[test]
    fn where_too_many_wait_the_last_of_the_longest_lane_leaves() {
        let turns = Turns::new(1, 3);
        let turn = first(&turns);
        let mut flood: Vec<_> = (0..3).map(|_| ask(&turns, "a", 1)).collect();
        let honest = ask(&turns, "a", 2);
        assert_eq!(turns.waiting(), 3);
        assert_eq!(poll(&mut flood.pop().unwrap()).unwrap().unwrap_err(), Limited::Waiting);
        let mut all: Vec<_> = flood.into_iter().map(|asking| ("flood", asking)).collect();
        all.push(("honest", honest));
        assert_eq!(serve(turn, all), ["flood", "honest", "flood"]);
        assert_eq!(turns.waiting(), 0);
    }

    /// An attack: as many addresses as the queue has places, each with one request, to keep another mount's callers out.
    #[test]
    fn many_addresses_at_one_mount_do_not_push_the_callers_of_another_out() {
        let turns = Turns::new(1, 3);
        let turn = first(&turns);
        let mut flood: Vec<_> = (0..3).map(|last| ask(&turns, "a", last)).collect();
        let honest = ask(&turns, "b", 9);
        assert_eq!(poll(&mut flood.pop().unwrap()).unwrap().unwrap_err(), Limited::Waiting);
        let mut all: Vec<_> = flood.into_iter().map(|asking| ("flood", asking)).collect();
        all.push(("honest", honest));
        assert_eq!(serve(turn, all), ["flood", "honest", "flood"]);
    }

    #[test]
    fn who_leaves_the_queue_or_leaves_with_a_turn_in_hand_costs_nobody_a_turn() {
        let turns = Turns::new(1, 100);
        let turn = first(&turns);
        let gone: Vec<_> = (0..50).map(|_| ask(&turns, "a", 1)).collect();
        let handed = ask(&turns, "a", 2);
        let waits = ask(&turns, "a", 3);
        drop(gone);
        drop(turn);
        drop(handed);
        let mut waits = waits;
        drop(poll(&mut waits).unwrap().unwrap());
        assert_eq!(turns.queue().free, 1);
    }
}
