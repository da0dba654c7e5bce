//! What the story is played with: our own programs, a real OpenBao, and machines that are simulated.
//!
//! A [`Machine`] is simulated silicon and an unchanged node agent in front of it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use super::bao::Bao;
use super::tee::Tee;

/// Everything on stage.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) bao: Bao,
    pub(crate) dir: TempDir,
    pub(crate) tee: &'static Tee,
    programs: PathBuf,
}

impl Stage {
    pub(crate) fn set(bao: Bao, target: &Path, tee: &'static Tee) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("cloudtaser-demo-").tempdir()?;
        Ok(Self { bao, dir, tee, programs: target.join("debug") })
    }

    /// One of our own programs, about to be run.
    pub(crate) fn program(&self, name: &str) -> Command {
        Command::new(self.programs.join(name))
    }

    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// Writes a file into the story's folder.
    pub(crate) fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.dir.path().join(name);
        fs::write(&path, text)?;
        Ok(path)
    }

    /// Starts a machine of the story's kind, with further arguments for the simulator.
    pub(crate) fn machine(&self, name: &str, hardware: &[&str]) -> Result<Machine> {
        (self.tee.machine)(self, name, hardware)
    }

    /// Starts a guest of the simulator (`snp`, `tdx`) and an agent that finds it at the kernel's own path. `config`
    /// has the section for the agent; it is given the machine's folder.
    pub(crate) fn guest(
        &self,
        name: &str,
        silicon: &[&str],
        config: impl FnOnce(&Path) -> String,
    ) -> Result<Machine> {
        let dir = self.dir.path().join(name);
        let (reports, endorsements) = (dir.join("reports"), dir.join("endorsements"));
        fs::create_dir_all(&reports)?;
        fs::create_dir_all(&endorsements)?;
        let mut sim = self.program(SIMULATOR);
        sim.args(silicon).arg("--mount").arg(&reports).arg("--write-endorsements").arg(&endorsements);
        let silicon = Running::until_ready(&mut sim)?;
        let agent = start_agent(&dir, &config(&dir), self.inside(Some(&reports)))?;
        Ok(Machine { agent, silicon, reports: Some(reports), dir })
    }

    /// Starts hardware of the simulator that says in its line `ready …` where it is, and an agent. Among `silicon`,
    /// `STATE` stands for a folder of its own, `ENDORSEMENTS` for that of the machine. `config` has the section for
    /// the agent; it is given the line.
    pub(crate) fn machine_on(
        &self,
        name: &str,
        silicon: &[&str],
        config: impl FnOnce(&str) -> Result<String>,
    ) -> Result<Machine> {
        let dir = self.dir.path().join(name);
        let (state, endorsements) = (dir.join("state"), dir.join("endorsements"));
        fs::create_dir_all(&endorsements)?;
        let folder = |word: &&str| match *word {
            "STATE" => state.clone().into_os_string(),
            "ENDORSEMENTS" => endorsements.clone().into_os_string(),
            word => word.into(),
        };
        let silicon = Running::until_ready(self.program(SIMULATOR).args(silicon.iter().map(folder)))?;
        let config = config(&silicon.ready)?;
        let agent = start_agent(&dir, &config, self.inside(None))?;
        Ok(Machine { agent, silicon, reports: None, dir })
    }

    /// The agent's program, about to be run on a machine.
    fn inside(&self, reports: Option<&Path>) -> Command {
        let Some(reports) = reports else { return self.program(AGENT) };
        let mut inside = self.program(SIMULATOR);
        inside.arg("exec").arg("--reports").arg(reports).arg("--").arg(self.binary(AGENT));
        inside
    }

    /// Stores the policy in this version; a word of it that is named stands for something else than usual.
    pub(crate) fn store_policy(&self, version: u32, words: &[(&str, &str)]) -> Result<()> {
        let text = self.tee.policy.replace("VERSION", &version.to_string());
        let text = words
            .iter()
            .chain(self.tee.variables)
            .fold(text, |text, (word, value)| text.replace(word, value));
        let policy = format!("policy=@{}", self.file("policy.toml", &text)?.display());
        self.bao.call(&["write", "attest-keys/policy/demo", &policy]).map(drop)
    }

    /// A program of the wrapper's, about to be run on `machine`.
    pub(crate) fn wrapped(&self, machine: &Machine, program: &[&str]) -> Command {
        let mut wrapper = self.program("cloudtaser-wrapper");
        wrapper
            .arg("--")
            .args(program)
            .env("VAULT_ADDR", self.bao.address())
            .env("VAULT_CACERT", self.bao.ca())
            .env("VAULT_AUTH_METHOD", "attest")
            .env("CLOUDTASER_AGENT_SOCKET", machine.socket())
            .env("CLOUDTASER_SECRET_PATHS", "db")
            .env("CLOUDTASER_ENV_MAP", "username=DB_USER,password=DB_PASSWORD");
        wrapper
    }

    /// Evidence of a machine for a challenge that somebody else holds, as a file.
    pub(crate) fn evidence(
        &self,
        machine: &Machine,
        nonce: &str,
        context: &str,
        key: &Path,
    ) -> Result<PathBuf> {
        let file = machine.dir.join("evidence.bin");
        let mut command = self.inside(machine.reports.as_deref());
        command.args(["evidence", "--config"]).arg(machine.dir.join("agent.toml"));
        command.args(["--nonce", nonce, "--context", context, "--key-file"]).arg(key).arg("-o").arg(&file);
        crate::child::read(&mut command)?;
        Ok(file)
    }
}

/// A simulated machine with its agent.
#[derive(Debug)]
pub(crate) struct Machine {
    // Dropped in this order: the agent before the hardware.
    agent: Running,
    silicon: Running,
    /// The report directory of a guest.
    reports: Option<PathBuf>,
    pub(crate) dir: PathBuf,
}

impl Machine {
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join("agent.sock")
    }

    /// A file that the simulator wrote beside the machine.
    pub(crate) fn endorsement(&self, name: &str) -> PathBuf {
        self.dir.join("endorsements").join(name)
    }

    pub(crate) fn processes(&self) -> (u32, u32) {
        (self.silicon.child.id(), self.agent.child.id())
    }
}

/// A process that is asked to end when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) child: Child,
    ready: String,
}

impl Running {
    /// Starts a program and waits for its line `ready …`.
    fn until_ready(command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut ready = String::new();
        let out = child.stdout.take().context("a child without standard output")?;
        BufReader::new(out).read_line(&mut ready)?;
        if !ready.starts_with("ready") {
            bail!("expected a line `ready …`, found {ready:?}");
        }
        Ok(Self { child, ready })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Asked first, so that file systems are unmounted and TPMs switched off.
        let asked = Command::new("kill").arg(self.child.id().to_string()).status();
        let start = Instant::now();
        while asked.is_ok() && start.elapsed() < Duration::from_secs(3) {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child.kill().and_then(|()| self.child.wait()).map(drop).unwrap_or_default();
    }
}

/// Starts an agent and waits for its socket.
fn start_agent(dir: &Path, config: &str, mut command: Command) -> Result<Running> {
    let socket = dir.join("agent.sock");
    let path = dir.join("agent.toml");
    let user = crate::child::read(Command::new("id").arg("-u"))?;
    let (listen, user) = (socket.display(), user.trim());
    fs::write(&path, format!("socket = \"{listen}\"\nallowed_uids = [{user}]\n{config}"))?;
    let log = fs::File::create(dir.join("agent.log"))?;
    command.arg("serve").arg("--config").arg(&path).stdin(Stdio::null());
    let child = command.stdout(Stdio::null()).stderr(log).spawn()?;
    let agent = Running { child, ready: String::new() };
    let start = Instant::now();
    while !socket.exists() {
        if start.elapsed() > PATIENCE {
            bail!("expected an agent, found: {}", fs::read_to_string(dir.join("agent.log"))?);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(agent)
}

const SIMULATOR: &str = "cloudtaser-sim";
const AGENT: &str = "cloudtaser-node-agent";
const PATIENCE: Duration = Duration::from_secs(20);
