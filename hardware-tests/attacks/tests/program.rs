//! The program as its user has it: what it finds without an enforcer, and with one that only claims to be one.
#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "helpers of tests, which clippy does not take for tests"
)]

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept, bind, listen, recv,
    send, socket_with,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Ways that need nothing of the kernel but what every kernel has.
const EVERYWHERE: &str = "proc/mem-read,proc/mem-write,proc/mem-thread,proc/environ,proc/maps,ptrace/attach,\
                          ptrace/seize-before,ptrace/traceme,vm/write,vm/read-child,getfd/memfd,stale/mem,signal/abrt-sigio,runtime/sigterm";

#[test]
fn root_has_every_secret_of_a_process_that_nobody_protects() {
    if !is_root("root_has_every_secret_of_a_process_that_nobody_protects") {
        return;
    }
    let place = TempDir::new().unwrap();
    let output = run(&place, &["--bare-only", "--only", EVERYWHERE, "-o", "json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for probe in probes(&output) {
        assert_eq!(probe["bare"]["outcome"], "got", "{probe}");
        assert_eq!(probe["verdict"], "one-run", "{probe}");
    }
}

/// Why `memfd_secret` is worth it, and what its hole is.
#[test]
fn the_kernel_itself_keeps_secret_memory_from_mem_and_not_from_pidfd_getfd() {
    if !is_root("the_kernel_itself_keeps_secret_memory_from_mem_and_not_from_pidfd_getfd") {
        return;
    }
    let place = TempDir::new().unwrap();
    let output = run(&place, &["--bare-only", "--only", "proc/mem-secret,getfd/secret", "-o", "json"]);
    let probes = probes(&output);
    if probes[0]["bare"]["detail"] == "no memfd_secret" {
        return println!("SKIP the_kernel_itself_keeps_secret_memory: this kernel has no memfd_secret");
    }
    assert_eq!(probes[0]["bare"], json!({"outcome": "denied", "detail": libc::EIO}));
    assert_eq!(probes[1]["bare"], json!({"outcome": "got", "detail": "the canary of its memfd_secret"}));
}

#[test]
fn without_an_enforcer_there_is_nothing_to_prove() {
    let place = TempDir::new().unwrap();
    let socket = place.path().join("none");
    for words in [&["--protected-only"][..], &["--only", "runtime/stat"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_cloudtaser-attacks"))
            .args(["run", "--socket", socket.to_str().unwrap()])
            .args(words)
            .env("TMPDIR", place.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        let expected =
            format!("no enforcer listens: {}: No such file or directory (os error 2)", socket.display());
        assert!(told.lines().any(|line| line == expected), "{told}");
    }
}

#[test]
fn an_enforcer_that_only_claims_to_be_one_is_found_out() {
    if !is_root("an_enforcer_that_only_claims_to_be_one_is_found_out") {
        return;
    }
    let place = TempDir::new().unwrap();
    let socket = place.path().join("socket");
    played(&socket, |ask| match ask["ask"].as_str() {
        Some("protect") => json!({"said": "tagged"}),
        _ => json!({"said": "clear", "key": "00".repeat(32), "looked": [], "matrix": {
            "mode": "enforce", "kernel": "", "programs": "", "vectors": []
        }}),
    });
    let words = ["--only", "proc/mem-read,runtime/kill-0", "--socket", socket.to_str().unwrap()];
    let output = run(&place, &words);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    let summary = "2 probes: 0 denied, 0 killed, 0 impossible bare, 1 open as they must be, 1 STILL POSSIBLE: proc/mem-read";
    assert_eq!(told.lines().last(), Some(summary));

    let limits = place.path().join("limits.md");
    let table = "## Attacks that still work\n| probe | where | why |\n|---|---|---|\n| `proc/mem-read` | everywhere | played |\n";
    std::fs::write(&limits, table).unwrap();
    let output = run(&place, &[&words[..], &["--allowed", limits.to_str().unwrap()]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_victim_that_is_not_protected_is_not_attacked_as_if_it_were() {
    if !is_root("a_victim_that_is_not_protected_is_not_attacked_as_if_it_were") {
        return;
    }
    let place = TempDir::new().unwrap();
    let socket = place.path().join("socket");
    played(&socket, |_| json!({"said": "refused", "why": "expected no tracer, found 7"}));
    let words = ["--protected-only", "--only", "proc/mem-read", "--socket", socket.to_str().unwrap()];
    let output = run(&place, &words);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told.lines().last(), Some("cloudtaser-attacks: protected: expected no tracer, found 7"));
}

#[test]
fn a_probe_that_nobody_knows_is_refused_by_name() {
    let place = TempDir::new().unwrap();
    let output = run(&place, &["--bare-only", "--only", "proc/nothing"]);
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told, "cloudtaser-attacks: no probe is meant by [\"proc/nothing\"] without []\n");
}

#[test]
fn a_known_limit_of_a_probe_that_is_not_there_is_refused() {
    let place = TempDir::new().unwrap();
    let limits = place.path().join("limits.md");
    let table = "## Attacks that still work\n| probe | where | why |\n|---|---|---|\n| `proc/gone` | everywhere | x |\n";
    std::fs::write(&limits, table).unwrap();
    let output =
        run(&place, &["--bare-only", "--only", "runtime/stat", "--allowed", limits.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told, format!("cloudtaser-attacks: {}: there is no probe proc/gone\n", limits.display()));
}

/// No victim, no directory, no control group.
#[test]
fn nothing_is_left_behind() {
    if !is_root("nothing_is_left_behind") {
        return;
    }
    let place = TempDir::new().unwrap();
    let output =
        run(&place, &["--bare-only", "--only", "cgroup/,signal/abrt,ptrace/seize,core/as-configured"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    let mark = place.path().to_str().unwrap();
    for process in std::fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
        // A victim's directory is the suite's, below the place.
        let directory = std::fs::read_link(process.path().join("cwd")).unwrap_or_default();
        assert!(!directory.to_string_lossy().starts_with(mark), "{}", process.path().display());
    }
}

fn run(place: &TempDir, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cloudtaser-attacks"))
        .arg("run")
        .args(words)
        .env("TMPDIR", place.path())
        .output()
        .unwrap()
}

fn probes(output: &Output) -> Vec<Value> {
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    document["probes"].as_array().unwrap().clone()
}

fn is_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("SKIP {test}: only root may attack a process that is not its child");
    }
    root
}

/// Something that listens as the enforcer does, and answers what it is told to, for as long as the test runs.
fn played(path: &Path, answer: fn(&Value) -> Value) {
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
    bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
    listen(&socket, 8).unwrap();
    thread::spawn(move || {
        while let Ok(caller) = accept(&socket) {
            thread::spawn(move || serve(&caller, answer));
        }
    });
}

fn serve(caller: &OwnedFd, answer: fn(&Value) -> Value) {
    let mut room = vec![0; 64 * 1024];
    loop {
        let length = recv(caller, &mut room[..], RecvFlags::empty()).map_or(0, |(length, _)| length);
        if length == 0 {
            return;
        }
        let words = answer(&serde_json::from_slice(&room[..length]).unwrap()).to_string();
        if send(caller, words.as_bytes(), SendFlags::NOSIGNAL).is_err() {
            return;
        }
    }
}
