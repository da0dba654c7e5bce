//! Three custodians, two of whom make a quorum: real programs on both sides, and liars in between.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::bao::{eventually, lives, signal};
use crate::liar::{Lie, liar};
use crate::machine::{Machine, chip, policy};
use crate::programs::program;
use crate::sealed::Sealed;
use simulator::snp::ReportBuilder;

/// What custodians have at home, and the machine's copy of the set's document.
pub(crate) struct Custodians {
    dir: tempfile::TempDir,
}

/// How a custodian's program ended, and all that it said.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) text: String,
}

impl Custodians {
    /// Anna, Ben and Carl make their keys, and a new key is dealt to them.
    pub(crate) fn dealt() -> Self {
        let custodians = Self { dir: tempfile::tempdir().unwrap() };
        for name in NAMES {
            let made = custodians.run(&["keygen", "--out", &custodians.path(name)]);
            assert_eq!(made.code, Some(0), "{}", made.text);
        }
        let named = NAMES.map(|name| format!("{name}={}", custodians.path(&format!("{name}.pub"))));
        let mut words = vec!["split", "--name", "prod", "--threshold", "2", "--out"];
        let out = custodians.dir.path().display().to_string();
        words.push(&out);
        for custodian in &named {
            words.extend(["--custodian", custodian]);
        }
        let dealt = custodians.run(&words);
        assert_eq!(dealt.code, Some(0), "{}", dealt.text);
        fs::write(custodians.path("policy.toml"), policy(1)).unwrap();
        fs::write(custodians.path("ark.der"), chip().ark().der()).unwrap();
        custodians
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("unseal.sock")
    }

    /// The settings of a seal on this machine.
    pub(crate) fn settings(&self, machine: &Machine) -> String {
        format!(
            "source = \"custodians\"\ncustodians = {:?}\nsocket = {:?}\nagent_socket = {:?}\n",
            self.path("custodians.json"),
            self.path("unseal.sock"),
            machine.socket().display().to_string()
        )
    }

    /// A custodian looks at the machine behind `socket` with a policy.
    pub(crate) fn approve_at(&self, socket: &Path, name: &str, policy: &str) -> Said {
        self.run(&[
            "approve",
            &socket.display().to_string(),
            "--policy",
            &self.path(policy),
            "--custodians",
            &self.path("custodians.json"),
            "--share",
            &self.path(&format!("{name}.share")),
            "--key",
            &self.path(&format!("{name}.key")),
            "--insecure-trust-root",
            &self.path("ark.der"),
        ])
    }

    pub(crate) fn approve(&self, name: &str) -> Said {
        self.approve_at(&self.socket(), name, "policy.toml")
    }

    fn run(&self, words: &[&str]) -> Said {
        let mut command = Command::new(program("cloudtaser"));
        let output = command.arg("unseal").args(words).current_dir(&self.dir).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        Said { code: output.status.code(), text: String::from_utf8(text).unwrap() }
    }
}

const NAMES: [&str; 3] = ["anna", "ben", "carl"];

/// A server that was initialised with two custodians' help.
fn initialised(custodians: &Custodians, machine: &Machine) -> Sealed {
    let mut sealed = Sealed::by(&custodians.settings(machine));
    sealed.start();
    assert_eq!(custodians.approve("anna").code, Some(0));
    assert_eq!(custodians.approve("ben").code, Some(0));
    sealed.bao.initialise();
    sealed
}

#[test]
fn a_quorum_of_custodians_opens_a_server_at_every_start_and_one_alone_does_not() {
    let Some(machine) = Machine::good() else { return };
    let custodians = Custodians::dealt();
    let mut early = Sealed::by(&custodians.settings(&machine));
    early.start();
    let refused = early.bao.try_initialise();
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.json.to_string().contains("waiting for custodians of prod: 0 of 2"), "{refused:?}");
    drop(early);
    let mut sealed = initialised(&custodians, &machine);
    sealed.bao.write("sys/mounts/kv", &json!({ "type": "kv" })).ok();
    sealed.restart();
    let before = sealed.bao.said("waiting for custodians of prod: 0 of 2");
    sealed.bao.wait_for_word("waiting for custodians of prod: 0 of 2", before);
    let carl = custodians.approve("carl");
    let told = "admitted by policy simulated version 1, under SIMULATED roots\n\
        share taken: 1 of 2, it waits for others\n";
    assert_eq!((carl.code, carl.text.as_str()), (Some(0), told));
    sealed.bao.wait_for_word("waiting for custodians of prod: 1 of 2 (carl)", 0);
    assert_eq!(sealed.bao.health(), Some(503));
    let anna = custodians.approve("anna");
    assert!(anna.text.ends_with("share taken: 2 of 2, the machine can open\n"), "{}", anna.text);
    sealed.bao.wait_until_unsealed();
    // Later custodians are sent away: nothing waits for them, nor does after the configuration was read anew.
    let plugin = sealed.plugin();
    signal("HUP", sealed.bao.process());
    sealed.bao.wait_for_word("reload triggered", 0);
    assert_eq!(sealed.plugin(), plugin);
    let ben = custodians.approve("ben");
    assert_eq!(ben.code, Some(2));
    assert!(ben.text.contains("nothing waits for custodians here"), "{}", ben.text);
}

#[test]
fn a_plugin_that_was_killed_waits_again_at_the_same_place() {
    let Some(machine) = Machine::good() else { return };
    let custodians = Custodians::dealt();
    let mut sealed = initialised(&custodians, &machine);
    sealed.restart();
    sealed.bao.wait_for_word("failed to unseal core", 0);
    assert_eq!(custodians.approve("anna").code, Some(0));
    let first = sealed.plugin();
    signal("KILL", first);
    eventually("the plugin's end", || !lives(first));
    let before = sealed.bao.said("waiting for custodians of prod: 0 of 2");
    sealed.bao.wait_for_word("waiting for custodians of prod: 0 of 2", before);
    assert_eq!(custodians.approve("anna").code, Some(0));
    assert_eq!(custodians.approve("ben").code, Some(0));
    sealed.bao.wait_until_unsealed();
}

#[test]
fn a_custodian_whose_policy_refuses_sends_nothing_and_says_why() {
    let (Some(good), Some(debug)) = (Machine::good(), Machine::with(ReportBuilder::debug)) else { return };
    let custodians = Custodians::dealt();
    let mut sealed = initialised(&custodians, &good);
    // One custodian alone has a stricter policy.
    let other = policy(1).replace(&"5a".repeat(48), &"11".repeat(48));
    fs::write(custodians.path("strict.toml"), other).unwrap();
    sealed.restart();
    sealed.bao.wait_for_word("failed to unseal core", 0);
    let strict = custodians.approve_at(&custodians.socket(), "anna", "strict.toml");
    assert_eq!(strict.code, Some(1), "{}", strict.text);
    assert!(strict.text.starts_with("refused: no share was opened or sent\n  snp.measurement: expected "));
    // A machine that nobody admits is opened by nobody.
    sealed.bao.stop();
    let mut moved = Sealed { settings: custodians.settings(&debug), ..sealed };
    moved.start();
    let before = moved.bao.said("waiting for custodians of prod: 0 of 2");
    moved.bao.wait_for_word("waiting for custodians of prod: 0 of 2", before);
    for name in NAMES {
        let said = custodians.approve(name);
        assert_eq!(said.code, Some(1), "{}", said.text);
        assert!(said.text.contains("  snp.policy.debug: expected "), "{}", said.text);
    }
    assert_eq!(moved.bao.said("share taken"), 2, "those of the first start");
    assert_eq!(moved.bao.health(), Some(503));
}

#[test]
fn a_machine_in_between_that_replays_or_swaps_the_key_gets_no_share() {
    let Some(machine) = Machine::good() else { return };
    let custodians = Custodians::dealt();
    let mut sealed = Sealed::by(&custodians.settings(&machine));
    sealed.start();
    for (lie, code, told) in [
        (Lie::Replay, 1, "  challenge.bound: expected "),
        (Lie::SwapKey, 1, "  challenge.bound: expected "),
        (Lie::OtherSet, 2, "expected a machine that waits for set "),
        (Lie::Nonsense, 2, "not judged: malformed message"),
    ] {
        let (socket, shares) = liar(&custodians.socket(), lie);
        let said = custodians.approve_at(&socket, "anna", "policy.toml");
        assert_eq!(said.code, Some(code), "{lie:?}: {}", said.text);
        assert!(said.text.contains(told), "{lie:?}: {}", said.text);
        assert_eq!(shares.lock().unwrap().len(), 0, "{lie:?}");
    }
    // An honest relay sees a share go by, and cannot use it a second time.
    let (socket, shares) = liar(&custodians.socket(), Lie::None);
    assert_eq!(custodians.approve_at(&socket, "anna", "policy.toml").code, Some(0));
    assert_eq!(custodians.approve("ben").code, Some(0));
    sealed.bao.initialise();
    sealed.restart();
    sealed.bao.wait_for_word("failed to unseal core", 0);
    let replayed = crate::liar::send(&custodians.socket(), &shares.lock().unwrap()[0]);
    assert_eq!(replayed, "unseal.sealed");
    assert_eq!(sealed.bao.health(), Some(503));
}

#[test]
fn shares_and_keys_of_others_are_refused_before_anything_is_sent() {
    let Some(machine) = Machine::good() else { return };
    let (custodians, others) = (Custodians::dealt(), Custodians::dealt());
    let mut sealed = Sealed::by(&custodians.settings(&machine));
    sealed.start();
    fs::copy(custodians.path("ben.key"), custodians.path("carl.key")).unwrap();
    let carl = custodians.approve("carl");
    assert_eq!(carl.code, Some(2));
    assert!(carl.text.contains("share: it does not open with this key"), "{}", carl.text);
    let stranger = others.approve_at(&custodians.socket(), "anna", "policy.toml");
    assert_eq!(stranger.code, Some(2));
    assert!(stranger.text.contains("expected a machine that waits for set "), "{}", stranger.text);
    fs::copy(others.path("anna.share"), custodians.path("anna.share")).unwrap();
    let mixed = custodians.approve("anna");
    assert!(mixed.text.contains("expected a share of set "), "{}", mixed.text);
    assert_eq!(sealed.bao.said("share taken"), 0);
    assert_eq!(crate::liar::send_nonsense(&custodians.socket()), "unseal.malformed");
}

#[test]
fn what_is_dealt_is_for_its_owners_alone_and_never_written_twice() {
    use std::os::unix::fs::PermissionsExt;
    let custodians = Custodians::dealt();
    for (name, mode) in [("anna.key", 0o600), ("anna.share", 0o600), ("custodians.json", 0o644)] {
        let found = fs::metadata(custodians.path(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{name}");
    }
    let again = custodians.run(&["keygen", "--out", &custodians.path("anna")]);
    assert_eq!(again.code, Some(2));
    assert!(again.text.contains("File exists"), "{}", again.text);
    let one = format!("anna={}", custodians.path("anna.pub"));
    let alone =
        custodians.run(&["split", "--name", "x", "--threshold", "2", "--custodian", &one, "--out", "."]);
    assert!(alone.text.contains("expected a threshold from 2 to their number"), "{}", alone.text);
    let private = format!("anna={}", custodians.path("anna.key"));
    let words = [
        "split",
        "--name",
        "x",
        "--threshold",
        "2",
        "--custodian",
        &private,
        "--custodian",
        &one,
        "--out",
        ".",
    ];
    let confused = custodians.run(&words);
    assert!(confused.text.contains("expected a custodian's public key"), "{}", confused.text);
}
