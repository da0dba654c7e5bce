//! The program in the wrapper's place: the same process id, and nobody left who looks after it.
#![expect(unsafe_code, reason = "the thefts are system calls that no safe interface has")]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

#[expect(dead_code, reason = "other test programs use the rest")]
mod bench;
#[expect(dead_code, reason = "other test programs use the rest")]
mod stage;
#[expect(dead_code, reason = "other test programs use the rest")]
mod theft;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bench::{CANARY, skip};
use stage::{Answer, Stage, apart};

fn in_place(stage: &Stage, program: &str, arguments: &[&str]) -> Command {
    let mut wrapper = stage.wrapper(program, arguments);
    wrapper.env("CLOUDTASER_SUPERVISE", "false");
    wrapper
}

fn told(output: &Output) -> String {
    apart(&String::from_utf8(output.stderr.clone()).unwrap()).0
}

/// What a program says of itself and of everybody below it.
const LOOK: &str = r#"
open S, "/proc/$$/status"; my ($tracer) = grep s/^TracerPid:\s*//, <S>; chomp $tracer;
open C, "/proc/$$/task/$$/children"; my $below = <C> // "";
open E, "/proc/$$/environ"; my $clear = (join "", <E>) =~ /canary/ ? "in clear" : "by reference";
select undef, undef, undef, 0.2; print "$$ $ENV{PGPASSWORD} $clear, tracer $tracer, below: $below\n";
"#;

#[test]
fn the_program_has_our_process_id_its_values_and_nobody_around_it() {
    let stage = Stage::new(vec![Answer::Release]);
    let wrapper = in_place(&stage, "perl", &["-e", LOOK]).stdout(Stdio::piped()).spawn().unwrap();
    let id = wrapper.id();
    let output = wrapper.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.trim_end(), format!("{id} {CANARY} by reference, tracer 0, below:"));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn shells_and_their_background_are_followed_to_the_last() {
    let stage = Stage::new(vec![Answer::Release]);
    let script = "printenv PGPASSWORD; (sleep 0.3; exec printenv PGUSER) & env sh -c 'exec printenv PGPASSWORD'; wait; exec printenv PGUSER";
    let output = in_place(&stage, "sh", &["-c", script]).output().unwrap();
    assert_eq!(told(&output), "");
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.lines().collect::<Vec<_>>(), [CANARY, CANARY, "app", "app"]);
}

#[test]
fn a_shell_that_is_followed_stops_and_goes_on() {
    let stage = Stage::new(vec![Answer::Release]);
    let script = "echo ready; kill -STOP $$; exec printenv PGPASSWORD";
    let mut wrapper = in_place(&stage, "sh", &["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let id = wrapper.id().to_string();
    let mut output = BufReader::new(wrapper.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    let start = Instant::now();
    while !fs::read_to_string(format!("/proc/{id}/stat")).unwrap().contains(") t ") {
        assert!(start.elapsed() < Duration::from_secs(20));
        thread::sleep(Duration::from_millis(10));
    }
    thread::sleep(Duration::from_millis(100));
    assert!(Command::new("kill").args(["-CONT", &id]).status().unwrap().success());
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!((rest.trim_end(), wrapper.wait().unwrap().code()), (CANARY, Some(0)));
}

#[test]
fn as_process_1_one_zombie_is_left_at_most() {
    let unshare = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    if !Command::new("unshare").args(unshare).arg("true").output().is_ok_and(|output| output.status.success())
    {
        return skip("as_process_1_one_zombie_is_left_at_most", "unshare", "no new process namespace here");
    }
    let stage = Stage::new(vec![Answer::Release]);
    let script = "select undef, undef, undef, 0.3; my @all = grep { open S, $_; <S> =~ /\\) Z / } glob '/proc/[0-9]*/stat'; print \"$$ $ENV{PGPASSWORD} \", scalar @all";
    let inner = in_place(&stage, "perl", &["-e", script]);
    let mut outer = Command::new("unshare");
    outer.args(unshare).arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        outer.env(name, value.unwrap());
    }
    let output = outer.output().unwrap();
    assert_eq!(told(&output), "");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("1 {CANARY} 1"));
}

#[test]
fn it_works_without_any_capability() {
    let stage = Stage::new(vec![Answer::Release]);
    let inner = in_place(&stage, "printenv", &["PGPASSWORD"]);
    let mut outer = Command::new("setpriv");
    outer.args(["--bounding-set=-all", "--inh-caps=-all"]).arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        outer.env(name, value.unwrap());
    }
    let output = outer.output().unwrap();
    assert_eq!((told(&output).as_str(), output.stdout.as_slice()), ("", format!("{CANARY}\n").as_bytes()));
}

#[test]
fn a_program_that_cannot_be_run_is_told_as_shells_do() {
    for (program, code) in [("/nowhere/at-all", 127), ("/etc/passwd", 126)] {
        let stage = Stage::new(vec![Answer::Release]);
        let output = in_place(&stage, program, &[]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", told(&output));
        assert!(told(&output).starts_with("cloudtaser-wrapper: starting the program: "), "{}", told(&output));
    }
}

#[test]
fn a_refusal_is_told_once_and_nothing_is_started() {
    let stage = Stage::new(vec![Answer::Refuse]);
    let output = in_place(&stage, "echo", &["started"]).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]));
    assert_eq!(told(&output).matches("refused the release").count(), 1, "{}", told(&output));
}

#[test]
fn sigterm_while_waiting_ends_us() {
    let stage = Stage::new(vec![Answer::Unavailable; 50]);
    let mut wrapper = in_place(&stage, "echo", &["started"])
        .env("CLOUDTASER_RELEASE_TIMEOUT", "60")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while stage.challenges() == 0 {
        thread::sleep(Duration::from_millis(10));
    }
    assert!(Command::new("kill").arg(wrapper.id().to_string()).status().unwrap().success());
    assert_eq!(wrapper.wait().unwrap().code(), Some(143));
}

#[test]
fn where_tracing_is_refused_nothing_is_handed_over() {
    let stage = Stage::new(vec![Answer::Release]);
    let mut wrapper = in_place(&stage, "echo", &["started"]);
    // SAFETY: between fork and exec the closure makes system calls alone.
    unsafe { wrapper.pre_exec(theft::refuse_ptrace) };
    let output = wrapper.output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(123), &b""[..]));
    assert!(told(&output).contains("tracing is refused"), "{}", told(&output));
}

#[test]
fn what_needs_somebody_who_stays_is_refused_by_name() {
    let stage = Stage::new(vec![]);
    let mut wrapper = in_place(&stage, "echo", &["started"]);
    let output = wrapper.env("CLOUDTASER_ENV_MAP", "password=@PASSWORD_FILE").output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(120), &b""[..]));
    assert!(told(&output).contains("expected no FIELD=@VARIABLE"), "{}", told(&output));
}
