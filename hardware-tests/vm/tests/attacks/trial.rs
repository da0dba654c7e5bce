//! A wrong list of trusted programs, and the administrator whom it would lock out.

use vm::{Boot, Enforcer, Kernel, Lsm};

use crate::machine::ready;

/// The log of the kernel stands for all that a node's own programs need and a wrong list forgot. The pins are elsewhere than
/// usual, and nobody's either.
#[test]
fn the_nodes_guards_only_tell_again_when_nobody_confirms_them() {
    let Some(ready) = ready() else { return };
    let mut guest = ready.boot(Boot { kernel: Kernel::V6_12, lsm: Lsm::Default });
    guest
        .read(
            "setsid sh -c 'until [ -e /run/go ]; do sleep 0.2; done; cloudtaser-enforcer confirm-guards' \
             </dev/null >/run/early 2>&1 &",
        )
        .unwrap();
    let words = "--trial 1 --pins /sys/fs/bpf/elsewhere";
    let said = Enforcer { words, ..Enforcer::default() }.start(&mut guest).unwrap();
    assert!(said.contains("the node's guards refuse on trial, for 1 minutes: log in anew"), "{said}");
    for refused in ["dmesg", "rm /sys/fs/bpf/elsewhere/maps/OWN", "mv /sys/fs/bpf/elsewhere /sys/fs/bpf/away"]
    {
        let tried = guest.run(refused).unwrap();
        assert!(tried.code != 0 && tried.text().contains("not permitted"), "{refused}: {}", tried.text());
    }
    let early = guest.read("touch /run/go; sleep 2; cat /run/early").unwrap();
    assert_eq!(
        early.trim(),
        "Error: expected a session that began after the guards did, found an older one: log in anew"
    );
    guest.read("times=0; until dmesg >/dev/null; do sleep 1; times=$((times+1)); [ $times -lt 120 ] || exit 1; done").unwrap();
    let log = guest.read("cat /run/enforcer.log").unwrap();
    assert!(log.contains("\"event\":\"NODE_GUARDS_LAPSED\""), "{log}");
    let pins = guest.run("rm /sys/fs/bpf/elsewhere/maps/OWN").unwrap();
    assert!(pins.code != 0, "the enforcer's own is no matter of the trial");
    let late = guest.run("setsid cloudtaser-enforcer confirm-guards").unwrap();
    assert_eq!(late.text().trim(), "Error: the trial has ended, and the node's guards only tell");
}
