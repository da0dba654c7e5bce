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

/// A plugin to be put into a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plugin<'a> {
    pub(crate) kind: Kind,
    /// The name in the catalogue.
    pub(crate) name: &'a str,
    pub(crate) binary: &'a Path,
    /// What the server starts it with.
    pub(crate) args: &'a [&'a str],
    /// Where it is mounted.
    pub(crate) path: &'a str,
    /// Further flags of `bao auth enable` or `bao secrets enable`.
    pub(crate) flags: &'a [&'a str],
}

/// Which of OpenBao's two plugin catalogues.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Auth,
    Secrets,
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

    /// Runs `bao VERB …` as root and returns its answer as JSON.
    pub(crate) fn json(&self, verb: &str, words: &[&str]) -> Result<Value> {
        let mut command = self.command(&[verb]);
        let text = child::read(command.args(words).env("BAO_FORMAT", "json"))?;
        serde_json::from_str(&text).with_context(|| format!("bao {verb}"))
    }

    /// Copies the plugin to the plugin directory, registers it by its SHA-256, and mounts it.
    pub(crate) fn plug(&self, plugin: Plugin<'_>) -> Result<()> {
        let installed = self.dir.path().join("plugins").join(plugin.name);
        fs::copy(plugin.binary, &installed).with_context(|| plugin.binary.display().to_string())?;
        let sum = child::read(Command::new("sha256sum").arg(&installed))?;
        let digest = sum.split_whitespace().next().context("sha256sum printed nothing")?;
        let (catalogue, mounts) = match plugin.kind {
            Kind::Auth => ("auth", "auth"),
            Kind::Secrets => ("secret", "secrets"),
        };
        let mut register = self.command(&["plugin", "register"]);
        register.arg(format!("-sha256={digest}")).arg(format!("-command={}", plugin.name));
        register.args(plugin.args.iter().map(|arg| format!("-args={arg}")));
        child::read(register.args([catalogue, plugin.name]))?;
        let mut enable = self.command(&[mounts, "enable"]);
        enable.arg(format!("-path={}", plugin.path)).args(plugin.flags).arg(plugin.name);
        child::read(&mut enable)?;
        Ok(())
    }

    /// Seals the server: it answers, but keeps everything to itself.
    pub(crate) fn seal(&self) -> Result<()> {
        self.call(&["operator", "seal"]).map(drop)
    }

    /// Unseals the server and waits until it answers to its root token.
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
    fn a_plugin_is_mounted_by_its_digest_and_answers() {
        let house = crate::house::House::find().unwrap();
        // Of the whole workspace, so that the dependencies are those that the tests were built with.
        let example = ["build", "--quiet", "--workspace", "--example", "notes"];
        child::run(child::cargo(&house.root).args(example)).unwrap();
        let binary = house.target.join("debug/examples/notes");
        let bao = start();
        let secrets = Plugin {
            kind: Kind::Secrets,
            name: "notes",
            binary: &binary,
            args: &[],
            path: "notes",
            flags: &["-description=kept"],
        };
        bao.plug(secrets).unwrap();
        let auth = Plugin { kind: Kind::Auth, name: "word", args: &["--kind=auth"], path: "word", ..secrets };
        bao.plug(auth).unwrap();
        assert_eq!(bao.json("secrets", &["list"]).unwrap()["notes/"]["description"], "kept");
        assert_eq!(bao.json("auth", &["list"]).unwrap()["word/"]["type"], "word");
    }

    #[test]
    fn a_plugin_that_is_none_is_refused_with_its_command() {
        let bao = start();
        let binary = Path::new("/bin/true");
        let none = Plugin { kind: Kind::Secrets, name: "true", binary, args: &[], path: "none", flags: &[] };
        let refusal = bao.plug(none).unwrap_err().to_string();
        assert!(refusal.contains("secrets enable -path=none true"), "{refusal}");
    }
}
