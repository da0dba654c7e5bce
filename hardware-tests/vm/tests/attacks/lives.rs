//! One life after another: of the enforcer, with other words, or with another list; and of a number, that two processes have had.

use vm::Enforcer;

use crate::machine::ready;
use crate::staying::{FMOD_RET, LSM, attack_steadily, refused, stop_attacking};
use crate::succeeding::{broken, put, signer};

#[test]
fn a_next_life_with_other_words_is_refused_and_the_first_goes_on() {
    let Some(ready) = ready() else { return };
    let mut guest = ready.boot(FMOD_RET);
    Enforcer::default().start(&mut guest).unwrap();
    let victim = attack_steadily(&mut guest);
    let other = Enforcer { words: "--vector environ=off", ..Enforcer::default() };
    let said = other.start(&mut guest).unwrap_err().to_string();
    let expected = "what is enforced here was loaded with other settings: expected SHA-256 ";
    assert!(said.contains(expected), "{said}");
    let read = guest.run(&format!("cat /proc/{victim}/environ")).unwrap();
    assert_eq!((read.code, refused(&read.text())), (1, true), "{}", read.text());
    let count = stop_attacking(&mut guest);
    assert_eq!(count["got"], 0, "{count}");
    let again = Enforcer::default().start(&mut guest).unwrap();
    assert!(again.contains("took over from "), "{again}");
}

#[test]
fn what_does_not_guard_itself_is_let_go_unsigned_and_what_does_is_not() {
    let Some(ready) = ready() else { return };
    let mut guest = ready.boot(LSM);
    Enforcer { mode: "detect", ..Enforcer::default() }.start(&mut guest).unwrap();
    let links = "for p in $(pidof cloudtaser-enforcer); do ls -l /proc/$p/fd; done | grep -c 'bpf[-_]link'";
    assert!(guest.read(links).unwrap().parse::<u32>().unwrap() > 10);
    let detach = "cloudtaser-enforcer detach --record /run/released";
    assert_eq!(guest.run(detach).unwrap().text(), "");
    assert!(guest.read("cat /run/released").unwrap().contains(r#""statement":null"#));
    // Who still runs sees within seconds that its pins have gone, and holds nothing any more.
    guest
        .read(&format!(
            "times=0; while [ $({links}) != 0 ]; do
               sleep 0.5; times=$((times+1)); [ $times -lt 60 ] || exit 1
             done
             kill $(pidof cloudtaser-enforcer); sleep 2"
        ))
        .unwrap();
    let said = guest.run(detach).unwrap();
    let expected =
        "/sys/fs/bpf/cloudtaser: expected an enforcer's maps, found none: there is nothing to let go";
    assert!(said.code == 1 && said.text().contains(expected), "{}", said.text());

    Enforcer::default().start(&mut guest).unwrap();
    let victim = attack_steadily(&mut guest);
    let said = guest.run(detach).unwrap();
    let expected =
        "expected a signed statement (--break-glass), for the enforcer guards itself here; found none";
    assert!(said.code == 1 && said.text().contains(expected), "{}", said.text());
    let read = guest.run(&format!("cat /proc/{victim}/environ")).unwrap();
    assert_eq!((read.code, refused(&read.text())), (1, true), "{}", read.text());
    assert_eq!(guest.read("wc -l </run/released").unwrap(), "1");
    // Nor does what the enforcer's own program prints turn a switch, wherever root has it printed.
    for switch in ["ftrace_enabled", "kptr_restrict"] {
        let prints = format!(
            ": >/run/empty; {{ cloudtaser-enforcer check-list /run/empty; }} >/proc/sys/kernel/{switch}"
        );
        let said = guest.run(&prints).unwrap();
        assert!(said.code != 0 && refused(&said.text()), "{}", said.text());
    }
}

#[test]
fn a_number_that_is_used_again_says_nothing_of_who_has_it_now() {
    let Some(ready) = ready() else { return };
    let mut guest = ready.boot(LSM);
    let words = format!("--trusted {}", vm::LIST);
    Enforcer { words: &words, ..Enforcer::default() }.start(&mut guest).unwrap();
    let victim = attack_steadily(&mut guest);
    stop_attacking(&mut guest);
    // Who was protected had it.
    let read = guest
        .run(&format!("{AGAIN} again {victim} sleep 60; cat /proc/{victim}/environ >/dev/null"))
        .unwrap();
    assert_eq!((read.code, read.text()), (0, String::new()));
    // Who was trusted had it.
    let read = guest
        .run(&format!(
            "{AGAIN} {trusted} sleep 60 & before=$!
             sleep 1; kill -KILL $before; wait $before
             again $before head -c 64 /proc/kallsyms; wait $!",
            trusted = vm::TRUSTED
        ))
        .unwrap();
    assert_eq!((read.code, refused(&read.text())), (1, true), "{}", read.text());
}

#[test]
fn a_new_list_gives_nobody_what_another_program_had() {
    let Some(ready) = ready() else { return };
    let mut guest = ready.boot(FMOD_RET);
    guest.read("mkdir /lib/spare/other && cp /bin/busybox /lib/spare/other/ && echo other >>/lib/spare/other/busybox").unwrap();
    put(&mut guest, "/run/list", &listed(vm::TRUSTED));
    let words = format!("--trusted /run/list --break-glass-key {}", signer());
    Enforcer { words: &words, ..Enforcer::default() }.start(&mut guest).unwrap();
    // Two of them look twice; the new list comes between.
    guest
        .read(&format!(
            "for i in 1 2; do
               {} sh -c 'look() {{ if read line </proc/kallsyms; then echo seen; else echo refused; fi; }}
                 look; until [ -e /run/go ]; do sleep 1; done; look' >/run/looks.$i 2>/dev/null &
             done; sleep 2",
            vm::TRUSTED
        ))
        .unwrap();
    let challenge = "cloudtaser-enforcer challenge --action change --reason 'a new list'";
    let statement = guest.read(challenge).unwrap();
    put(&mut guest, "/run/statement", &broken(statement.trim_end()));
    put(&mut guest, "/run/list", &listed("/lib/spare/other/busybox"));
    let changed = format!("{words} --break-glass /run/statement");
    let said = Enforcer { words: &changed, ..Enforcer::default() }.start(&mut guest).unwrap();
    assert!(said.contains("took over from 1 before"), "{said}");
    guest.read("touch /run/go; sleep 3").unwrap();
    assert_eq!(guest.read("cat /run/looks.*").unwrap(), "seen\nrefused\nseen\nrefused");
    let other =
        guest.read("/lib/spare/other/busybox sh -c 'read line </proc/kallsyms && echo seen'").unwrap();
    assert_eq!(other, "seen");
}

/// A list with one program.
fn listed(path: &str) -> String {
    format!("[[trusted]]\npath = \"{path}\"")
}

/// Starts a program with a number that was another's.
const AGAIN: &str = "again() {
    number=$1; shift
    echo $((number - 1)) >/proc/sys/kernel/ns_last_pid
    \"$@\" & [ $! = $number ] || { echo \"number $!, expected $number\"; exit 3; }
  };";
