//! The duties of an init program, on real processes.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

#[expect(dead_code, reason = "other test programs use the rest")]
mod bench;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use bench::{Bench, installed, skip};

/// A wrapper whose program has said its first line.
struct Running {
    wrapper: Child,
    output: BufReader<ChildStdout>,
    first: String,
}

impl Running {
    fn start(bench: &Bench, program: &str, arguments: &[&str]) -> Self {
        let mut wrapper = bench.graft(program, arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(wrapper.stdout.take().unwrap());
        let mut first = String::new();
        output.read_line(&mut first).unwrap();
        Self { wrapper, output, first: first.trim_end().to_owned() }
    }

    fn signal(&self, name: &str) {
        let kill = Command::new("kill").args(["-s", name, &self.wrapper.id().to_string()]).status().unwrap();
        assert!(kill.success());
    }

    fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        rest
    }

    fn code(&mut self) -> Option<i32> {
        self.wrapper.wait().unwrap().code()
    }
}

fn code(bench: &Bench, script: &str) -> Option<i32> {
    bench.output("sh", &["-c", script]).status.code()
}

#[test]
fn the_childs_exit_code_is_ours() {
    let bench = Bench::new();
    assert_eq!(code(&bench, "exit 0"), Some(0));
    assert_eq!(code(&bench, "exit 37"), Some(37));
    assert_eq!(code(&bench, "exit 255"), Some(255));
}

#[test]
fn a_death_by_signal_is_128_and_its_number() {
    let bench = Bench::new();
    assert_eq!(code(&bench, "kill -TERM $$"), Some(143));
    assert_eq!(code(&bench, "kill -KILL $$"), Some(137));
    assert_eq!(bench.output("perl", &["-e", "kill 'ABRT', $$; sleep 9"]).status.code(), Some(134));
}

#[test]
fn a_program_that_is_not_there_is_127_and_one_that_is_not_executable_126() {
    let bench = Bench::new();
    assert_eq!(bench.output("/nowhere/at-all", &[]).status.code(), Some(127));
    assert_eq!(bench.output("no-such-program-in-path", &[]).status.code(), Some(127));
    assert_eq!(bench.output("/etc/passwd", &[]).status.code(), Some(126));
}

const TELLING: &str = r#"
for my $name (qw(HUP INT QUIT USR1 USR2 TERM WINCH CONT URG)) { $SIG{$name} = sub { syswrite STDOUT, "$name\n"; exit 3 if $name eq 'TERM' } }
syswrite STDOUT, "ready\n";
sleep 1 while 1;
"#;

#[test]
fn every_signal_reaches_the_program() {
    let bench = Bench::new();
    let mut running = Running::start(&bench, "perl", &["-e", TELLING]);
    assert_eq!(running.first, "ready");
    for name in ["HUP", "INT", "QUIT", "USR1", "USR2", "WINCH", "CONT", "URG"] {
        running.signal(name);
        let mut told = String::new();
        running.output.read_line(&mut told).unwrap();
        assert_eq!(told.trim_end(), name);
    }
    running.signal("TERM");
    assert_eq!(running.rest(), "TERM\n");
    assert_eq!(running.code(), Some(3));
}

#[test]
fn real_time_signals_are_forwarded_by_number() {
    let bench = Bench::new();
    let program = "use POSIX; sigaction(40, POSIX::SigAction->new(sub { syswrite STDOUT, \"forty\\n\"; exit 4 })); syswrite STDOUT, \"ready\\n\"; sleep 1 while 1;";
    let mut running = Running::start(&bench, "perl", &["-e", program]);
    let pid = running.wrapper.id().to_string();
    assert!(Command::new("kill").args(["-40", &pid]).status().unwrap().success());
    assert_eq!(running.rest(), "forty\n");
    assert_eq!(running.code(), Some(4));
}

#[test]
fn the_second_sigterm_ends_a_program_that_ignores_the_first() {
    let bench = Bench::new();
    let program = "$SIG{TERM} = sub { syswrite STDOUT, \"ignored\\n\" }; syswrite STDOUT, \"ready\\n\"; sleep 1 while 1;";
    let mut running = Running::start(&bench, "perl", &["-e", program]);
    running.signal("TERM");
    let mut told = String::new();
    running.output.read_line(&mut told).unwrap();
    assert_eq!(told, "ignored\n");
    running.signal("TERM");
    assert_eq!(running.code(), Some(137));
}

#[test]
fn the_second_sigterm_ends_a_program_that_has_left_its_group() {
    let bench = Bench::new();
    let script = "$| = 1; $SIG{TERM} = sub { syswrite STDOUT, \"ignored\\n\" }; pipe(R, W); my $other = fork;
        if (!$other) { setpgrp(0, 0); syswrite(W, '.'); sleep 3; exit }
        sysread(R, my $done, 1); setpgrp(0, $other) or die $!; print \"ready\\n\"; sleep 60 while 1";
    let mut running = Running::start(&bench, "perl", &["-e", script]);
    running.signal("TERM");
    let mut told = String::new();
    running.output.read_line(&mut told).unwrap();
    assert_eq!(told, "ignored\n");
    running.signal("TERM");
    assert_eq!(running.code(), Some(137));
}

#[test]
fn the_program_starts_with_the_signals_of_a_plain_start() {
    let bench = Bench::new();
    let look = ["-E", "^Sig(Blk|Ign)", "/proc/self/status"];
    let plain = Command::new("grep").args(look).output().unwrap();
    let plain = String::from_utf8(plain.stdout).unwrap();
    assert!(plain.starts_with("SigBlk:\t0000000000000000\n"), "{plain}");
    assert_eq!(bench.says("grep", &look), plain.trim_end());
}

#[test]
fn two_hundred_orphans_leave_no_zombie() {
    let bench = Bench::new();
    let script = "i=0; while [ $i -lt 200 ]; do (sh -c 'sleep 0.05' & ) ; i=$((i+1)); done; sleep 1; echo done; exec sleep 60";
    let mut running = Running::start(&bench, "sh", &["-c", script]);
    assert_eq!(running.first, "done");
    let wrapper = running.wrapper.id().to_string();
    let mut left = zombies(&wrapper);
    let start = Instant::now();
    while !left.is_empty() && start.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(50));
        left = zombies(&wrapper);
    }
    assert_eq!(left, Vec::<String>::new());
    running.signal("TERM");
    assert_eq!(running.code(), Some(143));
}

/// Children of `parent` that have ended and were not waited for.
fn zombies(parent: &str) -> Vec<String> {
    let stats = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let stat = fs::read_to_string(entry.unwrap().path().join("stat")).ok()?;
        let (name, rest) = stat.rsplit_once(") ")?;
        let mut fields = rest.split(' ');
        (fields.next() == Some("Z") && fields.next() == Some(parent)).then(|| name.to_owned())
    });
    stats.collect()
}

#[test]
fn a_program_that_crashes_leaves_no_core_file() {
    let bench = Bench::new();
    let script = format!("cd {} && kill -SEGV $$", bench.dir.path().display());
    assert_eq!(code(&bench, &script), Some(139));
    let cores = fs::read_dir(bench.dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let cores: Vec<_> = cores.filter(|name| name.to_string_lossy().contains("core")).collect();
    assert!(cores.is_empty(), "{cores:?}");
}

#[test]
fn the_wrapper_shows_no_core_and_gains_no_privileges() {
    let bench = Bench::new();
    let mut running = Running::start(&bench, "sh", &["-c", "echo ready; exec sleep 60"]);
    let pid = running.wrapper.id();
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    // Not 0: a core_pattern that is a pipe goes by 1 alone.
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["1", "1"]);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    running.signal("TERM");
    assert_eq!(running.code(), Some(143));
}

#[test]
fn programs_in_the_background_of_a_shell_are_served_while_the_shell_lives() {
    let bench = Bench::new();
    let script = "perl -e 'select undef, undef, undef, 0.1; print \"$ENV{PASSWORD}\\n\"' & perl -e 'print \"$ENV{SECOND}\\n\"' & wait";
    let mut lines: Vec<String> = bench.says("sh", &["-c", script]).lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, [bench::CANARY, "other"]);
}

#[test]
fn a_hundred_programs_in_a_row_are_served() {
    let bench = Bench::new();
    let script = "i=0; while [ $i -lt 100 ]; do printenv PASSWORD; i=$((i+1)); done";
    let told = bench.says("sh", &["-c", script]);
    assert_eq!(told.lines().filter(|line| *line == bench::CANARY).count(), 100);
}

#[test]
fn a_killed_wrapper_takes_the_shell_that_it_follows_with_it() {
    let bench = Bench::new();
    let mut running = Running::start(&bench, "sh", &["-c", "echo $$; while :; do sleep 1; done"]);
    let shell = running.first.clone();
    running.signal("KILL");
    assert_eq!(running.code(), None);
    let start = Instant::now();
    while fs::exists(format!("/proc/{shell}")).unwrap() {
        let seen = fs::read_to_string(format!("/proc/{shell}/stat")).unwrap_or_default();
        if seen.contains(") Z ") {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{seen}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_program_on_a_terminal_may_read_from_it() {
    if !installed("python3") {
        return skip("a_program_on_a_terminal_may_read_from_it", "python3", "python3 is not installed");
    }
    let bench = Bench::new();
    let program = ["perl", "-e", "print 'got ', scalar <STDIN>"];
    let python = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let mut terminal = Command::new("python3");
    terminal.args(["-c", python]).arg(bench.path("graft")).arg(bench.path("secrets")).args(program);
    let mut terminal = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut keyboard = terminal.stdin.take().unwrap();
    keyboard.write_all(b"a line\n").unwrap();
    let mut shown = String::new();
    terminal.stdout.take().unwrap().read_to_string(&mut shown).unwrap();
    assert!(terminal.wait().unwrap().success(), "{shown}");
    assert!(shown.ends_with("got a line\r\n"), "{shown:?}");
}

#[test]
fn a_stopped_program_stops_the_wrapper_and_both_go_on() {
    let bench = Bench::new();
    let program = "syswrite STDOUT, \"$$\\n\"; kill 'STOP', $$; print \"on\\n\"";
    let mut running = Running::start(&bench, "perl", &["-e", program]);
    for pid in [running.first.clone(), running.wrapper.id().to_string()] {
        wait_for_state(&pid, "T");
    }
    running.signal("CONT");
    assert_eq!(running.rest(), "on\n");
    assert_eq!(running.code(), Some(0));
}

fn wait_for_state(pid: &str, state: &str) {
    let start = Instant::now();
    loop {
        let seen = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        if seen.rsplit_once(") ").unwrap().1.starts_with(state) {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{seen}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn it_serves_and_reaps_as_process_1() {
    let unshare = ["--pid", "--fork", "--mount-proc"];
    let possible = Command::new("unshare").args(unshare).arg("true").output();
    if !possible.is_ok_and(|output| output.status.success()) {
        return skip("it_serves_and_reaps_as_process_1", "pidns", "no new process namespace here");
    }
    let bench = Bench::new();
    let script = "(sh -c 'sleep 0.1' &); sleep 0.5; cat /proc/[0-9]*/stat | grep -c ') Z '; exec perl -e '$| = 1; print \"$ENV{PASSWORD}\"; kill TERM, 1; sleep 9'";
    let mut first = Command::new("unshare");
    first.args(unshare).arg(bench.path("graft")).arg(bench.path("secrets")).args(["sh", "-c", script]);
    let output = first.output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert_eq!(shown.lines().next(), Some("0"), "no zombie: {shown}");
    assert!(shown.ends_with(bench::CANARY), "{shown}");
    assert_eq!(output.status.code(), Some(143));
}

#[test]
fn programs_killed_while_they_are_served_disturb_nobody() {
    let bench = Bench::new();
    let script = "i=0; while [ $i -lt 300 ]; do printenv PASSWORD >/dev/null & kill -9 $!; i=$((i+1)); done; wait; exec printenv PASSWORD";
    assert_eq!(bench.says("sh", &["-c", script]), bench::CANARY);
}
