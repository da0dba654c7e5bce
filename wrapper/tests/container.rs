//! The whole wrapper in a real container, as Kubernetes' restricted profile has it: another user than root, no
//! capability, no new privileges, a read-only root, the stock list of system calls, 64 KiB of locked memory.
//!
//! A pod's network reaches OpenBao, and this machine's stands for it; process ids, mounts, names are the container's.
#![expect(clippy::indexing_slicing, clippy::print_stdout, clippy::unwrap_used, reason = "a test")]

#[expect(dead_code, reason = "other test programs use the rest")]
mod bench;
#[expect(dead_code, reason = "other test programs use the rest")]
mod stage;
#[expect(dead_code, reason = "other test programs use the rest")]
mod theft;

use std::fs::{self, File, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use bench::{CANARY, installed, skip};
use serde_json::{Value, json};
use stage::{Answer, Stage};

const PROFILE: &str = "/usr/share/containers/seccomp.json";
const USER: u32 = 65532;

/// A container that has not started yet.
struct Container {
    dir: tempfile::TempDir,
    name: String,
    _stage: Stage,
}

impl Container {
    /// None where this machine runs no containers.
    fn new(test: &str, answers: Vec<Answer>, more: &[&str], words: &[&str]) -> Option<Self> {
        let missing = ["runc", "busybox"].into_iter().find(|program| !installed(program));
        if missing.is_some() || !Path::new(PROFILE).exists() {
            skip(test, "runc", "runc, busybox-static or the profile of containers/common is not installed");
            return None;
        }
        let stage = Stage::new(answers);
        let authority = stage.certificate();
        let outside = authority.parent().unwrap();
        open_to_others(outside, &authority);
        let dir = tempfile::tempdir().unwrap();
        // runc's own user looks the folder up as the user inside.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        lay_out(&dir.path().join("rootfs"));
        let environment = environment(&stage, more);
        let config = config(outside, &environment, words);
        fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
        let name = format!("cloudtaser-{}-{test}", std::process::id());
        let container = Self { dir, name, _stage: stage };
        Some(container)
    }

    fn runc(&self, words: &[&str]) -> Command {
        let mut runc = Command::new("runc");
        runc.args(words).current_dir(self.dir.path()).stdin(Stdio::null());
        runc
    }

    fn run(&self) -> Output {
        self.runc(&["run", &self.name]).output().unwrap()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Mostly it is gone already.
        self.runc(&["delete", "--force", &self.name]).stderr(Stdio::null()).status().unwrap();
    }
}

fn open_to_others(outside: &Path, authority: &Path) {
    for (path, mode) in [(outside, 0o755), (&outside.join("agent.sock"), 0o666), (authority, 0o644)] {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
}

/// Our program with its libraries, and busybox under the names that are needed.
fn lay_out(root: &Path) {
    for folder in ["bin", "proc", "dev", "run/cloudtaser", "tmp", "lib64", "lib/x86_64-linux-gnu"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    let own = env!("CARGO_BIN_EXE_cloudtaser-wrapper");
    copy(own, &root.join("cloudtaser-wrapper"));
    let libraries = Command::new("ldd").arg(own).output().unwrap();
    let libraries = String::from_utf8(libraries.stdout).unwrap();
    for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
        copy(library, &root.join(library.trim_start_matches('/')));
    }
    // busybox has none of its own.
    copy("/usr/bin/printenv", &root.join("bin/printenv"));
    let busybox = Command::new("sh").args(["-c", "command -v busybox"]).output().unwrap();
    copy(String::from_utf8(busybox.stdout).unwrap().trim(), &root.join("bin/busybox"));
    for name in ["sh", "cat", "sleep"] {
        symlink("busybox", root.join("bin").join(name)).unwrap();
    }
}

fn copy(from: &str, to: &Path) {
    assert!(Command::new("cp").arg("--dereference").arg(from).arg(to).status().unwrap().success(), "{from}");
}

fn environment(stage: &Stage, more: &[&str]) -> Vec<String> {
    let ours = stage.wrapper("", &[]);
    let moved = |name: &str, value: &str| match name {
        "VAULT_CACERT" => "VAULT_CACERT=/run/cloudtaser/ca.pem".to_owned(),
        "CLOUDTASER_AGENT_SOCKET" => "CLOUDTASER_AGENT_SOCKET=/run/cloudtaser/agent.sock".to_owned(),
        _other => format!("{name}={value}"),
    };
    let ours =
        ours.get_envs().map(|(name, value)| moved(name.to_str().unwrap(), value.unwrap().to_str().unwrap()));
    let path = ["PATH=/bin".to_owned()];
    path.into_iter().chain(ours).chain(more.iter().map(|entry| (*entry).to_owned())).collect()
}

fn config(outside: &Path, environment: &[String], words: &[&str]) -> Value {
    let words: Vec<&str> = ["/cloudtaser-wrapper", "--"].iter().chain(words).copied().collect();
    let masked =
        ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi", "/sys/firmware"];
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": { "uid": USER, "gid": USER },
            "args": words,
            "env": environment,
            "cwd": "/",
            "capabilities": { "bounding": [], "effective": [], "permitted": [], "ambient": [] },
            "rlimits": [
                { "type": "RLIMIT_MEMLOCK", "hard": 65536, "soft": 65536 },
                { "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }
            ],
            "noNewPrivileges": true
        },
        "root": { "path": "rootfs", "readonly": true },
        "hostname": "pod",
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] },
            { "destination": "/run/cloudtaser", "type": "bind", "source": outside, "options": ["bind", "ro"] }
        ],
        "linux": {
            "namespaces": [{ "type": "pid" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" }],
            "maskedPaths": masked,
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
            "seccomp": profile()
        }
    })
}

/// The stock profile as an engine gives it to runc, for this machine and for no capability.
fn profile() -> Value {
    let stock: Value = serde_json::from_reader(File::open(PROFILE).unwrap()).unwrap();
    let here = |entry: &&Value| {
        let includes = &entry["includes"];
        let arches = includes["arches"].as_array().is_none_or(|arches| arches.contains(&json!("amd64")));
        arches && includes["caps"].is_null()
    };
    let rule = |entry: &Value| {
        let mut rule = json!({ "names": entry["names"], "action": entry["action"], "args": entry["args"] });
        if !entry["errnoRet"].is_null() {
            rule["errnoRet"] = entry["errnoRet"].clone();
        }
        rule
    };
    let rules: Vec<Value> = stock["syscalls"].as_array().unwrap().iter().filter(here).map(rule).collect();
    assert!(rules.len() > 3, "{stock}");
    json!({
        "defaultAction": stock["defaultAction"],
        "defaultErrnoRet": stock["defaultErrnoRet"],
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": rules
    })
}

fn said(output: &Output) -> (String, String) {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8(bytes.clone()).unwrap());
    let err = stage::apart(&err).0;
    assert!(!err.contains(CANARY), "{err}");
    (out, err)
}

#[test]
fn the_program_is_served_under_the_restricted_profile() {
    let test = "the_program_is_served_under_the_restricted_profile";
    let look = "printenv PGPASSWORD; cat /proc/self/status /proc/self/limits; exec cat /proc/self/environ";
    let Some(container) = Container::new(test, vec![Answer::Release], &[], &["sh", "-c", look]) else {
        return;
    };
    let (out, err) = said(&container.run());
    assert_eq!(err, "");
    let mut lines = out.lines();
    assert_eq!(lines.next(), Some(CANARY));
    let rest: String = lines.collect::<Vec<_>>().join("\n");
    assert!(!rest.contains(CANARY) && rest.contains("PGPASSWORD=ctref:"), "{rest}");
    for expected in ["Uid:\t65532\t65532", "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "TracerPid:\t0"] {
        assert!(rest.contains(expected), "{expected} {rest}");
    }
    let locked = rest.lines().find(|line| line.starts_with("Max locked memory")).unwrap();
    assert_eq!(locked.split_whitespace().nth(3), Some("65536"));
    // The profile's own filter and that of programs, and nothing of our lists: those of a process count their filters.
    assert!(rest.contains("Seccomp_filters:\t2"), "{rest}");
}

#[test]
fn the_program_takes_our_place_there_too() {
    let test = "the_program_takes_our_place_there_too";
    let more = ["CLOUDTASER_SUPERVISE=false"];
    let look = ["sh", "-c", "echo $$; exec printenv PGPASSWORD"];
    let Some(container) = Container::new(test, vec![Answer::Release], &more, &look) else { return };
    let output = container.run();
    assert_eq!(said(&output), (format!("1\n{CANARY}\n"), String::new()));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn what_is_refused_is_refused_there_too() {
    let test = "what_is_refused_is_refused_there_too";
    let Some(container) = Container::new(test, vec![Answer::Refuse], &[], &["printenv"]) else { return };
    let output = container.run();
    let (out, err) = said(&output);
    assert_eq!((output.status.code(), out.as_str()), (Some(1), ""));
    assert!(err.contains("OpenBao refused the release"), "{err}");
}

#[test]
fn root_outside_reads_neither_the_program_nor_the_wrapper() {
    let test = "root_outside_reads_neither_the_program_nor_the_wrapper";
    let words = ["sh", "-c", "echo ready; exec sleep 60"];
    let Some(container) = Container::new(test, vec![Answer::Release], &[], &words) else { return };
    let mut running = container
        .runc(&["run", &container.name])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(running.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    let state = container.runc(&["state", &container.name]).output().unwrap();
    let state: Value = serde_json::from_slice(&state.stdout).unwrap();
    let first = i32::try_from(state["pid"].as_i64().unwrap()).unwrap();
    let mut family = vec![first];
    let below = fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap();
    family.extend(below.split_whitespace().map(|pid| pid.parse::<i32>().unwrap()));
    assert!(family.len() > 1, "{below}");
    wait_until_served(&family);
    for pid in family {
        assert!(!theft::whole_memory_holds(pid, CANARY), "{pid}");
        assert_eq!(theft::mappable_secret(pid, CANARY), None, "{pid}");
    }
    assert!(container.runc(&["kill", &container.name, "TERM"]).status().unwrap().success());
    assert_eq!(running.wait().unwrap().code(), Some(143));
}

/// The shell has become `sleep`, which is given values when it does, and nobody is traced any more.
fn wait_until_served(family: &[i32]) {
    let start = std::time::Instant::now();
    let is = |pid: &i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.contains("Name:\tsleep") && status.contains("TracerPid:\t0")
    };
    while !family.iter().any(is) {
        assert!(start.elapsed() < std::time::Duration::from_secs(20));
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
