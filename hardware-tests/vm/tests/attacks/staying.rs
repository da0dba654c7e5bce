//! What stays while the enforcer comes, goes and is replaced, and where it has no say.

use serde_json::Value;
use vm::{Boot, Enforcer, Guest, Kernel, Lsm};

use crate::machine::{ready, said_of};

#[test]
fn what_is_refused_stays_refused_when_the_loader_is_killed() {
    let Some(ready) = ready() else { return };
    let mut guest = ready.boot(LSM);
    // Or nobody could kill it.
    Enforcer { words: "--vector own-signal=detect", ..Enforcer::default() }.start(&mut guest).unwrap();
    let victim = attack_steadily(&mut guest);
    guest.read("kill -KILL $(pidof cloudtaser-enforcer); sleep 1").unwrap();
    assert_eq!(guest.run("pidof cloudtaser-enforcer").unwrap().code, 1);
    let read = guest.run(&format!("cat /proc/{victim}/environ")).unwrap();
    assert_eq!((read.code, refused(&read.text())), (1, true), "{}", read.text());
    guest.read("sleep 3").unwrap();
    let count = stop_attacking(&mut guest);
    assert_eq!(count["got"], 0, "{count}");
    assert!(count["stopped"].as_u64() > Some(10), "{count}");
}

#[test]
fn an_upgrade_leaves_no_moment_without_a_guard() {
    let Some(ready) = ready() else { return };
    let mut guest = ready.boot(FMOD_RET);
    Enforcer::default().start(&mut guest).unwrap();
    // What `pidof` reads of an enforcer is closed.
    let running = "for f in $(grep -ls cloudtaser-enfo /proc/[0-9]*/comm); do echo ${f#/proc/}; done";
    let first = guest.read(running).unwrap();
    attack_steadily(&mut guest);
    Enforcer::default().start(&mut guest).unwrap();
    guest.read("sleep 3").unwrap();
    let second = guest.read(running).unwrap();
    assert_eq!(second.split_whitespace().count(), 1, "one took over from the other: {second}");
    assert_ne!(first, second);
    let count = stop_attacking(&mut guest);
    assert_eq!(count["got"], 0, "{count}");
    assert!(count["stopped"].as_u64() > Some(10), "{count}");
}

#[test]
fn who_is_outside_the_scope_is_refused_nothing() {
    let Some(ready) = ready() else { return };
    let mut guest = ready.boot(LSM);
    guest.read("mkdir /sys/fs/cgroup/tested").unwrap();
    Enforcer { words: "--scope /sys/fs/cgroup/tested", ..Enforcer::default() }.start(&mut guest).unwrap();
    let inside = "echo 0 > /sys/fs/cgroup/tested/cgroup.procs &&";
    let victim = attack_steadily_from(&mut guest, inside);
    let outside = guest.run(&format!("cat /proc/{victim}/environ >/dev/null")).unwrap();
    assert_eq!((outside.code, outside.text()), (0, String::new()));
    let read = guest.run(&format!("{inside} cat /proc/{victim}/environ")).unwrap();
    assert_eq!((read.code, refused(&read.text())), (1, true), "{}", read.text());
    let count = stop_attacking(&mut guest);
    assert_eq!(count["got"], 0, "{count}");
}

#[test]
fn a_kernel_with_neither_is_not_said_to_be_stronger_than_it_is() {
    let Some(ready) = ready() else { return };
    let mut guest = ready.boot(FMOD_RET);
    let enforcer = Enforcer { words: "--forbid fmod-ret", ..Enforcer::default() }.start(&mut guest).unwrap();
    for (vector, probe) in [("proc-mem", "proc/mem-read"), ("ptrace", "ptrace/attach")] {
        let said = said_of(&enforcer, vector);
        assert!(!["lsm", "fmod_ret"].contains(&said[0]), "{vector}: {said:?}");
        let tried = guest
            .run(&format!("cloudtaser-attacks run --protected-only --only {probe} -o json 2>/dev/null"))
            .unwrap();
        let tried: Value = serde_json::from_slice(&tried.output).unwrap();
        let outcome = &tried["probes"][0]["protected"]["outcome"];
        // Verified is what is stopped, and nothing else.
        assert_eq!(said[2] == "Yes", outcome != "got", "{vector}: {said:?}, {tried}");
    }
}

/// Starts the attacks, and says who the victim is.
pub(crate) fn attack_steadily(guest: &mut Guest) -> String {
    attack_steadily_from(guest, "")
}

fn attack_steadily_from(guest: &mut Guest, first: &str) -> String {
    guest
        .read(&format!(
            "({first} exec cloudtaser-attacks steady --until /run/steady.stop) </dev/null >/run/steady 2>&1 &
             times=0
             until grep -q ready /run/steady; do
               sleep 0.2; times=$((times+1)); [ $times -lt 300 ] || {{ cat /run/steady; exit 1; }}
             done
             sed -n 's/ready //p' /run/steady"
        ))
        .unwrap()
}

/// Ends them, and says what came of them.
pub(crate) fn stop_attacking(guest: &mut Guest) -> Value {
    let said = guest
        .read(
            "touch /run/steady.stop
             while pidof cloudtaser-attacks >/dev/null; do sleep 0.2; done
             tail -n 1 /run/steady",
        )
        .unwrap();
    serde_json::from_str(&said).unwrap()
}

pub(crate) fn refused(text: &str) -> bool {
    text.contains("Permission denied") || text.contains("Operation not permitted")
}

pub(crate) const LSM: Boot = Boot { kernel: Kernel::V6_1, lsm: Lsm::Default };
pub(crate) const FMOD_RET: Boot = Boot { kernel: Kernel::V6_12, lsm: Lsm::WithoutBpf };
