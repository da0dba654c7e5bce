//! How many records a second come through the ring, and whether one is lost: programs of ours leave them at the entry of system
//! calls of two threads, and the loader's own code reads them meanwhile. The measure is a million a second, none lost in 16 MiB.
//!
//! The floor is as many bytes that say nothing. Once as fast as they come, and once as many as the measure asks for.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a bench")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use aya::maps::{MapData, PerCpuArray, RingBuf};
use aya::programs::BtfTracePoint;
use aya::{Btf, Ebpf, EbpfLoader};
use enforcer::events::ring::drain;

/// As many as the programs leave in one system call.
const TIMES: u32 = 64;
const RING: u32 = 16 << 20;
const PRODUCERS: u32 = 2;

fn main() {
    let Some(object) = std::env::var_os("CLOUDTASER_BPF_COST").map(PathBuf::from) else {
        eprintln!("SKIP bench ring: CLOUDTASER_BPF_COST names no object");
        return;
    };
    let is_full = std::env::var_os("CLOUDTASER_BENCH").is_some_and(|word| word == "full");
    let calls = if is_full { 40_000 } else { 400 };
    let (mut records, mut floor): (Vec<Run>, Vec<Run>) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let Some(run) = measure(&object, "cost_of_records", calls, Pace::Free) else { return };
        records.push(run);
        floor.extend(measure(&object, "cost_of_output", calls, Pace::Free));
    }
    let Some(paced) = measure(&object, "cost_of_records", calls, Pace::Measure) else { return };
    tell(&best(&records), &best(&floor), &paced);
}

/// What came of one run.
#[derive(Clone, Copy, Debug)]
struct Run {
    came: u64,
    lost: u64,
    time: Duration,
}

impl Run {
    fn each(&self) -> f64 {
        self.time.as_secs_f64() * 1e9 / f64::from(u32::try_from(self.came).unwrap())
    }
}

/// How fast records are made.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Pace {
    /// As fast as can be.
    Free,
    /// As many as are asked for.
    Measure,
}

fn best(runs: &[Run]) -> Run {
    *runs.iter().min_by(|one, other| one.each().total_cmp(&other.each())).unwrap()
}

/// Nothing where the kernel does not load it.
fn measure(object: &Path, name: &str, calls: u32, pace: Pace) -> Option<Run> {
    let mut ebpf = load(object, name)?;
    let mut ring = RingBuf::try_from(ebpf.take_map("RECORDS").unwrap()).unwrap();
    let counts: PerCpuArray<MapData, [u64; 3]> = ebpf.take_map("COUNTS").unwrap().try_into().unwrap();
    let begin = Instant::now();
    let over = AtomicBool::new(false);
    let (came, time) = thread::scope(|scope| {
        let producers: Vec<_> =
            (0..PRODUCERS).map(|_| scope.spawn(move || produce(calls, pace, begin))).collect();
        let over = &over;
        let consumer = scope.spawn(move || consume(&mut ring, over));
        let time = producers.into_iter().map(|producer| producer.join().unwrap()).max().unwrap();
        over.store(true, Ordering::Release);
        (consumer.join().unwrap(), time)
    });
    let lost = (0..64).map(|vector| counts.get(&vector, 0).unwrap().iter().map(|each| each[2]).sum::<u64>());
    Some(Run { came, lost: lost.sum(), time })
}

fn load(object: &Path, name: &str) -> Option<Ebpf> {
    let settings: Vec<u8> = [0_u64.to_ne_bytes(), pair(0, std::process::id()), pair(0, 0)].concat();
    let bytes = std::fs::read(object).unwrap();
    let mut loader = EbpfLoader::new();
    loader.allow_unsupported_maps().map_max_entries("RECORDS", RING);
    let object = loader.override_global("SETTINGS", settings.as_slice(), true).load(&bytes);
    let mut ebpf = object.inspect_err(|error| eprintln!("SKIP bench ring: {error}")).ok()?;
    let program: &mut BtfTracePoint = ebpf.program_mut(name)?.try_into().unwrap();
    let verified = program.load("sys_enter", &Btf::from_sys_fs().unwrap());
    verified.inspect_err(|error| eprintln!("SKIP bench ring: {error}")).ok()?;
    program.attach().unwrap();
    Some(ebpf)
}

fn pair(first: u32, second: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&first.to_ne_bytes());
    bytes[4..].copy_from_slice(&second.to_ne_bytes());
    bytes
}

/// Makes its system calls, and says how long all took.
fn produce(calls: u32, pace: Pace, begin: Instant) -> Duration {
    for call in 0..calls {
        std::hint::black_box(rustix::process::getppid());
        // A microsecond for each: a million a second.
        let due = Duration::from_micros(u64::from(call).saturating_mul(u64::from(TIMES * PRODUCERS)));
        // Spinning: a sleep would be a system call, too.
        while pace == Pace::Measure && begin.elapsed() < due {
            std::hint::spin_loop();
        }
    }
    begin.elapsed()
}

/// Reads until there is nothing any more, and counts.
fn consume(ring: &mut RingBuf<MapData>, over: &AtomicBool) -> u64 {
    let mut came = 0_u64;
    loop {
        let last = over.load(Ordering::Acquire);
        let taken = drain(ring, u64::MAX, |record| {
            std::hint::black_box(record);
        });
        came = came.saturating_add(taken.records).saturating_add(taken.odd);
        if last && taken.records == 0 {
            return came;
        }
        if taken.records == 0 {
            thread::yield_now();
        }
    }
}

fn tell(records: &Run, floor: &Run, paced: &Run) {
    eprintln!("records: {records:?}\nfloor: {floor:?}\npaced: {paced:?}");
    let row = |what: &str, value: f64, floor: Option<f64>| {
        let ratio = floor.map(|floor| value / floor);
        serde_json::json!({"what": what, "value": value, "floor": floor, "ratio": ratio})
    };
    let part = |run: &Run| {
        let lost = f64::from(u32::try_from(run.lost).unwrap());
        100.0 * lost / (lost + f64::from(u32::try_from(run.came).unwrap()))
    };
    let time = serde_json::json!({
        "name": "ring",
        "unit": "ns",
        "rows": [
            row("a record that came through, two processors", records.each(), Some(floor.each())),
            row("as many bytes that say nothing", floor.each(), None),
            row("a record at a million a second", paced.each(), None),
        ],
    });
    let loss = serde_json::json!({
        "name": "ring-loss",
        "unit": "%",
        "rows": [
            row("lost, as fast as they come", part(records), None),
            row("lost, at a million a second", part(paced), None),
        ],
    });
    eprintln!("{time:#}\n{loss:#}");
    if let Some(folder) = std::env::var_os("CLOUDTASER_BENCH_DIR").map(PathBuf::from) {
        std::fs::write(folder.join("ring.json"), time.to_string()).unwrap();
        std::fs::write(folder.join("ring-loss.json"), loss.to_string()).unwrap();
    }
}
