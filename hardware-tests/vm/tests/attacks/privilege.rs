//! What the enforcer may itself: with the rights that its manifest gives everything is there; without one of them its part is
//! lost, and said.

use std::collections::BTreeMap;
use std::path::Path;

use vm::{Boot, Guest, Kernel, Lsm};

use crate::machine::ready;

#[test]
fn with_the_manifests_rights_all_is_there_and_without_one_its_part_is_lost_and_said() {
    let Some(ready) = ready() else { return };
    let mut guest = ready.boot(Boot { kernel: Kernel::V6_12, lsm: Lsm::Default });
    let rights = manifest();
    let all = Started::with(&mut guest, &rights, &[]);
    assert!(all.said.contains(": ready"), "{}", all.said);
    assert_eq!(all.defence("environ"), "tier lsm mode enforce verified Yes");
    assert_eq!(all.who_read_its_environment(&mut guest), Some("/bin/busybox".into()));
    all.end(&mut guest);
    let mut lost = BTreeMap::new();
    for right in &rights {
        let without = Started::with(&mut guest, &rights, &[right]);
        assert!(without.runs(&mut guest), "without {right}, it ends: {}", without.said);
        lost.insert(right.as_str(), without.lost(&all, &mut guest));
        without.end(&mut guest);
    }
    let expected = BTreeMap::from([
        ("BPF", "everything: loading forked for sched_process_fork: Operation not permitted (os error 1)"),
        ("NET_ADMIN", "cgroup/sysctl"),
        (
            "PERFMON",
            "everything: loading forked for sched_process_fork: Operation not permitted (os error 1)",
        ),
        ("SYS_ADMIN", "everything: the kernel's list of maps, which tells what is enforced here"),
        ("SYS_PTRACE", "which program an event is about"),
    ]);
    let lost: BTreeMap<&str, &str> = lost.iter().map(|(right, lost)| (*right, lost.as_str())).collect();
    assert_eq!(lost, expected);
}

#[test]
fn with_the_manifests_rights_the_next_one_takes_over() {
    let Some(ready) = ready() else { return };
    let mut guest = ready.boot(Boot { kernel: Kernel::V6_1, lsm: Lsm::WithoutBpf });
    let rights = manifest();
    let first = Started::pinned(&mut guest, &rights);
    assert_eq!(first.defence("environ"), "tier fmod_ret mode enforce verified Yes", "{}", first.said);
    let second = Started::pinned(&mut guest, &rights);
    assert!(second.said.contains("took over from 1 before"), "{}", second.said);
    assert_eq!(second.matrix(), first.matrix());
    assert_eq!(second.hooks_missing(), first.hooks_missing());
}

/// An enforcer with some rights, and what it said until it was ready, or could not be.
struct Started {
    pid: String,
    said: String,
}

impl Started {
    /// Without pins: what it refuses ends with it.
    fn with(guest: &mut Guest, rights: &[String], but: &[&str]) -> Self {
        let rights: Vec<&str> =
            rights.iter().map(String::as_str).filter(|right| !but.contains(right)).collect();
        Self::start(guest, &rights, "--no-pins --vector own-signal=detect")
    }

    fn pinned(guest: &mut Guest, rights: &[String]) -> Self {
        let rights: Vec<&str> = rights.iter().map(String::as_str).collect();
        Self::start(guest, &rights, "")
    }

    fn start(guest: &mut Guest, rights: &[&str], words: &str) -> Self {
        let keep = rights.join(",");
        let said = guest.read(&format!(
            "rm -f /run/enforcer.log
             setsid cloudtaser-attacks bounded --keep {keep} -- \
               cloudtaser-enforcer run --object /lib/cloudtaser/enforcer.o {words} </dev/null >/run/enforcer.log 2>&1 &
             times=0
             until grep -q -e ': ready' -e 'NOTHING IS REFUSED' /run/enforcer.log; do
               sleep 0.5; times=$((times+1)); [ $times -lt 240 ] && [ -e /proc/$! ] || break
             done
             echo $!; cat /run/enforcer.log"
        ));
        let said = said.unwrap();
        let (pid, said) = said.split_once('\n').unwrap();
        Self { pid: pid.to_owned(), said: said.to_owned() }
    }

    fn runs(&self, guest: &mut Guest) -> bool {
        guest.run(&format!("sleep 1; [ -e /proc/{} ]", self.pid)).unwrap().code == 0
    }

    fn end(&self, guest: &mut Guest) {
        let pid = &self.pid;
        guest.read(&format!("kill -TERM {pid}; while [ -e /proc/{pid} ]; do sleep 0.2; done")).unwrap();
    }

    /// What is not there that was there with all rights.
    fn lost(&self, all: &Self, guest: &mut Guest) -> String {
        if let Some((_, why)) = self.said.split_once("NOTHING IS REFUSED: ") {
            let why = why.lines().next().unwrap();
            return format!("everything: {}", why.split(": `").next().unwrap());
        }
        assert_eq!(self.matrix(), all.matrix());
        let before = all.hooks_missing();
        let hooks: Vec<&str> =
            self.hooks_missing().into_iter().filter(|hook| !before.contains(hook)).collect();
        if !hooks.is_empty() {
            return hooks.join(" ");
        }
        let who = self.who_read_its_environment(guest);
        if who.is_none() { "which program an event is about".to_owned() } else { "nothing".to_owned() }
    }

    fn matrix(&self) -> Vec<&str> {
        self.said.lines().filter_map(|line| line.strip_prefix("cloudtaser-enforcer: vector ")).collect()
    }

    fn defence(&self, vector: &str) -> &str {
        let mut lines = self.matrix().into_iter().filter_map(|line| line.split_once(' '));
        lines.find(|(name, _)| *name == vector).map(|(_, rest)| rest).unwrap_or_default()
    }

    fn hooks_missing(&self) -> Vec<&str> {
        let lines = self.said.lines().filter_map(|line| line.strip_prefix("cloudtaser-enforcer: hook "));
        lines.filter_map(|line| line.split(' ').next()).collect()
    }

    /// The program of an attacker that has all rights, and lives until somebody has looked at it.
    fn who_read_its_environment(&self, guest: &mut Guest) -> Option<String> {
        let pid = &self.pid;
        guest.read(&format!("sh -c 'read first </proc/{pid}/environ; sleep 4' 2>/dev/null")).unwrap();
        let told = guest.read("grep '\"vector\":\"environ\"' /run/enforcer.log").unwrap();
        let event: serde_json::Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
        event.pointer("/subject/exe")?.as_str().map(str::to_owned)
    }
}

/// The rights in the chart.
fn manifest() -> Vec<String> {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/enforcer/goldens/enforce.yaml");
    let chart = std::fs::read_to_string(chart).unwrap();
    let list = chart.lines().find_map(|line| line.trim().strip_prefix("add: [")?.strip_suffix(']'));
    list.unwrap().split(", ").map(str::to_owned).collect()
}
