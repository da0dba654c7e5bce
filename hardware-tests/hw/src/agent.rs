//! The agent, as it runs in production: its own program, its own socket.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use attest::{Kem, OfferedKey, Platform};
use protocol::agent::{
    EvidenceReply, EvidenceRequest, MAX_REPLY, Reply, VERSION, body_length, parse_reply, to_frame,
};

use crate::config::Arguments;
use crate::latency::Latency;

/// A running agent. It ends when dropped.
#[derive(Debug)]
pub(crate) struct Agent {
    child: Child,
    folder: tempfile::TempDir,
    platform: Platform,
    /// The name of the TPM's attestation key, which the person at this machine enrols by running this here.
    pub(crate) attestation_key: Option<String>,
}

/// A question and its answer.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) request: EvidenceRequest,
    pub(crate) reply: EvidenceReply,
}

impl Agent {
    pub(crate) fn start(arguments: &Arguments) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = |name: &str| folder.path().join(name);
        let section = arguments.section.as_ref().map(fs::read_to_string).transpose()?;
        let section = section.unwrap_or_else(|| arguments.default_section().to_owned());
        let uid = fs::metadata("/proc/self")?.uid();
        let endorsements = arguments.endorsements.iter().map(absolute).collect::<Result<Vec<_>>>()?;
        let socket = file("agent.sock");
        let general = format!(
            "socket = \"{}\"\nallowed_uids = [{uid}]\nendorsements = {endorsements:?}\n{RATE}",
            socket.display()
        );
        fs::write(file("agent.toml"), format!("{general}{section}"))?;
        let child = Command::new(&arguments.agent)
            .args(["serve", "--config"])
            .arg(file("agent.toml"))
            .stdin(Stdio::null())
            .stderr(File::create(file("journal"))?)
            .spawn()
            .with_context(|| format!("starting {}", arguments.agent.display()))?;
        let mut agent = Self { child, folder, platform: arguments.platform, attestation_key: None };
        agent.wait()?;
        agent.attestation_key = agent.key(arguments, &section)?;
        Ok(agent)
    }

    fn wait(&mut self) -> Result<()> {
        let begin = Instant::now();
        while !self.journal().contains("listening on") {
            if let Some(status) = self.child.try_wait()? {
                bail!("the agent ended with {status}:\n{}", self.journal());
            }
            ensure!(begin.elapsed() < PATIENCE, "the agent does not listen:\n{}", self.journal());
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn key(&self, arguments: &Arguments, section: &str) -> Result<Option<String>> {
        if self.platform != Platform::Tpm2 {
            return Ok(None);
        }
        // The key is made when it is first needed.
        let _made = self.ask()?;
        let setting = |name: &str| {
            let line = section.lines().find(|line| line.split('=').next().map(str::trim) == Some(name))?;
            line.split_once('=').map(|(_, value)| value.trim().trim_matches('"').to_owned())
        };
        let mut command = Command::new(&arguments.agent);
        command.args(["ak", "name"]);
        for (option, name) in [("--tcti", "tcti"), ("--handle", "ak_handle")] {
            command.args(setting(name).into_iter().flat_map(|value| [option.to_owned(), value]));
        }
        let output = command.env("TSS2_LOG", "all+none").output()?;
        ensure!(output.status.success(), "ak name: {}", String::from_utf8_lossy(&output.stderr));
        Ok(Some(String::from_utf8_lossy(&output.stdout).trim().to_owned()))
    }

    /// One request with a new nonce and a new key.
    pub(crate) fn ask(&self) -> Result<Asked> {
        let (mut nonce, mut public) = ([0; 32], vec![0; 32]);
        for bytes in [&mut nonce[..], &mut public] {
            getrandom::fill(bytes).map_err(|error| anyhow::anyhow!("random bytes: {error}"))?;
        }
        let key = OfferedKey { kem: Kem::X25519, public };
        let context = PURPOSE.to_owned();
        let request =
            EvidenceRequest { version: VERSION, nonce, context, key, platform: Some(self.platform) };
        let mut stream = UnixStream::connect(self.folder.path().join("agent.sock"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&to_frame(&request)?)?;
        let mut header = [0; 4];
        stream.read_exact(&mut header).context("the agent hung up")?;
        let mut body = vec![0; body_length(header, MAX_REPLY)?];
        stream.read_exact(&mut body).context("the agent hung up in the middle")?;
        match parse_reply(&body)? {
            Reply::Evidence(reply) => Ok(Asked { request, reply }),
            Reply::Failed(failure) => bail!("{}: {}", failure.code, failure.message),
        }
    }

    /// Several requests at the same time.
    pub(crate) fn ask_at_once(&self, count: u8) -> Vec<Result<Asked>> {
        thread::scope(|scope| {
            let threads: Vec<_> = (0..count).map(|_| scope.spawn(|| self.ask())).collect();
            let joined = threads.into_iter().map(thread::ScopedJoinHandle::join);
            joined.map(|asked| asked.unwrap_or_else(|_| bail!("a caller panicked"))).collect()
        })
    }

    /// What the agent says itself of its time for each request, the device's included.
    pub(crate) fn own_times(&self) -> Latency {
        let journal = self.journal();
        let lines = journal.lines().filter(|line| line.contains("outcome=evidence"));
        let millis = lines.filter_map(|line| line.split("ms=").nth(1)?.split(' ').next()?.parse().ok());
        Latency::of(millis.map(Duration::from_millis).collect())
    }

    fn journal(&self) -> String {
        fs::read_to_string(self.folder.path().join("journal")).unwrap_or_default()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn absolute(path: &PathBuf) -> Result<PathBuf> {
    fs::canonicalize(path).with_context(|| path.display().to_string())
}

/// One caller asks all that is asked here.
const RATE: &str = "requests_per_second = 100000\nrequests_burst = 100000\n";
/// What the evidence is for: nothing.
const PURPOSE: &str = "cloudtaser/hw";
/// The slowest hardware answers within seconds.
const PATIENCE: Duration = Duration::from_mins(1);
