//! This machine's own kernel, whatever it takes: what the enforcer says of it is so.

use vm::{disproved, honest};

use crate::machine::ready;
use crate::programs::skip;

#[test]
fn on_this_machine_nothing_is_claimed_that_an_attack_disproves() {
    let Some(ready) = ready() else { return };
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    if !mounts.lines().any(|line| line.split(' ').nth(2) == Some("cgroup2")) {
        return skip("cgroup", "no control groups of version 2");
    }
    let findings = ready.here("proc/,ptrace/,runtime/").run().unwrap();
    let text = honest(&findings);
    println!("{text}");
    assert_eq!(disproved(&findings), [""; 0], "{text}");
    // It listened, or said why it did not.
    let last = findings.enforcer.lines().last().unwrap_or_default();
    assert!(
        last == "cloudtaser-enforcer: ready" || findings.enforcer.contains("NOTHING IS REFUSED: "),
        "{last}"
    );
    // What cannot be refused is not said to be.
    for row in text.lines().filter(|row| row.contains(" 0 of ") && !row.contains(" 0 of 0")) {
        assert!(!row.contains(" Yes "), "{row}");
    }
}
