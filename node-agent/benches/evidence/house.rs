//! Those who are asked: the agent with a device that takes no time, the program itself, and an echo. Each is a process.

use std::env;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use attest::crypto::AwsLcRs;
use attest::{Platform, Transcript};
use node_agent::answer::Answerer;
use node_agent::config::Config;
use node_agent::device::{Collected, Device, Fault};
use node_agent::serve::serve_by;
use simulator::snp::{Chip, Product};
use simulator::tsm::{Machine, Mount};
use tempfile::TempDir;

/// The first argument with which this program is the agent.
pub(crate) const AS_AGENT: &str = "--as-agent";
/// The first argument with which this program is the echo.
pub(crate) const AS_ECHO: &str = "--as-echo";

/// Where they live.
pub(crate) struct House {
    dir: TempDir,
    silicon: Option<Mount>,
}

/// One who is asked; ended when dropped.
pub(crate) struct Tenant {
    pub(crate) child: Child,
    pub(crate) socket: PathBuf,
}

impl House {
    pub(crate) fn build() -> Self {
        let dir = TempDir::new().unwrap();
        let reports = dir.path().join("report");
        fs::create_dir(&reports).unwrap();
        let machine = Machine::new(&Chip::new(1, Product::Genoa));
        let fuse = Path::new("/dev/fuse").exists();
        let silicon = fuse.then(|| Mount::new(machine, &reports).unwrap());
        Self { dir, silicon }
    }

    /// The agent, with a device that takes no time.
    pub(crate) fn free(&self) -> Tenant {
        self.agent("free", Command::new(env::current_exe().unwrap()), AS_AGENT)
    }

    /// The program itself, with simulated silicon; nothing on a machine without FUSE.
    pub(crate) fn silicon(&self) -> Option<Tenant> {
        self.silicon.as_ref()?;
        let mut program = Command::new(env!("CARGO_BIN_EXE_cloudtaser-node-agent"));
        program.arg("serve");
        Some(self.agent("silicon", program, "--config"))
    }

    /// Whatever it is sent, it answers so many bytes.
    pub(crate) fn echo(&self, bytes: usize) -> Tenant {
        let socket = self.dir.path().join("echo.sock");
        let mut program = Command::new(env::current_exe().unwrap());
        program.arg(AS_ECHO).arg(&socket).arg(bytes.to_string());
        Tenant::start(program, socket, &self.dir.path().join("echo.journal"))
    }

    fn agent(&self, name: &str, mut program: Command, last: &str) -> Tenant {
        let at = |end: &str| self.dir.path().join(format!("{name}.{end}"));
        let reports = self.dir.path().join("report");
        let text = format!(
            "socket = {:?}\nallowed_uids = [0]\nrequests_per_second = 100000\nrequests_burst = 100000\n\
             [pods]\n[snp]\npath = {reports:?}\n",
            at("sock")
        );
        fs::write(at("toml"), text).unwrap();
        program.arg(last).arg(at("toml"));
        Tenant::start(program, at("sock"), &at("journal"))
    }
}

impl Tenant {
    fn start(mut program: Command, socket: PathBuf, journal: &Path) -> Self {
        let child = program.stdin(Stdio::null()).stderr(File::create(journal).unwrap()).spawn().unwrap();
        let tenant = Self { child, socket };
        let patience = Instant::now();
        while !tenant.socket.exists() {
            assert!(patience.elapsed() < Duration::from_secs(30), "{}", fs::read_to_string(journal).unwrap());
            thread::sleep(Duration::from_millis(5));
        }
        tenant
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let _gone_already = fs::remove_file(&self.socket);
    }
}

/// This process is the agent.
pub(crate) fn serve(config: &Path) {
    let config = Config::read(config).unwrap();
    let free: Box<dyn Device> = Box::new(Free);
    serve_by(&config, Answerer::with(&config, [free]).unwrap()).unwrap();
}

/// This process is the echo.
pub(crate) fn echo(socket: &Path, bytes: usize) {
    let (door, answer) = (UnixListener::bind(socket).unwrap(), vec![7; bytes]);
    for stream in door.incoming() {
        let mut stream = stream.unwrap();
        let mut header = [0; 4];
        stream.read_exact(&mut header).unwrap();
        let mut body = vec![0; usize::try_from(u32::from_be_bytes(header)).unwrap()];
        stream.read_exact(&mut body).unwrap();
        stream.write_all(&answer).unwrap();
    }
}

/// Signs nothing, at once; as much as a report and its certificates are.
#[derive(Debug)]
struct Free;

impl Device for Free {
    fn platform(&self) -> Platform {
        Platform::SevSnp
    }

    fn sign(&self, transcript: &Transcript<'_>) -> Result<Collected, Fault> {
        let mut evidence = transcript.caller_data(&AwsLcRs, Platform::SevSnp);
        evidence.resize(1184, 0);
        Ok(Collected { evidence, certificates: vec![vec![0; 1400]; 3], remark: None })
    }
}
