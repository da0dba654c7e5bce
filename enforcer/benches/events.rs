//! What a record costs on its way to a line. A million a second is a microsecond each.
#![expect(clippy::unwrap_used, reason = "a benchmark")]

use divan::Bencher;
use divan::counter::ItemsCount;
use enforcer::events::aggregate::{Aggregator, Settings};
use enforcer::events::event::{Seen, Told, event};
use enforcer::events::{ocsf, otlp, outlet::Origin, place};
use enforcer_abi::{Record, Vector};

fn main() {
    divan::main();
}

fn record() -> Record {
    Record {
        at: 5_000_000_000,
        cgroup: 77,
        object_group: 0xabc,
        subject_group: 0,
        detail: 0,
        pid: 10,
        tid: 11,
        uid: 0,
        object_pid: 20,
        vector: Vector::PidfdGetfd.number(),
        tier: 1,
        ruling: 2,
        syscall: 438,
        comm: *b"attacker\0\0\0\0\0\0\0\0",
        name: [0; 48],
    }
}

fn told() -> Told {
    Told {
        first: 5_000_000_000,
        record: record(),
        count: 1,
        exe: Some("/usr/bin/attacker".into()),
        mixed: false,
    }
}

fn origin() -> Origin {
    Origin { host: "node-1".to_owned(), version: "0.1.0", instance: "boot".to_owned() }
}

/// What most records of a flood are: one more of a kind.
#[divan::bench]
fn one_more_of_a_kind(bencher: Bencher<'_, '_>) {
    let bytes = record().to_bytes();
    let mut aggregator = Aggregator::new(Settings::USUAL);
    let exe = "/usr/bin/attacker".into();
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        let record = Record::of_bytes(divan::black_box(&bytes)).unwrap();
        aggregator.take(&record, Some(&exe))
    });
}

/// A flood of kinds that are made up.
#[divan::bench]
fn one_more_kind_than_fits(bencher: Bencher<'_, '_>) {
    let mut aggregator = Aggregator::new(Settings::USUAL);
    let mut next = 0_u64;
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        next = next.wrapping_add(1);
        aggregator.take(&Record { object_group: next, ..record() }, None)
    });
}

#[divan::bench]
fn a_line_of_json(bencher: Bencher<'_, '_>) {
    let (told, seen) = (told(), Seen { subject: place::of("/user.slice"), ..Seen::default() });
    bencher.counter(ItemsCount::new(1_u32)).bench(|| serde_json::to_vec(&event(&told, &seen)).unwrap());
}

#[divan::bench]
fn a_line_of_ocsf(bencher: Bencher<'_, '_>) {
    let (told, seen, origin) = (told(), Seen::default(), origin());
    bencher
        .counter(ItemsCount::new(1_u32))
        .bench(|| serde_json::to_vec(&ocsf::finding(&event(&told, &seen), &origin, 7)).unwrap());
}

#[divan::bench]
fn a_line_of_otlp(bencher: Bencher<'_, '_>) {
    let (told, seen, origin) = (told(), Seen::default(), origin());
    bencher
        .counter(ItemsCount::new(1_u32))
        .bench(|| serde_json::to_vec(&otlp::request(&event(&told, &seen), &origin)).unwrap());
}
