//! Machines that ask for secrets all the time, on every node, and write down what they got and when.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use protocol::release::open_context;
use simulator::snp::{Chip, Product};

use crate::cluster::{Cluster, NODES};
use crate::machine::Machine;
use crate::requests::{Outcome, draw, present_once, try_log_in, try_release};
use crate::server::{SECRET, Server, now};

/// What one request brought.
#[derive(Debug)]
pub(crate) struct Note {
    pub(crate) machine: usize,
    pub(crate) node: usize,
    pub(crate) asked: Instant,
    pub(crate) answered: Instant,
    pub(crate) outcome: Outcome,
}

impl Note {
    /// The decision by which a secret arrived.
    pub(crate) fn decision(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Released(sealed) => Some(&sealed.decision),
            Outcome::Refused(_) | Outcome::Unanswered(_) => None,
        }
    }
}

/// The machines at work.
pub(crate) struct Load<'a> {
    cluster: &'a Cluster,
    notes: Mutex<Vec<Note>>,
    stop: AtomicBool,
}

impl Load<'_> {
    /// Has `machines` ask while `events` happen; all that they got.
    pub(crate) fn during(cluster: &Cluster, machines: usize, events: impl FnOnce(&Load<'_>)) -> Vec<Note> {
        let load = Load { cluster, notes: Mutex::default(), stop: AtomicBool::new(false) };
        std::thread::scope(|scope| {
            // However the events end, the machines do.
            let stop = Stop(&load.stop);
            for machine in 0..machines {
                let load = &load;
                scope.spawn(move || load.ask(machine));
            }
            events(&load);
            drop(stop);
        });
        load.notes.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a secret arrives on each of these nodes that was asked for only now; how long the first took.
    pub(crate) fn resumes_on(&self, nodes: &[usize]) -> Duration {
        let from = Instant::now();
        let released = |note: &&Note| note.asked > from && note.decision().is_some();
        self.cluster.eventually("releases", || {
            let found = self.notes.lock().unwrap();
            nodes.iter().all(|node| found.iter().filter(released).any(|note| note.node == *node))
        });
        let found = self.notes.lock().unwrap();
        found.iter().filter(released).map(|note| note.answered - from).min().unwrap()
    }

    /// The decision of the latest secret that a machine got.
    pub(crate) fn last_decision(&self, machine: usize) -> String {
        let found = self.notes.lock().unwrap();
        let mut theirs = found.iter().rev().filter(|note| note.machine == machine);
        theirs.find_map(Note::decision).unwrap().to_owned()
    }

    /// Waits until each of these machines is refused.
    pub(crate) fn refuses(&self, machines: &[usize]) {
        let from = Instant::now();
        self.cluster.eventually("a refusal", || {
            let found = self.notes.lock().unwrap();
            let refused = |note: &&Note| note.asked > from && matches!(note.outcome, Outcome::Refused(_));
            machines.iter().all(|machine| found.iter().filter(refused).any(|note| note.machine == *machine))
        });
    }

    /// A machine's life: on any node a challenge, on the next one the release. Every fourth machine logs in first and
    /// asks with its token.
    fn ask(&self, number: usize) {
        let machine = machine(number);
        let nodes = self.cluster.nodes();
        for turn in number.. {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let (drawn, node) = (&nodes[turn % NODES], (turn / NODES) % NODES);
            let brought = if number % 4 == 3 {
                self.ask_with_token(number, &machine, drawn, node)
            } else {
                self.ask_with_evidence(number, &machine, drawn, node)
            };
            for note in &brought {
                if let Outcome::Released(sealed) = &note.outcome {
                    assert_eq!(machine.key.field(sealed, "password").as_deref(), Some(SECRET));
                }
            }
            self.notes.lock().unwrap().extend(brought);
            std::thread::sleep(PAUSE);
        }
    }

    /// Who gets no answer presents the same evidence again, elsewhere.
    fn ask_with_evidence(&self, number: usize, machine: &Machine, drawn: &Server, node: usize) -> Vec<Note> {
        let Ok(challenge) = draw(drawn) else { return Vec::new() };
        let presentation = machine.answer(&challenge, &open_context("attest-keys", "db"));
        let mut notes: Vec<Note> = Vec::new();
        for node in (node..).take(NODES).map(|node| node % NODES) {
            let asked = Instant::now();
            let outcome = present_once(self.cluster.node(node), &presentation);
            notes.push(Note { machine: number, node, asked, answered: Instant::now(), outcome });
            if notes.last().is_some_and(|note| note.outcome.is_answer()) {
                break;
            }
        }
        notes
    }

    fn ask_with_token(&self, number: usize, machine: &Machine, drawn: &Server, node: usize) -> Vec<Note> {
        let asked = Instant::now();
        let outcome = match try_log_in(machine, drawn) {
            Ok(token) => try_release(self.cluster.node(node), &token, &machine.key),
            Err(outcome) => outcome,
        };
        vec![Note { machine: number, node, asked, answered: Instant::now(), outcome }]
    }
}

/// The chip of each machine.
pub(crate) fn chip_of(machine: usize) -> Chip {
    Chip::new(100 + u64::try_from(machine).unwrap(), Product::Genoa).at(now().0)
}

/// A machine that signs with its chip and brings the same certificates every time.
fn machine(number: usize) -> Machine {
    let chip = chip_of(number);
    let chain = chip.chain();
    let certificates = Some(vec![chain.vcek, chain.ask]);
    Machine { lists: vec![chip.crl().der()], certificates, chip, ..Machine::good() }
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

const PAUSE: Duration = Duration::from_millis(100);
