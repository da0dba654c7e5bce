//! Pods on one node: real cgroups, the unchanged agent and wrapper, silicon as the kernel presents it. One pod steals
//! another's token.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use simulator::tsm::{Machine, Mount};
use tempfile::TempDir;

use crate::server::{SECRET, chip};
use crate::workload::Cluster;

const CONTAINER: &str = "3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d";

/// A node whose agent knows pods.
struct Node {
    agent: Child,
    // After the agent: it reads from the one and writes into the other.
    _silicon: Mount,
    dir: TempDir,
}

impl Node {
    /// Nothing on a machine that proves to have no FUSE.
    fn start() -> Option<Self> {
        if !Path::new("/dev/fuse").exists() {
            skip("fuse", "/dev/fuse is absent");
            return None;
        }
        let (dir, chip) = (TempDir::new().unwrap(), chip());
        let (reports, list) = (dir.path().join("report"), dir.path().join("crl.der"));
        fs::create_dir(&reports).unwrap();
        fs::write(&list, chip.crl().der()).unwrap();
        let silicon = Mount::new(Machine::new(&chip), &reports).unwrap();
        let (config, socket) = (dir.path().join("agent.toml"), dir.path().join("agent.sock"));
        let text = format!(
            "socket = {:?}\nallowed_uids = []\nendorsements = [{:?}]\n[pods]\n[snp]\npath = {:?}\n",
            socket.to_str().unwrap(),
            list.to_str().unwrap(),
            reports.to_str().unwrap()
        );
        fs::write(&config, text).unwrap();
        let agent = Command::new(program("cloudtaser-node-agent"))
            .args(["serve", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stderr(File::create(dir.path().join("journal")).unwrap())
            .spawn()
            .unwrap();
        let node = Self { agent, _silicon: silicon, dir };
        let patience = Instant::now();
        while !socket.exists() {
            assert!(patience.elapsed() < Duration::from_secs(30), "{}", node.journal());
            thread::sleep(Duration::from_millis(10));
        }
        Some(node)
    }

    fn journal(&self) -> String {
        fs::read_to_string(self.dir.path().join("journal")).unwrap()
    }

    /// The wrapper in a pod, with the token that it has there, and a program that says what it was given.
    fn run(&self, pod: &Pod, cluster: &Cluster, token: &str) -> Output {
        let file = self.dir.path().join("token");
        fs::write(&file, token).unwrap();
        let enter = "echo 0 > \"$0/cgroup.procs\" && exec \"$@\"";
        Command::new("sh")
            .args(["-c", enter])
            .arg(&pod.path)
            .arg(program("cloudtaser-wrapper"))
            .args(["--", "perl", "-e", "print $ENV{PGPASSWORD}"])
            .env("VAULT_ADDR", format!("http://{}", cluster.server.address()))
            .env("VAULT_AUTH_METHOD", "attest")
            .env("VAULT_SKIP_VERIFY", "true")
            .env("CLOUDTASER_AGENT_SOCKET", self.dir.path().join("agent.sock"))
            .env("CLOUDTASER_SECRET_PATHS", "db")
            .env("CLOUDTASER_ENV_MAP", "password=PGPASSWORD")
            .env("CLOUDTASER_WORKLOAD_TOKEN_FILE", file)
            .output()
            .unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.agent.kill().unwrap();
        self.agent.wait().unwrap();
    }
}

/// A pod's cgroup, as kubelet and containerd make it; removed when dropped.
struct Pod {
    path: PathBuf,
    uid: String,
}

impl Pod {
    /// Nothing on a machine that proves to allow none.
    fn start(number: u32) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let Some(mount) =
            fields.filter(|fields| fields[2] == "cgroup2").map(|fields| fields[1].to_owned()).next()
        else {
            skip("cgroup", "cgroup2 is not mounted");
            return None;
        };
        let uid = format!("{:08x}-2c1e-4b7a-9d55-{number:012x}", std::process::id());
        let slice = format!("kubepods-besteffort-pod{}.slice", uid.replace('-', "_"));
        let above = Path::new(&mount).join("kubepods.slice/kubepods-besteffort.slice").join(slice);
        let path = above.join(format!("cri-containerd-{CONTAINER}.scope"));
        if let Err(error) = fs::create_dir_all(&path) {
            skip("cgroup", &format!("{}: {error}", path.display()));
            return None;
        }
        Some(Self { path, uid })
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        // Busy for a moment after its last process; what others made above stays.
        for _ in 0..50 {
            if fs::remove_dir(&self.path).is_ok() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.path.ancestors().skip(1).take(3).all(|above| fs::remove_dir(above).is_ok());
    }
}

/// A program of another package. A run of the whole workspace has built it; else it is built here.
fn program(name: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_openbao-plugin-attest")).with_file_name(name);
    if !program.exists() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--workspace", "--bin", name]);
        assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success(), "{name}");
    }
    program
}

#[expect(clippy::print_stderr, clippy::disallowed_methods, reason = "a skip says so")]
fn skip(feature: &str, why: &str) {
    let required = std::env::var("REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|required| required == feature), "{why}");
    eprintln!("SKIP {}: {why}", thread::current().name().unwrap_or_default());
}

#[test]
fn a_pod_gets_its_secret_and_another_that_stole_its_token_gets_nothing() {
    let (Some(mine), Some(thiefs)) = (Pod::start(1), Pod::start(2)) else { return };
    let Some(node) = Node::start() else { return };
    let cluster = Cluster::start();
    let token = cluster.token_in("app", &mine.uid).0;
    let given = node.run(&mine, &cluster, &token);
    let told = String::from_utf8(given.stderr).unwrap();
    assert_eq!(
        (given.status.code(), String::from_utf8(given.stdout).unwrap().as_str()),
        (Some(0), SECRET),
        "{told}"
    );

    let stolen = node.run(&thiefs, &cluster, &token);
    let told = String::from_utf8(stolen.stderr).unwrap();
    assert_eq!((stolen.status.code(), stolen.stdout.as_slice()), (Some(1), b"".as_slice()), "{told}");
    let expected = format!("pod {}, whose token it is, in the purpose", mine.uid);
    for word in ["workload.pod", &expected, &format!("pod {}", thiefs.uid), "policy.grant"] {
        assert!(told.contains(word), "{word:?} in {told}");
    }
    // And what the thief has of its own is worth what its own grants say.
    let own = cluster.token_in("web", &thiefs.uid).0;
    let told = String::from_utf8(node.run(&thiefs, &cluster, &own).stderr).unwrap();
    assert!(told.contains("policy.grant") && !told.contains("workload.pod"), "{told}");
    for pod in [&mine, &thiefs] {
        let line = format!(" pod={} container={CONTAINER} platform=sev-snp outcome=evidence", pod.uid);
        assert!(node.journal().contains(&line), "{}", node.journal());
    }
    assert!(!node.journal().contains(&token), "a token is a credential");
}
