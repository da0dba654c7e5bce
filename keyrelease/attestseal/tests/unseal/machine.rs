//! A simulated machine: its silicon, presented as the kernel does, and an unchanged node agent.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use simulator::snp::{Chip, Product, ReportBuilder};
use simulator::tsm::{self, Mount};
use tempfile::TempDir;

use crate::bao::eventually;
use crate::programs::{program, skip};

/// The machine that OpenBao runs on.
pub(crate) struct Machine {
    agent: Child,
    // After the agent: it reads from the one and writes into the other.
    _silicon: Mount,
    dir: TempDir,
}

impl Machine {
    /// As the policies like it; nothing where FUSE or secret memory proves to be absent.
    pub(crate) fn good() -> Option<Self> {
        Self::with(|report| report)
    }

    /// With one thing spoiled.
    pub(crate) fn with(spoil: fn(ReportBuilder) -> ReportBuilder) -> Option<Self> {
        if !Path::new("/dev/fuse").exists() {
            skip("fuse", "/dev/fuse is absent");
            return None;
        }
        if let Err(why) = secretmem::probe() {
            skip("memfd_secret", &why.to_string());
            return None;
        }
        let (dir, chip) = (TempDir::new().unwrap(), chip());
        let (reports, list) = (dir.path().join("report"), dir.path().join("crl.der"));
        fs::create_dir(&reports).unwrap();
        fs::write(&list, chip.crl().der()).unwrap();
        let silicon = Mount::new(tsm::Machine::new(&chip).report(spoil(chip.report())), &reports).unwrap();
        let socket = dir.path().join("agent.sock");
        let uid = fs::metadata("/proc/self").unwrap().uid();
        let config = format!(
            "socket = \"{}\"\nallowed_uids = [{uid}]\nendorsements = [\"{}\"]\n[snp]\npath = \"{}\"\n",
            socket.display(),
            list.display(),
            reports.display()
        );
        let agent = start_agent(dir.path(), &config);
        eventually("the agent's socket", || socket.exists());
        Some(Self { agent, _silicon: silicon, dir })
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("agent.sock")
    }
}

fn start_agent(dir: &Path, config: &str) -> Child {
    let file = dir.join("agent.toml");
    fs::write(&file, config).unwrap();
    Command::new(program("cloudtaser-node-agent"))
        .args(["serve", "--config"])
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(dir.join("journal")).unwrap())
        .spawn()
        .unwrap()
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.agent.kill().unwrap();
        self.agent.wait().unwrap();
    }
}

/// The chip that the policies admit.
pub(crate) fn chip() -> Chip {
    Chip::new(7, Product::Genoa).at(now())
}

/// The real server lives now, and so must the chips.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A strict policy for the simulated chip, in a given version.
pub(crate) fn policy(version: u64) -> String {
    include_str!("../../../tests/release/policy.toml").replace("VERSION", &version.to_string())
}
