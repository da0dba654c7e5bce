//! A real OpenBao in development mode with the auth method, a line to it that can be cut, and the operator's hand.

use std::fs;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use attest::crypto::AwsLcRs;
use attest::{Crypto as _, UnixTime};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use simulator::nitro::{Module, Role};
use simulator::snp::{Chip, Product};
use simulator::tdx;
use tempfile::TempDir;

use crate::harness::{PROGRAM, skip};

/// A running server; gone when dropped, or when the test's process ends.
pub(crate) struct OpenBao {
    shell: Child,
    dir: TempDir,
    port: u16,
}

/// The one that the tests share, or nothing on a machine that proves to have none.
pub(crate) fn openbao() -> Option<&'static OpenBao> {
    static OPENBAO: OnceLock<Option<OpenBao>> = OnceLock::new();
    let openbao = OPENBAO.get_or_init(OpenBao::start).as_ref();
    if openbao.is_none() {
        skip("bao", "bao is not installed");
    }
    openbao
}

impl OpenBao {
    fn start() -> Option<Self> {
        Command::new(bao()).arg("version").output().ok()?;
        let dir = TempDir::new().unwrap();
        let plugins = dir.path().join("plugins");
        fs::create_dir(&plugins).unwrap();
        let installed = plugins.join(PLUGIN);
        fs::copy(plugin(), &installed).unwrap();
        let config = dir.path().join("bao.hcl");
        fs::write(&config, format!("plugin_directory = {:?}\n", plugins.display().to_string())).unwrap();
        let port = free_port();
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
        let openbao = Self { shell, dir, port };
        openbao.prepare(&installed);
        Some(openbao)
    }

    fn prepare(&self, installed: &Path) {
        eventually("OpenBao", || {
            self.try_call("GET", "sys/health", &Value::Null).is_ok_and(|(status, _)| status == 200)
        });
        let sha256 = AwsLcRs.sha256(&[&fs::read(installed).unwrap()]).to_string();
        let mut args = vec!["--kind=auth".to_owned()];
        for (vendor, root) in roots() {
            let file = self.dir.path().join(vendor);
            fs::write(&file, root).unwrap();
            args.push(format!("--insecure-trust-root={}", file.display()));
        }
        let body = json!({ "sha256": sha256, "command": PLUGIN, "args": args });
        self.write("sys/plugins/catalog/auth/attest-auth", &body);
        self.write("sys/auth/attest", &json!({ "type": "attest-auth" }));
        let limits = json!({ "refusals_burst": 100_000, "refusals_burst_in_all": 100_000 });
        self.write("auth/attest/config/limits", &limits);
        let acl = r#"path "auth/token/revoke-self" { capabilities = ["update"] }"#;
        self.write("sys/policies/acl/node", &json!({ "policy": acl }));
    }

    /// A role of this name, under a policy of this name that admits the simulator's chips; its tokens live so long.
    pub(crate) fn role(&self, name: &str, seconds: u64) {
        self.policy(name, 1, |text| text);
        let role = json!({
            "policy": name, "token_policies": ["node"], "token_ttl_seconds": seconds, "token_type": "service",
        });
        self.write(&format!("auth/attest/role/{name}"), &role);
    }

    /// A role of this name for TPMs of whoever issued this root, under this policy.
    pub(crate) fn tpm_role(&self, name: &str, policy: &str, root: &str) {
        self.write(&format!("auth/attest/collateral/tpm-manufacturer/{name}"), &json!({ "value": root }));
        self.write(&format!("auth/attest/policy/{name}"), &json!({ "policy": policy }));
        let role = json!({
            "policy": name, "token_policies": ["node"], "token_ttl_seconds": 600,
            "nodes": "first-come", "enrol": "manufacturer",
        });
        self.write(&format!("auth/attest/role/{name}"), &role);
    }

    /// A role of this name for whichever machines come first, under the policy of this name.
    pub(crate) fn node_role(&self, name: &str) {
        let role = json!({
            "policy": name, "token_policies": ["node"], "token_ttl_seconds": 600, "token_type": "service",
            "nodes": "first-come",
        });
        self.write(&format!("auth/attest/role/{name}"), &role);
    }

    /// What the register of nodes says of this one.
    #[track_caller]
    pub(crate) fn node(&self, name: &str) -> Value {
        let (status, json) = self.try_call("GET", &format!("auth/attest/node/{name}"), &Value::Null).unwrap();
        assert_eq!(status, 200, "{json}");
        json["data"].clone()
    }

    /// The signed record of a decision about a login, with the evidence.
    #[track_caller]
    pub(crate) fn verdict(&self, decision: &str) -> Vec<u8> {
        let path = format!("auth/attest/verdict/{decision}");
        let (status, json) = self.try_call("GET", &path, &Value::Null).unwrap();
        assert_eq!(status, 200, "{json}");
        STANDARD.decode(json["data"]["bundle"].as_str().unwrap()).unwrap()
    }

    /// This edition of a policy.
    pub(crate) fn policy(&self, name: &str, version: u32, change: impl FnOnce(String) -> String) {
        let text =
            POLICY.replace("VERSION", &version.to_string()).replace("\"simulated\"", &format!("{name:?}"));
        self.write(&format!("auth/attest/policy/{name}"), &json!({ "policy": change(text) }));
    }

    pub(crate) fn revoke(&self, selector: &str) {
        self.write("auth/attest/revoke", &json!({ "selector": selector, "reason": "ticket 7" }));
    }

    pub(crate) fn reinstate(&self, selector: &str, cause: &str) {
        let body = json!({ "selector": selector, "cause": cause, "reason": "looked at it" });
        self.write("auth/attest/reinstate", &body);
    }

    /// How many tokens of nodes there are.
    pub(crate) fn tokens(&self, role: &str) -> usize {
        let (_, json) = self.try_call("LIST", "auth/token/accessors", &Value::Null).unwrap();
        let accessors = json.pointer("/data/keys").and_then(Value::as_array).cloned().unwrap_or_default();
        let is_ours = |accessor: &&Value| {
            let body = json!({ "accessor": accessor });
            let (_, json) = self.try_call("POST", "auth/token/lookup-accessor", &body).unwrap();
            let name = json.pointer("/data/display_name").and_then(Value::as_str);
            name.is_some_and(|name| name.contains(&format!("-{role}-")))
        };
        accessors.iter().filter(is_ours).count()
    }

    #[track_caller]
    pub(crate) fn write(&self, path: &str, body: &Value) -> Value {
        let (status, json) = self.try_call("POST", path, body).unwrap();
        assert!((200..300).contains(&status), "{path}: {status} {json}");
        json
    }

    fn try_call(&self, method: &str, path: &str, body: &Value) -> Result<(u16, Value), ureq::Error> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .timeout_global(Some(Duration::from_mins(1)))
            .build()
            .into();
        let uri = format!("http://127.0.0.1:{}/v1/{path}", self.port);
        let request = ureq::http::Request::builder().method(method).uri(uri).header("X-Vault-Token", "root");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut answer = agent.run(request.body(body).unwrap())?;
        let text = answer.body_mut().read_to_string()?;
        Ok((answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null)))
    }
}

impl Drop for OpenBao {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        drop(self.shell.wait());
    }
}

/// A line to OpenBao that can be cut and mended.
pub(crate) struct Line {
    port: u16,
    is_cut: Arc<AtomicBool>,
}

impl Line {
    pub(crate) fn to(openbao: &OpenBao) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, end, is_cut) =
            (listener.local_addr().unwrap().port(), openbao.port, Arc::new(AtomicBool::new(false)));
        let cut = Arc::clone(&is_cut);
        thread::spawn(move || {
            for caller in listener.incoming().map_while(Result::ok) {
                if !cut.load(Ordering::SeqCst) {
                    connect(caller, end);
                }
            }
        });
        Self { port, is_cut }
    }

    pub(crate) fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
    }

    pub(crate) fn mend(&self) {
        self.is_cut.store(false, Ordering::SeqCst);
    }

    /// The agent's configuration for a node that joins over this line.
    pub(crate) fn config(&self, node: &str, role: &str, rest: &str) -> String {
        let address = format!("http://127.0.0.1:{}", self.port);
        format!("[openbao]\naddress = {address:?}\n[join]\nnode = {node:?}\nrole = {role:?}\n{rest}\n")
    }
}

fn connect(caller: TcpStream, end: u16) {
    let server = TcpStream::connect(("127.0.0.1", end)).unwrap();
    let pump = |mut from: TcpStream, mut to: TcpStream| {
        thread::spawn(move || {
            drop(io::copy(&mut from, &mut to));
            drop(to.shutdown(Shutdown::Both));
        });
    };
    pump(caller.try_clone().unwrap(), server.try_clone().unwrap());
    pump(server, caller);
}

/// The status file of the agent in this folder, once it says this.
#[track_caller]
pub(crate) fn status_when(folder: &Path, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let last = status(folder);
        if let Some(found) = last.as_ref().filter(|last| is(last)) {
            return found.clone();
        }
        assert!(began.elapsed() < PATIENCE, "{what} did not come: {last:?}\n{}", journal(folder));
        thread::sleep(Duration::from_millis(10));
    }
}

/// The status file of the agent in this folder, if there is one.
pub(crate) fn status(folder: &Path) -> Option<Value> {
    serde_json::from_str(&fs::read_to_string(folder.join("agent.sock.status")).ok()?).ok()
}

/// `status` as an operator asks for it: the exit code, and what it prints.
pub(crate) fn status_verb(folder: &Path) -> (Option<i32>, Value) {
    let config = folder.join("agent.toml");
    let output = Command::new(PROGRAM).args(["status", "--json", "--config"]).arg(config).output().unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
}

fn journal(folder: &Path) -> String {
    fs::read_to_string(folder.join("journal")).unwrap_or_default()
}

#[track_caller]
pub(crate) fn eventually(what: &str, is: impl Fn() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < PATIENCE, "{what} did not come");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A real server lives now, and so must the chips.
pub(crate) fn today() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs())
}

/// The roots of the simulated vendors, by their names.
fn roots() -> [(&'static str, Vec<u8>); 3] {
    let at = today().0;
    [
        ("amd", Chip::new(1, Product::Genoa).chain().ark),
        ("intel", tdx::Platform::new(1).at(at).root().der()),
        ("aws", Module::enclave(1).at(at).certificate(Role::Root).der()),
    ]
}

/// The plugin: the one that the environment names, else cargo builds it for us, because it is another package's program.
fn plugin() -> PathBuf {
    if let Some(named) = std::env::var_os("CLOUDTASER_PLUGIN") {
        return named.into();
    }
    // Of the whole workspace, so that the dependencies are those that the tests were built with.
    let words = ["build", "--quiet", "--workspace", "--bin", PLUGIN];
    let built = Command::new(env!("CARGO")).args(words).current_dir(env!("CARGO_MANIFEST_DIR")).status();
    assert!(built.unwrap().success(), "the plugin does not build");
    Path::new(PROGRAM).with_file_name(PLUGIN)
}

fn bao() -> PathBuf {
    std::env::var_os("CLOUDTASER_BAO").map_or_else(|| PathBuf::from("bao"), PathBuf::from)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

const PLUGIN: &str = "openbao-plugin-attest";
/// A loaded machine is slow.
const PATIENCE: Duration = Duration::from_mins(1);
const POLICY: &str = include_str!("../../../keyrelease/tests/release/policy.toml");
const KEEPER: &str = r#"
"$@" </dev/null >"$LOG" 2>&1 &
read line
kill $! 2>/dev/null
wait
"#;
