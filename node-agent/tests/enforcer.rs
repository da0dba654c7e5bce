//! What the agent says of an enforcer that is played: it has the words, and does nothing.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a test")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, Backlog, MsgFlags, SockFlag, SockType, UnixAddr, accept, bind, listen, recv, send, socket,
};
use protocol::enforcer::{Ask, Defence, Matrix, Said, Verified};
use serde_json::Value;

fn matrix() -> Matrix {
    let defence = |vector: &str, tier: &str, verified| {
        let [vector, event, tier, mode] = [vector, "EVENT", tier, "enforce"].map(str::to_owned);
        Defence { vector, event, tier, mode, verified, why: None }
    };
    Matrix {
        mode: "enforce".to_owned(),
        kernel: "6.12.95".to_owned(),
        programs: "ab".repeat(32),
        vectors: vec![
            defence("environ", "lsm", Verified::Yes),
            defence("ptrace", "fmod_ret", Verified::Yes),
            defence("traceme", "lsm", Verified::No),
        ],
    }
}

/// Answers, one line after the other, until the test ends.
fn play(path: &Path, protect: Said) {
    let door = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
    bind(door.as_raw_fd(), &UnixAddr::new(path).unwrap()).unwrap();
    listen(&door, Backlog::new(8).unwrap()).unwrap();
    thread::spawn(move || {
        loop {
            let line = accept(door.as_raw_fd()).unwrap();
            let mut packet = [0; 4096];
            let length = recv(line, &mut packet, MsgFlags::empty()).unwrap();
            let said = match serde_json::from_slice(&packet[..length]).unwrap() {
                Ask::Matrix {} => Said::Matrix(matrix()),
                Ask::Protect {} => protect.clone(),
                Ask::Confirm {}
                | Ask::Keep {}
                | Ask::Register { .. }
                | Ask::Watch {}
                | Ask::ConfirmGuards {} => Said::Done {},
            };
            send(line, &serde_json::to_vec(&said).unwrap(), MsgFlags::MSG_NOSIGNAL).unwrap();
            nix::unistd::close(line).unwrap();
        }
    });
}

/// `cloudtaser-node-agent detect`, with this enforcer.
fn detected(folder: &Path) -> Value {
    let socket = folder.join("enforcer.sock");
    let config = folder.join("agent.toml");
    let facts = format!("[facts]\nenforcer = \"{}\"\n", socket.display());
    fs::write(&config, format!("allowed_uids = [0]\n[snp]\n{facts}")).unwrap();
    let mut agent = Command::new(env!("CARGO_BIN_EXE_cloudtaser-node-agent"));
    let output = agent.args(["detect", "-o", "json", "--config"]).arg(&config).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Only root's socket is believed; and only a process of the same user is read.
fn is_root(test: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        println!("SKIP {test}: an enforcer is root's");
    }
    root
}

#[test]
fn an_enforcer_that_only_has_the_words_does_not_prove_itself() {
    if !is_root("an_enforcer_that_only_has_the_words_does_not_prove_itself") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    play(&folder.path().join("enforcer.sock"), Said::Tagged {});
    let facts = &detected(folder.path())["facts"];
    let programs = format!("sha256:{}", "ab".repeat(32));
    for (name, value) in [
        ("enforcer", programs.as_str()),
        ("enforcer.mode", "enforce"),
        ("enforcer.tier", "fmod_ret"),
        ("enforcer.open", "traceme"),
        ("enforcer.proved", "no"),
    ] {
        assert_eq!(facts[name], value, "{name} of {facts}");
    }
}

#[test]
fn one_that_does_not_protect_the_decoy_proves_nothing_and_says_why() {
    if !is_root("one_that_does_not_protect_the_decoy_proves_nothing_and_says_why") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    play(&folder.path().join("enforcer.sock"), Said::Refused { why: "no room".to_owned() });
    let told = detected(folder.path());
    assert_eq!(told["facts"]["enforcer.proved"], "unknown");
    let remarks: Vec<&str> = told["remarks"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(remarks.contains(&"enforcer.proved: the decoy was not protected: no room"), "{remarks:?}");
}

/// Each text that was measured stays on record, the first one too.
#[test]
fn an_agent_that_is_told_to_serves_nobody_before_the_enforcer_is_there() {
    if !is_root("an_agent_that_is_told_to_serves_nobody_before_the_enforcer_is_there") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [agent, enforcer] = ["agent.sock", "enforcer.sock"].map(|name| folder.path().join(name));
    let config = folder.path().join("agent.toml");
    let facts = format!("[facts]\nenforcer = {enforcer:?}\nenforcer_within = 60\n");
    fs::write(&config, format!("socket = {agent:?}\nallowed_uids = [0]\n[snp]\n{facts}")).unwrap();
    let mut serve = Command::new(env!("CARGO_BIN_EXE_cloudtaser-node-agent"));
    let serve = serve.args(["serve", "--config"]).arg(&config).stderr(Stdio::piped()).spawn();
    let mut serve = serve.unwrap();
    let (tell, lines) = channel();
    let said = BufReader::new(serve.stderr.take().unwrap());
    thread::spawn(move || said.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
    let early: Vec<String> = std::iter::from_fn(|| lines.recv_timeout(Duration::from_secs(2)).ok()).collect();
    assert!(!early.iter().any(|line| line.contains("listening on")), "{early:?}");
    play(&enforcer, Said::Tagged {});
    let until = |line: &String| line.contains("listening on");
    let heard = std::iter::from_fn(|| lines.recv_timeout(Duration::from_secs(30)).ok()).find(until);
    serve.kill().unwrap();
    serve.wait().unwrap();
    assert!(heard.is_some(), "{early:?}");
}

#[test]
fn where_nobody_listens_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let facts = &detected(folder.path())["facts"];
    assert_eq!((&facts["enforcer"], &facts["enforcer.proved"]), (&Value::from("none"), &Value::Null));
}
