//! A real OpenBao server with the example plugin in it, initialised and unsealed by itself.
//!
//! One server is started for each test binary (each start costs about a second) and killed when
//! the binary ends, by the kernel if need be.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// A running server.
pub struct Server {
    process: Child,
    dir: TempDir,
    address: String,
    token: String,
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    pub fn data(&self) -> Value {
        self.json()["data"].clone()
    }

    /// The words of a refusal.
    pub fn errors(&self) -> String {
        let errors = self.json()["errors"].clone();
        errors.as_array().map(|all| all.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
    }
}

impl Server {
    /// Starts a server with the plugin mounted at `notes/`, `other/` and `auth/notes/`.
    pub fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let plugins = dir.path().join("plugins");
        fs::create_dir(&plugins).unwrap();
        fs::copy(example(), plugins.join("notes")).unwrap();
        let digest = sha256(&plugins.join("notes"));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = dir.path().join("bao.hcl");
        fs::write(&config, configuration(port, &plugins, &digest)).unwrap();
        let log = fs::File::create(dir.path().join("bao.log")).unwrap();
        let process = Command::new(bao())
            .args(["server", "-log-level=trace", "-log-format=json"])
            .arg(format!("-config={}", config.display()))
            .env("BAO_TOKEN", "an-inherited-credential")
            .env("AWS_SECRET_ACCESS_KEY", "another")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server =
            Self { process, dir, address: format!("http://127.0.0.1:{port}"), token: String::new() };
        server.wait_until_ready();
        server.token = server.log_in();
        server
    }

    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    pub fn read(&self, path: &str) -> Answer {
        self.call("GET", path, None, &self.token)
    }

    pub fn list(&self, path: &str) -> Answer {
        self.call("LIST", path, None, &self.token)
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, None, &self.token)
    }

    pub fn write(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, Some(body), &self.token)
    }

    /// One call; an empty token is none.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>, token: &str) -> Answer {
        self.try_call(method, path, body, token).unwrap()
    }

    pub fn try_call(
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
        let mut answer = agent(Duration::from_secs(60)).run(request.body(body).unwrap())?;
        let content_type = answer.headers().get("content-type").and_then(|value| value.to_str().ok());
        Ok(Answer {
            content_type: content_type.unwrap_or_default().to_owned(),
            status: answer.status().as_u16(),
            text: answer.body_mut().with_config().limit(64 << 20).read_to_string()?,
        })
    }

    /// Asks and goes away before the answer.
    pub fn ask_and_leave(&self, path: &str, after: Duration) {
        let request = ureq::http::Request::builder()
            .uri(format!("{}/v1/{path}", self.address))
            .header("X-Vault-Token", &self.token)
            .body(())
            .unwrap();
        agent(after).run(request).expect_err("the answer came too early");
    }

    /// Everything that the server logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("bao.log")).unwrap()
    }

    /// The log's entries whose message contains `text`, once there is one.
    pub fn logged(&self, text: &str) -> Vec<Value> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let found: Vec<Value> = self
                .log()
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .filter(|line: &Value| line["@message"].as_str().is_some_and(|message| message.contains(text)))
                .collect();
            if !found.is_empty() || Instant::now() > deadline {
                return found;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The processes that the server has started and that live.
    pub fn plugins(&self) -> Vec<u32> {
        children(self.process.id())
    }

    /// Kills the server as a crash would.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                panic!("server ended with {status}:\n{}", self.log());
            }
            match self.try_call("GET", "sys/health", None, "") {
                Ok(answer) if answer.status == 200 && self.log().contains("post-unseal setup complete") => break,
                Ok(_) | Err(_) => assert!(Instant::now() < deadline, "server not ready:\n{}", self.log()),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn log_in(&self) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let answer = self.call("POST", "auth/userpass/login/root", Some(&json!({"password": "root"})), "");
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
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The living children of `parent`.
pub fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|process: &u32| status(*process).is_some_and(|(state, of)| state != "Z" && of == parent))
        .collect()
}

/// The state and the parent of a process.
pub fn status(process: u32) -> Option<(String, u32)> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1).map(str::to_owned)
    };
    Some((field("State:")?, field("PPid:")?.parse().ok()?))
}

/// Waits until `done`, for ten seconds.
pub fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not happen in 10 s");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The example plugin, which cargo builds together with the tests.
pub fn example() -> PathBuf {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let example = deps.parent().unwrap().join("examples/notes");
    assert!(example.exists(), "{} is missing: run `cargo build --example notes`", example.display());
    example
}

fn bao() -> PathBuf {
    std::env::var_os("CLOUDTASER_BAO").map_or_else(|| PathBuf::from("bao"), PathBuf::from)
}

fn agent(timeout: Duration) -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .timeout_global(Some(timeout))
        .build()
        .into()
}

fn sha256(file: &Path) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &fs::read(file).unwrap());
    digest.as_ref().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn configuration(port: u16, plugins: &Path, digest: &str) -> String {
    let mut text = format!(
        r#"
        api_addr = "http://127.0.0.1:{port}"
        listener "tcp" {{
          address = "127.0.0.1:{port}"
          tls_disable = true
        }}
        storage "inmem" {{}}
        seal "static" {{
          current_key_id = "test"
          current_key = "{STATIC_KEY}"
        }}
        plugin_directory = "{}"
        plugin_auto_register = true
        plugin "secret" "notes" {{
          command = "notes"
          version = "v0.1.0"
          sha256sum = "{digest}"
        }}
        plugin "auth" "notes" {{
          command = "notes"
          version = "v0.1.0"
          args = ["--kind=auth"]
          sha256sum = "{digest}"
        }}
        initialize "test" {{
        "#,
        plugins.display()
    );
    let all = r#"path "*" { capabilities = ["create", "read", "update", "patch", "delete", "list", "scan", "sudo"] }"#;
    let notes = r#"path "notes/*" { capabilities = ["create", "read", "update", "delete", "list"] }
        path "notes/alias/hidden" { capabilities = ["deny"] }"#;
    let requests = [
        ("sys/policies/acl/root-like", json!({"policy": all})),
        ("sys/policies/acl/notes", json!({"policy": notes})),
        ("sys/auth/userpass", json!({"type": "userpass"})),
        ("auth/userpass/users/root", json!({"password": "root", "token_policies": "root-like"})),
        ("sys/mounts/notes", json!({"type": "notes", "options": {"colour": "green"}})),
        ("sys/mounts/other", json!({"type": "notes"})),
        ("sys/auth/notes", json!({"type": "notes"})),
    ];
    for (path, data) in requests {
        write!(text, "{}", request(path, data.as_object().unwrap())).unwrap();
    }
    text.push_str("}\n");
    text
}

fn request(path: &str, data: &Map<String, Value>) -> String {
    let data = Value::Object(data.clone());
    let name = path.replace('/', "-");
    format!(
        "request \"{name}\" {{\n operation = \"update\"\n path = \"{path}\"\n data = {{ {} }}\n}}\n",
        hcl(&data)
    )
}

/// An object's inside in HCL, which takes JSON's strings but writes `=`.
fn hcl(object: &Value) -> String {
    let value = |value: &Value| match value {
        Value::Object(_) => format!("{{ {} }}", hcl(value)),
        other => other.to_string(),
    };
    object.as_object().unwrap().iter().map(|(name, inner)| format!("{name} = {}\n", value(inner))).collect()
}

/// 32 bytes, of no worth.
const STATIC_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
