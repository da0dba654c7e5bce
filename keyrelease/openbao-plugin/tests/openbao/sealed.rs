//! A server whose seal is a plugin, on a disk that outlives it: started, stopped and started again.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{agent, bao, children, eventually, example, free_port, lives, sha256, signal};

/// A machine with a disk; the server on it may run or not.
pub(crate) struct Machine {
    pub(crate) dir: TempDir,
    port: u16,
    running: Option<(Child, u32)>,
}

impl Machine {
    /// With one key in the box, and no server.
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        for name in ["plugins", "raft", "box"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::copy(example("strongbox"), dir.path().join("plugins/strongbox")).unwrap();
        let machine = Self { dir, port: free_port(), running: None };
        machine.add_key("1", 1);
        machine
    }

    /// Initialised and unsealed.
    pub(crate) fn initialised() -> Self {
        let mut machine = Self::new();
        machine.start();
        machine.initialise();
        machine
    }

    pub(crate) fn add_key(&self, name: &str, byte: u8) {
        fs::write(self.in_box(name), [byte; 32]).unwrap();
    }

    pub(crate) fn in_box(&self, name: &str) -> PathBuf {
        self.dir.path().join("box").join(name)
    }

    /// Starts the server and waits for its first answer.
    pub(crate) fn start(&mut self) {
        self.start_with(&format!("dir = {:?}", self.dir.path().join("box").display().to_string()));
        eventually("an answer", || {
            assert!(lives(self.process()), "{}", self.log());
            self.health().is_some()
        });
    }

    /// Starts the server with these settings of the seal.
    pub(crate) fn start_with(&mut self, settings: &str) {
        assert!(self.running.is_none());
        let config = self.dir.path().join("bao.hcl");
        fs::write(&config, self.configuration(settings)).unwrap();
        let mut shell = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(bao())
            .args(["server", "-log-level=debug", "-log-format=json"])
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

    /// Ends the server in order.
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

    /// The plugin's process.
    pub(crate) fn plugin(&self) -> u32 {
        let plugins = children(self.process());
        assert_eq!(plugins.len(), 1, "{plugins:?}");
        plugins[0]
    }

    fn process(&self) -> u32 {
        self.running.as_ref().unwrap().1
    }

    pub(crate) fn initialise(&self) {
        let answer = self.call("PUT", "sys/init", &json!({"recovery_shares": 1, "recovery_threshold": 1}));
        assert_eq!(answer.as_ref().map(|(status, _)| *status), Some(200), "{answer:?}\n{}", self.log());
        eventually("unsealing", || self.is_unsealed());
    }

    pub(crate) fn is_unsealed(&self) -> bool {
        self.health() == Some(200)
    }

    /// 200 is active, 501 not initialised, 503 sealed; nothing is no answer.
    pub(crate) fn health(&self) -> Option<u16> {
        self.call("GET", "sys/health", &Value::Null).map(|(status, _)| status)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
        let uri = format!("http://127.0.0.1:{}/v1/{path}", self.port);
        let request = ureq::http::Request::builder().method(method).uri(uri);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut answer = agent(Duration::from_mins(1)).run(request.body(body).unwrap()).ok()?;
        let json = answer.body_mut().read_json().unwrap_or_default();
        Some((answer.status().as_u16(), json))
    }

    /// What all servers on this machine said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// How often they said `text`.
    pub(crate) fn said(&self, text: &str) -> usize {
        self.log().matches(text).count()
    }

    fn configuration(&self, settings: &str) -> String {
        let (port, dir) = (self.port, self.dir.path().display());
        let digest = sha256(&self.dir.path().join("plugins/strongbox"));
        format!(
            r#"
            api_addr = "http://127.0.0.1:{port}"
            cluster_addr = "http://127.0.0.1:{}"
            listener "tcp" {{
              address = "127.0.0.1:{port}"
              tls_disable = true
            }}
            storage "raft" {{
              path = "{dir}/raft"
              node_id = "one"
            }}
            plugin_directory = "{dir}/plugins"
            plugin "kms" "strongbox" {{
              command = "strongbox"
              sha256sum = "{digest}"
            }}
            seal "strongbox" {{
              {settings}
            }}
            "#,
            free_port()
        )
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some((mut shell, _)) = self.running.take() {
            drop(shell.stdin.take());
            drop(shell.wait());
        }
    }
}

/// Runs the server until its own standard input ends.
const KEEPER: &str = r#"
"$@" </dev/null >>"$LOG" 2>&1 &
echo $!
read line
kill -9 $! 2>/dev/null
wait
"#;
