//! Programs that start in unusual ways, and those that may not be given a value.
#![expect(unsafe_code, reason = "children of the test itself")]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

#[expect(dead_code, reason = "other test programs use the rest")]
mod bench;
#[expect(dead_code, reason = "other test programs use the rest")]
mod theft;

use bench::{Bench, CANARY, installed, skip};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};

const NOBODY: u32 = 65_534;

/// Compiles a file of `hard/` under a name; the tests cannot do without a compiler.
fn compiled(bench: &Bench, name: &str, source: &str, flags: &[&str]) -> String {
    let source: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/hard", source].iter().collect();
    let out = bench.path(name);
    let output = Command::new("cc").arg(source).arg("-o").arg(&out).args(flags).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    out.to_str().unwrap().to_owned()
}

fn says(bench: &Bench) -> String {
    compiled(bench, "says", "says.c", &[])
}

/// Nothing was said, the program did not go on, and the reason was told.
fn assert_refused(output: &Output, code: i32, reason: &str) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{told}");
    assert!(told.contains(reason), "{told}");
    assert_eq!(output.status.code(), Some(code), "{told}");
}

#[test]
fn a_program_is_served_however_its_process_was_made() {
    let bench = Bench::new();
    let says = says(&bench);
    // Under names that stand for launchers.
    for (name, flag) in [("nice", "-DVFORK"), ("nohup", "-DSPAWN"), ("chrt", "-DPLAIN")] {
        let launcher = compiled(&bench, name, "carriers.c", &[flag]);
        assert_eq!(bench.says(&launcher, &[&says]), CANARY, "{flag}");
    }
}

#[test]
fn a_launcher_that_closes_every_descriptor_hinders_nobody() {
    let bench = Bench::new();
    let (says, out) = (says(&bench), bench.path("out"));
    let closes = compiled(&bench, "daemonize", "carriers.c", &["-DCLOSES"]);
    assert_eq!(bench.says(&closes, &[&says, out.to_str().unwrap()]), "");
    assert_eq!(fs::read_to_string(out).unwrap(), CANARY);
}

#[test]
fn a_program_without_library_and_interpreter_is_served() {
    let bench = Bench::new();
    let flags = ["-nostdlib", "-static", "-ffreestanding", "-fno-stack-protector"];
    let bare = compiled(&bench, "bare", "bare.c", &flags);
    assert_eq!(bench.says(&bare, &[]), CANARY);
    assert_eq!(bench.says("sh", &["-c", &format!("{bare}; {bare}")]), CANARY.repeat(2));
}

#[test]
fn a_program_that_overwrites_its_title_keeps_its_value() {
    let bench = Bench::new();
    let title = compiled(&bench, "title", "title.c", &[]);
    assert_eq!(bench.says(&title, &["some", "arguments"]), format!("a new title: {CANARY}"));
}

#[test]
fn scripts_that_start_scripts_are_followed_to_the_end() {
    let bench = Bench::new();
    let mut words = vec![says(&bench)];
    for (index, text) in [
        "#!/bin/sh\nexec \"$@\"\n",
        "#!/bin/bash\nset -eu\n\"$@\"\n",
        "#!/usr/bin/env bash\nexec env -u HOME \"$@\"\n",
        "#!/bin/dash\n(\"$@\")\n",
        "#!/bin/sh -e\nx=$(\"$@\")\nprintf %s \"$x\"\n",
    ]
    .into_iter()
    .enumerate()
    {
        words.insert(0, bench.script(&format!("entry{index}"), text));
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_eq!(bench.says(words[0], &words[1..]), CANARY);
}

#[test]
fn programs_behind_xargs_find_and_make_are_served() {
    let bench = Bench::new();
    let says = says(&bench);
    assert_eq!(bench.says("sh", &["-c", &format!("printf '/dev/stdout\\n' | xargs -n 1 {says}")]), CANARY);
    assert_eq!(bench.says("find", &[&says, "-exec", "env", &says, ";"]), CANARY);
    if !installed("make") {
        return skip("programs_behind_make_are_served", "make", "make is not installed");
    }
    fs::write(bench.path("Makefile"), format!("all:\n\t@{says}\n")).unwrap();
    assert_eq!(bench.says("make", &["-s", "-f", bench.path("Makefile").to_str().unwrap()]), CANARY);
}

#[test]
fn five_hundred_short_programs_at_once_are_all_served() {
    let bench = Bench::new();
    let says = says(&bench);
    let script = format!("i=0; while [ $i -lt 500 ]; do {says} & i=$((i+1)); done; wait");
    assert_eq!(bench.says("sh", &["-c", &script]), CANARY.repeat(500));
}

#[test]
fn a_program_that_is_killed_at_any_moment_is_no_trouble_of_ours() {
    let bench = Bench::new();
    let says = says(&bench);
    let kills = compiled(&bench, "timeout", "carriers.c", &["-DKILLS"]);
    let script = format!("{kills} {says} > /dev/null && {says}");
    assert_eq!(bench.says("sh", &["-c", &script]), CANARY);
}

#[test]
fn a_program_in_namespaces_of_its_own_is_served() {
    let bench = Bench::new();
    let says = says(&bench);
    for apart in [
        vec!["--net"],
        vec!["--net", "--mount", "--uts", "--ipc"],
        vec!["--pid", "--fork", "--net"],
        vec!["--user", "--map-root-user", "--net"],
    ] {
        let probe = Command::new("unshare").args(&apart).arg("true").status();
        if !probe.is_ok_and(|status| status.success()) {
            skip("a_program_in_namespaces", "unshare", &format!("unshare {apart:?} is refused to this user"));
            continue;
        }
        let words = [apart.as_slice(), &[&says]].concat();
        assert_eq!(bench.says("unshare", &words), CANARY, "{apart:?}");
    }
}

/// Runs `program` as a user who is nobody, if we may.
fn as_nobody(bench: &Bench, program: &str, arguments: &[&str]) -> Option<Output> {
    let mut command = bench.graft(program, arguments);
    command.uid(NOBODY).gid(NOBODY);
    let output = command.output();
    let refused = output.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::EPERM));
    (!refused).then(|| output.unwrap())
}

#[test]
fn a_program_that_would_become_somebody_else_is_refused() {
    let bench = Bench::new();
    let says = says(&bench);
    let set_mode = |mode| fs::set_permissions(&says, fs::Permissions::from_mode(mode)).unwrap();
    for (mode, who) in [(0o4755, "set-user-id 0"), (0o2755, "set-group-id 0"), (0o6755, "set-user-id 0")] {
        set_mode(mode);
        for words in [vec![says.as_str()], vec!["sh", "-c", says.as_str()]] {
            let Some(output) = as_nobody(&bench, words[0], &words[1..]) else {
                return skip(
                    "a_program_that_would_become_somebody_else",
                    "root",
                    "only root can be another user",
                );
            };
            let reason =
                format!("{says:?} is {who}; no secret is handed to a program that changes who it is");
            assert_refused(&output, 125, &reason);
        }
        assert_eq!(bench.says(&says, &[]), CANARY, "for its owner it changes nothing");
    }
    set_mode(0o755);
    assert_eq!(as_nobody(&bench, &says, &[]).unwrap().stdout, CANARY.as_bytes());
}

#[test]
fn a_program_whose_file_has_capabilities_is_refused() {
    let bench = Bench::new();
    let says = says(&bench);
    let given = Command::new("setcap").args(["cap_net_raw+ep", &says]).status();
    if !given.is_ok_and(|status| status.success()) {
        return skip("a_program_whose_file_has_capabilities", "setcap", "capabilities cannot be set here");
    }
    let output = as_nobody(&bench, &says, &[]).unwrap();
    let reason =
        format!("{says:?} is with capabilities; no secret is handed to a program that changes who it is");
    assert_refused(&output, 125, &reason);
    assert_eq!(bench.says(&says, &[]), CANARY, "root has them anyway");
}

#[test]
fn a_program_of_32_bits_is_refused() {
    let bench = Bench::new();
    let narrow = compiled(&bench, "narrow", "narrow.s", &["-m32", "-nostdlib", "-static"]);
    if !Command::new(&narrow).status().is_ok_and(|status| status.success()) {
        return skip("a_program_of_32_bits_is_refused", "ia32", "this kernel runs no 32-bit programs");
    }
    for words in [vec![narrow.as_str()], vec!["sh", "-c", narrow.as_str()]] {
        let output = bench.output(words[0], &words[1..]);
        let reason = format!("{narrow:?} is a 32-bit program, only 64-bit programs can be given secrets");
        assert_refused(&output, 125, &reason);
    }
}

#[test]
fn a_program_that_may_not_have_secret_memory_is_refused_or_dies_of_it() {
    let bench = Bench::new();
    let says = says(&bench);
    let refused = compiled(&bench, "firejail", "carriers.c", &["-DSECCOMP=SECCOMP_RET_ERRNO|1"]);
    let output = bench.output(&refused, &[&says]);
    assert_refused(&output, 123, "memfd_secret in the program: Operation not permitted");
    let killed = compiled(&bench, "bwrap", "carriers.c", &["-DSECCOMP=SECCOMP_RET_KILL_PROCESS"]);
    let output = bench.output(&killed, &[&says]);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(128 + libc::SIGSYS), [].as_slice()));
}

#[test]
fn a_program_that_may_lock_no_memory_is_refused() {
    let bench = Bench::new();
    let says = says(&bench);
    let Some(output) = as_nobody(&bench, "prlimit", &["--memlock=0:0", &says]) else {
        return skip("a_program_that_may_lock_no_memory", "root", "only root can be another user");
    };
    assert_refused(&output, 123, "mmap of secret memory in the program: Resource temporarily unavailable");
}

#[test]
fn a_program_that_changes_user_and_network_within_one_page_of_lock_is_served() {
    let bench = Bench::new();
    let says = says(&bench);
    let words = ["--reuid", "65533", "--regid", "65533", "--clear-groups", &says];
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-sys_ptrace,-ipc_lock"]).arg(bench.path("graft"));
    command.arg(bench.path("secrets")).args(["unshare", "--net", "setpriv"]).args(words);
    // SAFETY: between fork and exec the closure makes system calls alone.
    unsafe { command.pre_exec(|| theft::limit_locked_memory(4096)) };
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(String::from_utf8_lossy(&output.stdout), CANARY, "{told}");
}
