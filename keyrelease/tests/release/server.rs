//! A real OpenBao in development mode with both faces of the plugin, and a client for it.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use attest::UnixTime;
use attest::crypto::AwsLcRs;
use attest::{Crypto, VerifierKey};
use serde_json::{Value, json};
use simulator::snp::{Chip, Product};
use tempfile::TempDir;

/// A running server; killed when dropped.
pub(crate) struct Server {
    shell: Child,
    dir: TempDir,
    address: String,
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) json: Value,
}

impl Answer {
    /// The words of an error.
    pub(crate) fn errors(&self) -> String {
        let errors = self.json["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("; ")
    }

    /// The ids of the checks that a refusal names.
    pub(crate) fn failing(&self) -> Vec<String> {
        assert_eq!(self.status, 403, "{self:?}");
        let failing = self.json["data"]["failing"].as_array().cloned().unwrap_or_default();
        failing.iter().map(|check| check["id"].as_str().unwrap().to_owned()).collect()
    }
}

/// The server that most tests share.
pub(crate) fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| {
        let server = Server::start();
        // All tests have one address, and most of them are about refusals.
        let limits = json!({ "refusals_burst": 100_000, "refusals_burst_in_all": 100_000 });
        for mount in ["attest-keys", "auth/attest"] {
            server.write(&format!("{mount}/config/limits"), &limits).ok();
        }
        server
    })
}

/// A server that never admits a machine: its collateral store stays empty, so that what a machine brings is all there
/// is.
pub(crate) fn barren() -> &'static Server {
    static BARREN: OnceLock<Server> = OnceLock::new();
    BARREN.get_or_init(Server::start)
}

#[expect(clippy::disallowed_methods, reason = "the real server lives now, and so must the chips")]
pub(crate) fn now() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs())
}

/// The chip that the server's policies admit.
pub(crate) fn chip() -> Chip {
    chip_at(now().0)
}

/// The same chip, with certificates and lists of another time.
pub(crate) fn chip_at(time: u64) -> Chip {
    Chip::new(7, Product::Genoa).at(time)
}

impl Server {
    /// Starts a server that believes the simulator, with one key `db` guarded by `simulated`.
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// The same, with more lines in OpenBao's configuration.
    pub(crate) fn start_with(lines: &str) -> Self {
        let roots = [
            "--insecure-trust-root={root}",
            "--insecure-trust-root={root}.0",
            "--insecure-trust-root={root}.1",
        ];
        let server = Self::launch_with(&roots, lines);
        server.write("auth/attest/policy/simulated", &json!({ "policy": policy(1) })).ok();
        server.write("attest-keys/policy/simulated", &json!({ "policy": policy(1) })).ok();
        let fields = json!({ "username": "app", "password": SECRET });
        server.write("attest-keys/keys/db", &json!({ "policy": "simulated", "data": fields })).ok();
        let role = json!({ "policy": "simulated", "token_policies": ["machine"], "token_ttl_seconds": 600 });
        server.write("auth/attest/role/node", &role).ok();
        server
    }

    /// Starts a server with the plugin under these arguments.
    pub(crate) fn launch(args: &[&str]) -> Self {
        Self::launch_with(args, "")
    }

    fn launch_with(args: &[&str], lines: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let plugins = dir.path().join("plugins");
        std::fs::create_dir(&plugins).unwrap();
        let plugin = Path::new(env!("CARGO_BIN_EXE_openbao-plugin-attest"));
        let installed = plugins.join("openbao-plugin-attest");
        std::fs::copy(plugin, &installed).unwrap();
        let root = dir.path().join("ark.der");
        std::fs::write(&root, chip().ark().der()).unwrap();
        for (number, der) in crate::platforms::roots().iter().enumerate() {
            std::fs::write(format!("{}.{number}", root.display()), der).unwrap();
        }
        let port = free_port();
        let config = dir.path().join("bao.hcl");
        let audit = dir.path().join("audit.log").display().to_string();
        let text = format!(
            "plugin_directory = {:?}\naudit \"file\" \"disk\" {{\n options {{\n file_path = {audit:?}\n }}\n}}\n{lines}",
            plugins.display().to_string(),
        );
        std::fs::write(&config, text).unwrap();
        // The shell ends the server when its own standard input ends, however the test ends.
        let shell = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(bao())
            .args(["server", "-dev", "-dev-root-token-id=root", "-dev-no-store-token"])
            .arg(format!("-dev-listen-address=127.0.0.1:{port}"))
            .arg(format!("-config={}", config.display()))
            .env("LOG", dir.path().join("log"))
            .env("HOME", dir.path())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let server = Self { shell, dir, address: format!("http://127.0.0.1:{port}") };
        server.wait();
        let digest = AwsLcRs.sha256(&[&std::fs::read(&installed).unwrap()]).to_string();
        for (catalogue, kind) in [("auth", "auth"), ("secret", "secrets")] {
            let mut all = vec![format!("--kind={kind}")];
            all.extend(args.iter().map(|arg| arg.replace("{root}", &root.display().to_string())));
            let name = format!("attest-{kind}");
            let body = json!({ "sha256": digest, "command": "openbao-plugin-attest", "args": all });
            server.write(&format!("sys/plugins/catalog/{catalogue}/{name}"), &body).ok();
        }
        server.write("sys/auth/attest", &json!({ "type": "attest-auth" })).ok();
        server.write("sys/mounts/attest-keys", &json!({ "type": "attest-secrets" })).ok();
        server
    }

    pub(crate) fn read(&self, path: &str) -> Answer {
        self.call("GET", path, None, "root")
    }

    pub(crate) fn list(&self, path: &str) -> Answer {
        self.call("LIST", path, None, "root")
    }

    pub(crate) fn write(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, Some(body), "root")
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
        let token = (!token.is_empty()).then(|| ("X-Vault-Token".to_owned(), token.to_owned()));
        self.try_call_with(method, path, body, &Vec::from_iter(token))
    }

    /// One call with these headers.
    pub(crate) fn try_call_with(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        headers: &[(String, String)],
    ) -> Result<Answer, ureq::Error> {
        let uri = format!("{}/v1/{path}", self.address);
        let request = ureq::http::Request::builder().method(method).uri(uri);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .timeout_global(Some(Duration::from_mins(1)))
            .build()
            .into();
        let mut answer = agent.run(request.body(body.map(Value::to_string).unwrap_or_default()).unwrap())?;
        let text = answer.body_mut().with_config().limit(64 << 20).read_to_string()?;
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Answer { status: answer.status().as_u16(), json })
    }

    /// A read whose answer is no JSON.
    pub(crate) fn text(&self, path: &str) -> (u16, String) {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = agent.get(format!("{}/v1/{path}", self.address)).header("X-Vault-Token", "root");
        let mut answer = request.call().unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    }

    /// Where the server keeps its files.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A read whose answer is no text.
    pub(crate) fn bytes(&self, path: &str) -> Vec<u8> {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = agent.get(format!("{}/v1/{path}", self.address)).header("X-Vault-Token", "root");
        request.call().unwrap().body_mut().read_to_vec().unwrap()
    }

    /// The key that signs the records of a mount.
    pub(crate) fn verifier_key(&self, mount: &str) -> VerifierKey {
        let answer = self.read(&format!("{mount}/config/verifier-key"));
        let hex = answer.json["data"]["public_key"].as_str().unwrap().to_owned();
        VerifierKey(hex::decode(hex).unwrap().try_into().unwrap())
    }

    /// All that the server and its plugins logged.
    pub(crate) fn log(&self) -> String {
        let mut log = String::new();
        let mut file = std::fs::File::open(self.dir.path().join("log")).unwrap();
        file.read_to_string(&mut log).unwrap();
        log
    }

    /// The line of the log with these words, which a busy server may write after it has answered.
    pub(crate) fn logged(&self, words: &str) -> String {
        let began = Instant::now();
        loop {
            let log = self.log();
            if let Some(line) = log.lines().find(|line| line.contains(words)) {
                return line.to_owned();
            }
            assert!(began.elapsed() < Duration::from_secs(20), "expected a line with {words}, found:\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// All that the server audited: an entry a line.
    pub(crate) fn audit(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("audit.log")).unwrap()
    }

    /// The host and port that it listens on.
    pub(crate) fn address(&self) -> &str {
        self.address.trim_start_matches("http://")
    }

    /// The processes of the plugin.
    pub(crate) fn plugins(&self) -> Vec<String> {
        let dir = self.dir.path().display().to_string();
        let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        let ours = processes.filter(|path| {
            std::fs::read_link(path.join("exe")).is_ok_and(|exe| exe.display().to_string().starts_with(&dir))
        });
        ours.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    fn wait(&self) {
        let began = Instant::now();
        while !self.try_call("GET", "sys/health", None, "").is_ok_and(|health| health.status == 200) {
            assert!(began.elapsed() < Duration::from_mins(1), "OpenBao does not answer:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Answer {
    /// Asserts success.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert!((200..300).contains(&self.status), "{self:?}");
        self
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        drop(self.shell.wait());
    }
}

/// A strict policy for the simulated chip, in a given version.
pub(crate) fn policy(version: u64) -> String {
    POLICY.replace("VERSION", &version.to_string())
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) fn bao() -> PathBuf {
    std::env::var_os("CLOUDTASER_BAO").map_or_else(|| PathBuf::from("bao"), PathBuf::from)
}

/// The value that must be seen nowhere but in the hands of the machine.
pub(crate) const SECRET: &str = "canary-6b1f0d7e-open-sesame";

const KEEPER: &str = r#"
"$@" </dev/null >"$LOG" 2>&1 &
read line
kill $! 2>/dev/null
wait
"#;

const POLICY: &str = include_str!("policy.toml");
