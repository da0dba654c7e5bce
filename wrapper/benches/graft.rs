//! How long a program stands still for its values, from its first stop until it runs on its own.
//!
//! The floor, in the same rounds, is the same program with nothing to be given: its stack is read and it is let go.
#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing, reason = "a benchmark")]

use std::env;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use rustix::process::{WaitOptions, waitpid};
use secretmem::Builder;
use serde_json::json;
use wrapper::graft::{Secrets, Tracer};
use wrapper::harden;
use wrapper::line::Line;
use wrapper::signals::Signals;
use wrapper::stem::{self, Made, Opens, Order, Planted, Start, Stem, Watch};

/// Microseconds; the aim for one value.
const AIM: f64 = 300.0;
const FLOOR: &str = "nothing to be given";

struct Case {
    what: &'static str,
    /// How many values, of how many bytes.
    values: (usize, usize),
    kept: bool,
    times: Vec<f64>,
}

fn main() -> ExitCode {
    harden::harden().unwrap();
    let signals = Signals::block().unwrap();
    match stem::plant().unwrap() {
        Planted::Keeper(stem) => measure(&stem),
        Planted::Made(Made { order: Order::Program(start), line }) => {
            return ExitCode::from(Made::exec(start, &["/bin/true".into()], &line));
        }
        Planted::Made(_) | Planted::Over => {}
    }
    drop(signals);
    ExitCode::SUCCESS
}

fn measure(stem: &Stem) {
    let smoke = env::args_os().any(|word| word == "--smoke")
        || env::var_os("CLOUDTASER_BENCH").is_some_and(|word| word == "smoke");
    let case = |what, values, kept| Case { what, values, kept, times: Vec::new() };
    let mut cases = [
        case(FLOOR, (0, 0), false),
        case("one value of 24 bytes (aim: 300 us)", (1, 24), false),
        case("one value, to be rewritten later", (1, 24), true),
        case("ten values of 24 bytes", (10, 24), false),
        case("one value of 3000 bytes", (1, 3000), false),
    ];
    for _ in 0..if smoke { 5 } else { 300 } {
        for case in &mut cases {
            case.times.push(once(stem, case));
        }
    }
    report(&cases);
}

/// Microseconds from the program's first stop to its release.
fn once(stem: &Stem, case: &Case) -> f64 {
    let mut tracer = Tracer::new(secrets(case.values));
    if case.kept {
        tracer = tracer.keeping_pages();
    }
    let (_ours, theirs) = Line::pair().unwrap();
    let start = Start { variables: tracer.references(), watch: Watch::Traced, opens: Opens::Plain };
    let pid = stem.order(&Order::Program(start), theirs).unwrap();
    let mut begun = Instant::now();
    tracer.adopt(pid, |_stopped| begun = Instant::now()).unwrap();
    let time = begun.elapsed().as_secs_f64() * 1e6;
    let (_, status) = waitpid(Some(pid), WaitOptions::empty()).unwrap().unwrap();
    assert_eq!(status.exit_status(), Some(0));
    time
}

fn secrets((count, len): (usize, usize)) -> Secrets {
    let mut builder = Builder::with_capacity(8192).unwrap();
    let value = vec![b'x'; len];
    let entries = (0..count).map(|index| (format!("NAME{index}"), builder.push(&value).unwrap())).collect();
    Secrets::new(builder.freeze().unwrap(), entries).unwrap()
}

fn report(cases: &[Case]) {
    let median = |case: &Case| {
        let mut times = case.times.clone();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let floor = median(&cases[0]);
    let row = |what: &str, value: f64, floor: f64| {
        println!("wrapper-graft: {what}: {value:.0} us, {:.2} of its floor", value / floor);
        json!({ "what": what, "value": value, "floor": floor, "ratio": value / floor })
    };
    let mut rows: Vec<_> = cases.iter().map(|case| row(case.what, median(case), floor)).collect();
    rows.push(row("one value, against the aim", median(&cases[1]), AIM));
    if let Some(dir) = env::var_os("CLOUDTASER_BENCH_DIR") {
        let text = json!({ "name": "wrapper-graft", "unit": "us", "rows": rows }).to_string();
        fs::write(Path::new(&dir).join("wrapper-graft.json"), text).unwrap();
    }
}
