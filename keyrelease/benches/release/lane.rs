//! One way through OpenBao, and what it cost at some number of clients.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::machine::Purpose;
use crate::server::Cpu;

pub(crate) const CHALLENGE: &str = "challenge";
pub(crate) const TRANSIT: &str = "transit/decrypt";
pub(crate) const TRANSIT_SHORT: &str = "transit/decrypt, short";
pub(crate) const NOOP: &str = "plugin that does nothing";
pub(crate) const NOOP_SHORT: &str = "does nothing, short";
pub(crate) const STORE: &str = "plugin that stores";
pub(crate) const RELEASE: &str = "release";
pub(crate) const RELEASE_SHORT: &str = "release, digests (short)";
pub(crate) const LOGIN: &str = "login, digests, batch token";

/// A way, and its figures.
pub(crate) struct Lane {
    pub(crate) what: &'static str,
    supply: Supply,
    times: Vec<f64>,
    elapsed: f64,
    cpu: Cpu,
    /// Answers in a second, by the last turn.
    expected: Option<f64>,
}

/// What is sent.
pub(crate) enum Supply {
    /// The same few requests again and again.
    Same(Vec<Vec<u8>>),
    /// Each request once, while its challenge is young.
    Fresh(Purpose, Vec<(Instant, Vec<u8>)>),
}

/// One turn of a lane: the time of each answer, all of it, and the processor's; in microseconds.
pub(crate) struct Turn {
    times: Vec<f64>,
    elapsed: f64,
    pub(crate) cpu: Cpu,
}

impl Lane {
    pub(crate) fn new(what: &'static str, supply: Supply) -> Self {
        Self { what, supply, times: Vec::new(), elapsed: 0.0, cpu: Cpu::default(), expected: None }
    }

    /// Makes as many fresh requests as the next turn may need.
    pub(crate) fn load(
        &mut self,
        slice: Duration,
        clients: u32,
        make: impl FnOnce(Purpose, usize) -> Vec<Vec<u8>>,
    ) {
        // Half again as many as the rate so far asks for; at first, as many as no machine answers.
        let rate = self.expected.map_or(1500.0, |rate| rate * 1.5);
        let clients = usize::try_from(clients).unwrap();
        let Supply::Fresh(purpose, ready) = &mut self.supply else { return };
        ready.retain(|(made, _)| made.elapsed() < YOUNG);
        let wanted = clients + whole(rate * slice.as_secs_f64());
        let missing = wanted.saturating_sub(ready.len());
        let now = Instant::now();
        ready.extend(make(*purpose, missing).into_iter().map(|request| (now, request)));
    }

    /// Lets all clients send for as long as the slice lasts, or until nothing fresh is left.
    pub(crate) fn turn(&mut self, clients: &mut [Client], slice: Duration) -> Turn {
        let sent = AtomicUsize::new(0);
        let begun = Instant::now();
        let supply = &self.supply;
        let what = self.what;
        let until = begun + slice;
        let times = std::thread::scope(|scope| {
            let asking = clients.iter_mut().map(|client| {
                let sent = &sent;
                scope.spawn(move || {
                    let next = || supply.at(sent.fetch_add(1, Ordering::Relaxed));
                    send_until(until, what, client, std::iter::from_fn(next))
                })
            });
            let asking: Vec<_> = asking.collect();
            asking.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let elapsed = begun.elapsed().as_secs_f64() * 1e6;
        self.supply.spend(sent.into_inner());
        Turn { times, elapsed, cpu: Cpu::default() }
    }

    /// Keeps the figures of a turn, unless it was for warming up.
    pub(crate) fn keep(&mut self, turn: Turn, counts: bool) {
        self.expected = Some(number(turn.times.len()) / turn.elapsed * 1e6);
        if counts {
            self.times.extend(turn.times);
            self.elapsed += turn.elapsed;
            self.cpu = self.cpu.plus(turn.cpu);
        }
    }

    /// The time below which this part of the answers came, in microseconds.
    pub(crate) fn percentile(&self, part: f64) -> f64 {
        let mut times = self.times.clone();
        times.sort_by(f64::total_cmp);
        let last = times.len() - 1;
        times[whole(part * number(last)).min(last)]
    }

    /// Answers in a second.
    pub(crate) fn rate(&self) -> f64 {
        number(self.times.len()) / self.elapsed * 1e6
    }

    /// Processor time of server and plugins for each answer, in microseconds.
    pub(crate) fn cpu(&self) -> Cpu {
        let answers = number(self.times.len());
        Cpu { server: self.cpu.server / answers, plugins: self.cpu.plugins / answers }
    }
}

impl Supply {
    fn at(&self, index: usize) -> Option<&[u8]> {
        match self {
            Self::Same(requests) => requests.get(index % requests.len()).map(Vec::as_slice),
            Self::Fresh(_, ready) => ready.get(index).map(|(_, request)| request.as_slice()),
        }
    }

    fn spend(&mut self, count: usize) {
        if let Self::Fresh(_, ready) = self {
            drop(ready.drain(..count.min(ready.len())));
        }
    }
}

/// Sends one request after another until the time is up, and one in any case.
fn send_until<'a>(
    until: Instant,
    what: &str,
    client: &mut Client,
    requests: impl Iterator<Item = &'a [u8]>,
) -> Vec<f64> {
    let mut times = Vec::new();
    for request in requests {
        times.push(ask(what, client, request));
        if Instant::now() >= until {
            break;
        }
    }
    times
}

fn ask(what: &str, client: &mut Client, request: &[u8]) -> f64 {
    let begun = Instant::now();
    let reply = client.send(request).unwrap();
    let time = begun.elapsed().as_secs_f64() * 1e6;
    assert!(reply.status < 300, "{what}: {} {}", reply.status, String::from_utf8_lossy(&reply.body));
    time
}

/// A count as a number to calculate with.
fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

/// A small number of things, from a calculation.
fn whole(number: f64) -> usize {
    Duration::from_secs_f64(number.max(0.0)).as_secs().try_into().unwrap()
}

/// Half of what a challenge's life is.
const YOUNG: Duration = Duration::from_mins(1);
