//! A real OpenBao on a disk that outlives it: started, stopped, killed and started again.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A server, running or not, and what it needs.
pub(crate) struct Bao {
    pub(crate) dir: TempDir,
    pub(crate) port: u16,
    cluster_port: u16,
    running: Option<(Child, u32)>,
    token: String,
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) json: Value,
}

impl Answer {
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert!((200..300).contains(&self.status), "{self:?}");
        self
    }
}

impl Bao {
    /// A machine with an empty disk and this plugin installed.
    pub(crate) fn new(plugin: &Path) -> Self {
        let dir = TempDir::new().unwrap();
        for name in ["plugins", "raft"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let installed = dir.path().join("plugins").join(plugin.file_name().unwrap());
        fs::copy(plugin, installed).unwrap();
        Self { dir, port: free_port(), cluster_port: free_port(), running: None, token: String::new() }
    }

    /// The SHA-256 of an installed plugin.
    pub(crate) fn digest(&self, plugin: &str) -> String {
        let program = fs::read(self.dir.path().join("plugins").join(plugin)).unwrap();
        hex::encode(digest::digest(&digest::SHA256, &program))
    }

    /// Starts the server; `rest` follows the common part of its configuration.
    pub(crate) fn launch(&mut self, rest: &str) {
        assert!(self.running.is_none());
        let config = self.dir.path().join("bao.hcl");
        fs::write(&config, self.configuration(rest)).unwrap();
        let mut shell = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(bao())
            .args(["server", "-log-level=debug"])
            .arg(format!("-config={}", config.display()))
            .env("LOG", self.dir.path().join("log"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut process = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut process).unwrap();
        self.running = Some((shell, process.trim().parse().unwrap()));
    }

    fn configuration(&self, rest: &str) -> String {
        let (dir, port, cluster_port) = (self.dir.path().display(), self.port, self.cluster_port);
        format!(
            r#"
            api_addr = "http://127.0.0.1:{port}"
            cluster_addr = "https://127.0.0.1:{cluster_port}"
            plugin_directory = "{dir}/plugins"
            listener "tcp" {{
              address = "127.0.0.1:{port}"
              cluster_address = "127.0.0.1:{cluster_port}"
              tls_disable = true
            }}
            storage "raft" {{
              path = "{dir}/raft"
              node_id = "one"
            }}
            {rest}
            "#
        )
    }

    /// Waits until the server answers at all.
    #[track_caller]
    pub(crate) fn wait_for_answer(&self) {
        eventually("an answer", || {
            assert!(lives(self.process()), "the server ended:\n{}", self.log());
            self.health().is_some()
        });
    }

    /// Initialises it, and gives back what it says; from here on calls carry the root token.
    #[track_caller]
    pub(crate) fn initialise(&mut self) -> Value {
        let answer = self.try_initialise();
        assert_eq!(answer.status, 200, "{answer:?}\n{}", self.log());
        answer.json["root_token"].as_str().unwrap().clone_into(&mut self.token);
        self.wait_until_unsealed();
        answer.json
    }

    pub(crate) fn try_initialise(&self) -> Answer {
        self.call("PUT", "sys/init", &json!({ "recovery_shares": 1, "recovery_threshold": 1 })).unwrap()
    }

    #[track_caller]
    pub(crate) fn wait_until_unsealed(&self) {
        eventually("unsealing", || self.health() == Some(200));
    }

    /// Waits until the log says `text` once more than `before` times.
    #[track_caller]
    pub(crate) fn wait_for_word(&self, text: &str, before: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.said(text) <= before {
            assert!(Instant::now() < deadline, "no {text:?} in:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it in order.
    pub(crate) fn stop(&mut self) {
        signal("TERM", self.process());
        self.wait_for_end();
    }

    /// Waits until the server has ended by itself, or was told to.
    pub(crate) fn wait_for_end(&mut self) {
        eventually("the server's end", || !lives(self.process()));
        let (mut shell, _) = self.running.take().unwrap();
        drop(shell.stdin.take());
        shell.wait().unwrap();
    }

    pub(crate) fn process(&self) -> u32 {
        self.running.as_ref().unwrap().1
    }

    /// 200 is active, 501 not initialised, 503 sealed; nothing is no answer.
    pub(crate) fn health(&self) -> Option<u16> {
        self.call("GET", "sys/health", &Value::Null).map(|answer| answer.status)
    }

    pub(crate) fn write(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, body).unwrap()
    }

    pub(crate) fn call(&self, method: &str, path: &str, body: &Value) -> Option<Answer> {
        let uri = format!("http://127.0.0.1:{}/v1/{path}", self.port);
        let request = ureq::http::Request::builder().method(method).uri(uri);
        let request = request.header("X-Vault-Token", &self.token);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .timeout_global(Some(Duration::from_mins(2)))
            .build()
            .into();
        let mut answer = agent.run(request.body(body).unwrap()).ok()?;
        let json = answer.body_mut().read_json().unwrap_or_default();
        Some(Answer { status: answer.status().as_u16(), json })
    }

    /// What it said since the machine was set up.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// How often it said `text`.
    pub(crate) fn said(&self, text: &str) -> usize {
        self.log().matches(text).count()
    }
}

impl Drop for Bao {
    fn drop(&mut self) {
        if let Some((mut shell, _)) = self.running.take() {
            drop(shell.stdin.take());
            drop(shell.wait());
        }
    }
}

/// Waits until `done`: machines that test are busy.
#[track_caller]
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not happen in {} s", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The living children of a process.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|process: &u32| status(*process).is_some_and(|(state, of)| state != "Z" && of == parent))
        .collect()
}

pub(crate) fn lives(process: u32) -> bool {
    status(process).is_some_and(|(state, _)| state != "Z")
}

pub(crate) fn signal(name: &str, process: u32) {
    let sent = Command::new("kill").args([format!("-{name}"), process.to_string()]).status().unwrap();
    assert!(sent.success(), "kill -{name} {process}");
}

fn status(process: u32) -> Option<(String, u32)> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1).map(str::to_owned)
    };
    Some((field("State:")?, field("PPid:")?.parse().ok()?))
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn bao() -> PathBuf {
    std::env::var_os("CLOUDTASER_BAO").map_or_else(|| PathBuf::from("bao"), PathBuf::from)
}

/// How long anything may take here.
const PATIENCE: Duration = Duration::from_mins(1);

/// Runs the server until its own standard input ends.
const KEEPER: &str = r#"
"$@" </dev/null >>"$LOG" 2>&1 &
echo $!
read line
kill -9 $! 2>/dev/null
wait
"#;
