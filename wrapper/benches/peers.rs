//! The whole start with one secret of a real OpenBao, and the memory of it, against `bao agent` in its exec mode.
//!
//! Both read the same value of a KV engine with a token on the same machine, put it into the environment of `true`, and
//! end with it. Where there is no `bao`, nothing is measured and that is said.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

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

use serde_json::{Value, json};

const ADDRESS: &str = "VAULT_ADDR";
/// 20 ms, in microseconds.
const AIM: f64 = 20_000.0;

fn main() -> ExitCode {
    let smoke = env::args_os().any(|word| word == "--smoke")
        || env::var_os("CLOUDTASER_BENCH").is_some_and(|word| word == "smoke");
    let Some(server) = stage::real_openbao(None) else {
        println!("wrapper-peers: no bao to start, nothing measured");
        return ExitCode::SUCCESS;
    };
    assert!(server.run(&["kv", "put", "secret/db", "password=a-value"]));
    let folder = tempfile::tempdir().unwrap();
    let rounds = if smoke { (3, 1) } else { (60, 5) };
    let ours = median(|| wrapper(&server.address()), rounds.0);
    let peer = median(|| agent(&server.address(), folder.path()), rounds.1);
    let plain = median(|| Command::new("true"), rounds.0);
    report(
        "wrapper-peers",
        "us",
        &[
            row("start with a secret of a local OpenBao (aim: 20 ms)", ours, AIM),
            row("the same, against plain exec", ours, plain),
            row("bao agent's exec mode, against ours", peer, ours),
        ],
    );
    let (ours, peer) = (peak(&wrapper(&server.address())), peak(&agent(&server.address(), folder.path())));
    report(
        "wrapper-peers-memory",
        "kB",
        &[row("bao agent's exec mode, against our largest process", peer, ours)],
    );
    ExitCode::SUCCESS
}

fn wrapper(address: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloudtaser-wrapper"));
    command.env(ADDRESS, address).env("VAULT_AUTH_METHOD", "token").env("VAULT_TOKEN", "root");
    command.env("CLOUDTASER_SECRET_PATHS", "secret/data/db").env("CLOUDTASER_ENV_MAP", "password=PGPASSWORD");
    command.args(["--", "true"]).stderr(Stdio::null());
    command
}

fn agent(address: &str, folder: &Path) -> Command {
    let (token, configuration) = (folder.join("token"), folder.join("agent.hcl"));
    fs::write(&token, "root").unwrap();
    let template = r#"{{ with secret \"secret/data/db\" }}{{ .Data.data.password }}{{ end }}"#;
    let text = format!(
        "vault {{ address = {address:?} }}\n\
         auto_auth {{ method {{ type = \"token_file\" config = {{ token_file_path = {:?} }} }} }}\n\
         env_template \"PGPASSWORD\" {{ contents = \"{template}\" }}\n\
         exec {{ command = [\"true\"] }}\n",
        token.to_str().unwrap()
    );
    fs::write(&configuration, text).unwrap();
    let mut command = Command::new(env::var_os("CLOUDTASER_BAO").unwrap_or_else(|| "bao".into()));
    command.arg("agent").arg(format!("-config={}", configuration.display())).arg("-log-level=error");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn median(command: impl Fn() -> Command, rounds: usize) -> f64 {
    let mut times: Vec<f64> = (0..rounds)
        .map(|_| {
            let mut command = command();
            let begun = Instant::now();
            let status = command.status().unwrap();
            assert!(status.success(), "{command:?}: {status}");
            begun.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap()
}

/// The peak of the largest process that a command was, in kB: as the kernel tells who waits for it (getrusage(2)).
fn peak(command: &Command) -> f64 {
    let script = "import resource, subprocess, sys\n\
        subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n\
        print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)";
    let mut watched = Command::new("python3");
    watched.args(["-c", script]).arg(command.get_program()).args(command.get_args());
    watched.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = watched.output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

fn row(what: &str, value: f64, floor: f64) -> Value {
    json!({ "what": what, "value": value, "floor": floor, "ratio": value / floor })
}

fn report(name: &str, unit: &str, rows: &[Value]) {
    for row in rows {
        let [value, ratio] = ["value", "ratio"].map(|field| row.get(field).unwrap().as_f64().unwrap());
        let what = row.get("what").unwrap().as_str().unwrap();
        println!("{name}: {what} {value:.0} {unit}, {ratio:.2} of its floor");
    }
    if let Some(dir) = env::var_os("CLOUDTASER_BENCH_DIR") {
        let text = json!({ "name": name, "unit": unit, "rows": rows }).to_string();
        fs::write(Path::new(&dir).join(format!("{name}.json")), text).unwrap();
    }
}
