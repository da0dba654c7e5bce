//! Who starts the enforcer again, and from where: root chooses what it sees, and which file it is.

use serde_json::Value;
use vm::{Boot, Enforcer, Kernel, Lsm};

use crate::machine::ready;
use crate::staying::{attack_steadily, refused, stop_attacking};

#[test]
fn a_next_life_that_is_shown_another_proc_is_not_deceived() {
    let Some(ready) = ready() else { return };
    let mut guest = ready.boot(LSM);
    Enforcer::default().start(&mut guest).unwrap();
    let victim = attack_steadily(&mut guest);
    let said = guest
        .read(&format!(
            "mkdir /evil; cp /bin/busybox /evil/; cat /proc/self/mountinfo >/run/mountinfo
             printf '\\7\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0' >/run/auxv
             (exec unshare -m sh -c '
               mount -t tmpfs none /proc && mkdir -p /proc/self /proc/1 && touch /proc/self/exe &&
               cp /run/auxv /run/mountinfo /proc/self/ && cp /run/mountinfo /proc/1/ &&
               mount -o bind /evil/busybox /proc/self/exe && exec cloudtaser-enforcer run {WORDS}'
             ) </dev/null >/run/next.log 2>&1 &
             {wait} /run/next.log '[:] ready'",
            wait = wait()
        ))
        .unwrap();
    // It saw the kernel's own, not what was shown to it.
    assert!(said.contains("took over from "), "{said}");
    // Nor does it take the program that was shown for itself, and let that one in.
    let said = guest
        .read(
            "unshare -m sh -c '
               mount -t tmpfs none /proc && mkdir /proc/self && touch /proc/self/exe &&
               mount -o bind /evil/busybox /proc/self/exe &&
               exec cloudtaser-enforcer admit --program /evil/busybox'",
        )
        .unwrap();
    let expected = "expected a list of successors, for it is another program than ours, SHA-256 ";
    assert!(said.contains(expected), "{said}");
    let copy = "cp /bin/cloudtaser-enforcer /run/copy; cloudtaser-enforcer admit --program /run/copy";
    let said = guest.read(copy).unwrap();
    let expected =
        "/run/copy: expected a file on the file system that our own program is on, found one on another";
    assert!(said.contains(expected), "{said}");
    // It is nobody's.
    let read = guest.run(&format!("/evil/busybox cat /proc/{victim}/environ")).unwrap();
    assert_eq!((read.code, refused(&read.text())), (1, true), "{}", read.text());
    let third = Enforcer::default().start(&mut guest).unwrap();
    assert!(third.contains("took over from "), "{third}");
    let count = stop_attacking(&mut guest);
    assert_eq!(count["got"], 0, "{count}");
}

#[test]
fn a_program_that_is_not_known_is_told_who_keeps_it_out_and_waits() {
    let Some(ready) = ready() else { return };
    let mut guest = ready.boot(LSM);
    let started = Enforcer::default().start(&mut guest).unwrap();
    // Whoever signs for it is told what it is by the same words.
    let digests = guest.read(&format!("cloudtaser-enforcer digests run {WORDS}")).unwrap();
    let digests: Value = serde_json::from_str(&digests).unwrap();
    let word = |name: &str| digests[name].as_str().unwrap().to_owned();
    let expected = format!("settings {}, programs {}", word("settings"), word("object"));
    assert!(started.contains(&expected), "{expected}\n{started}");
    let serves = |text: &str| serde_json::from_str::<Value>(text).unwrap()["pid"].as_u64().unwrap();
    let first = serves(&guest.read(&format!("{} {HEARTBEAT} pid", wait())).unwrap());
    let said = guest
        .read(&format!(
            "cp /bin/cloudtaser-enforcer /run/other
             /run/other run {WORDS} </dev/null >/run/other.log 2>&1 & other=$!
             {wait} /run/other.log refusing; sleep 1; kill -0 $other && echo it waits",
            wait = wait()
        ))
        .unwrap();
    assert!(
        said.contains("LOCKED OUT: an enforcer before this one guards itself, and goes on refusing"),
        "{said}"
    );
    assert!(said.contains(&format!("process {first} of version")), "{said}");
    assert!(said.contains("found /run/other with SHA-256 "), "{said}");
    assert!(said.contains("it waits") && !said.contains("NOTHING IS REFUSED"), "{said}");
    assert_eq!(serves(&guest.read(&format!("cat {HEARTBEAT}")).unwrap()), first);
}

/// The first enforcer looks at the files of its list before it has a hook that would see who opens them.
#[test]
fn a_file_that_is_opened_for_writing_before_there_are_hooks_is_not_trusted() {
    let Some(ready) = ready() else { return };
    let mut guest = ready.boot(LSM);
    // It is large, so that it takes time to look at it; who waits to write to it sees the lease come and go.
    guest
        .read(&format!(
            "mkdir /lib/spare/other && cp /bin/busybox {OTHER} && head -c 30000000 /dev/zero >>{OTHER}
             digest=$(sha256sum {OTHER})
             printf '[[trusted]]\npath = \"{OTHER}\"\nsha256 = \"%s\"\n' ${{digest%% *}} >/run/list
             inode=$(stat -c %i {OTHER})
             leased() {{ while read line; do case $line in *LEASE*:$inode[!0-9]*) return 0; esac; done </proc/locks; return 1; }}
             (until leased; do :; done; while leased; do :; done
              exec 7>>{OTHER}; echo open >/run/has; until [ -e /run/go ]; do sleep 1; done) >/dev/null 2>&1 &"
        ))
        .unwrap();
    let said = Enforcer { words: "--trusted /run/list", ..Enforcer::default() }.start(&mut guest).unwrap();
    assert_eq!(guest.read("cat /run/has").unwrap(), "open");
    let expected = format!("not trusted: {OTHER}: expected that nobody has it open for writing: ");
    assert!(said.contains(&expected), "{said}");
    let read = guest.run(&format!("touch /run/go; sleep 3; {OTHER} head -c 64 /proc/kallsyms")).unwrap();
    assert_eq!((read.code, refused(&read.text())), (1, true), "{}", read.text());
}

/// Waits until a file has a word, and shows it.
fn wait() -> &'static str {
    "wait_for() {
       times=0
       until grep -q \"$2\" \"$1\" 2>/dev/null; do
         sleep 0.5; times=$((times+1)); [ $times -lt 240 ] || { cat \"$1\"; return 1; }
       done
       cat \"$1\"
     }; wait_for"
}

/// What the first enforcer is started with: a next life with other words is refused for those.
const WORDS: &str = "--object /lib/cloudtaser/enforcer.o --mode enforce --node-guards enforce \
                     --vector secret-leak=enforce --stale-files --tasks-per-group 256";
const OTHER: &str = "/lib/spare/other/busybox";
const HEARTBEAT: &str = "/run/cloudtaser/enforcer.json";
const LSM: Boot = Boot { kernel: Kernel::V6_12, lsm: Lsm::Default };
