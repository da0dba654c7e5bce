//! A running agent, a caller, and the hardware for both.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use attest::crypto::AwsLcRs;
use attest::{
    Challenge, Claims, Endorsements, Evidence, Kem, OfferedKey, Platform, Revocation, TrustAnchors, UnixTime,
    Verified,
};
use protocol::agent::{
    EvidenceReply, EvidenceRequest, Failure, MAX_REPLY, Reply, VERSION, body_length, parse_reply, to_frame,
};
use simulator::snp::{Chip, EPOCH, Product};
use simulator::tsm::{Machine, Mount, at_the_kernels_path};
use simulator::vtpm::Vtpm;
use tempfile::TempDir;

pub(crate) const NOW: UnixTime = UnixTime(EPOCH);
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_cloudtaser-node-agent");

/// The agent's program, running in a directory of its own.
pub(crate) struct Agent {
    child: Child,
    directory: PathBuf,
    /// Removed with the agent, if it is nobody else's.
    scratch: Option<TempDir>,
}

impl Agent {
    /// Starts it with `allowed_uids` and `socket` set, and the rest of the configuration as given.
    pub(crate) fn start(rest: &str) -> Self {
        Self::start_for(&format!("[{}]", own_uid()), rest)
    }

    pub(crate) fn start_for(uids: &str, rest: &str) -> Self {
        let scratch = TempDir::new().unwrap();
        let mut agent = Self::launch(Command::new(PROGRAM), scratch.path(), uids, rest);
        agent.scratch = Some(scratch);
        agent
    }

    /// Starts it where the guest's reports are at the kernel's own path.
    pub(crate) fn start_inside(guest: &Guest, rest: &str) -> Self {
        let scratch = TempDir::new().unwrap();
        let program = at_the_kernels_path(guest.mount.path(), PROGRAM);
        let mut agent = Self::launch(program, scratch.path(), &format!("[{}]", own_uid()), rest);
        agent.scratch = Some(scratch);
        agent
    }

    /// Starts it by another program, which is given the agent's command line.
    pub(crate) fn start_by(program: &[&str], uids: &str, rest: &str) -> Self {
        let scratch = TempDir::new().unwrap();
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).arg(PROGRAM);
        let mut agent = Self::launch(command, scratch.path(), uids, rest);
        agent.scratch = Some(scratch);
        agent
    }

    /// Starts it by a command that ends where the agent's own arguments begin.
    pub(crate) fn start_as(command: Command, rest: &str) -> Self {
        let scratch = TempDir::new().unwrap();
        let mut agent = Self::launch(command, scratch.path(), &format!("[{}]", own_uid()), rest);
        agent.scratch = Some(scratch);
        agent
    }

    /// What its process, and whatever it becomes, may ever do: `CapBnd` of proc(5).
    pub(crate) fn capabilities(&self) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let bound = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
        bound.unwrap().trim().to_owned()
    }

    /// Starts it where another one was.
    pub(crate) fn start_in(directory: &Path, rest: &str) -> Self {
        Self::launch(Command::new(PROGRAM), directory, &format!("[{}]", own_uid()), rest)
    }

    fn launch(program: Command, directory: &Path, uids: &str, rest: &str) -> Self {
        let child = spawn(program, directory, uids, rest);
        let mut agent = Self { child, directory: directory.to_owned(), scratch: None };
        let patience = Instant::now();
        while !agent.journal().contains("listening on") {
            assert!(patience.elapsed() < Duration::from_secs(30), "{}", agent.journal());
            if let Some(status) = agent.child.try_wait().unwrap() {
                panic!("{status}: {}", agent.journal());
            }
            thread::sleep(Duration::from_millis(5));
        }
        agent
    }

    /// How a start ends that is bound to fail, and what it says.
    pub(crate) fn fail(directory: &Path, uids: &str, rest: &str) -> (Option<i32>, String) {
        let status = spawn(Command::new(PROGRAM), directory, uids, rest).wait().unwrap();
        (status.code(), fs::read_to_string(directory.join("journal")).unwrap())
    }

    /// The same for another command that ends where the agent's own arguments begin.
    pub(crate) fn fail_as(command: Command, directory: &Path, rest: &str) -> (Option<i32>, String) {
        let status = spawn(command, directory, "[0]", rest).wait().unwrap();
        (status.code(), fs::read_to_string(directory.join("journal")).unwrap())
    }

    /// Starts it in a directory that is made ready for `command`.
    pub(crate) fn start_as_in(command: Command, directory: &Path, rest: &str) -> Self {
        Self::launch(command, directory, &format!("[{}]", own_uid()), rest)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.join("agent.sock")
    }

    pub(crate) fn connect(&self) -> UnixStream {
        UnixStream::connect(self.socket()).unwrap()
    }

    pub(crate) fn journal(&self) -> String {
        fs::read_to_string(self.directory.join("journal")).unwrap()
    }

    /// Waits for a line of the journal that holds this text.
    pub(crate) fn journal_with(&self, text: &str) -> String {
        let patience = Instant::now();
        loop {
            let journal = self.journal();
            if journal.contains(text) {
                return journal;
            }
            assert!(patience.elapsed() < Duration::from_secs(30), "no {text:?} in {journal}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn ask(&self, request: &EvidenceRequest) -> Reply {
        exchange(&mut self.connect(), &to_frame(request).unwrap())
    }

    pub(crate) fn evidence(&self, request: &EvidenceRequest) -> EvidenceReply {
        match self.ask(request) {
            Reply::Evidence(reply) => reply,
            Reply::Failed(failure) => panic!("{failure:?}"),
        }
    }

    pub(crate) fn failure(&self, request: &EvidenceRequest) -> Failure {
        match self.ask(request) {
            Reply::Failed(failure) => failure,
            Reply::Evidence(_) => panic!("there is evidence"),
        }
    }

    pub(crate) fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap())
    }

    /// SIGTERM, and the end.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        nix::sys::signal::kill(self.pid(), nix::sys::signal::Signal::SIGTERM).unwrap();
        self.child.wait().unwrap()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The directory, with whatever a killed agent left in it.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn spawn(mut program: Command, directory: &Path, uids: &str, rest: &str) -> Child {
    let socket = directory.join("agent.sock");
    let config = format!("socket = {socket:?}\nallowed_uids = {uids}\n{rest}");
    let file = directory.join("agent.toml");
    fs::write(&file, config).unwrap();
    // Whoever writes to the file of that name before goes on with a file without a name.
    drop(fs::remove_file(directory.join("journal")));
    let journal = File::create(directory.join("journal")).unwrap();
    program
        .args(["serve", "--config"])
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(journal)
        .spawn()
        .unwrap()
}

/// Writes bytes and reads one reply. A refusal may come before all bytes are taken.
pub(crate) fn exchange(stream: &mut UnixStream, bytes: &[u8]) -> Reply {
    let _refused_early = stream.write_all(bytes);
    reply(stream)
}

pub(crate) fn reply(stream: &mut UnixStream) -> Reply {
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let mut header = [0; 4];
    stream.read_exact(&mut header).unwrap();
    let mut body = vec![0; body_length(header, MAX_REPLY).unwrap()];
    stream.read_exact(&mut body).unwrap();
    parse_reply(&body).unwrap()
}

pub(crate) fn request(nonce: u8, platform: Option<Platform>) -> EvidenceRequest {
    let key = OfferedKey { kem: Kem::XWing, public: vec![0x77; 1216] };
    let context = "attest-keys/release/db".to_owned();
    EvidenceRequest { version: VERSION, nonce: [nonce; 32], context, key, platform }
}

/// The challenge that a request answers.
pub(crate) fn challenge(request: &EvidenceRequest) -> Challenge {
    Challenge {
        nonce: request.nonce,
        context: request.context.clone(),
        expires: NOW.plus(60),
        answered: false,
    }
}

/// What a verifier does with a reply.
pub(crate) fn verified(reply: &EvidenceReply, anchors: &TrustAnchors) -> Verified<Claims> {
    let endorsements = Endorsements {
        certificates: reply.certificates.iter().map(|der| der.to_vec()).collect(),
        revocation_lists: reply.revocation_lists.iter().map(|der| der.to_vec()).collect(),
        documents: reply.documents.iter().map(|json| json.to_vec()).collect(),
    };
    let evidence = Evidence::parse(reply.platform, &reply.evidence).unwrap();
    let prepared = endorsements.prepare(&AwsLcRs, &evidence, anchors, Revocation::Required, NOW).unwrap();
    evidence.verify(&AwsLcRs, &prepared, NOW).unwrap()
}

pub(crate) fn own_uid() -> u32 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").unwrap().uid()
}

/// A guest's report interface, and the operator's copy of the revocation list.
pub(crate) struct Guest {
    pub(crate) chip: Chip,
    pub(crate) mount: Mount,
    directory: TempDir,
}

impl Guest {
    /// A mounted guest, or nothing on a machine that proves to have no FUSE.
    pub(crate) fn start(settings: impl FnOnce(Machine) -> Machine) -> Option<Self> {
        Self::on(Chip::new(1, Product::Genoa), settings)
    }

    /// The same on this chip.
    pub(crate) fn on(chip: Chip, settings: impl FnOnce(Machine) -> Machine) -> Option<Self> {
        if !Path::new("/dev/fuse").exists() {
            skip("fuse", "/dev/fuse is absent");
            return None;
        }
        let directory = TempDir::new().unwrap();
        let reports = directory.path().join("report");
        fs::create_dir(&reports).unwrap();
        fs::write(directory.path().join("crl.der"), chip.crl().der()).unwrap();
        let mount = Mount::new(settings(Machine::new(&chip)), &reports).unwrap();
        Some(Self { chip, mount, directory })
    }

    /// The agent's configuration for this guest.
    pub(crate) fn config(&self) -> String {
        format!("endorsements = [{:?}]\n[snp]\npath = {:?}\n", self.crl(), self.mount.path())
    }

    pub(crate) fn crl(&self) -> PathBuf {
        self.directory.path().join("crl.der")
    }

    pub(crate) fn anchors(&self) -> TrustAnchors {
        TrustAnchors::insecure_simulated(&[self.chip.chain().ark]).unwrap()
    }

    /// Report directories that nobody removed.
    pub(crate) fn leftovers(&self) -> usize {
        fs::read_dir(self.mount.path()).unwrap().count()
    }
}

/// A TPM, or nothing on a machine that proves to have none in software.
pub(crate) fn vtpm() -> Option<Vtpm> {
    if Command::new("swtpm").arg("--version").output().is_err() {
        skip("swtpm", "swtpm is not installed");
        return None;
    }
    Some(Vtpm::start().unwrap())
}

pub(crate) fn skip(feature: &str, why: &str) {
    let required = std::env::var("REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|required| required == feature), "{why}");
    let name = thread::current().name().unwrap_or_default().to_owned();
    eprintln!("SKIP {name}: {why}");
}
