//! What the wrapper adds to the start of a program, and how much memory it stays in.
//!
//! Time: the graft alone, with a given secret, and the whole start with a release, against plain `exec` and
//! against `tini` in the same rounds. A played agent and OpenBao answer at once: what a real one takes is
//! measured where it is. Memory: the peak of each of the wrapper's processes, against `tini`.
#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing, reason = "a benchmark")]

#[expect(dead_code, reason = "test programs use the rest")]
#[path = "../tests/bench/mod.rs"]
mod bench;
#[expect(dead_code, reason = "test programs use the rest")]
#[path = "../tests/stage/mod.rs"]
mod stage;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use secretmem::Builder;
use serde_json::{Value, json};
use stage::{Answer, Stage};
use wrapper::config::{Audience, Mode, Supervision};
use wrapper::graft::Secrets;
use wrapper::harden;
use wrapper::keeper::{Keeper, Memory};
use wrapper::signals::Signals;
use wrapper::stem::{self, Made, Order, Planted};

/// The first argument with which this program plays the wrapper.
const AS_WRAPPER: &str = "--as-wrapper";
const GRAFTED: &str = "grafted";
const RELEASED: &str = "with a release (played)";
const STAYS: &str = "the wrapper (aim: 3 MB)";
/// 3 MB, in kB.
const AIM: f64 = 3000.0;

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == AS_WRAPPER) {
        return ExitCode::from(graft(&arguments.collect::<Vec<_>>()));
    }
    let smoke = env::args_os().any(|word| word == "--smoke")
        || env::var_os("CLOUDTASER_BENCH").is_some_and(|word| word == "smoke");
    let (rounds, looks) = if smoke { (5, 2) } else { (300, 40) };
    report("wrapper-start", "us", &start(rounds));
    report("wrapper-memory", "kB", &memory(looks));
    ExitCode::SUCCESS
}

fn graft(words: &[OsString]) -> u8 {
    harden::harden().unwrap();
    let signals = Signals::block().unwrap();
    let stem = match stem::plant().unwrap() {
        Planted::Keeper(stem) => stem,
        Planted::Made(Made { order: Order::Program(start), line }) => return Made::exec(start, words, &line),
        Planted::Made(_) | Planted::Over => return 0,
    };
    let mut builder = Builder::with_capacity(64).unwrap();
    let span = builder.push(b"a secret of some length").unwrap();
    let secrets = Secrets::new(builder.freeze().unwrap(), vec![("PASSWORD".to_owned(), span)]).unwrap();
    let conduct = Supervision { mode: Mode::Supervise, signals: Audience::Program, kill_after: None };
    Keeper::new(&stem, &signals, &conduct, &[], Memory::Given).run_with(secrets).unwrap()
}

/// One way to start a program: its name, the way that it is held against, and the command.
struct Case {
    what: &'static str,
    floor: &'static str,
    command: Command,
    times: Vec<f64>,
}

impl Case {
    fn new(what: &'static str, floor: &'static str, words: &[&str]) -> Self {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        Self { what, floor, command, times: Vec::new() }
    }

    fn median(&self) -> f64 {
        let mut times = self.times.clone();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    }
}

fn start(rounds: usize) -> Vec<Value> {
    let stage = Stage::new(vec![Answer::Release; rounds]);
    let mut cases = cases(&stage);
    for _ in 0..rounds {
        for case in &mut cases {
            let begun = Instant::now();
            let status = case.command.status().unwrap();
            case.times.push(begun.elapsed().as_secs_f64() * 1e6);
            assert!(status.success(), "{}: {status}", case.what);
        }
    }
    let of = |what: &str| cases.iter().find(|case| case.what == what).unwrap().median();
    let mut rows: Vec<Value> =
        cases.iter().map(|case| row(case.what, case.median(), of(case.floor))).collect();
    if bench::installed("tini") {
        rows.push(row("grafted, against tini", of(GRAFTED), of("tini")));
        rows.push(row("with a release, against tini", of(RELEASED), of("tini")));
    }
    rows
}

fn cases(stage: &Stage) -> Vec<Case> {
    let own = env::current_exe().unwrap();
    let own = own.to_str().unwrap();
    let (plain, shell) = ("plain exec", "a shell that runs it");
    let script = ["sh", "-c", "/bin/true; :"];
    let wrapped = [[own, AS_WRAPPER].as_slice(), &script].concat();
    let mut cases = vec![
        Case::new(plain, plain, &["true"]),
        Case::new(GRAFTED, plain, &[own, AS_WRAPPER, "true"]),
        Case { command: stage.wrapper("true", &[]), ..Case::new(RELEASED, plain, &["true"]) },
        Case::new(shell, shell, &script),
        Case::new("a shell that runs it, grafted", shell, &wrapped),
    ];
    if bench::installed("tini") {
        cases.push(Case::new("tini", plain, &["tini", "-s", "--", "true"]));
    }
    cases
}

/// The peaks of what the two processes held resident: the one that stays as its child reads it, the one that
/// fetches as seen from outside for as long as it lives.
fn memory(rounds: usize) -> Vec<Value> {
    let look = ["-c", "grep -E 'VmHWM|RssAnon' /proc/$PPID/status"];
    // The stem is the first child.
    let beside = [
        "-c",
        "read -r stem rest </proc/$PPID/task/$PPID/children; grep -E 'VmHWM|RssAnon' /proc/$stem/status",
    ];
    let stage = Stage::new(vec![Answer::Release; rounds.saturating_add(2)]);
    let (stays, own) = peak(stage.wrapper("sh", &look));
    let (stem, its_own) = peak(stage.wrapper("sh", &beside));
    let fetches = (0..rounds).map(|_| peak_of_the_fetcher(stage.wrapper("true", &[]))).fold(0.0, f64::max);
    let mut rows = vec![
        row(STAYS, stays, AIM),
        row("its own pages, the rest is shared", own, stays),
        row("the stem beside it, most of it the same pages", stem, AIM),
        row("both together, what is shared counted twice (aim: 3 MB)", stays + stem, AIM),
        row("both together, their own pages", own + its_own, AIM),
        row("the wrapper's half that fetches (until then)", fetches, AIM),
    ];
    if bench::installed("tini") {
        let mut tini = Command::new("tini");
        tini.args(["-s", "--", "sh"]).args(look);
        rows.push(row("the wrapper, against tini", stays, peak(tini).0));
    }
    rows
}

/// The peak of the process that fetches, in kB: looked at until it has gone.
fn peak_of_the_fetcher(mut command: Command) -> f64 {
    let mut wrapper = command.spawn().unwrap();
    let own = wrapper.id();
    let of = |pid: &str, file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let (mut fetcher, mut peak) = (None, 0.0);
    while wrapper.try_wait().unwrap().is_none() {
        let children = of(&own.to_string(), &format!("task/{own}/children"));
        let mut children = children.split_whitespace();
        fetcher =
            fetcher.or_else(|| children.find(|pid| of(pid, "comm") == "ct-fetcher\n").map(str::to_owned));
        let Some(fetcher) = &fetcher else { continue };
        let status = of(fetcher, "status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let size = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        peak = f64::max(peak, size.unwrap_or(0.0));
    }
    peak
}

/// The peak of what a program held resident, and the pages of its own that it holds now; in kB.
fn peak(mut command: Command) -> (f64, f64) {
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let size = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    (size("VmHWM:"), size("RssAnon:"))
}

fn row(what: &str, value: f64, floor: f64) -> Value {
    json!({ "what": what, "value": value, "floor": floor, "ratio": value / floor })
}

fn report(name: &str, unit: &str, rows: &[Value]) {
    for row in rows {
        println!(
            "{name}: {} {:.0} {unit}, {:.2} of its floor",
            row["what"],
            row["value"].as_f64().unwrap(),
            row["ratio"].as_f64().unwrap()
        );
    }
    if let Some(dir) = env::var_os("CLOUDTASER_BENCH_DIR") {
        let text = json!({ "name": name, "unit": unit, "rows": rows }).to_string();
        fs::write(Path::new(&dir).join(format!("{name}.json")), text).unwrap();
    }
}
