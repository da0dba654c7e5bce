//! The graft on real programs, and the thefts that it has to withstand, tried by root.
#![expect(unsafe_code, reason = "the thefts are system calls that no safe interface has")]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

mod bench;
mod theft;

use bench::{Bench, CANARY, installed, skip};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

const GETENV: &str = r#"
#include <stdio.h>
#include <stdlib.h>
int main(void) { const char *v = getenv("PASSWORD"); puts(v ? v : "(unset)"); return 0; }
"#;

const ENVIRON: &str = r#"
#include <stdio.h>
#include <string.h>
extern char **environ;
int main(void) {
  for (char **e = environ; *e; e++) if (!strncmp(*e, "PASSWORD=", 9)) puts(*e + 9);
  return 0;
}
"#;

/// Says where the value is and waits for its standard input to end. It makes no copy.
const HOLDER: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(void) {
  char c;
  printf("%d %p\n", getpid(), (void *)getenv("PASSWORD"));
  fflush(stdout);
  return read(0, &c, 1) < 0;
}
"#;

#[test]
fn interpreters_find_the_value() {
    let bench = Bench::new();
    let consumers = [
        ("python3", vec!["-c", "import os; print(os.environ['PASSWORD'])"]),
        ("node", vec!["-p", "process.env.PASSWORD"]),
        ("perl", vec!["-e", "print $ENV{PASSWORD}"]),
        ("awk", vec!["BEGIN { print ENVIRON[\"PASSWORD\"] }"]),
        ("printenv", vec!["PASSWORD"]),
        ("ruby", vec!["-e", "puts ENV['PASSWORD']"]),
        ("php", vec!["-r", "echo getenv('PASSWORD');"]),
        ("lua5.4", vec!["-e", "print(os.getenv('PASSWORD'))"]),
    ];
    for (program, arguments) in consumers {
        if installed(program) {
            assert_eq!(bench.says(program, &arguments), CANARY, "{program}");
        } else {
            skip("interpreters_find_the_value", program, &format!("{program} is not installed"));
        }
    }
}

#[test]
fn compiled_programs_find_the_value_however_they_look_and_are_linked() {
    let bench = Bench::new();
    for (name, source, flags) in [
        ("getenv", GETENV, vec![]),
        ("environ", ENVIRON, vec![]),
        ("getenv-static", GETENV, vec!["-static"]),
        ("environ-static-pie", ENVIRON, vec!["-static-pie"]),
        ("getenv-no-pie", GETENV, vec!["-no-pie"]),
    ] {
        match bench.compiled(name, source, &flags) {
            Some(program) => assert_eq!(bench.says(&program, &[]), CANARY, "{name}"),
            None => skip("compiled_programs_find_the_value", "cc", &format!("{name} does not compile here")),
        }
    }
}

#[test]
fn a_static_go_program_finds_the_value() {
    let bench = Bench::new();
    let source = bench.path("main.go");
    let text =
        "package main\nimport (\"fmt\"; \"os\")\nfunc main() { fmt.Println(os.Getenv(\"PASSWORD\")) }\n";
    fs::write(&source, text).unwrap();
    let mut go = Command::new("go");
    go.env("CGO_ENABLED", "0")
        .env("GOCACHE", std::env::temp_dir().join("cloudtaser-test-go"))
        .env("GO111MODULE", "off");
    go.arg("build").arg("-o").arg(bench.path("go-static")).arg(source);
    if !go.output().is_ok_and(|output| output.status.success()) {
        return skip("a_static_go_program_finds_the_value", "go", "no Go compiler here");
    }
    let program = bench.path("go-static");
    assert_eq!(bench.says(program.to_str().unwrap(), &[]), CANARY);
}

#[test]
fn a_java_program_finds_the_value() {
    let bench = Bench::new();
    let source = bench.path("Show.java");
    let text = "class Show { public static void main(String[] a) { System.out.println(System.getenv(\"PASSWORD\")); } }";
    fs::write(&source, text).unwrap();
    let compiled = Command::new("javac").arg("-d").arg(bench.dir.path()).arg(&source).output();
    if !compiled.is_ok_and(|output| output.status.success()) {
        return skip("a_java_program_finds_the_value", "java", "no Java compiler here");
    }
    assert_eq!(bench.says("java", &["-cp", bench.dir.path().to_str().unwrap(), "Show"]), CANARY);
}

#[test]
fn the_environ_file_shows_references_only() {
    let bench = Bench::new();
    let shown = bench.says("perl", &["-e", "open F, '</proc/self/environ'; print <F>"]);
    assert!(
        shown.split('\0').any(|entry| entry.strip_prefix("PASSWORD=").is_some_and(is_reference)),
        "{shown:?}"
    );
    assert!(!shown.contains(CANARY));
}

#[test]
fn the_value_reaches_programs_behind_shells_and_switchers() {
    let bench = Bench::new();
    let perl = "print $ENV{PASSWORD}";
    let quoted = format!("perl -e '{perl}'");
    assert_eq!(bench.says("env", &["perl", "-e", perl]), CANARY);
    assert_eq!(bench.says("sh", &["-c", &quoted]), CANARY);
    assert_eq!(bench.says("bash", &["-c", &format!("exec {quoted}")]), CANARY);
    assert_eq!(
        bench.says("bash", &["-c", &format!("({quoted}); sh -c \"env {}\"", quoted.replace('$', "\\$"))]),
        CANARY.repeat(2)
    );
    assert_eq!(bench.says("nice", &["timeout", "9", "setsid", "-w", "perl", "-e", perl]), CANARY);
    let script = bench.script("entry", "#!/bin/sh\nset -e\nx=$(perl -e 'print 1')\nexec \"$@\"\n");
    assert_eq!(bench.says(&script, &["perl", "-e", perl]), CANARY);
    let script = bench.script("entry.pl", "#!/usr/bin/env perl\nprint $ENV{PASSWORD}\n");
    assert_eq!(bench.says(&script, &[]), CANARY);
    if installed("tini") {
        assert_eq!(bench.says("tini", &["-s", "--", "perl", "-e", perl]), CANARY);
    } else {
        skip("the_value_reaches_programs_behind_shells_and_switchers", "tini", "tini is not installed");
    }
}

#[test]
fn a_shell_itself_sees_a_reference() {
    let bench = Bench::new();
    let seen = bench.says("sh", &["-c", "echo $PASSWORD"]);
    assert!(is_reference(&seen), "{seen}");
}

fn is_reference(text: &str) -> bool {
    text.starts_with("ctref:") && text.ends_with(":0:")
}

#[test]
fn text_from_elsewhere_is_no_reference() {
    let bench = Bench::new();
    let mut graft = bench.graft("sh", &["-c", "NOTE=ctref:1: perl -e 'print $ENV{NOTE}'"]);
    assert_eq!(String::from_utf8(graft.output().unwrap().stdout).unwrap(), "ctref:1:");
    let mut graft = bench.graft("perl", &["-e", "print $ENV{NOTE}"]);
    assert_eq!(
        String::from_utf8(graft.env("NOTE", "ctref:0:").output().unwrap().stdout).unwrap(),
        "ctref:0:"
    );
}

#[test]
fn values_that_a_script_renamed_or_built_upon_arrive_whole() {
    let bench = Bench::new();
    let script =
        "export URL=pg://me:$PASSWORD@db RENAMED=$SECOND; perl -e 'print \"$ENV{URL} $ENV{RENAMED}\"'";
    assert_eq!(bench.says("sh", &["-c", script]), format!("pg://me:{CANARY}@db other"));
}

#[test]
fn programs_that_write_into_their_environment_may() {
    let bench = Bench::new();
    let source = r#"
#include <stdlib.h>
#include <stdio.h>
int main(void) { char *v = getenv("PASSWORD"); v[0] = 'X'; puts(v); return 0; }
"#;
    let Some(program) = bench.compiled("writer", source, &[]) else {
        return skip("programs_that_write_into_their_environment_may", "cc", "no C compiler here");
    };
    let written = CANARY.replacen('c', "X", 1);
    let twice = format!("{program}; {program}");
    assert_eq!(
        bench.says("sh", &["-c", &twice]),
        format!("{written}\n{written}"),
        "each has pages of its own"
    );
}

#[test]
fn a_large_environment_is_read_whole() {
    let bench = Bench::new();
    let mut command = bench.graft("perl", &["-e", "print $ENV{PASSWORD}, length $ENV{A299}"]);
    command.envs((0..300).map(|index| (format!("A{index}"), "x".repeat(index * 7))));
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{CANARY}{}", 299 * 7));
}

/// A running program that holds the value, behind a shell that stays alive.
struct Held {
    wrapper: Child,
    shell: i32,
    program: i32,
    address: usize,
}

impl Held {
    fn start(bench: &Bench) -> Option<Self> {
        let program = bench.compiled("holder", HOLDER, &[])?;
        let mut command = bench.graft("sh", &["-c", &format!("{program}; true")]);
        let mut wrapper = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(wrapper.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let (pid, address) = line.trim().split_once(" 0x").unwrap();
        let program = pid.parse().unwrap();
        let shell = theft::parent(program);
        Some(Self { wrapper, shell, program, address: usize::from_str_radix(address, 16).unwrap() })
    }

    fn end(mut self) {
        drop(self.wrapper.stdin.take());
        assert!(self.wrapper.wait().unwrap().success());
    }
}

#[test]
fn root_takes_nothing_from_the_program_or_from_the_shell_before_it() {
    let bench = Bench::new();
    let Some(held) = Held::start(&bench) else {
        return skip("root_takes_nothing_from_the_program", "cc", "no C compiler here");
    };
    assert_eq!(theft::proc_mem(held.program, held.address), Err(libc::EIO));
    assert_eq!(theft::vm_readv(held.program, held.address), Err(libc::EFAULT));
    for pid in [held.program, held.shell] {
        assert!(theft::whole_memory_holds(pid, "=ctref:"), "the search works on ordinary memory");
        assert!(!theft::whole_memory_holds(pid, CANARY));
    }
    held.end();
}

#[test]
fn no_process_on_the_way_leaves_a_descriptor_to_steal() {
    let bench = Bench::new();
    let Some(held) = Held::start(&bench) else {
        return skip("no_process_on_the_way_leaves_a_descriptor", "cc", "no C compiler here");
    };
    let wrapper = held.wrapper.id().try_into().unwrap();
    for pid in [held.program, held.shell, wrapper] {
        assert!(theft::descriptors(pid) > 0, "the theft works on ordinary descriptors");
        assert_eq!(theft::mappable_secret(pid, CANARY), None, "process {pid}");
    }
    held.end();
}

/// A shell, by its name, whose second thread becomes another program.
const THREADED: &str = r#"
#include <pthread.h>
#include <unistd.h>
static void *run(void *x) { execlp("cat", "cat", NULL); return x; }
int main(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, run, NULL);
  for (;;) pause();
}
"#;

#[test]
fn a_thread_that_becomes_the_program_leaves_no_secrets_with_the_wrapper() {
    let bench = Bench::new();
    let Some(shell) = bench.compiled("zsh", THREADED, &["-pthread"]) else {
        return skip("a_thread_that_becomes_the_program", "cc", "no C compiler here");
    };
    let mut wrapper = bench.graft(&shell, &[]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // It answers, so the graft is over.
    let mut said = String::new();
    wrapper.stdin.as_mut().unwrap().write_all(b"ready\n").unwrap();
    BufReader::new(wrapper.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "ready\n");
    // The program goes first; the wrapper tidies up a moment later.
    let maps = || fs::read_to_string(format!("/proc/{}/maps", wrapper.id())).unwrap();
    let tidy = (0..500).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        !maps().contains("secretmem")
    });
    assert!(tidy, "{}", maps());
    drop(wrapper.stdin.take());
    assert!(wrapper.wait().unwrap().success());
}

#[test]
fn the_program_is_not_traced_any_more() {
    let bench = Bench::new();
    let Some(held) = Held::start(&bench) else {
        return skip("the_program_is_not_traced_any_more", "cc", "no C compiler here");
    };
    let status = fs::read_to_string(format!("/proc/{}/status", held.program)).unwrap();
    assert!(status.contains("TracerPid:\t0\n"), "{status}");
    held.end();
}

#[test]
fn where_tracing_is_refused_nothing_is_handed_over() {
    let bench = Bench::new();
    let mut command = bench.graft("perl", &["-e", "print $ENV{PASSWORD}"]);
    // SAFETY: between fork and exec the closure makes system calls alone.
    unsafe { command.pre_exec(theft::refuse_ptrace) };
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(123));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("tracing is refused"), "{told}");
}

#[test]
fn a_user_without_capabilities_is_served_within_its_lock_limit() {
    let bench = Bench::new();
    let mut command = bench.graft("perl", &["-e", "print $ENV{PASSWORD}"]);
    // SAFETY: between fork and exec the closure makes system calls alone.
    unsafe { command.uid(65_534).gid(65_534).pre_exec(|| theft::limit_locked_memory(65_536)) };
    let output = command.output().unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        CANARY,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn one_page_of_locked_memory_is_enough_for_many_secrets() {
    let bench = Bench::new();
    let names: Vec<String> = (0..40).map(|index| format!("NAME{index}")).collect();
    let lines: Vec<String> = names.iter().map(|name| format!("{name}=value of {name}")).collect();
    fs::write(bench.path("secrets"), lines.join("\n")).unwrap();
    let script = "print join q(,), map { $ENV{\"NAME$_\"} } 0..39";
    let mut command = bench.graft("sh", &["-c", &format!("perl -e '{script}'; perl -e '{script}'")]);
    // SAFETY: between fork and exec the closure makes system calls alone.
    unsafe { command.uid(65_534).gid(65_534).pre_exec(|| theft::limit_locked_memory(4096)) };
    let output = command.output().unwrap();
    let values: Vec<String> = names.iter().map(|name| format!("value of {name}")).collect();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), values.join(",").repeat(2), "{told}");
}

#[test]
fn a_lock_limit_that_is_too_low_is_told_with_both_figures() {
    let bench = Bench::new();
    let mut command = bench.graft("perl", &["-e", "print $ENV{PASSWORD}"]);
    // SAFETY: between fork and exec the closure makes system calls alone.
    unsafe { command.uid(65_534).gid(65_534).pre_exec(|| theft::limit_locked_memory(4095)) };
    let output = command.output().unwrap();
    assert!(!output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("needs 4096 more locked bytes, RLIMIT_MEMLOCK allows 4095 in all"), "{told}");
}

#[test]
fn a_program_that_changes_user_is_followed_without_capabilities() {
    if !installed("setpriv") {
        return skip("a_program_that_changes_user_is_followed", "setpriv", "setpriv is not installed");
    }
    let bench = Bench::new();
    let drop = [
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        "perl",
        "-e",
        "print \"$< $ENV{PASSWORD}\"",
    ];
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-sys_ptrace"]).arg(bench.path("graft")).arg(bench.path("secrets"));
    let output = command.arg("setpriv").args(drop).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("65534 {CANARY}"), "{told}");
}
