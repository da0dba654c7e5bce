//! A real OpenBao server with the example plugin in it, initialised and unsealed by itself.
//!
//! Most tests share one server. Each server hangs on a pipe that a shell reads: when the test
//! process ends, in whatever way, the shell kills the server and removes its directory.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::configuration::{Node, configuration};

/// A running server.
pub(crate) struct Server {
    shell: Child,
    process: u32,
    dir: PathBuf,
    address: String,
    token: String,
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    pub(crate) fn data(&self) -> Value {
        self.json()["data"].clone()
    }

    /// The words of a refusal.
    pub(crate) fn errors(&self) -> String {
        let errors = self.json()["errors"].clone();
        errors.as_array().map(|all| all.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
    }
}

/// The server that most tests share.
pub(crate) fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(Server::start)
}

impl Server {
    /// Starts a server with the plugin mounted at `notes/`, `other/` and `auth/notes/`.
    pub(crate) fn start() -> Self {
        let mut server = Self::launch(&Node::Alone);
        server.wait_until_ready();
        server.token = server.log_in();
        server
    }

    /// Starts the first node of a cluster.
    pub(crate) fn start_first() -> Self {
        let mut server = Self::launch(&Node::First);
        server.wait_until_ready();
        server.token = server.log_in();
        server
    }

    /// Starts a node that joins `first` as a standby.
    pub(crate) fn start_joining(first: &Self) -> Self {
        let mut server = Self::launch(&Node::Joining { first: &first.address });
        server.token.clone_from(&first.token);
        eventually("the standby's first answer", || {
            let who = server.try_call("GET", "notes/whoami", None, &server.token);
            who.is_ok_and(|who| who.data()["standby"] == true)
        });
        server
    }

    fn launch(node: &Node<'_>) -> Self {
        let dir = TempDir::new().unwrap().keep();
        let plugins = dir.join("plugins");
        fs::create_dir(&plugins).unwrap();
        fs::copy(example("notes"), plugins.join("notes")).unwrap();
        let digest = sha256(&plugins.join("notes"));
        let port = free_port();
        let config = dir.join("bao.hcl");
        fs::write(&config, configuration(node, &dir, [port, free_port()], &digest)).unwrap();
        let mut shell = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(bao())
            .args(["server", "-log-level=trace", "-log-format=json"])
            .arg(format!("-config={}", config.display()))
            .env("DIR", &dir)
            .env("BAO_TOKEN", "an-inherited-credential")
            .env("AWS_SECRET_ACCESS_KEY", "another")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut process = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut process).unwrap();
        let process = process.trim().parse().unwrap();
        let address = format!("http://127.0.0.1:{port}");
        Self { shell, process, dir, address, token: String::new() }
    }

    pub(crate) fn read(&self, path: &str) -> Answer {
        self.call("GET", path, None, &self.token)
    }

    pub(crate) fn list(&self, path: &str) -> Answer {
        self.call("LIST", path, None, &self.token)
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, None, &self.token)
    }

    pub(crate) fn write(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, Some(body), &self.token)
    }

    /// One call; an empty token is none.
    pub(crate) fn call(&self, method: &str, path: &str, body: Option<&Value>, token: &str) -> Answer {
        self.try_call(method, path, body, token).unwrap()
    }

    pub(crate) fn try_call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        token: &str,
    ) -> Result<Answer, ureq::Error> {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}/v1/{path}", self.address))
            .header("X-Vault-Request", "true");
        if !token.is_empty() {
            request = request.header("X-Vault-Token", token);
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut answer = agent(Duration::from_mins(1)).run(request.body(body).unwrap())?;
        let content_type = answer.headers().get("content-type").and_then(|value| value.to_str().ok());
        Ok(Answer {
            content_type: content_type.unwrap_or_default().to_owned(),
            status: answer.status().as_u16(),
            text: answer.body_mut().with_config().limit(64 << 20).read_to_string()?,
        })
    }

    /// Asks and goes away before the answer.
    pub(crate) fn ask_and_leave(&self, path: &str, after: Duration) {
        let request = ureq::http::Request::builder()
            .uri(format!("{}/v1/{path}", self.address))
            .header("X-Vault-Token", &self.token)
            .body(())
            .unwrap();
        agent(after).run(request).expect_err("the answer came too early");
    }

    /// A token that may do everything.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    pub(crate) fn plugin_digest(&self) -> String {
        sha256(&self.dir.join("plugins/notes"))
    }

    /// Everything that the server logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("bao.log")).unwrap()
    }

    /// The log's entries whose message contains `text`, once there is one.
    pub(crate) fn logged(&self, text: &str) -> Vec<Value> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let found: Vec<Value> = self
                .log()
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .filter(|line: &Value| {
                    line["@message"].as_str().is_some_and(|message| message.contains(text))
                })
                .collect();
            if !found.is_empty() || Instant::now() > deadline {
                return found;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The processes that the server has started and that live.
    pub(crate) fn plugins(&self) -> Vec<u32> {
        children(self.process)
    }

    /// Kills the server as a crash would.
    pub(crate) fn kill(&self) {
        signal("KILL", self.process);
        eventually("the server's end", || !lives(self.process));
    }

    fn wait_until_ready(&self) {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            assert!(lives(self.process), "server ended:\n{}", self.log());
            match self.try_call("GET", "sys/health", None, "") {
                Ok(answer) if answer.status == 200 && self.log().contains("post-unseal setup complete") => {
                    break;
                }
                Ok(_) | Err(_) => assert!(Instant::now() < deadline, "server not ready:\n{}", self.log()),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn log_in(&self) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let answer =
                self.call("POST", "auth/userpass/login/root", Some(&json!({"password": "root"})), "");
            match answer.json()["auth"]["client_token"].as_str() {
                Some(token) => return token.to_owned(),
                None => assert!(Instant::now() < deadline, "{answer:?}\n{}", self.log()),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        drop(self.shell.wait());
    }
}

/// The living children of `parent`.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|process: &u32| status(*process).is_some_and(|(state, of)| state != "Z" && of == parent))
        .collect()
}

/// Whether a process lives: a zombie does not.
pub(crate) fn lives(process: u32) -> bool {
    status(process).is_some_and(|(state, _)| state != "Z")
}

/// Sends a signal.
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

/// Waits until `done`, for half a minute: machines that test are busy.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not happen in 30 s");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An example plugin, which cargo builds together with the tests.
pub(crate) fn example(name: &str) -> PathBuf {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let example = deps.parent().unwrap().join("examples").join(name);
    assert!(example.exists(), "{} is missing: run `cargo build --example {name}`", example.display());
    example
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) fn bao() -> PathBuf {
    std::env::var_os("CLOUDTASER_BAO").map_or_else(|| PathBuf::from("bao"), PathBuf::from)
}

pub(crate) fn agent(timeout: Duration) -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .max_redirects(0)
        .timeout_global(Some(timeout))
        .build()
        .into()
}

pub(crate) fn sha256(file: &Path) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &fs::read(file).unwrap());
    digest.as_ref().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// Runs the server until its own standard input ends.
const KEEPER: &str = r#"
"$@" </dev/null >"$DIR/bao.log" 2>&1 &
echo $!
read line
kill -9 $! 2>/dev/null
wait
rm -rf "$DIR"
"#;
