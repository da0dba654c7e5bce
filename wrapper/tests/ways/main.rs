//! The library's ways on real programs: who finds a value by which way, and what is left for a thief.
#![expect(unsafe_code, reason = "the thefts are system calls that no safe interface has")]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

#[expect(dead_code, reason = "other test programs use the rest")]
#[path = "../bench/mod.rs"]
mod bench;
mod chosen;
#[expect(dead_code, reason = "other test programs use the rest")]
#[path = "../stage/mod.rs"]
mod stage;
#[path = "../theft/mod.rs"]
mod theft;

use bench::{Bench, CANARY, installed, skip};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const GETENV: &str = r#"
#include <stdio.h>
#include <stdlib.h>
int main(void) { const char *v = getenv("PASSWORD"); puts(v ? v : "(unset)"); return 0; }
"#;

const SECURE_GETENV: &str = r#"
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
int main(void) { const char *v = secure_getenv("PASSWORD"); puts(v ? v : "(unset)"); return 0; }
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

/// The library's ways: C and S of the table in the design.
const CONSTRUCTOR: &str = "constructor";
const GETENV_WAY: &str = "getenv";

/// What a program finds under the name of a secret.
#[derive(Debug, Eq, PartialEq)]
enum Found {
    Value,
    Reference,
}
use Found::{Reference, Value};

/// One program, and what it finds by the constructor and by getenv.
struct Consumer {
    name: &'static str,
    command: Vec<String>,
    expected: [Found; 2],
}

fn ways() -> Bench {
    let bench = Bench::new();
    let built = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("examples/interpose");
    copy(&built, &bench.path("interpose"));
    bench
}

/// In another process, as the bench does it: what this one holds open for writing is busy for its children.
fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg(from).arg(to).status().unwrap().success());
}

fn by(bench: &Bench, way: &str, program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(bench.path("interpose"));
    command.arg(bench.path("secrets")).arg(way).arg(program).args(arguments);
    command.env_remove("LD_PRELOAD");
    command
}

fn said(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {} {}", output.status, told(&output));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn found(text: &str) -> Option<Found> {
    let reference = text.starts_with("ctref:") && text.ends_with(":0:");
    if reference { Some(Reference) } else { (text == CANARY).then_some(Value) }
}

fn holds(test: &str, bench: &Bench, consumers: Vec<Option<Consumer>>) {
    for Consumer { name, command, expected } in consumers.into_iter().flatten() {
        let (program, arguments) = command.split_first().unwrap();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        for (way, expected) in [CONSTRUCTOR, GETENV_WAY].into_iter().zip(expected) {
            let said = said(by(bench, way, program, &arguments));
            assert_eq!(found(&said), Some(expected), "{test}: {name} by {way}: {said}");
        }
    }
}

fn consumer(name: &'static str, command: &[&str], expected: [Found; 2]) -> Consumer {
    Consumer { name, command: command.iter().map(|word| (*word).to_owned()).collect(), expected }
}

/// An interpreter of this machine; none where it is not installed.
fn interpreter(name: &'static str, arguments: &[&str], expected: [Found; 2]) -> Option<Consumer> {
    if !installed(name) {
        skip("interpreters_find_the_value_by_the_ways_that_the_table_says", name, "it is not installed");
        return None;
    }
    Some(consumer(name, &[&[name], arguments].concat(), expected))
}

#[test]
fn interpreters_find_the_value_by_the_ways_that_the_table_says() {
    let bench = ways();
    let consumers = vec![
        interpreter("python3", &["-c", "import os; print(os.environ['PASSWORD'])"], [Value, Reference]),
        interpreter("node", &["-p", "process.env.PASSWORD"], [Value, Value]),
        interpreter("perl", &["-e", "print $ENV{PASSWORD}"], [Value, Reference]),
        interpreter("ruby", &["-e", "puts ENV['PASSWORD']"], [Value, Value]),
        interpreter("php", &["-r", "echo getenv('PASSWORD');"], [Value, Value]),
        interpreter("lua5.4", &["-e", "print(os.getenv('PASSWORD'))"], [Value, Value]),
        interpreter("printenv", &["PASSWORD"], [Value, Reference]),
    ];
    holds("interpreters", &bench, consumers);
}

#[test]
fn programs_of_glibc_and_of_musl_find_the_value_however_they_look() {
    let bench = ways();
    let compiled = |name: &'static str, source: &str, flags: &[&str], expected| {
        let program = bench.compiled(name, source, flags);
        if program.is_none() {
            skip("programs_of_glibc_and_of_musl", "cc", &format!("{name} does not compile here"));
        }
        program.map(|program| consumer(name, &[&program], expected))
    };
    let musl = |name: &'static str, source: &str, expected| {
        let text = bench.path(name).with_extension("c");
        fs::write(&text, source).unwrap();
        let built = Command::new("musl-gcc").arg(&text).arg("-o").arg(bench.path(name)).output();
        if !built.is_ok_and(|output| output.status.success()) {
            skip("programs_of_glibc_and_of_musl", "musl", "no compiler for musl here");
            return None;
        }
        Some(consumer(name, &[bench.path(name).to_str().unwrap()], expected))
    };
    let consumers = vec![
        compiled("getenv", GETENV, &[], [Value, Value]),
        compiled("secure-getenv", SECURE_GETENV, &[], [Value, Value]),
        compiled("getenv-no-pie", GETENV, &["-no-pie"], [Value, Value]),
        compiled("environ", ENVIRON, &[], [Value, Reference]),
        compiled("environ-no-pie", ENVIRON, &["-no-pie"], [Value, Reference]),
        musl("musl-getenv", GETENV, [Value, Value]),
        musl("musl-environ", ENVIRON, [Value, Reference]),
    ];
    holds("programs", &bench, consumers);
}

/// Under their own names they carry references on; here they are programs as any other.
#[test]
fn shells_that_are_the_program_itself_find_the_value_and_write_over_it() {
    let bench = ways();
    for shell in ["bash", "dash"] {
        if !installed(shell) {
            skip("shells_that_are_the_program_itself", shell, "it is not installed");
            continue;
        }
        let program = bench.path(&format!("app-{shell}"));
        let place = Command::new("sh").args(["-c", &format!("command -v {shell}")]).output().unwrap();
        copy(Path::new(String::from_utf8(place.stdout).unwrap().trim_end()), &program);
        let program = program.to_str().unwrap();
        let shown = consumer(shell, &[program, "-c", "echo $PASSWORD"], [Value, Reference]);
        holds("shells", &bench, vec![Some(shown)]);
        let script =
            "PASSWORD=changed; export PASSWORD; printenv PASSWORD; unset PASSWORD; echo ${PASSWORD-gone}";
        for way in [CONSTRUCTOR, GETENV_WAY] {
            assert_eq!(said(by(&bench, way, program, &["-c", script])), "changed\ngone", "{shell} by {way}");
        }
    }
}

#[test]
fn go_programs_that_are_linked_with_c_find_the_value() {
    let bench = ways();
    let source = bench.path("main.go");
    let text = "package main\n// int one(void) { return 1; }\nimport \"C\"\nimport (\"fmt\"; \"os\")\n\
                func main() { if C.one() == 1 { fmt.Println(os.Getenv(\"PASSWORD\")) } }\n";
    fs::write(&source, text).unwrap();
    let mut go = Command::new("go");
    go.env("CGO_ENABLED", "1").env("GO111MODULE", "off");
    go.env("GOCACHE", std::env::temp_dir().join("cloudtaser-test-go"));
    go.arg("build").arg("-o").arg(bench.path("go-cgo")).arg(source);
    if !go.output().is_ok_and(|output| output.status.success()) {
        return skip("go_programs_that_are_linked_with_c", "go", "no Go compiler here");
    }
    let program = bench.path("go-cgo");
    let program = consumer("go", &[program.to_str().unwrap()], [Value, Reference]);
    holds("go", &bench, vec![Some(program)]);
}

#[test]
fn rust_programs_find_the_value() {
    let bench = ways();
    let source = bench.path("show.rs");
    fs::write(&source, "fn main() { println!(\"{}\", std::env::var(\"PASSWORD\").unwrap()) }").unwrap();
    let built = Command::new("rustc").arg("-o").arg(bench.path("rust")).arg(&source).output();
    if !built.is_ok_and(|output| output.status.success()) {
        return skip("rust_programs_find_the_value", "rustc", "no Rust compiler in PATH");
    }
    let program = bench.path("rust");
    holds("rust", &bench, vec![Some(consumer("rust", &[program.to_str().unwrap()], [Value, Value]))]);
}

#[test]
fn java_programs_find_the_value() {
    let bench = ways();
    let source = bench.path("Show.java");
    let text = "class Show { public static void main(String[] a) { System.out.println(System.getenv(\"PASSWORD\")); } }";
    fs::write(&source, text).unwrap();
    let compiled = Command::new("javac").arg("-d").arg(bench.dir.path()).arg(&source).output();
    if !compiled.is_ok_and(|output| output.status.success()) {
        return skip("java_programs_find_the_value", "java", "no Java compiler here");
    }
    let classes = bench.dir.path().to_str().unwrap();
    let program = consumer("java", &["java", "-cp", classes, "Show"], [Value, Reference]);
    holds("java", &bench, vec![Some(program)]);
}

#[test]
fn a_shell_carries_references_on_and_the_program_behind_it_finds_the_value() {
    let bench = ways();
    let perl = r#"perl -e 'print "$ENV{PASSWORD} $ENV{URL}"'"#;
    let script = format!("export URL=pg://me:$PASSWORD@db/$SECOND; echo $PASSWORD; {perl}");
    let launchers: [&[&str]; 4] =
        [&["sh"], &["bash"], &["env", "bash"], &["nice", "timeout", "9", "setsid", "-w", "sh"]];
    for launcher in launchers {
        let (program, arguments) = launcher.split_first().unwrap();
        let arguments = [arguments, &["-c", &script]].concat();
        let said = said(by(&bench, CONSTRUCTOR, program, &arguments));
        let (shell, program) = said.split_once('\n').unwrap();
        assert_eq!(found(shell), Some(Reference), "{launcher:?}");
        assert_eq!(program, format!("{CANARY} pg://me:{CANARY}@db/other"), "{launcher:?}");
    }
}

#[test]
fn a_program_sees_its_own_preload_as_it_was_and_no_descriptor_of_ours() {
    let bench = ways();
    let look = r#"print defined $ENV{LD_PRELOAD} ? "<$ENV{LD_PRELOAD}>" : "unset", -e "/proc/self/fd/199" ? " open" : " closed""#;
    for way in [CONSTRUCTOR, GETENV_WAY] {
        for (before, expected) in
            [(None, "unset closed"), (Some(""), "<> closed"), (Some("libc.so.6"), "<libc.so.6> closed")]
        {
            let mut command = by(&bench, way, "sh", &["-c", &format!("perl -e '{look}'")]);
            command.envs(before.map(|before| ("LD_PRELOAD", before)));
            assert_eq!(said(command), expected, "{way} {before:?}");
        }
        let prepended = format!("LD_PRELOAD=libc.so.6:$LD_PRELOAD perl -e '{look}'");
        assert_eq!(said(by(&bench, way, "sh", &["-c", &prepended])), "<libc.so.6:> closed", "{way}");
    }
}

#[test]
fn the_environ_file_shows_references_only() {
    let bench = ways();
    for way in [CONSTRUCTOR, GETENV_WAY] {
        let shown = said(by(&bench, way, "perl", &["-e", "open F, '</proc/self/environ'; print <F>"]));
        let entry = shown.split('\0').find_map(|entry| entry.strip_prefix("PASSWORD=")).unwrap().to_owned();
        assert_eq!(found(&entry), Some(Reference), "{way}");
        assert!(!shown.contains(CANARY), "{way}");
    }
}

#[test]
fn constructors_of_other_libraries_find_the_value_too() {
    let bench = ways();
    let library = "#include <stdio.h>\n#include <stdlib.h>\n\
                   __attribute__((constructor)) static void show(void) { puts(getenv(\"PASSWORD\")); }\n";
    let library = bench.compiled("libearly.so", library, &["-shared", "-fPIC"]);
    let Some(library) = library else {
        return skip("constructors_of_other_libraries", "cc", "no C compiler here");
    };
    let Some(program) =
        bench.compiled("linked", "int main(void) { return 0; }", &["-Wl,--no-as-needed", &library])
    else {
        return skip("constructors_of_other_libraries", "cc", "no C compiler here");
    };
    assert_eq!(said(by(&bench, CONSTRUCTOR, &program, &[])), CANARY);
}

#[test]
fn a_program_without_references_is_left_alone() {
    let bench = ways();
    let script = "env -u PASSWORD -u SECOND printenv HOME LD_PRELOAD; echo $?";
    let mut command = by(&bench, CONSTRUCTOR, "sh", &["-c", script]);
    command.env("HOME", "/here");
    assert_eq!(said(command), "/here\n1");
}

/// A running program that holds the value.
struct Held {
    wrapper: Child,
    program: i32,
    address: usize,
}

impl Held {
    fn start(bench: &Bench, way: &str) -> Option<Self> {
        let program = bench.compiled("holder", HOLDER, &[])?;
        let mut command = by(bench, way, "sh", &["-c", &format!("{program}; true")]);
        let mut wrapper = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(wrapper.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let (pid, address) = line.trim().split_once(" 0x").unwrap();
        let address = usize::from_str_radix(address, 16).unwrap();
        Some(Self { wrapper, program: pid.parse().unwrap(), address })
    }
}

#[test]
fn root_takes_nothing_from_the_program_its_shell_or_the_keeper() {
    let bench = ways();
    for way in [CONSTRUCTOR, GETENV_WAY] {
        let Some(mut held) = Held::start(&bench, way) else {
            return skip("root_takes_nothing_from_the_program", "cc", "no C compiler here");
        };
        assert_eq!(theft::proc_mem(held.program, held.address), Err(libc::EIO), "{way}");
        assert_eq!(theft::vm_readv(held.program, held.address), Err(libc::EFAULT), "{way}");
        let keeper = held.wrapper.id().try_into().unwrap();
        for pid in [held.program, theft::parent(held.program), keeper] {
            assert!(theft::whole_memory_holds(pid, "ctref:"), "the search works on ordinary memory");
            assert!(!theft::whole_memory_holds(pid, CANARY), "{way}");
            assert!(theft::descriptors(pid) > 0, "the theft works on ordinary descriptors");
            assert_eq!(theft::mappable_secret(pid, CANARY), None, "{way}");
        }
        drop(held.wrapper.stdin.take());
        assert!(held.wrapper.wait().unwrap().success());
    }
}

#[test]
fn a_lock_limit_that_is_too_low_ends_the_program_before_it_begins() {
    let bench = ways();
    let mut command = by(&bench, CONSTRUCTOR, "perl", &["-e", "print $ENV{PASSWORD}"]);
    // SAFETY: between fork and exec the closure makes system calls alone.
    unsafe { command.uid(65_534).gid(65_534).pre_exec(|| theft::limit_locked_memory(4096)) };
    let output = command.output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(123), &b""[..]));
    assert!(told(&output).contains("needs 4096 more locked bytes, RLIMIT_MEMLOCK allows 4096 in all"));
}

#[test]
fn the_library_asks_for_nothing_but_the_environment() {
    let bench = ways();
    for way in [CONSTRUCTOR, GETENV_WAY] {
        let image = bench.path(&format!("{way}.so"));
        let copied = format!("cat < /proc/self/fd/199 > {}", image.display());
        said(by(&bench, way, "sh", &["-c", &copied]));
        let names = Command::new("nm").args(["-D", "--undefined-only"]).arg(&image).output();
        let Ok(names) = names else { return skip("the_library_asks_for_nothing", "nm", "no binutils here") };
        assert_eq!(String::from_utf8(names.stdout).unwrap().trim(), "U environ", "{way}");
        let exported = ["-D", "--defined-only", "--format=just-symbols"];
        let exported = Command::new("nm").args(exported).arg(&image).output().unwrap();
        let expected = if way == GETENV_WAY { "getenv\nsecure_getenv" } else { "" };
        assert_eq!(String::from_utf8(exported.stdout).unwrap().trim(), expected);
    }
}
