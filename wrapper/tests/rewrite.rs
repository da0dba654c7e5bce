//! New values for programs that run.
#![expect(unsafe_code, reason = "children of the test itself")]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

mod asked;
#[expect(dead_code, reason = "other test programs use the rest")]
mod bench;
#[expect(dead_code, reason = "other test programs use the rest")]
mod theft;

use asked::{Asked, RENEWED, checksum, teller};
use bench::{Bench, CANARY, skip};
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// A program that looks at its environment each time it is asked.
fn live(bench: &Bench) -> String {
    let out = bench.path("program");
    let made = Command::new("cc").arg(teller("teller.c")).arg("-o").arg(&out).status().unwrap();
    assert!(made.success());
    out.to_str().unwrap().to_owned()
}

#[test]
fn a_value_may_change_as_often_as_it_fits() {
    let bench = Bench::new();
    let mut asked = Asked::start(&bench, &[&live(&bench)]);
    assert_eq!(asked.ask(), checksum(CANARY));
    for value in [RENEWED, "short", "", CANARY, RENEWED] {
        assert_eq!(asked.renew(&bench, value), "Everywhere(1)");
        assert_eq!(asked.ask(), checksum(value));
    }
    asked.end();
}

#[test]
fn a_value_that_has_outgrown_its_room_is_named_and_nothing_is_written() {
    let bench = Bench::new();
    let mut asked = Asked::start(&bench, &[&live(&bench)]);
    assert_eq!(asked.renew(&bench, &"x".repeat(200)), "Outgrown(\"PASSWORD\")");
    assert_eq!(asked.ask(), checksum(CANARY), "the program goes on with the former value");
    assert_eq!(asked.renew(&bench, RENEWED), "Everywhere(1)");
    asked.end();
}

#[test]
fn what_a_script_starts_later_gets_the_new_value_under_the_same_reference() {
    let bench = Bench::new();
    let program = live(&bench);
    let second = "perl -e 'print $ENV{PASSWORD}, \"\\n\"'";
    let waiting = bench.path("never-written");
    assert!(Command::new("mkfifo").arg(&waiting).status().unwrap().success());
    let waiting = waiting.display();
    let script = format!("exec 3<>{waiting}; {program} <&3 & read -r _; {second}; kill $!");
    let mut asked = Asked::start(&bench, &["sh", "-c", &script]);
    assert_eq!(asked.renew(&bench, RENEWED), "Everywhere(1)");
    assert_eq!(asked.ask(), RENEWED);
    assert!(asked.wrapper.wait().unwrap().success());
}

#[test]
fn a_program_that_has_become_another_is_out_of_reach() {
    let bench = Bench::new();
    let script =
        "$| = 1; print \"ready\\n\"; <STDIN>; exec 'perl', '-e', '$| = 1; print \"again\\n\"; <STDIN>'";
    let mut asked = Asked::start(&bench, &["perl", "-e", script]);
    assert_eq!(asked.ask(), "again");
    assert_eq!(asked.renew(&bench, RENEWED), "OutOfReach");
    asked.end();
}

#[test]
fn within_one_page_of_lock_a_program_is_served_but_cannot_be_rewritten() {
    let bench = Bench::new();
    let program = live(&bench);
    if !as_nobody_works() {
        return skip("within_one_page_of_lock", "root", "only root can be another user");
    }
    let mut asked = Asked::start_by(&bench, &[&program], |command| {
        // SAFETY: between fork and exec the closure makes system calls alone.
        unsafe { command.uid(65_534).gid(65_534).pre_exec(|| theft::limit_locked_memory(4096)) };
    });
    assert_eq!(asked.ask(), checksum(CANARY));
    assert_eq!(asked.renew(&bench, RENEWED), "OutOfReach");
    assert_eq!(asked.ask(), checksum(CANARY));
    asked.end();
}

fn as_nobody_works() -> bool {
    Command::new("true").uid(65_534).gid(65_534).status().is_ok_and(|status| status.success())
}

#[test]
fn where_ordinary_memory_will_do_it_is_locked_undumped_and_can_be_rewritten() {
    let bench = Bench::new();
    let mut asked = Asked::start_by(&bench, &[&live(&bench)], |command| {
        command.env("ALLOW_ORDINARY", "1");
        // SAFETY: between fork and exec the closure makes system calls alone.
        unsafe { command.pre_exec(|| theft::refuse(libc::SYS_memfd_secret, libc::ENOSYS)) };
    });
    let pid = asked.order("look").split_once(' ').unwrap().0.parse().unwrap();
    let maps = fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap();
    let own = maps.split_once("/memfd:values").unwrap().1;
    let flags = own.lines().find_map(|line| line.strip_prefix("VmFlags:")).unwrap();
    assert!([" lo ", " dd "].iter().all(|flag| flags.contains(flag)), "{flags}");
    assert!(theft::whole_memory_holds(pid, CANARY), "that is what it is worth");
    assert_eq!(theft::mappable_secret(pid, CANARY), None);
    assert_eq!(asked.renew(&bench, RENEWED), "Everywhere(1)");
    assert_eq!(asked.ask(), checksum(RENEWED));
    asked.end();
}

#[test]
fn the_keeper_of_the_mapping_has_no_descriptor_to_steal() {
    let bench = Bench::new();
    let mut asked = Asked::start(&bench, &[&live(&bench)]);
    let wrapper = asked.wrapper.id().try_into().unwrap();
    assert!(theft::descriptors(wrapper) > 0, "the theft works on ordinary descriptors");
    assert_eq!(theft::mappable_secret(wrapper, CANARY), None);
    assert_eq!(asked.renew(&bench, RENEWED), "Everywhere(1)");
    assert_eq!(theft::mappable_secret(wrapper, RENEWED), None);
    asked.end();
}
