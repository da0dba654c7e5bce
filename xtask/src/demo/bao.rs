//! A real OpenBao for one run: raft storage, TLS, a plugin directory; initialised, unsealed, and gone at the end.
//!
//! Everything it keeps is in a temporary folder. It is driven with its own command line, as an operator would.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::child;

use super::tls::Tls;

/// A running server. Dropping it stops it and removes its folder.
#[derive(Debug)]
pub(crate) struct Bao {
    server: Child,
    program: PathBuf,
    address: String,
    tls: Tls,
    keys: Keys,
    dir: TempDir,
}

/// What initialisation hands out: one unseal key and the root token.
#[derive(Debug, Default, Deserialize)]
struct Keys {
    unseal_keys_b64: Vec<String>,
    root_token: String,
}

/// Which of OpenBao's two plugin catalogues.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Plugin {
    Auth,
    Secret,
}

impl Bao {
    /// Starts, initialises and unseals a server with the binary `program`.
    pub(crate) fn start(program: &Path) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("cloudtaser-bao-").tempdir()?;
        let tls = Tls::make(dir.path())?;
        let port = free_port()?;
        fs::create_dir(dir.path().join("raft"))?;
        fs::create_dir(dir.path().join("plugins"))?;
        let config = dir.path().join("config.hcl");
        fs::write(&config, configuration(dir.path(), &tls, port, free_port()?))?;
        let log = File::create(dir.path().join("log"))?;
        let mut command = Command::new(program);
        command.arg("server").arg("-config").arg(&config).env_remove("BAO_TOKEN").env_remove("VAULT_TOKEN");
        let server = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let address = format!("https://127.0.0.1:{port}");
        let mut bao = Self { server, program: program.to_owned(), address, tls, keys: Keys::default(), dir };
        bao.initialise()?;
        Ok(bao)
    }

    /// `https://127.0.0.1:…`
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The certificate that clients trust.
    pub(crate) fn ca(&self) -> &Path {
        &self.tls.ca
    }

    /// The server's process.
    pub(crate) fn pid(&self) -> u32 {
        self.server.id()
    }

    /// All that the server has logged.
    pub(crate) fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.dir.path().join("log"))?)
    }

    /// `bao …` as root, ready to be run; no token is in its arguments.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut bao = Command::new(&self.program);
        bao.args(words).env("BAO_ADDR", &self.address).env("BAO_CACERT", &self.tls.ca);
        bao.env("BAO_TOKEN", &self.keys.root_token).env("HOME", self.dir.path());
        bao
    }

    /// Runs `bao …` as root and returns what it prints.
    pub(crate) fn call(&self, words: &[&str]) -> Result<String> {
        child::read(&mut self.command(words))
    }

    /// Runs `bao VERB -format=json …` as root and returns the answer.
    pub(crate) fn json(&self, verb: &str, words: &[&str]) -> Result<Value> {
        let words: Vec<&str> = [verb, "-format=json"].iter().chain(words).copied().collect();
        Ok(serde_json::from_str(&self.call(&words)?)?)
    }

    /// Copies `binary` to the plugin directory, registers it under `name` by its SHA-256 and enables it at `path`.
    pub(crate) fn plug(&self, kind: Plugin, name: &str, binary: &Path, path: &str) -> Result<()> {
        let installed = self.dir.path().join("plugins").join(name);
        fs::copy(binary, &installed).with_context(|| binary.display().to_string())?;
        let sum = child::read(Command::new("sha256sum").arg(&installed))?;
        let digest = sum.split_whitespace().next().context("sha256sum printed nothing")?;
        let (catalogue, enable) = match kind {
            Plugin::Auth => ("auth", "auth"),
            Plugin::Secret => ("secret", "secrets"),
        };
        let (digest, command) = (format!("-sha256={digest}"), format!("-command={name}"));
        self.call(&["plugin", "register", &digest, &command, catalogue, name])?;
        self.call(&[enable, "enable", &format!("-path={path}"), name])?;
        Ok(())
    }

    /// Seals the server: it answers, but keeps everything to itself.
    pub(crate) fn seal(&self) -> Result<()> {
        self.call(&["operator", "seal"]).map(drop)
    }

    /// Unseals it and waits until it answers to its root token.
    pub(crate) fn unseal(&self) -> Result<()> {
        let key = self.keys.unseal_keys_b64.first().context("expected an unseal key, found none")?;
        self.feed(&["write", "sys/unseal", "key=-"], key.as_bytes())?;
        self.wait("an unsealed server", |bao| bao.call(&["token", "lookup"]))?;
        Ok(())
    }

    /// Runs `bao …` as root with `input` for its standard input: for what must not be among its arguments.
    pub(crate) fn feed(&self, words: &[&str], input: &[u8]) -> Result<String> {
        let mut command = self.command(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut bao = command.spawn()?;
        bao.stdin.take().context("bao has no standard input")?.write_all(input)?;
        let output = bao.wait_with_output()?;
        if !output.status.success() {
            bail!("bao {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    fn initialise(&mut self) -> Result<()> {
        let init = ["operator", "init", "-format=json", "-key-shares=1", "-key-threshold=1"];
        let answer = self.wait("a server that can be initialised", |bao| bao.call(&init))?;
        self.keys = serde_json::from_str(&answer)?;
        self.unseal()
    }

    // Tries until it works; the last error is the reason when it never does.
    fn wait(&self, what: &str, attempt: impl Fn(&Self) -> Result<String>) -> Result<String> {
        let start = Instant::now();
        loop {
            match attempt(self) {
                Ok(answer) => return Ok(answer),
                Err(error) if start.elapsed() > PATIENCE => {
                    let log = self.log().unwrap_or_default();
                    return Err(
                        error.context(format!("expected {what} within {PATIENCE:?}; its log:\n{log}"))
                    );
                }
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }
}

impl Drop for Bao {
    /// Asks first, so that the server ends its plugins; kills it when it does not listen.
    fn drop(&mut self) {
        let asked = Command::new("kill").arg(self.server.id().to_string()).status();
        let start = Instant::now();
        while asked.is_ok() && start.elapsed() < PATIENCE {
            if !matches!(self.server.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // An error means that it has ended by itself.
        self.server.kill().and_then(|()| self.server.wait()).map(drop).unwrap_or_default();
    }
}

fn configuration(dir: &Path, tls: &Tls, port: u16, cluster: u16) -> String {
    let (dir, certificate, key) = (dir.display(), tls.certificate.display(), tls.key.display());
    format!(
        r#"storage "raft" {{
  path    = "{dir}/raft"
  node_id = "one"
  # The default of 5 is for networks; alone, a server need not wait ten seconds to elect itself.
  performance_multiplier = 1
}}
listener "tcp" {{
  address       = "127.0.0.1:{port}"
  tls_cert_file = "{certificate}"
  tls_key_file  = "{key}"
}}
plugin_directory = "{dir}/plugins"
api_addr         = "https://127.0.0.1:{port}"
cluster_addr     = "https://127.0.0.1:{cluster}"
"#
    )
}

// Free now; between this and its use somebody else could take it, and then the server says so in its log.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

const PATIENCE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Bao {
        let tools = crate::tools::ensure(&crate::house::House::find().unwrap()).unwrap();
        Bao::start(&tools.bao).unwrap()
    }

    #[test]
    fn a_server_starts_keeps_a_secret_seals_and_is_gone() {
        let bao = start();
        bao.call(&["secrets", "enable", "-version=1", "kv"]).unwrap();
        bao.feed(&["write", "kv/db", "password=-"], b"open sesame").unwrap();
        bao.seal().unwrap();
        let refusal = bao.json("read", &["kv/db"]).unwrap_err().to_string();
        assert!(refusal.contains("sealed"), "{refusal}");
        bao.unseal().unwrap();
        assert_eq!(bao.json("read", &["kv/db"]).unwrap()["data"]["password"], "open sesame");

        let (pid, dir) = (bao.pid(), bao.dir.path().to_owned());
        drop(bao);
        assert!(!dir.exists());
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn a_plugin_that_is_none_is_refused_by_name() {
        let bao = start();
        let refusal =
            bao.plug(Plugin::Secret, "true", Path::new("/bin/true"), "none").unwrap_err().to_string();
        assert!(refusal.contains("secrets enable -path=none true"), "{refusal}");
    }
}
