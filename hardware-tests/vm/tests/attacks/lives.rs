//! One life after another: of the enforcer, with other words; and of a number, that two processes have had.

use vm::Enforcer;

use crate::machine::ready;
use crate::staying::{FMOD_RET, LSM, attack_steadily, refused, stop_attacking};

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

/// Starts a program with a number that was another's.
const AGAIN: &str = "again() {
    number=$1; shift
    echo $((number - 1)) >/proc/sys/kernel/ns_last_pid
    \"$@\" & [ $! = $number ] || { echo \"number $!, expected $number\"; exit 3; }
  };";
