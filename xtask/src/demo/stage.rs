//! What the story is played with: our own programs, a real OpenBao, and machines that are simulated.
//!
//! A [`Machine`] is simulated silicon at the kernel's own path and an unchanged node agent in front of it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use super::bao::Bao;

/// Everything on stage.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) bao: Bao,
    pub(crate) dir: TempDir,
    programs: PathBuf,
}

impl Stage {
    pub(crate) fn set(bao: Bao, target: &Path) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("cloudtaser-demo-").tempdir()?;
        Ok(Self { bao, dir, programs: target.join("debug") })
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

    /// Starts simulated silicon and an agent. `hardware` are arguments of `cloudtaser-sim snp`.
    pub(crate) fn machine(&self, name: &str, hardware: &[&str]) -> Result<Machine> {
        let dir = self.dir.path().join(name);
        let (reports, endorsements) = (dir.join("reports"), dir.join("endorsements"));
        fs::create_dir_all(&reports)?;
        fs::create_dir_all(&endorsements)?;
        let mut sim = self.program("cloudtaser-sim");
        sim.args(["snp", "--product", "genoa", "--seed", "7"]).args(hardware);
        sim.arg("--mount").arg(&reports).arg("--write-endorsements").arg(&endorsements);
        let silicon = Running::until_ready(&mut sim)?;
        let list = endorsements.join("crl.der");
        let config = format!("endorsements = [\"{}\"]\n[snp]\n", list.display());
        let mut inside = self.program("cloudtaser-sim");
        inside.arg("exec").arg("--reports").arg(&reports).arg("--").arg(self.binary(AGENT));
        let agent = start_agent(&dir, &config, inside)?;
        Ok(Machine { agent, silicon, reports, dir })
    }

    /// Starts a software TPM and an agent. The TPM has just been switched on.
    pub(crate) fn tpm_machine(&self, name: &str) -> Result<(Machine, String)> {
        let dir = self.dir.path().join(name);
        fs::create_dir_all(&dir)?;
        let mut sim = self.program("cloudtaser-sim");
        sim.args(["vtpm", "--state"]).arg(dir.join("state"));
        let silicon = Running::until_ready(&mut sim)?;
        let tcti = silicon.ready.split_whitespace().find(|word| word.starts_with("swtpm:"));
        let tcti = tcti.with_context(|| format!("expected a TCTI in {:?}", silicon.ready))?.to_owned();
        let config =
            format!("[tpm]\ntcti = {tcti:?}\nak_handle = 0x81010002\n[tpm.pcrs]\nsha256 = [0, 4, 7]\n");
        let agent = start_agent(&dir, &config, self.program(AGENT))?;
        let reports = dir.join("reports");
        Ok((Machine { agent, silicon, reports, dir }, tcti))
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
        let mut command = self.program("cloudtaser-sim");
        command.arg("exec").arg("--reports").arg(&machine.reports).arg("--").arg(self.binary(AGENT));
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
    reports: PathBuf,
    pub(crate) dir: PathBuf,
}

impl Machine {
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join("agent.sock")
    }

    pub(crate) fn endorsement(&self, name: &str) -> PathBuf {
        self.dir.join("endorsements").join(format!("{name}.der"))
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

const AGENT: &str = "cloudtaser-node-agent";
const PATIENCE: Duration = Duration::from_secs(20);
