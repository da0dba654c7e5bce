//! What a pod waits for its evidence, and what the agent costs a machine.
//!
//! Time: a pod asks a hundred times a second. Once of an agent whose device takes no time, so that what is left is the
//! agent's own, held against a bare echo of as many bytes over a socket of the same kind in the same run; and once of the
//! program itself with simulated silicon behind FUSE, whose own time is the difference. Footprint, of the program itself:
//! memory after many requests by several at once, and processor time while nobody asks.
#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing, reason = "a benchmark")]
#![expect(clippy::arithmetic_side_effects, clippy::unnecessary_debug_formatting, reason = "a benchmark")]

mod house;
mod pod;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use attest::{Kem, OfferedKey};
use protocol::agent::{EvidenceRequest, VERSION, to_frame};
use serde_json::{Value, json};

use house::House;
use pod::Pod;

/// How much is measured.
struct Plan {
    paced: u32,
    many: u32,
    idle: Duration,
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some(house::AS_AGENT) => return house::serve(Path::new(&arguments[1])),
        Some(house::AS_ECHO) => return house::echo(Path::new(&arguments[1]), arguments[2].parse().unwrap()),
        _ => {}
    }
    let smoke = arguments.iter().any(|word| word == "--smoke")
        || env::var_os("CLOUDTASER_BENCH").is_some_and(|word| word == "smoke");
    let plan = if smoke {
        Plan { paced: 50, many: 200, idle: Duration::from_secs(1) }
    } else {
        Plan { paced: 2000, many: 10_000, idle: Duration::from_mins(1) }
    };
    let house = House::build();
    let pod = Pod::enter();
    println!("asked by {}", pod.as_ref().map_or("a user: no cgroups can be made here", |_| "a pod"));
    report("agent-latency", "us", &latency(&house, &plan));
    report("agent-footprint", "", &footprint(&house, &plan));
}

fn latency(house: &House, plan: &Plan) -> Vec<Value> {
    let frame = to_frame(&request()).unwrap();
    let free = house.free();
    let echo = house.echo(pod::ask(&free.socket, &frame).len());
    let (free, echo) = (paced(&free.socket, &frame, plan.paced), paced(&echo.socket, &frame, plan.paced));
    let mut rows = vec![
        row("a pod's evidence, p50 (floor: echo)", percentile(&free, 50), percentile(&echo, 50)),
        row("a pod's evidence, p99 (floor: echo)", percentile(&free, 99), percentile(&echo, 99)),
        within("a pod's evidence, p99 (aim: 2000)", percentile(&free, 99), 2000.0),
    ];
    if let Some(silicon) = house.silicon() {
        let all = paced(&silicon.socket, &frame, plan.paced);
        for percent in [50, 99] {
            let what = format!("with simulated silicon, p{percent} (floor: without)");
            rows.push(row(&what, percentile(&all, percent), percentile(&free, percent)));
        }
    }
    rows
}

fn footprint(house: &House, plan: &Plan) -> Vec<Value> {
    let Some(agent) = house.silicon() else { return vec![within("no FUSE, nothing measured", 0.0, 0.0)] };
    let frame = to_frame(&request()).unwrap();
    thread::scope(|scope| {
        for _ in 0..ASKERS {
            scope.spawn(|| (0..plan.many / ASKERS).for_each(|_| drop(pod::ask(&agent.socket, &frame))));
        }
    });
    let memory = resident(&agent.child);
    let before = processor(&agent.child);
    thread::sleep(plan.idle);
    let idle = (processor(&agent.child) - before) / plan.idle.as_secs_f64() * 100.0;
    vec![
        within(&format!("kB after {} requests (aim: 15000)", plan.many), memory, 15_000.0),
        within("% of a processor while nobody asks (aim: 0.1)", idle, 0.1),
    ]
}

/// Each of as many requests, a hundred a second: how long it took, in microseconds.
fn paced(socket: &Path, frame: &[u8], count: u32) -> Vec<f64> {
    (0..count.min(100)).for_each(|_| drop(pod::ask(socket, frame)));
    let start = Instant::now();
    let mut took: Vec<f64> = (0..count)
        .map(|number| {
            let due = start + PACE * number;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            // Who comes late because the one before took long waited since then.
            let late = Instant::now().saturating_duration_since(due);
            let begun = if late > PACE { due } else { Instant::now() };
            drop(pod::ask(socket, frame));
            begun.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    took.sort_by(f64::total_cmp);
    took
}

fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

fn request() -> EvidenceRequest {
    let key = OfferedKey { kem: Kem::XWing, public: vec![7; 1216] };
    let context = "attest-keys/release/db".to_owned();
    EvidenceRequest { version: VERSION, nonce: [1; 32], context, key, platform: None }
}

/// In kB: proc(5).
fn resident(child: &Child) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Seconds of processor time: proc(5), `stat`, in hundredths.
fn processor(child: &Child) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

fn row(what: &str, value: f64, floor: f64) -> Value {
    json!({ "what": what, "value": value, "floor": floor, "ratio": value / floor })
}

/// Of what was asked for: a ratio above 1 is better.
fn within(what: &str, value: f64, aim: f64) -> Value {
    json!({ "what": what, "value": value, "floor": aim, "ratio": aim / value.max(0.001) })
}

fn report(name: &str, unit: &str, rows: &[Value]) {
    for row in rows {
        let number = |field: &str| row[field].as_f64().unwrap_or_default();
        let what = row["what"].as_str().unwrap();
        println!("{what:<52}{:>12.2}{:>12.2}{:>8.2}", number("value"), number("floor"), number("ratio"));
    }
    let dir = folder();
    fs::create_dir_all(&dir).unwrap();
    let text = json!({ "name": name, "unit": unit, "rows": rows }).to_string();
    fs::write(dir.join(format!("{name}.json")), text).unwrap();
}

fn folder() -> PathBuf {
    let given = env::var_os("CLOUDTASER_BENCH_DIR").map(PathBuf::from);
    let target = || env::var_os("CARGO_TARGET_DIR").map(|target| PathBuf::from(target).join("bench"));
    given
        .or_else(target)
        .unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench")))
}

const PACE: Duration = Duration::from_millis(10);
/// How many ask at once while memory grows.
const ASKERS: u32 = 4;
