//! Each probe of the attack suite, before the enforcer came and after: what works bare is stopped, or argued for.

use attacks::report::Verdict;
use vm::{Boot, Findings, Kernel, Lsm, failures, table};

use crate::machine::{ready, said_of};

#[test]
fn on_6_1_what_works_bare_is_stopped_by_bpf_lsm() {
    stopped(Boot { kernel: Kernel::V6_1, lsm: Lsm::Default }, "lsm");
}

#[test]
fn on_6_1_without_bpf_lsm_it_is_stopped_by_fmod_ret() {
    stopped(Boot { kernel: Kernel::V6_1, lsm: Lsm::WithoutBpf }, "fmod_ret");
}

#[test]
fn on_6_12_what_works_bare_is_stopped_by_bpf_lsm() {
    stopped(Boot { kernel: Kernel::V6_12, lsm: Lsm::Default }, "lsm");
}

#[test]
fn on_6_12_without_bpf_lsm_it_is_stopped_by_fmod_ret() {
    stopped(Boot { kernel: Kernel::V6_12, lsm: Lsm::WithoutBpf }, "fmod_ret");
}

fn stopped(boot: Boot, tier: &str) {
    let Some(ready) = ready() else { return };
    let findings = ready.suite().run(boot).unwrap();
    let all = [findings];
    println!("{}\n{}", all[0].enforcer, table(&all));
    assert_eq!(failures(&all), [""; 0]);
    let [findings] = all;
    assert_eq!(unproved(&findings), [""; 0]);
    for vector in ["proc-mem", "environ", "ptrace", "process-vm"] {
        assert_eq!(said_of(&findings.enforcer, vector), [tier, "enforce", "Yes"], "{vector}");
    }
}

/// Vectors of which no probe works bare: nothing is known of them.
fn unproved(findings: &Findings) -> Vec<&str> {
    let proved = |vector: &str| {
        let says =
            |verdict| matches!(verdict, Verdict::Denied | Verdict::Killed | Verdict::Known | Verdict::Open);
        findings.lines.iter().any(|line| line.vector == vector && says(line.verdict))
    };
    let mut vectors: Vec<&str> =
        findings.lines.iter().map(|line| line.vector).filter(|vector| !proved(vector)).collect();
    vectors.dedup();
    vectors
}
