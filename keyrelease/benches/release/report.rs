//! The figures, for a person and for `cargo xtask bench`.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::lane::{self, Lane};
use crate::machine::Costs;
use crate::revocation::Revocation;

/// What one number of clients gave.
pub(crate) type Level = (u32, Vec<Lane>, Costs);

/// A table of one level, then the release beside its floors.
pub(crate) fn print(clients: u32, lanes: &[Lane], costs: Costs) {
    println!(
        "\n{:<28}{:>10}{:>12}{:>10}{:>26}",
        format!("{clients} client(s)"),
        "p50 us",
        "p99 us",
        "per s",
        "cpu us: OpenBao + plugin"
    );
    for lane in lanes {
        println!(
            "{:<28}{:>10.0}{:>12.0}{:>10.0}{:>17.0} +{:>7.0}",
            lane.what,
            lane.percentile(0.5),
            lane.percentile(0.99),
            lane.rate(),
            lane.cpu().server,
            lane.cpu().plugins
        );
    }
    println!("one P-384 signature: {:.0} us; one X-Wing seal: {:.0} us", costs.signature, costs.seal);
    for (release, noop, transit) in [
        (lane::RELEASE, lane::NOOP, lane::TRANSIT),
        (lane::RELEASE_SHORT, lane::NOOP_SHORT, lane::TRANSIT_SHORT),
    ] {
        let (name, release, noop) = (release, of(lanes, release), of(lanes, noop));
        println!(
            "{name}, signature off, beside the plugin that does nothing: {:.2} of its rate, {:.2} of its p50, {:.2} of \
             its cpu; beside transit/decrypt: {:.2} of its rate",
            without(release.rate(), costs.signature, clients) / noop.rate(),
            (release.percentile(0.5) - costs.signature) / noop.percentile(0.5),
            (release.cpu().all() - costs.signature) / noop.cpu().all(),
            release.rate() / of(lanes, transit).rate(),
        );
    }
    println!("10 000 nodes that log in anew every minute: {:.1} % of two processors", nodes(lanes) * 100.0);
}

/// The part of two processors that ten thousand nodes take, each of which draws a challenge and logs in every minute.
fn nodes(lanes: &[Lane]) -> f64 {
    let each = of(lanes, lane::CHALLENGE).cpu().all() + of(lanes, lane::LOGIN).cpu().all();
    10_000.0 / 60.0 * each / 2e6
}

/// Rates beside floors: a ratio of 1 is as many as the floor, more is better.
pub(crate) fn write(name: &str, levels: &[Level], revocation: &Revocation) {
    let mut all: Vec<Value> = levels.iter().flat_map(rows).collect();
    // Of what was asked for: a ratio above 1 is faster.
    let within = |what: &str, value: f64, bound: f64| json!({ "what": what, "value": value, "floor": bound, "ratio": bound / value });
    all.push(within("revocation: ms until the last lease is refused (2000)", revocation.refused, 2000.0));
    all.push(within("revocation: ms until the leases are gone (2000)", revocation.gone, 2000.0));
    let dir = folder();
    fs::create_dir_all(&dir).unwrap();
    let text = json!({ "name": name, "unit": "/s", "rows": all }).to_string();
    fs::write(dir.join(format!("{name}.json")), text).unwrap();
}

fn rows((clients, lanes, costs): &Level) -> Vec<Value> {
    let rate = |what: &str| of(lanes, what).rate();
    let off = |what: &str| without(rate(what), costs.signature, *clients);
    let row = |what: &str, value: f64, floor: f64| json!({ "what": format!("{clients}: {what}"), "value": value, "floor": floor, "ratio": value / floor });
    vec![
        row("release (peer: transit)", rate(lane::RELEASE), rate(lane::TRANSIT)),
        row("release - signature (floor: no-op)", off(lane::RELEASE), rate(lane::NOOP)),
        row("release (floor: plugin that stores)", rate(lane::RELEASE), rate(lane::STORE)),
        row("release by digests (peer: transit)", rate(lane::RELEASE_SHORT), rate(lane::TRANSIT_SHORT)),
        row(
            "release by digests - signature (floor: no-op)",
            off(lane::RELEASE_SHORT),
            rate(lane::NOOP_SHORT),
        ),
        row("login (floor: plugin that stores)", rate(lane::LOGIN), rate(lane::STORE)),
        row("challenge (floor: no-op)", rate(lane::CHALLENGE), rate(lane::NOOP)),
        row("10 000 nodes a minute, % of two processors (10)", nodes(lanes) * 100.0, 10.0),
    ]
}

/// The rate if each answer took so many microseconds less, on as many processors as there are to share it.
fn without(rate: f64, cost: f64, clients: u32) -> f64 {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let at_once = f64::from(clients.min(u32::try_from(processors).unwrap()));
    1e6 / (1e6 / rate - cost / at_once)
}

fn of<'a>(lanes: &'a [Lane], what: &str) -> &'a Lane {
    lanes.iter().find(|lane| lane.what == what).unwrap()
}

fn folder() -> PathBuf {
    let given = std::env::var_os("CLOUDTASER_BENCH_DIR").map(PathBuf::from);
    let target = || std::env::var_os("CARGO_TARGET_DIR").map(|target| PathBuf::from(target).join("bench"));
    given
        .or_else(target)
        .unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench")))
}
