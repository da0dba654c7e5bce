//! Processes in pods: real cgroups with kubelet's names, and programs that begin their lives there.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use protocol::agent::{EvidenceReply, EvidenceRequest, Failure, Reply, parse_reply, to_frame};

use crate::harness::{Agent, skip};

pub(crate) const CONTAINER: &str = "3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d";

/// Connects, sends what it reads, and writes what it is answered.
const CLIENT: &str = "import socket,sys
s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
try: s.sendall(sys.stdin.buffer.read())
except BrokenPipeError: pass # refused before it was said
while True:
    part=s.recv(65536)
    if not part: break
    sys.stdout.buffer.write(part)";

/// A cgroup, until dropped.
pub(crate) struct Cgroup {
    path: PathBuf,
    mount: PathBuf,
    pub(crate) uid: String,
}

impl Cgroup {
    /// One as kubelet makes it for a container of a new pod; nothing on a machine that proves to allow none.
    pub(crate) fn pod() -> Option<Self> {
        Self::below("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod")
    }

    /// The same, below this.
    pub(crate) fn below(above: &str) -> Option<Self> {
        static PODS: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), PODS.fetch_add(1, Ordering::Relaxed));
        let uid = format!("{process:08x}-91aa-4d0e-8f6b-{number:012x}");
        let path = format!("{above}{}.slice/cri-containerd-{CONTAINER}.scope", uid.replace('-', "_"));
        Self::at(&path, uid)
    }

    fn at(path: &str, uid: String) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let mount =
            fields.filter(|fields| fields[2] == "cgroup2").map(|fields| PathBuf::from(fields[1])).next();
        let Some(mount) = mount else {
            skip("cgroup", "cgroup2 is not mounted");
            return None;
        };
        let path = mount.join(path);
        // Another test may have removed what is above, having been the last in it.
        let mut made = fs::create_dir_all(&path);
        for _ in 0..20 {
            if made.is_err() {
                made = fs::create_dir_all(&path);
            }
        }
        if let Err(error) = made {
            skip("cgroup", &format!("{}: {error}", path.display()));
            return None;
        }
        Some(Self { path, mount, uid })
    }

    /// A program that begins its life in here.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut shell = Command::new("sh");
        let enter = "echo 0 > \"$0/cgroup.procs\" && exec \"$@\"";
        shell.args(["-c", enter]).arg(&self.path).arg(program);
        shell
    }

    /// What a process in here is answered, with what is read before its end.
    pub(crate) fn ask(&self, agent: &Agent, request: &EvidenceRequest) -> Reply {
        self.exchange(&agent.socket(), &to_frame(request).unwrap())
    }

    pub(crate) fn exchange(&self, socket: &Path, frame: &[u8]) -> Reply {
        let mut command = self.command("python3");
        answered(command.args(["-c", CLIENT]).arg(socket), frame)
    }

    pub(crate) fn evidence(&self, agent: &Agent, request: &EvidenceRequest) -> EvidenceReply {
        match self.ask(agent, request) {
            Reply::Evidence(reply) => reply,
            Reply::Failed(failure) => panic!("{failure:?}"),
        }
    }

    pub(crate) fn failure(&self, agent: &Agent, request: &EvidenceRequest) -> Failure {
        match self.ask(agent, request) {
            Reply::Failed(failure) => failure,
            Reply::Evidence(_) => panic!("there is evidence"),
        }
    }

    /// Opens so many connections, says nothing, and stays.
    pub(crate) fn silent(&self, agent: &Agent, connections: usize) -> Resident {
        let body = "all=[]
for _ in range(int(sys.argv[2])): all.append(connect())
print('there',flush=True); time.sleep(600)";
        self.reside(agent, body, &connections.to_string())
    }

    /// Connects as fast as it can, without end.
    pub(crate) fn flood(&self, agent: &Agent) -> Resident {
        let body = "for _ in range(100): connect().close()
print('there',flush=True)
while True: connect().close()";
        self.reside(agent, body, "")
    }

    fn reside(&self, agent: &Agent, body: &str, argument: &str) -> Resident {
        let connect = "import socket,sys,time
def connect():
    s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); return s
";
        let mut child = self
            .command("python3")
            .args(["-c", &format!("{connect}{body}")])
            .arg(agent.socket())
            .arg(argument)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut there = [0; 5];
        child.stdout.as_mut().unwrap().read_exact(&mut there).unwrap();
        Resident(child)
    }
}

/// What a client is answered.
pub(crate) fn answered(command: &mut Command, frame: &[u8]) -> Reply {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(frame).unwrap();
    let Output { stdout, status, .. } = child.wait_with_output().unwrap();
    assert!(status.success(), "{status}");
    parse_reply(&stdout[4..]).unwrap()
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Busy for a moment after its last process.
        for _ in 0..50 {
            if fs::remove_dir(&self.path).is_ok() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let mut above = self.path.parent().unwrap();
        while above != self.mount && fs::remove_dir(above).is_ok() {
            above = above.parent().unwrap();
        }
    }
}

/// A process that goes on, until dropped.
pub(crate) struct Resident(Child);

impl Drop for Resident {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}
