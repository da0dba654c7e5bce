//! Every runtime, behind every kind of launcher; and what each keeps of a value by itself.
//!
//! Each program in `tellers/` says "ready", and then for each line that it reads a checksum of `PASSWORD`: it
//! has to look at the value, and makes no copy of its own accord. Root looks for copies in all of its memory.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

mod asked;
#[expect(dead_code, reason = "other test programs use the rest")]
mod bench;
#[expect(dead_code, reason = "other test programs use the rest")]
mod theft;

use asked::{Asked, RENEWED, checksum, teller};
use bench::{Bench, CANARY, installed, skip};
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use wrapper::graft::runtime::{self, Reads};

/// One line of `RUNTIMES.md`.
struct Row {
    name: &'static str,
    /// The word that `REQUIRE` knows it by.
    feature: &'static str,
    command: fn(&Bench) -> Option<Vec<String>>,
    measured: Measured,
}

/// Whether the program has a copy of the value outside its secret page before it has asked for it, and
/// after; whether it sees that the page was rewritten; what its file says about that.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Measured {
    copies_at_start: bool,
    copies_after: bool,
    live: bool,
    reads: Reads,
}

const fn measured(copies_at_start: bool, copies_after: bool, live: bool, reads: Reads) -> Measured {
    Measured { copies_at_start, copies_after, live, reads }
}

const ROWS: [Row; 17] = [
    Row {
        name: "C, glibc",
        feature: "cc",
        command: |bench| c(bench, "cc", &["-Wl,-z,now"]),
        measured: measured(false, false, true, Reads::Live),
    },
    Row {
        name: "C, glibc, static",
        feature: "cc",
        command: |bench| c(bench, "cc", &["-static"]),
        measured: measured(false, false, true, Reads::Unknown),
    },
    Row {
        name: "C, musl",
        feature: "musl",
        command: |bench| c(bench, "musl-gcc", &[]),
        measured: measured(false, false, true, Reads::Live),
    },
    Row {
        name: "C, musl, static",
        feature: "musl",
        command: |bench| c(bench, "musl-gcc", &["-static"]),
        measured: measured(false, false, true, Reads::Unknown),
    },
    Row {
        name: "Go, static",
        feature: "go",
        command: |bench| go(bench, "teller.go", "0"),
        measured: measured(true, true, false, Reads::Once),
    },
    Row {
        name: "Go, cgo",
        feature: "go",
        command: |bench| go(bench, "teller-cgo.go", "1"),
        measured: measured(true, true, false, Reads::Once),
    },
    Row {
        name: "Rust, glibc",
        feature: "rust",
        command: |bench| rust(bench, &[]),
        measured: measured(false, true, true, Reads::Live),
    },
    Row {
        name: "Rust, musl, static",
        feature: "rust-musl",
        command: |bench| rust(bench, &["--target", MUSL]),
        measured: measured(false, true, true, Reads::Unknown),
    },
    Row {
        name: "Python",
        feature: "python3",
        command: |bench| interpreted(bench, "python3", "teller.py"),
        measured: measured(true, true, false, Reads::Once),
    },
    Row {
        name: "Node.js",
        feature: "node",
        command: |bench| interpreted(bench, "node", "teller.js"),
        measured: measured(false, true, true, Reads::Live),
    },
    Row {
        name: "Perl",
        feature: "perl",
        command: |bench| interpreted(bench, "perl", "teller.pl"),
        measured: measured(true, true, false, Reads::Once),
    },
    Row {
        name: "Ruby",
        feature: "ruby",
        command: |bench| interpreted(bench, "ruby", "teller.rb"),
        measured: measured(true, true, false, Reads::Once),
    },
    Row {
        name: "PHP",
        feature: "php",
        command: |bench| interpreted(bench, "php", "teller.php"),
        measured: measured(true, true, false, Reads::Once),
    },
    Row { name: "Java", feature: "java", command: java, measured: measured(false, true, false, Reads::Once) },
    Row {
        name: "Lua",
        feature: "lua5.4",
        command: |bench| interpreted(bench, "lua5.4", "teller.lua"),
        measured: measured(false, true, true, Reads::Live),
    },
    Row {
        name: "bash, as a program",
        feature: "bash",
        command: |bench| shell(bench, "bash"),
        measured: measured(true, true, false, Reads::Unknown),
    },
    Row {
        name: "dash, as a program",
        feature: "dash",
        command: |bench| shell(bench, "dash"),
        measured: measured(false, false, true, Reads::Unknown),
    },
];

const MUSL: &str = concat!("x86_64", "-unknown-linux-musl");

fn made(bench: &Bench, command: &mut Command) -> Option<Vec<String>> {
    let output = command.current_dir(bench.dir.path()).output().ok()?;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {told}");
    Some(vec![bench.path("program").to_str().unwrap().to_owned()])
}

fn c(bench: &Bench, compiler: &str, flags: &[&str]) -> Option<Vec<String>> {
    made(bench, Command::new(compiler).arg(teller("teller.c")).args(["-o", "program"]).args(flags))
}

fn go(bench: &Bench, source: &str, cgo: &str) -> Option<Vec<String>> {
    let mut command = Command::new("go");
    command.env("CGO_ENABLED", cgo).env("GOFLAGS", "-buildvcs=false");
    made(bench, command.args(["build", "-o", "program"]).arg(teller(source)))
}

fn rust(bench: &Bench, flags: &[&str]) -> Option<Vec<String>> {
    let mut probe = Command::new("rustc");
    let libraries = probe.args(["--print", "target-libdir"]).args(flags).output().ok()?;
    let libraries = PathBuf::from(String::from_utf8(libraries.stdout).unwrap().trim());
    if !libraries.is_dir() {
        return None;
    }
    made(bench, Command::new("rustc").arg(teller("teller.rs")).args(["-o", "program"]).args(flags))
}

fn java(bench: &Bench) -> Option<Vec<String>> {
    made(bench, Command::new("javac").args(["-d", "."]).arg(teller("Teller.java")))?;
    let folder = bench.dir.path().to_str()?;
    Some(["java", "-Xmx64m", "-XX:+UseSerialGC", "-cp", folder, "Teller"].map(str::to_owned).into())
}

fn interpreted(bench: &Bench, interpreter: &str, source: &str) -> Option<Vec<String>> {
    // Where every user may read it.
    fs::copy(teller(source), bench.path(source)).unwrap();
    // Not by way of a version manager of one user's.
    let debian = format!("/usr/bin/{interpreter}");
    let interpreter = if fs::exists(&debian).unwrap() { &debian } else { interpreter };
    installed(interpreter)
        .then(|| vec![interpreter.to_owned(), bench.path(source).to_str().unwrap().to_owned()])
}

/// Under a name that says nothing, so that it is given the value as any program.
fn shell(bench: &Bench, name: &str) -> Option<Vec<String>> {
    let found = Command::new("sh").args(["-c", &format!("command -v {name}")]).output().unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    let copied = Command::new("cp").args(["-L", found.trim()]).arg(bench.path("program")).status().unwrap();
    copied.success().then(|| vec![bench.path("program").to_str().unwrap().to_owned(), teller("teller.sh")])
}

/// What stands before the program's own words, and the word by which `REQUIRE` knows it.
fn launchers(bench: &Bench) -> Vec<(&'static str, Vec<String>)> {
    let script = bench.script("entry", "#!/bin/sh\nset -e\nx=$(printf x)\nexec \"$@\"\n");
    let by_env = bench.script("entry-env", "#!/usr/bin/env -S bash -e\n\"$@\"\n");
    let words: [(&str, &[&str]); 12] = [
        ("sh", &[]),
        ("sh", &["sh", "-c", "exec \"$0\" \"$@\""]),
        ("sh", &["sh", "-c", "\"$0\" \"$@\"; exit $?"]),
        ("bash", &["bash", "-c", "(\"$0\" \"$@\")"]),
        ("sh", &[&script]),
        ("bash", &[&by_env]),
        ("sh", &["env", "A=B", "nice", "timeout", "99"]),
        ("busybox", &["busybox", "sh", "-c", "\"$0\" \"$@\""]),
        ("tini", &["tini", "-s", "--"]),
        ("dumb-init", &["dumb-init", "--"]),
        ("catatonit", &["catatonit", "--"]),
        ("setpriv", &["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]),
    ];
    words.map(|(name, words)| (name, words.iter().map(|word| (*word).to_owned()).collect())).into()
}

/// Runs a row of the table; every cell is what was measured.
fn hold(name: &str) {
    let row = ROWS.iter().find(|row| row.name == name).unwrap();
    let bench = Bench::new();
    let Some(program) = (row.command)(&bench) else {
        return skip(row.name, row.feature, &format!("{} is not installed", row.feature));
    };
    for (launcher, words) in launchers(&bench) {
        if !installed(launcher) {
            skip(row.name, launcher, &format!("{launcher} is not installed"));
            continue;
        }
        let words = [words, program.clone()].concat();
        assert_eq!(tells(&bench, &words), format!("ready\n{}\n", checksum(CANARY)), "{words:?}");
    }
    assert_eq!(measure(&bench, &program), row.measured, "{name}");
}

/// What a program says when it is asked once.
fn tells(bench: &Bench, words: &[String]) -> String {
    let mut command = Command::new(bench.path("graft"));
    command.arg(bench.path("secrets")).args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {} {told}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn measure(bench: &Bench, program: &[String]) -> Measured {
    let words: Vec<&str> = program.iter().map(String::as_str).collect();
    let mut asked = Asked::start(bench, &words);
    let look = asked.order("look");
    let (pid, reads) = look.split_once(' ').unwrap();
    let pid = pid.parse().unwrap();
    let copies_at_start = theft::whole_memory_holds(pid, CANARY);
    assert_eq!(asked.ask(), checksum(CANARY));
    let copies_after = theft::whole_memory_holds(pid, CANARY);
    assert!(theft::whole_memory_holds(pid, "PASSWORD=ctref:"), "the search works on ordinary memory");
    let environ = fs::read(format!("/proc/{pid}/environ")).unwrap();
    let environ = String::from_utf8_lossy(&environ).into_owned();
    assert!(environ.contains("PASSWORD=ctref:") && !environ.contains(CANARY), "{environ}");
    assert_eq!(theft::mappable_secret(pid, CANARY), None);

    assert_eq!(asked.renew(bench, RENEWED), "Everywhere(1)");
    let answer = asked.ask();
    let live = answer == checksum(RENEWED);
    assert!(live || answer == checksum(CANARY), "{answer}");
    asked.end();
    let known = [Reads::Live, Reads::Once, Reads::Unknown];
    let reads = known.into_iter().find(|known| format!("{known:?}") == reads).unwrap();
    Measured { copies_at_start, copies_after, live, reads }
}

#[test]
fn c_glibc_is_served_behind_every_launcher() {
    hold("C, glibc");
}

#[test]
fn c_glibc_static_is_served_behind_every_launcher() {
    hold("C, glibc, static");
}

#[test]
fn c_musl_is_served_behind_every_launcher() {
    hold("C, musl");
}

#[test]
fn c_musl_static_is_served_behind_every_launcher() {
    hold("C, musl, static");
}

#[test]
fn go_static_is_served_behind_every_launcher() {
    hold("Go, static");
}

#[test]
fn go_cgo_is_served_behind_every_launcher() {
    hold("Go, cgo");
}

#[test]
fn rust_glibc_is_served_behind_every_launcher() {
    hold("Rust, glibc");
}

#[test]
fn rust_musl_static_is_served_behind_every_launcher() {
    hold("Rust, musl, static");
}

#[test]
fn python_is_served_behind_every_launcher() {
    hold("Python");
}

#[test]
fn node_js_is_served_behind_every_launcher() {
    hold("Node.js");
}

#[test]
fn perl_is_served_behind_every_launcher() {
    hold("Perl");
}

#[test]
fn ruby_is_served_behind_every_launcher() {
    hold("Ruby");
}

#[test]
fn php_is_served_behind_every_launcher() {
    hold("PHP");
}

#[test]
fn java_is_served_behind_every_launcher() {
    hold("Java");
}

#[test]
fn lua_is_served_behind_every_launcher() {
    hold("Lua");
}

#[test]
fn bash_as_a_program_is_served_behind_every_launcher() {
    hold("bash, as a program");
}

#[test]
fn dash_as_a_program_is_served_behind_every_launcher() {
    hold("dash, as a program");
}

#[test]
fn the_table_says_what_the_tests_hold() {
    let yes = |is: bool| if is { "yes" } else { "no" };
    let line = |row: &Row| {
        let Measured { copies_at_start, copies_after, live, reads } = row.measured;
        let [start, after, live] = [copies_at_start, copies_after, live].map(yes);
        format!("| {} | yes | yes | {start} | {after} | {live} | {reads:?} |", row.name)
    };
    let table = fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("RUNTIMES.md")).unwrap();
    let found: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert_eq!(found, ROWS.iter().map(line).collect::<Vec<_>>());
}

/// Otherwise a page would be rewritten for a program that goes on with the former value.
#[test]
fn what_is_taken_for_live_is_live() {
    for row in &ROWS {
        let Measured { live, reads, .. } = row.measured;
        assert!(live || reads != Reads::Live, "{}", row.name);
        assert!(!live || reads != Reads::Once, "{}", row.name);
    }
}

#[test]
fn a_file_that_is_no_program_says_nothing() {
    assert_eq!(runtime::reads(b"notes.txt", &|_, _: &mut [u8]| false), Reads::Unknown);
}
