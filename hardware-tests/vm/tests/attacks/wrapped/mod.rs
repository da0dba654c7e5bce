//! The wrapper that users run, under the enforcer: the program has its secret, root outside does not get it, and the program
//! does not send it.
//!
//! OpenBao is a folder of answers here; the wrapper, the enforcer and the kernel are the real ones.

use std::path::Path;

use serde_json::{Value, json};
use vm::{Boot, Enforcer, Guest, Kernel, Lsm};

use crate::machine::{Ready, ready, said_of};
use crate::programs::program;

#[test]
fn root_steals_the_programs_secret_without_the_enforcer_and_not_with_it() {
    let Some(ready) = ready() else { return };
    let mut house = House::new(ready, NEW);
    let why =
        "CLOUDTASER_ENFORCER is required: expected an enforcer that protects us, found none: no enforcer";
    assert_eq!(house.wrap("required", "true"), (123, format!("cloudtaser-wrapper: {why}")));

    let bare = house.start("auto");
    assert_eq!(house.robbed(&bare.program), "memory: found\nenviron: read\nptrace: attached");
    assert!(bare.score.contains("ebpf_agent_connected"), "{}", bare.score);
    house.stop();

    Enforcer { words: DENYING, ..Enforcer::default() }.start(&mut house.guest).unwrap();
    let kept = house.start("required");
    assert!(!kept.score.contains("ebpf_"), "{}", kept.score);
    for process in [&kept.program, &kept.wrapper] {
        let why = "Operation not permitted";
        let expected = format!("memory: {why}\nenviron: {why}\nptrace: {why}");
        assert_eq!(house.robbed(process), expected, "{process}");
    }
    house.stop();
    house.is_told(&kept.program);
}

#[test]
fn the_program_does_not_send_what_was_handed_to_it_whatever_becomes_of_the_enforcer() {
    let Some(ready) = ready() else { return };
    let mut house = House::new(ready, OLD);
    let enforcer = Enforcer { words: DENYING, ..Enforcer::default() };
    let matrix = enforcer.start(&mut house.guest).unwrap();
    // Nobody has anything to be searched for: nothing is attached, and nothing can be tried.
    assert_eq!((house.searches(), said_of(&matrix, "secret-leak")[2]), (String::new(), "Untried"));
    // It comes from the wrapper to the program by lines that are searched, had the wrapper not said what it is for.
    house.start("required");
    assert_eq!(house.searches(), "leak_file leak_send");
    assert_eq!(house.sent(), NOTHING);
    let matrix = enforcer.start(&mut house.guest).unwrap();
    assert_eq!(said_of(&matrix, "secret-leak")[2], "Yes");
    assert_eq!(house.sent(), NOTHING, "before the wrapper knows of the other enforcer");
    house.hears("ENFORCER_BACK: it protects us as before");
    assert_eq!(house.sent(), NOTHING);
    house.stop();
    house.guest.read("times=0; while ls /sys/fs/bpf/cloudtaser/*/leak_file; do sleep 1; times=$((times+1)); [ $times -lt 60 ] || exit 1; done").unwrap();
    assert_eq!(house.searches(), "");
    house.guest.read("grep -q 'searches_total{result=\"searched\"} [1-9]' /run/enforcer.prom").unwrap();
}

#[test]
fn bytes_that_cannot_be_looked_at_are_counted_or_sent_back_or_refused() {
    let Some(ready) = ready() else { return };
    let mut guest = ready.boot(NEW);
    for (unread, expected) in [("count", "got"), ("retry", "impossible"), ("refuse", "denied 1")] {
        let words =
            format!("--no-pins --vector own-signal=detect --unread {unread} --metrics /run/enforcer.prom");
        Enforcer { words: &words, ..Enforcer::default() }.start(&mut guest).unwrap();
        let said = guest
            .run("cloudtaser-attacks run --protected-only --only leak/untouched-page -o json 2>/dev/null")
            .unwrap();
        let said: Value = serde_json::from_slice(&said.output).unwrap();
        let tried = &said["probes"][0]["protected"];
        let came = format!("{} {}", tried["outcome"].as_str().unwrap(), tried["detail"]);
        assert!(came.starts_with(expected), "{unread}: {said}");
        assert_eq!(came.contains("os error 11"), unread == "retry", "{unread}: {said}");
        guest.read("sleep 6; grep -q 'searches_total{result=\"unread\"} [1-9]' /run/enforcer.prom").unwrap();
        // Its arguments are closed to others, its name is not.
        guest.read("e=$(grep -ls ^cloudtaser-enfo /proc/[0-9]*/comm); kill -KILL $(basename ${e%/comm}); while [ -e $e ]; do sleep 0.2; done; sleep 2").unwrap();
    }
}

/// A machine with an OpenBao of files.
struct House {
    guest: Guest,
}

/// Processes, by their numbers, and the line with the score.
struct Started {
    wrapper: String,
    program: String,
    score: String,
}

impl House {
    fn new(ready: &Ready, boot: Boot) -> Self {
        let system = ready.system().program(&program("cloudtaser-wrapper")).unwrap();
        let system = system.program(Path::new("/usr/bin/perl")).unwrap();
        let system = system.file("program.pl", include_bytes!("program.pl"));
        let system = system.file("thief.pl", include_bytes!("thief.pl"));
        let system = system.file("srv/v1/auth/token/lookup-self", br#"{"data":{"ttl":0,"renewable":false}}"#);
        let secret =
            br#"{"data":{"data":{"password":"correct-horse-battery-staple"},"metadata":{"version":1}}}"#;
        let mut guest = ready.boot_with(boot, &system.file("srv/v1/secret/data/app", secret));
        guest.read("httpd -p 127.0.0.1:8200 -h /srv").unwrap();
        Self { guest }
    }

    /// Runs a program in the wrapper to its end: the code, and all that was said.
    fn wrap(&mut self, demand: &str, program: &str) -> (i32, String) {
        let said = self.guest.run(&format!("CLOUDTASER_ENFORCER={demand} {WRAPPER} {program}")).unwrap();
        (said.code, said.text())
    }

    /// Starts the program in the wrapper, and waits until it has its secret.
    fn start(&mut self, demand: &str) -> Started {
        let said = self
            .guest
            .read(&format!(
                "rm -rf /run/app; mkdir -p /run/app
                 mkdir -p {POD}
                 (echo 0 > {POD}/cgroup.procs && CLOUDTASER_ENFORCER={demand} {WRAPPER} perl /program.pl) </dev/null >/run/app/said 2>/run/app/told &
                 times=0
                 until grep -qx right /run/app/said; do
                   sleep 0.2; times=$((times+1)); [ $times -lt 300 ] || {{ cat /run/app/said /run/app/told; exit 1; }}
                 done
                 sed -n 's/^pid \\(.*\\) of \\(.*\\)/\\1 \\2/p' /run/app/said
                 grep ': protection ' /run/app/told"
            ))
            .unwrap();
        let (processes, score) = said.split_once('\n').unwrap();
        let (program, wrapper) = processes.split_once(' ').unwrap();
        let [program, wrapper, score] = [program, wrapper, score].map(str::to_owned);
        Started { wrapper, program, score }
    }

    /// What root takes from a process.
    fn robbed(&mut self, process: &str) -> String {
        self.guest.read(&format!("perl /thief.pl {process}")).unwrap()
    }

    /// What the program says of sending the secret.
    fn sent(&mut self) -> String {
        self.guest
            .read(
                "lines=$(wc -l < /run/app/said); touch /run/app/send
                 times=0
                 until [ $(wc -l < /run/app/said) -ge $((lines+2)) ]; do
                   sleep 0.2; times=$((times+1)); [ $times -lt 300 ] || { cat /run/app/said; exit 1; }
                 done
                 tail -n 2 /run/app/said",
            )
            .unwrap()
    }

    /// Waits until the wrapper says this.
    fn hears(&mut self, words: &str) {
        self.guest
            .read(&format!(
                "times=0
                 until grep -q '{words}' /run/app/told; do
                   sleep 0.5; times=$((times+1)); [ $times -lt 120 ] || {{ cat /run/app/told; exit 1; }}
                 done"
            ))
            .unwrap();
    }

    /// The programs that search, where they are attached.
    fn searches(&mut self) -> String {
        self.guest
            .read("cd /sys/fs/bpf/cloudtaser; echo $(ls -d */leak_* 2>/dev/null | sed 's,.*/,,' | sort)")
            .unwrap()
    }

    /// Whether what root did to the program stands in the events: who, to whom, where that lives, and what came of it.
    fn is_told(&mut self, program: &str) {
        let lines = self.guest.read("grep ENVIRON_READ /run/enforcer.log").unwrap();
        let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let at = |event: &Value, field: &str| event.pointer(field).cloned().unwrap_or_default();
        let pid: u32 = program.parse().unwrap();
        let mut events = events.filter(|event| at(event, "/object/pid") == pid);
        let event = events.next().unwrap();
        for (field, expected) in [
            ("/decision", json!("denied")),
            ("/tier", json!("lsm")),
            ("/subject/comm", json!("perl")),
            ("/subject/uid", json!(0)),
            ("/object/pod", json!("0f6d8f3a-2c1e-4b7a-9d55-3e1f0a9b8c7d")),
            ("/object/container", json!("3d".repeat(32))),
        ] {
            assert_eq!(at(&event, field), expected, "{field}: {event}");
        }
        // The enforcer does not look where it lets nobody look, and the wrapper tries nothing on itself aloud.
        for noise in ["cloudtaser-enfo", "DUMPABLE"] {
            assert_eq!(
                self.guest.run(&format!("grep {noise} /run/enforcer.log | grep '^{{'")).unwrap().code,
                1,
                "{noise}"
            );
        }
    }

    /// Has the program end, and its wrapper.
    fn stop(&mut self) {
        self.guest
            .read("touch /run/app/stop; while pidof cloudtaser-wrapper perl; do sleep 0.2; done")
            .unwrap();
    }
}

const WRAPPER: &str = "VAULT_ADDR=http://127.0.0.1:8200 VAULT_AUTH_METHOD=token VAULT_TOKEN=root CLOUDTASER_RELEASE_TIMEOUT=5 \
    CLOUDTASER_SECRET_PATHS=secret/data/app CLOUDTASER_ENV_MAP=password=PGPASSWORD cloudtaser-wrapper --";
/// What is a guess for all other programs is refused here.
const DENYING: &str = "--vector secret-leak=enforce --metrics /run/enforcer.prom";
/// As kubelet and a runtime call the control group of a container.
const POD: &str = "/sys/fs/cgroup/kubepods/pod0f6d8f3a-2c1e-4b7a-9d55-3e1f0a9b8c7d/3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d";
const NOTHING: &str = "file: Operation not permitted\nsocket: Operation not permitted";
const NEW: Boot = Boot { kernel: Kernel::V6_12, lsm: Lsm::Default };
const OLD: Boot = Boot { kernel: Kernel::V6_1, lsm: Lsm::WithoutBpf };
