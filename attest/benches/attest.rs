//! What a verdict costs, beside what it cannot cost less than.
//!
//! CPU time of this thread, so that a busy machine disturbs little. The things are measured in turns, in many
//! short rounds, of which the median counts. Writes `attest.json` into `$CLOUDTASER_BENCH_DIR`, else into
//! `bench` of the target folder. `--smoke`: only that it runs.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot go on stops there, and it talks to a person"
)]

mod logs;
mod security_module;
mod shipped;
mod subject;
mod td;

use std::path::PathBuf;

use attest::crypto::{AwsLcRs, RustCrypto};
use rustix::time::{ClockId, clock_gettime};

use security_module::Enclave;
use subject::Subject;

fn main() {
    let smoke = std::env::args().any(|word| word == "--smoke")
        || std::env::var_os("CLOUDTASER_BENCH").is_some_and(|word| word == "smoke");
    let (rounds, calls) = if smoke { (3, 2) } else { (151, 20) };
    let subject = Subject::new();
    let [bare, warm, whole, cold, sev, second, policy] = measure(
        [
            &|| subject.bare_signature(),
            &|| subject.warm(&AwsLcRs),
            &|| subject.decision(),
            &|| subject.cold(&AwsLcRs),
            &|| subject.by_sev(),
            &|| subject.warm(&RustCrypto),
            &|| subject.appraisal(),
        ],
        rounds,
        calls,
    );
    let mut rows = vec![
        row("P-384 verification alone (aws-lc-rs)", bare, None),
        row("SNP warm (floor: the signature)", warm, Some(bare)),
        row("SNP decision, warm (floor: the signature)", whole, Some(bare)),
        row("SNP cold: chain, list, report (peer: sev)", cold, Some(sev)),
        row("SNP warm (peer: sev, whole)", warm, Some(sev)),
        row("SNP warm by RustCrypto (floor: signature)", second, Some(bare)),
        row("policy appraisal (aim: 50 us)", policy, Some(50.0)),
    ];
    rows.extend(policies(rounds, calls));
    rows.extend(nitro(rounds, calls));
    rows.extend(event_log(rounds));
    rows.extend(td::rows(rounds, calls));
    let dir = folder();
    std::fs::create_dir_all(&dir).unwrap();
    let json = format!(r#"{{"name":"attest","unit":"us","rows":[{}]}}"#, rows.join(","));
    std::fs::write(dir.join("attest.json"), json).unwrap();
}

/// Of all shipped policies the one whose appraisal costs most, on its own machine.
fn policies(rounds: usize, calls: u32) -> Vec<String> {
    let mut machines = shipped::machines();
    let cost = |machine: &shipped::Machine| measure([&|| machine.appraise()], rounds, calls)[0];
    machines.sort_by(|a, b| cost(a).total_cmp(&cost(b)));
    let dearest = machines.pop().unwrap();
    let what = format!("policy {}, {} checks (aim: 50 us)", dearest.name, dearest.checks);
    let rows = vec![row(&what, cost(&dearest), Some(50.0))];
    #[cfg(feature = "rego")]
    let rows = {
        let text = shipped::policy(&dearest.name);
        let (bare, with) = (cost(&dearest), dearest.with_module(&text));
        [rows, vec![row("the same with a Rego module (floor: without)", cost(&with), Some(bare))]].concat()
    };
    rows
}

/// A document of a Nitro enclave.
fn nitro(rounds: usize, calls: u32) -> [String; 3] {
    let enclave = Enclave::new();
    let by_the_other = || enclave.warm(&RustCrypto);
    let things: [&dyn Fn(); 4] =
        [&|| enclave.bare_signature(), &|| enclave.warm(&AwsLcRs), &|| enclave.cold(&AwsLcRs), &by_the_other];
    let [bare, warm, cold, second] = measure(things, rounds, calls);
    [
        row("Nitro warm (floor: the signature)", warm, Some(bare)),
        row("Nitro cold (floor: its 5 signatures)", cold, Some(bare * 5.0)),
        row("Nitro warm by RustCrypto (floor: signature)", second, Some(bare)),
    ]
}

/// A log of a quarter of a megabyte; real ones are a tenth of it.
fn event_log(rounds: usize) -> [String; 2] {
    let log = logs::Log::of(256 * 1024);
    let [read, hashed] = measure([&|| log.proved(), &|| log.hashed()], rounds, 2);
    let aim = f64::from(u32::try_from(log.len()).unwrap()) / 200.0;
    [
        row("event log, 256 KiB (floor: its hashes)", read, Some(hashed)),
        row("event log, 256 KiB (aim: 200 MB/s)", read, Some(aim)),
    ]
}

/// Microseconds per call of each, median over the rounds; in every round each has its turn.
fn measure<const N: usize>(things: [&dyn Fn(); N], rounds: usize, calls: u32) -> [f64; N] {
    let mut times = [(); N].map(|()| Vec::with_capacity(rounds));
    for _ in 0..rounds {
        for (thing, times) in things.iter().zip(&mut times) {
            let start = cpu_time();
            (0..calls).for_each(|_| thing());
            times.push((cpu_time() - start) / f64::from(calls));
        }
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    })
}

/// The CPU time of this thread, in microseconds.
fn cpu_time() -> f64 {
    let time = std::time::Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
    time.as_secs_f64() * 1e6
}

/// Prints a line, and gives it as JSON.
fn row(what: &str, value: f64, floor: Option<f64>) -> String {
    let Some(floor) = floor else {
        println!("{what:<44}{value:>10.1} us");
        return format!(r#"{{"what":"{what}","value":{value:.2},"floor":null,"ratio":null}}"#);
    };
    let ratio = value / floor;
    println!("{what:<44}{value:>10.1} us{floor:>10.1} us{ratio:>8.3}");
    format!(r#"{{"what":"{what}","value":{value:.2},"floor":{floor:.2},"ratio":{ratio:.4}}}"#)
}

fn folder() -> PathBuf {
    let given = std::env::var_os("CLOUDTASER_BENCH_DIR").map(PathBuf::from);
    let target = || std::env::var_os("CARGO_TARGET_DIR").map(|target| PathBuf::from(target).join("bench"));
    given
        .or_else(target)
        .unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench")))
}
