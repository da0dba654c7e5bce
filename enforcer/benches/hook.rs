//! What a hook costs on this processor before it lets somebody through: tags of both sides, and the policy; as machine code, in
//! the kernel, at the entry of a system call. The floor is one lookup of a tag. The measure is 40 ns.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a bench")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aya::programs::BtfTracePoint;
use aya::{Btf, Ebpf, EbpfLoader};

/// As often as the programs do it in one system call.
const TIMES: u32 = 64;

fn main() {
    let Some(object) = std::env::var_os("CLOUDTASER_BPF_COST").map(PathBuf::from) else {
        eprintln!("SKIP bench hook: CLOUDTASER_BPF_COST names no object");
        return;
    };
    let is_full = std::env::var_os("CLOUDTASER_BENCH").is_some_and(|word| word == "full");
    let calls = if is_full { 200_000 } else { 2_000 };
    let (mut policy, mut lookup) = (f64::MAX, f64::MAX);
    for _ in 0..5 {
        let Some(nothing) = cost(&object, "cost_of_nothing", calls) else { return };
        let each =
            |name| cost(&object, name, calls).map_or(f64::MAX, |whole| (whole - nothing) / f64::from(TIMES));
        policy = policy.min(each("cost_of_policy"));
        lookup = lookup.min(each("cost_of_lookup"));
    }
    tell(policy, lookup);
}

/// Nanoseconds of a system call with this program at its entry; none where the kernel does not load it.
fn cost(object: &Path, name: &str, calls: u32) -> Option<f64> {
    let settings: Vec<u8> = [0_u64.to_ne_bytes(), pair(0, std::process::id()), pair(0, 0)].concat();
    let bytes = std::fs::read(object).unwrap();
    let mut loader = EbpfLoader::new();
    loader.allow_unsupported_maps();
    let object = loader.override_global("SETTINGS", settings.as_slice(), true).load(&bytes);
    let mut ebpf: Ebpf = object.inspect_err(|error| eprintln!("SKIP bench hook: {error}")).ok()?;
    let program: &mut BtfTracePoint = ebpf.program_mut(name)?.try_into().unwrap();
    let verified = program.load("sys_enter", &Btf::from_sys_fs().unwrap());
    verified.inspect_err(|error| eprintln!("SKIP bench hook: {error}")).ok()?;
    program.attach().unwrap();
    let best = (0..3).map(|_| timed(calls)).min()?;
    Some(best.as_secs_f64() * 1e9 / f64::from(calls))
}

fn pair(first: u32, second: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&first.to_ne_bytes());
    bytes[4..].copy_from_slice(&second.to_ne_bytes());
    bytes
}

fn timed(calls: u32) -> Duration {
    let start = Instant::now();
    for _ in 0..calls {
        std::hint::black_box(rustix::process::getppid());
    }
    start.elapsed()
}

fn tell(policy: f64, lookup: f64) {
    let row = |what: &str, value: f64, floor: Option<f64>| {
        let ratio = floor.map(|floor| value / floor);
        serde_json::json!({"what": what, "value": value, "floor": floor, "ratio": ratio})
    };
    let figures = serde_json::json!({
        "name": "hook",
        "unit": "ns",
        "rows": [
            row("both tags and the policy, in the kernel", policy, Some(lookup)),
            row("one lookup of a tag, in the kernel", lookup, None),
        ],
    });
    eprintln!("{figures:#}");
    if let Some(folder) = std::env::var_os("CLOUDTASER_BENCH_DIR") {
        std::fs::write(PathBuf::from(folder).join("hook.json"), figures.to_string()).unwrap();
    }
}
