//! What the wrapper adds to the start of a program, and how much memory it stays in.
//!
//! Time: the graft alone, with a given secret, against plain `exec` and against `tini` in the same rounds.
//! Memory: the whole wrapper after a release, against `tini`. Releases are measured where OpenBao is.
#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing, reason = "a benchmark")]

#[expect(dead_code, reason = "test programs use the rest")]
#[path = "../tests/bench/mod.rs"]
mod bench;
#[expect(dead_code, reason = "test programs use the rest")]
#[path = "../tests/stage/mod.rs"]
mod stage;

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use secretmem::Builder;
use serde_json::{Value, json};
use stage::{Answer, Stage};
use wrapper::graft::{Secrets, Tracer};
use wrapper::signals::Signals;
use wrapper::{harden, supervise};

/// The first argument with which this program plays the wrapper.
const AS_WRAPPER: &str = "--as-wrapper";

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == AS_WRAPPER) {
        let mut command = Command::new(arguments.next().unwrap());
        command.args(arguments);
        return ExitCode::from(graft(command));
    }
    let rounds = if env::var_os("CLOUDTASER_BENCH").is_some_and(|word| word == "smoke") { 5 } else { 400 };
    report("wrapper-start", "us", &start(rounds));
    report("wrapper-memory", "kB", &memory());
    ExitCode::SUCCESS
}

fn graft(command: Command) -> u8 {
    harden::harden().unwrap();
    let signals = Signals::block().unwrap();
    let mut builder = Builder::with_capacity(64).unwrap();
    let span = builder.push(b"a secret of some length").unwrap();
    let secrets = Secrets::new(builder.freeze().unwrap(), vec![("PASSWORD".to_owned(), span)]).unwrap();
    supervise::run(command, Tracer::new(secrets), &signals).unwrap()
}

fn start(rounds: usize) -> Vec<Value> {
    let own = env::current_exe().unwrap();
    let own = own.to_str().unwrap();
    let mut cases: Vec<(&str, Vec<&str>, &str)> = vec![
        ("plain exec", vec!["true"], "plain exec"),
        ("grafted", vec![own, AS_WRAPPER, "true"], "plain exec"),
        ("a shell that runs it", vec!["sh", "-c", "/bin/true; :"], "a shell that runs it"),
        (
            "a shell that runs it, grafted",
            vec![own, AS_WRAPPER, "sh", "-c", "/bin/true; :"],
            "a shell that runs it",
        ),
    ];
    if bench::installed("tini") {
        cases.push(("tini", vec!["tini", "-s", "--", "true"], "plain exec"));
        cases.push(("grafted, against tini", vec![own, AS_WRAPPER, "true"], "tini"));
    }
    let mut times = vec![Vec::with_capacity(rounds); cases.len()];
    for _ in 0..rounds {
        for ((_, words, _), times) in cases.iter().zip(&mut times) {
            let begun = Instant::now();
            let status = Command::new(words[0]).args(&words[1..]).status().unwrap();
            times.push(begun.elapsed().as_secs_f64() * 1e6);
            assert!(status.success());
        }
    }
    let medians: Vec<f64> = times.into_iter().map(median).collect();
    let of = |name: &str| medians[cases.iter().position(|(what, _, _)| *what == name).unwrap()];
    cases.iter().zip(&medians).map(|((what, _, floor), value)| row(what, *value, of(floor))).collect()
}

/// The peak of what the process that stays held resident, as its child reads it.
fn memory() -> Vec<Value> {
    let look = ["-c", "grep VmHWM /proc/$PPID/status"];
    let stage = Stage::new(vec![Answer::Release]);
    let wrapper = peak(stage.wrapper("sh", &look));
    let floor = if bench::installed("tini") {
        let mut tini = Command::new("tini");
        tini.args(["-s", "--", "sh"]).args(look);
        peak(tini)
    } else {
        wrapper
    };
    vec![row("the wrapper, against tini", wrapper, floor)]
}

fn peak(mut command: Command) -> f64 {
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
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
