//! An OpenBao outside of the machine: real, with our plugin, and TLS for who comes over the network.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use attest::crypto::{AwsLcRs, Crypto as _};
use serde_json::{Value, json};

use crate::programs::program;

/// A running server. It ends when dropped, or when the test's process does.
pub(crate) struct OpenBao {
    shell: Child,
    folder: PathBuf,
    port: u16,
    /// Where machines find it.
    pub(crate) tls_port: u16,
}

impl OpenBao {
    /// Starts one whose files are in this folder; nothing is believed yet.
    pub(crate) fn start(folder: &Path) -> Self {
        let plugins = folder.join("plugins");
        fs::create_dir_all(&plugins).unwrap();
        fs::copy(program(PLUGIN), plugins.join(PLUGIN)).unwrap();
        certificates(folder);
        let (port, tls_port) = (free_port(), free_port());
        let file = |name: &str| folder.join(name).display().to_string();
        let config = format!(
            "plugin_directory = {:?}\nlistener \"tcp\" {{\n  address = \"127.0.0.1:{tls_port}\"\n  \
             tls_cert_file = {:?}\n  tls_key_file = {:?}\n}}\n",
            file("plugins"),
            file("server.pem"),
            file("server.key")
        );
        fs::write(folder.join("bao.hcl"), config).unwrap();
        let shell = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(bao())
            .args(["server", "-dev", "-dev-root-token-id=root", "-dev-no-store-token"])
            .arg(format!("-dev-listen-address=127.0.0.1:{port}"))
            .arg(format!("-config={}", file("bao.hcl")))
            .env("LOG", folder.join("log"))
            .env("HOME", folder)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let openbao = Self { shell, folder: folder.to_owned(), port, tls_port };
        openbao.wait();
        let digest = AwsLcRs.sha256(&[&fs::read(plugins.join(PLUGIN)).unwrap()]).to_string();
        let body = json!({ "sha256": digest, "command": PLUGIN, "args": ["--kind=auth"] });
        openbao.write("sys/plugins/catalog/auth/attest-auth", &body);
        openbao.write("sys/auth/attest", &json!({ "type": "attest-auth" }));
        openbao
    }

    /// Writes, as the operator does.
    pub(crate) fn write(&self, path: &str, body: &Value) {
        let mut command = self.command(&["write", path, "-"]);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(body.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Reads.
    pub(crate) fn read(&self, path: &str) -> Value {
        let output = self.command(&["read", "-format=json", path]).output().unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        answer["data"].clone()
    }

    /// The certificate authority above the server's certificate, PEM.
    pub(crate) fn authority(&self) -> Vec<u8> {
        fs::read(self.folder.join("ca.pem")).unwrap()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(bao());
        command.args(words).stdout(Stdio::piped());
        command.env("BAO_ADDR", format!("http://127.0.0.1:{}", self.port)).env("BAO_TOKEN", "root");
        command
    }

    fn wait(&self) {
        let begin = Instant::now();
        while !self.command(&["status"]).output().unwrap().status.success() {
            let log = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(begin.elapsed() < Duration::from_mins(1), "{}", log());
            thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for OpenBao {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        drop(self.shell.wait());
    }
}

/// An authority, and a server's certificate under it for this host as machines see it.
fn certificates(folder: &Path) {
    let openssl = |words: &str| {
        let output =
            Command::new("openssl").args(words.split_whitespace()).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30";
    openssl(&format!("req -new -x509 {key} -subj /CN=authority -keyout ca.key -out ca.pem"));
    openssl(&format!("req -new {key} -subj /CN=openbao -keyout server.key -out server.csr"));
    fs::write(folder.join("server.ext"), format!("subjectAltName = IP:{HOST}\n")).unwrap();
    openssl("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -days 30 -extfile server.ext -out server.pem");
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn bao() -> PathBuf {
    std::env::var_os("CLOUDTASER_BAO").map_or_else(|| PathBuf::from("bao"), PathBuf::from)
}

/// The emulator's host, from inside.
pub(crate) const HOST: &str = "10.0.2.2";
const PLUGIN: &str = "openbao-plugin-attest";
/// Runs the server until its own standard input ends.
const KEEPER: &str = r#"
"$@" </dev/null >>"$LOG" 2>&1 &
read line
kill -9 $! 2>/dev/null
wait
"#;
