//! A real OpenBao with both faces of the plugin, the example `notes` and `transit`. No audit device.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use attest::Crypto;
use attest::crypto::AwsLcRs;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Client, request};
use crate::machine::chip;

/// A running server; killed when dropped.
pub(crate) struct Server {
    shell: Child,
    process: u32,
    dir: TempDir,
    address: SocketAddr,
    token: String,
}

/// Where OpenBao keeps its data.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Storage {
    /// In memory: what a write costs besides the disk.
    Memory,
    /// On disk, synchronised with each write.
    Raft,
}

impl Storage {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Memory => "release-memory",
            Self::Raft => "release-raft",
        }
    }

    fn stanza(self, dir: &Path) -> String {
        match self {
            Self::Memory => "storage \"inmem\" {}".to_owned(),
            Self::Raft => {
                let path = dir.join("raft");
                fs::create_dir(&path).unwrap();
                format!("storage \"raft\" {{\n path = \"{}\"\n node_id = \"bench\"\n}}", path.display())
            }
        }
    }
}

impl Server {
    /// Starts a server that believes the simulator, with one key `db` guarded by one policy.
    pub(crate) fn start(storage: Storage, notes: &Path) -> Self {
        let mut server = Self::launch(storage, notes);
        let init = json!({ "secret_shares": 1, "secret_threshold": 1 });
        let init = server.once_up("POST", "sys/init", &init);
        server.call("POST", "sys/unseal", Some(&json!({ "key": init["keys"][0] })), "");
        init["root_token"].as_str().unwrap().clone_into(&mut server.token);
        server.once_up("GET", "sys/health", &Value::Null);
        server.register(notes);
        server.fill();
        server
    }

    fn launch(storage: Storage, notes: &Path) -> Self {
        // Not where temporary files go, which may be no disk.
        let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let plugins = dir.path().join("plugins");
        fs::create_dir(&plugins).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_openbao-plugin-attest"), plugins.join("attest")).unwrap();
        fs::copy(notes, plugins.join("notes")).unwrap();
        fs::write(dir.path().join("ark.der"), chip().ark().der()).unwrap();
        let [port, cluster] = [free_port(), free_port()];
        let text = format!(
            "{}\nplugin_directory = \"{}\"\napi_addr = \"http://127.0.0.1:{port}\"\n\
             cluster_addr = \"http://127.0.0.1:{cluster}\"\nlistener \"tcp\" {{\n \
             address = \"127.0.0.1:{port}\"\n cluster_address = \"127.0.0.1:{cluster}\"\n tls_disable = true\n}}\n",
            storage.stanza(dir.path()),
            plugins.display(),
        );
        let config = dir.path().join("bao.hcl");
        fs::write(&config, text).unwrap();
        // The shell ends the server when its own standard input ends, however this program ends.
        let mut shell = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(std::env::var_os("CLOUDTASER_BAO").map_or_else(|| PathBuf::from("bao"), PathBuf::from))
            .args(["server", "-log-level=warn", &format!("-config={}", config.display())])
            .env("LOG", dir.path().join("log"))
            .env("HOME", dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut process = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut process).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Self { shell, process: process.trim().parse().unwrap(), dir, address, token: String::new() }
    }

    fn register(&self, notes: &Path) {
        let plugin = Path::new(env!("CARGO_BIN_EXE_openbao-plugin-attest"));
        let root = format!("--insecure-trust-root={}", self.dir.path().join("ark.der").display());
        let attest = |kind: &str| vec![format!("--kind={kind}"), root.clone()];
        let all = [
            ("secret/attest-secrets", "attest", plugin, attest("secrets")),
            ("auth/attest-auth", "attest", plugin, attest("auth")),
            ("secret/notes", "notes", notes, Vec::new()),
        ];
        for (name, command, file, args) in all {
            let sha256 = AwsLcRs.sha256(&[&fs::read(file).unwrap()]).to_string();
            let body = json!({ "sha256": sha256, "command": command, "args": args });
            self.write(&format!("sys/plugins/catalog/{name}"), &body);
        }
    }

    fn fill(&self) {
        self.write("sys/mounts/attest-keys", &json!({ "type": "attest-secrets" }));
        self.write("sys/auth/attest", &json!({ "type": "attest-auth" }));
        self.write("sys/mounts/notes", &json!({ "type": "notes" }));
        self.write("sys/mounts/transit", &json!({ "type": "transit" }));
        self.write("transit/keys/bench", &json!({}));
        let policy = include_str!("../../tests/release/policy.toml").replace("VERSION", "1");
        for mount in ["auth/attest", "attest-keys"] {
            self.write(&format!("{mount}/policy/simulated"), &json!({ "policy": policy }));
        }
        let fields = json!({ "username": "app", "password": "correct horse battery staple" });
        self.write("attest-keys/keys/db", &json!({ "policy": "simulated", "data": fields }));
        let lease = json!({ "seconds": 300, "reattest_interval": 300 });
        let leased = json!({ "policy": "simulated", "data": fields, "lease": lease });
        self.write("attest-keys/keys/leased", &leased);
        let accessor = self.call("GET", "sys/auth", None, &self.token)["data"]["attest/"]["accessor"].clone();
        self.write("attest-keys/config/auth", &json!({ "accessor": accessor }));
        let acl = r#"path "attest-keys/release/*" { capabilities = ["update"] }"#;
        self.write("sys/policies/acl/machine", &json!({ "policy": acl }));
        // All clients are one source here.
        let limits = json!({ "requests_per_second": 1_000_000, "requests_burst": 1_000_000 });
        for mount in ["auth/attest", "attest-keys"] {
            self.write(&format!("{mount}/config/limits"), &limits);
        }
        let role = json!({ "policy": "simulated", "token_policies": ["machine"], "token_ttl_seconds": 600 });
        self.write("auth/attest/role/node", &role);
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address).unwrap()
    }

    fn write(&self, path: &str, body: &Value) {
        self.call("POST", path, Some(body), &self.token);
    }

    /// One call that must succeed.
    pub(crate) fn call(&self, method: &str, path: &str, body: Option<&Value>, token: &str) -> Value {
        let reply = self.connect().send(&request(method, path, body, token)).unwrap();
        let text = String::from_utf8(reply.body).unwrap();
        assert!(reply.status < 300, "{path}: {} {text}", reply.status);
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// A call that succeeds at last: a server takes its time to start.
    fn once_up(&self, method: &str, path: &str, body: &Value) -> Value {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let client = Client::connect(self.address);
            match client.and_then(|mut client| client.send(&request(method, path, Some(body), ""))) {
                Ok(reply) if reply.status == 200 => return serde_json::from_slice(&reply.body).unwrap(),
                Ok(_) | Err(_) if Instant::now() < deadline => thread::sleep(Duration::from_millis(50)),
                Ok(_) | Err(_) => panic!("OpenBao does not answer:\n{}", self.log()),
            }
        }
    }

    /// How many commits the log of secrets had so far, and how many decisions.
    pub(crate) fn batches(&self) -> (f64, f64) {
        let ask = request("GET", "attest-keys/metrics", None, &self.token);
        let text = String::from_utf8(self.connect().send(&ask).unwrap().body).unwrap();
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("no {name} in {text}")).trim().parse().unwrap()
        };
        (value("cloudtaser_log_batch_size_count"), value("cloudtaser_log_batch_size_sum"))
    }

    /// The bytes of one entry of the log, by its first full bundle.
    pub(crate) fn entry_bytes(&self) -> Option<usize> {
        let ask = request("GET", "attest-keys/log/tile/entries/000", None, &self.token);
        let reply = self.connect().send(&ask).unwrap();
        (reply.status == 200).then_some(reply.body.len() / 256)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// The processor time of the server and of its plugins so far, in microseconds.
    pub(crate) fn cpu_time(&self) -> Cpu {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let stats = processes.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
        stats.filter_map(|stat| self.cpu_of(&stat)).fold(Cpu::default(), Cpu::plus)
    }

    /// The time of a process, if it is the server or a child of it.
    fn cpu_of(&self, stat: &str) -> Option<Cpu> {
        let process: u32 = stat.split(' ').next()?.parse().ok()?;
        // Behind the name, which may hold anything: state, parent, ... utime is the 12th, stime the 13th.
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let parent: u32 = fields.get(1)?.parse().ok()?;
        let number = |at: usize| fields.get(at)?.parse::<u32>().ok().map(f64::from);
        let time = (number(11)? + number(12)?) * TICK;
        if process == self.process {
            return Some(Cpu { server: time, plugins: 0.0 });
        }
        (parent == self.process).then_some(Cpu { server: 0.0, plugins: time })
    }
}

/// Processor time, in microseconds.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cpu {
    pub(crate) server: f64,
    pub(crate) plugins: f64,
}

impl Cpu {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self { server: self.server + other.server, plugins: self.plugins + other.plugins }
    }

    pub(crate) fn since(self, earlier: Self) -> Self {
        Self { server: self.server - earlier.server, plugins: self.plugins - earlier.plugins }
    }

    pub(crate) fn all(self) -> f64 {
        self.server + self.plugins
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        drop(self.shell.wait());
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Linux counts a process's time in hundredths of a second.
const TICK: f64 = 10_000.0;

const KEEPER: &str = r#"
"$@" </dev/null >"$LOG" 2>&1 &
echo $!
read line
kill $! 2>/dev/null
wait
"#;
