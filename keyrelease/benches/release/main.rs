//! What a release through OpenBao costs, beside what it cannot cost less than.
//!
//! A real OpenBao, in memory and on disk (raft), and nine ways through it, in turns, at 1, 8 and 64 clients
//! with kept connections: the whole release, with certificates and with their digests; a login, a challenge; the
//! built-in `transit/decrypt` and a plugin path that does nothing, both with requests as long as either release's;
//! and one that stores a record's worth of bytes, because no release leaves before its record is stored. Every release
//! answers a challenge of its own: challenges and reports are made beforehand, outside of what is measured.
//!
//! At last ten thousand leases are given, and their machine is revoked.
//!
//! Times are noisy on a busy machine; the processor time of server and plugins for each request is less so.
//! Writes `release-memory.json` and `release-raft.json` into `$CLOUDTASER_BENCH_DIR`, else into `bench` of
//! the target folder. `--smoke`: only that it runs.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot go on stops there, and it talks to a person"
)]
#![forbid(unsafe_code)]

mod client;
mod lane;
mod machine;
mod report;
mod revocation;
mod server;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use protocol::release::Base64;
use serde_json::{Value, json};

use lane::{Lane, Supply};
use machine::Machine;
use server::{Server, Storage};

/// How long to measure: for each level, in each of `rounds`, every lane runs for `slice`.
#[derive(Clone, Copy)]
struct Length {
    rounds: u32,
    slice: Duration,
    /// How many leases are given before the revocation.
    leases: usize,
}

const LEVELS: [u32; 3] = [1, 8, 64];

fn main() {
    let smoke = std::env::args().any(|word| word == "--smoke")
        || std::env::var_os("CLOUDTASER_BENCH").is_some_and(|word| word == "smoke");
    let length = if smoke {
        Length { rounds: 1, slice: Duration::from_millis(100), leases: 50 }
    } else {
        Length { rounds: 6, slice: Duration::from_millis(500), leases: 10_000 }
    };
    let notes = notes();
    for storage in [Storage::Memory, Storage::Raft] {
        let server = Server::start(storage, &notes);
        let machine = Machine::new();
        let same = Same::of(&server, &machine);
        println!("\n{} ({})", storage.name(), load());
        println!("{}", same.sizes());
        let mut levels = Vec::new();
        for clients in LEVELS {
            let costs = machine::costs(length.rounds * 30);
            let before = server.batches();
            let lanes = level(&server, &machine, &same, (clients, length));
            let after = server.batches();
            report::print(clients, &lanes, costs);
            println!("decisions in one commit: {:.1}", (after.1 - before.1) / (after.0 - before.0));
            levels.push((clients, lanes, costs));
        }
        let revocation = revocation::measure(&server, &machine, length.leases);
        println!("\n{}", revocation.sentence());
        println!("an entry of the log has {:?} bytes", server.entry_bytes());
        report::write(storage.name(), &levels, &revocation);
    }
}

/// Runs all lanes at one number of clients.
fn level(server: &Server, machine: &Machine, same: &Same, (count, length): (u32, Length)) -> Vec<Lane> {
    let mut clients: Vec<_> = (0..count).map(|_| server.connect()).collect();
    let mut lanes = same.lanes();
    for round in 0..=length.rounds {
        for lane in &mut lanes {
            // The first round is for warming up: connections, caches, and how many challenges are needed.
            let slice = if round == 0 { length.slice / 5 } else { length.slice };
            lane.load(slice, count, |purpose, wanted| machine.presentations(server, purpose, wanted));
            let cpu = server.cpu_time();
            let mut turn = lane.turn(&mut clients, slice);
            turn.cpu = server.cpu_time().since(cpu);
            lane.keep(turn, round > 0);
        }
    }
    lanes
}

/// The requests that are the same each time.
struct Same {
    challenge: Vec<u8>,
    long: Floors,
    short: Floors,
    store: Vec<Vec<u8>>,
    record: usize,
    answer: usize,
}

/// Requests as large as a release's, whose answers are as large.
struct Floors {
    transit: Vec<u8>,
    noop: Vec<u8>,
}

impl Same {
    fn of(server: &Server, machine: &Machine) -> Self {
        // From now on both mounts have the machine's certificates.
        let login = machine.presentation(server, machine::Purpose::Login);
        server.call("POST", machine::LOGIN, Some(&login), "");
        let presentation = machine.presentation(server, machine::Purpose::Open);
        let sealed = server.call("POST", machine::OPEN, Some(&presentation), "")["data"].clone();
        let answer = sealed.to_string().len();
        let path = format!("attest-keys/record/{}", sealed["decision"].as_str().unwrap());
        let file = server.call("GET", &path, None, server.token())["data"]["bundle"].clone();
        // What it names is stored once for many.
        let file: Base64 = serde_json::from_value(file).unwrap();
        let record = attest::File::parse(&file.0).unwrap().record.len();
        let short = machine.presentation(server, machine::Purpose::OpenByDigest);
        let store = padded(&presentation, "size", record.into());
        let ask = |path: &str, body: &Value, token| client::request("POST", path, Some(body), token);
        Self {
            challenge: ask(machine::CHALLENGE, &json!({}), ""),
            long: Floors::of(server, &presentation, answer),
            short: Floors::of(server, &short, answer),
            store: (0..200).map(|key| ask(&format!("notes/store/{key}"), &store, server.token())).collect(),
            record,
            answer,
        }
    }

    fn lanes(&self) -> Vec<Lane> {
        let same = |bytes: &Vec<u8>| Supply::Same(vec![bytes.clone()]);
        let fresh = |purpose| Supply::Fresh(purpose, Vec::new());
        vec![
            Lane::new(lane::CHALLENGE, same(&self.challenge)),
            Lane::new(lane::TRANSIT, same(&self.long.transit)),
            Lane::new(lane::NOOP, same(&self.long.noop)),
            Lane::new(lane::STORE, Supply::Same(self.store.clone())),
            Lane::new(lane::RELEASE, fresh(machine::Purpose::Open)),
            Lane::new(lane::TRANSIT_SHORT, same(&self.short.transit)),
            Lane::new(lane::NOOP_SHORT, same(&self.short.noop)),
            Lane::new(lane::RELEASE_SHORT, fresh(machine::Purpose::OpenByDigest)),
            Lane::new(lane::LOGIN, fresh(machine::Purpose::LoginByDigest)),
        ]
    }

    fn sizes(&self) -> String {
        let (long, short) = (self.long.noop.len(), self.short.noop.len());
        let (record, answer) = (self.record, self.answer);
        format!("requests of {long} and {short} bytes, answers of {answer}, records of {record}")
    }
}

impl Floors {
    fn of(server: &Server, presentation: &Value, answer: usize) -> Self {
        // Ciphertext of as many bytes as the answer has.
        let plain = json!({ "plaintext": "QUFB".repeat(answer / 4) });
        let encrypted = server.call("POST", "transit/encrypt/bench", Some(&plain), server.token());
        let ciphertext = encrypted["data"]["ciphertext"].clone();
        let mut decrypt = padded(presentation, "ciphertext", ciphertext.clone());
        for field in ["evidence", "public_key"] {
            let long = presentation.to_string().len();
            let surplus = decrypt.to_string().len().saturating_sub(long);
            let text = decrypt[field].as_str().unwrap();
            decrypt[field] = Value::from(&text[..text.len().saturating_sub(surplus)]);
        }
        let ask = |path: &str, body: &Value, token| client::request("POST", path, Some(body), token);
        Self {
            transit: ask("transit/decrypt/bench", &decrypt, server.token()),
            noop: ask("notes/noop/open", &padded(presentation, "size", answer.into()), ""),
        }
    }
}

/// A body with one more field.
fn padded(presentation: &Value, field: &str, value: Value) -> Value {
    let mut body = presentation.clone();
    body[field] = value;
    body
}

/// The example plugin of `openbao-plugin`, built as this program was, unless `$CLOUDTASER_NOTES` names one.
fn notes() -> PathBuf {
    if let Some(built) = std::env::var_os("CLOUDTASER_NOTES") {
        return built.into();
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--message-format=json-render-diagnostics"]);
    cargo.args(["--workspace", "--example", "notes"]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let output = cargo.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "the example `notes` does not build");
    let text = String::from_utf8(output.stdout).unwrap();
    let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let built = messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back();
    built.unwrap()
}

/// How busy the machine is, in the kernel's words.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<&str> = text.split(' ').take(3).collect();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{processors} processors, load average {}", load.join(" "))
}
