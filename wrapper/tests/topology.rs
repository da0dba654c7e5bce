//! Who is whose child, what each inherits, and what becomes of the rest when one of them ends.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

#[path = "topology/stage.rs"]
mod stage;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use stage::{CANARY, Stage, children, descriptors, eventually, parent, signal, state, status};

#[test]
fn every_process_is_a_child_of_the_keeper_and_only_the_stem_stays_beside_the_program() {
    let mut stage = Stage::new("echo ready; exec sleep 60");
    let program = stage.started();
    assert_eq!(stage.says(), "ready");
    eventually("the fetcher is gone", || children(stage.pid()).len() == 2);
    let [stem, other] = children(stage.pid())[..] else { panic!("{:?}", children(stage.pid())) };
    assert_eq!(other, program);
    assert_eq!([stem, program].map(parent), [stage.pid(); 2]);
    assert_eq!(children(stem), [0; 0]);
    assert_eq!(status(stem, "NoNewPrivs"), "1");
}

#[test]
fn the_program_inherits_what_we_were_given_and_nothing_of_ours() {
    // Filters are counted in `harden`: the program has one of its own.
    let look = "ls -l /proc/self/fd | sed -n 's/.* \\([0-9]*\\) -> .*/\\1/p' | tr '\\n' ' '; \
        grep -E '^Sig(Blk|Ign)' /proc/self/status | tr -d '\\t\\n'; echo";
    let within = |command: &Command| {
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec 7</dev/null; exec \"$0\" \"$@\""]);
        shell.arg(command.get_program()).args(command.get_args());
        shell.stdout(Stdio::piped()).stderr(Stdio::piped());
        shell
    };
    let mut plain = Command::new("sh");
    plain.args(["-c", look]);
    let plain = String::from_utf8(within(&plain).output().unwrap().stdout).unwrap();
    assert!(plain.contains(" 7 ") && plain.contains("SigIgn:"), "{plain}");
    let dir = tempfile::tempdir().unwrap();
    let keeper = within(&Stage::command(dir.path(), &["sh", "-c", look]));
    let mut stage = Stage::start(keeper, dir);
    stage.started();
    assert_eq!(stage.says(), plain.trim_end());
    assert_eq!(stage.code(), Some(0));
}

#[test]
fn the_stem_holds_no_value_and_little_else() {
    let mut stage = Stage::new("echo ready; exec sleep 60");
    stage.started();
    assert_eq!(stage.says(), "ready");
    let stem = stage.stem();
    let kept = descriptors(stem);
    assert!(!kept.iter().any(|path| path.to_string_lossy().contains("secretmem")), "{kept:?}");
    let maps = fs::read_to_string(format!("/proc/{stem}/maps")).unwrap();
    assert!(!maps.contains("secretmem"), "{maps}");
    let maps = fs::read_to_string(format!("/proc/{}/maps", stage.pid())).unwrap();
    assert!(maps.contains("secretmem"), "the keeper holds the values: {maps}");
}

#[test]
fn a_stem_that_is_killed_ends_the_program_with_a_word() {
    let mut stage = Stage::new("echo ready; exec perl -e '$SIG{TERM} = \"IGNORE\"; sleep 60'");
    let program = stage.started();
    assert_eq!(stage.says(), "ready");
    signal(stage.stem(), "KILL");
    assert_eq!(stage.code(), Some(125));
    assert_eq!(stage.rest(), "the process that makes our processes (the stem) has ended\n");
    eventually("the program has ended", || matches!(state(program).as_str(), "X" | "Z"));
}

#[test]
fn a_killed_keeper_takes_stem_and_fetcher_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let command = Stage::command(dir.path(), &["true"]);
    slow(dir.path());
    let mut stage = Stage::start(command, dir);
    eventually("a fetcher is on its way", || children(stage.pid()).len() == 2);
    let own = children(stage.pid());
    signal(stage.pid(), "KILL");
    assert_eq!(stage.code(), None);
    for pid in own {
        eventually("it has ended", || matches!(state(pid).as_str(), "X" | "Z"));
    }
}

/// Has fetchers wait for a writer that never comes.
fn slow(dir: &Path) {
    fs::remove_file(dir.join("values")).unwrap();
    assert!(Command::new("mkfifo").arg(dir.join("values")).status().unwrap().success());
}

#[test]
fn a_first_fetcher_that_is_killed_ends_us_and_no_program_is_started() {
    let dir = tempfile::tempdir().unwrap();
    let command = Stage::command(dir.path(), &["echo", "started"]);
    slow(dir.path());
    let mut stage = Stage::start(command, dir);
    eventually("a fetcher is on its way", || children(stage.pid()).len() == 2);
    signal(children(stage.pid())[1], "KILL");
    assert_eq!(stage.code(), Some(125));
    assert_eq!(stage.rest(), "the process that fetches ended without an answer\n");
    assert_eq!(stage.says(), "");
}

#[test]
fn a_signal_before_there_is_a_program_ends_us_and_the_fetcher() {
    for (name, code) in [("TERM", 143), ("INT", 130), ("HUP", 129), ("QUIT", 131)] {
        let dir = tempfile::tempdir().unwrap();
        let command = Stage::command(dir.path(), &["echo", "started"]);
        slow(dir.path());
        let mut stage = Stage::start(command, dir);
        eventually("a fetcher is on its way", || children(stage.pid()).len() == 2);
        let fetcher = children(stage.pid())[1];
        signal(stage.pid(), name);
        assert_eq!(stage.code(), Some(code), "{name}");
        assert_eq!(stage.says(), "");
        eventually("the fetcher has ended", || matches!(state(fetcher).as_str(), "X" | "Z"));
    }
}

#[test]
fn a_later_fetcher_that_is_killed_or_refused_leaves_the_program_as_it_is() {
    let mut stage = Stage::new("echo ready; exec sleep 60");
    let program = stage.started();
    slow(stage.dir.path());
    stage.order("fetch");
    eventually("a fetcher is on its way", || children(stage.pid()).len() == 3);
    signal(children(stage.pid())[2], "KILL");
    assert_eq!(stage.tells(), "lost: the process that fetches ended without an answer");
    fs::remove_file(stage.dir.path().join("values")).unwrap();
    stage.order("fetch");
    assert_eq!(stage.tells(), "Setback { transient: false, refused: true, code: 1 }");
    // The next one has what is needed.
    fs::write(stage.dir.path().join("values"), "PASSWORD=new\nSECOND=x\0y\n").unwrap();
    stage.order("fetch");
    assert_eq!(
        stage.tells(),
        "not taken over: the value for SECOND contains a NUL byte, an environment variable cannot hold it"
    );
    assert!(matches!(state(program).as_str(), "S" | "R"), "{}", state(program));
}

#[test]
fn an_errand_that_is_abandoned_is_never_heard_of() {
    let mut stage = Stage::new("echo ready; exec sleep 60");
    stage.started();
    slow(stage.dir.path());
    for _ in 0..3 {
        // Each ends the one before.
        stage.order("fetch");
    }
    stage.order("abandon");
    stage.order("hook");
    assert_eq!(stage.tells(), "ended 21");
}

#[test]
fn a_restarted_program_gets_the_values_that_were_brought_last() {
    let mut stage = Stage::of(&["perl", "-e", "$| = 1; print \"$ENV{PASSWORD}\\n\"; sleep 60"]);
    let first = stage.started();
    assert_eq!(stage.says(), CANARY);
    fs::write(stage.dir.path().join("values"), "PASSWORD=another\nSECOND=other\n").unwrap();
    stage.order("fetch");
    assert_eq!(stage.tells(), "brought Changed");
    stage.order("restart");
    let second = stage.started();
    assert_eq!(stage.says(), "another");
    assert_ne!(first, second);
    signal(stage.pid(), "TERM");
    assert_eq!(stage.code(), Some(143));
}

#[test]
fn a_restart_leaves_nothing_of_the_former_program() {
    let script = "(trap '' TERM; setsid sh -c 'trap \"\" TERM; echo deep; while :; do sleep 1; done') & wait; sleep 60";
    let mut stage = Stage::new(script);
    let first = stage.started();
    assert_eq!(stage.says(), "deep");
    stage.order("restart");
    let second = stage.started();
    assert_eq!(stage.says(), "deep");
    let mut left = children(stage.pid());
    left.retain(|pid| !matches!(state(*pid).as_str(), "Z" | "X"));
    assert_eq!(left, [stage.stem(), second]);
    assert_ne!(first, second);
}

#[test]
fn a_thousand_restarts_leave_no_descriptor_and_no_zombie() {
    let mut stage =
        Stage::of(&["perl", "-e", "$SIG{TERM} = sub { exit 0 }; $| = 1; print \"up\\n\"; sleep 60 while 1"]);
    stage.started();
    assert_eq!(stage.says(), "up");
    let rounds = |stage: &mut Stage, count| {
        for _ in 0..count {
            stage.order("restart");
            stage.started();
            assert_eq!(stage.says(), "up");
        }
        let [stem, program] = children(stage.pid())[..] else { panic!("{:?}", children(stage.pid())) };
        let counts = [stage.pid(), stem, program].map(|pid| descriptors(pid).len());
        // What grows in the keeper alone would not show as descriptors.
        (counts, status(stage.pid(), "VmLck"))
    };
    let few = rounds(&mut stage, 10);
    let many = rounds(&mut stage, 990);
    assert_eq!(few, many);
}

const STUBBORN: [&str; 3] =
    ["perl", "-e", "$SIG{TERM} = sub { print \"asked\\n\" }; $| = 1; print \"up\\n\"; sleep 60 while 1"];

#[test]
fn a_program_that_ignores_a_restart_is_killed_and_started_anew() {
    let mut stage = Stage::of(&STUBBORN);
    let first = stage.started();
    assert_eq!(stage.says(), "up");
    // The second order finds the first one under way.
    stage.order("restart");
    stage.order("restart");
    let second = stage.started();
    assert_eq!([stage.says(), stage.says()], ["asked", "up"]);
    assert_ne!(first, second);
    assert_eq!(children(stage.pid()), [stage.stem(), second]);
}

#[test]
fn who_asks_from_outside_during_a_restart_gets_an_end() {
    let mut stage = Stage::of(&STUBBORN);
    stage.started();
    assert_eq!(stage.says(), "up");
    stage.order("restart");
    assert_eq!(stage.says(), "asked");
    signal(stage.pid(), "TERM");
    assert_eq!(stage.code(), Some(137));
    assert_eq!(stage.rest(), "");
}

#[test]
fn an_end_with_a_code_of_ours_ends_the_whole_tree() {
    let mut stage = Stage::new("setsid sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' & wait");
    stage.started();
    let deep = stage.says().parse().unwrap();
    stage.order("end 124");
    assert_eq!(stage.code(), Some(124));
    assert!(matches!(state(deep).as_str(), "X" | "Z"), "{}", state(deep));
}

#[test]
fn a_frozen_program_stands_with_all_its_processes_and_goes_on() {
    // A shell that is followed, a program that was let go, one in a session of its own, and more every moment.
    let script = "perl -e 'sleep 1 while 1' & setsid perl -e 'sleep 1 while 1' & echo up; while :; do sleep 0.01; echo tick >> \"$0\"; done";
    let dir = tempfile::tempdir().unwrap();
    let ticks = dir.path().join("ticks");
    fs::write(&ticks, "").unwrap();
    let command = Stage::command(dir.path(), &["sh", "-c", script, ticks.to_str().unwrap()]);
    let mut stage = Stage::start(command, dir);
    stage.started();
    assert_eq!(stage.says(), "up");
    let size = || fs::metadata(&ticks).unwrap().len();
    eventually("it ticks", || size() > 20);
    for _ in 0..5 {
        stage.order("freeze");
        assert_eq!(stage.tells(), "frozen true");
        let stands = size();
        sleep(Duration::from_millis(100));
        assert_eq!(size(), stands);
        // Nobody but we may let it go on.
        signal(stage.pid(), "CONT");
        sleep(Duration::from_millis(50));
        assert_eq!(size(), stands);
        stage.order("thaw");
        eventually("it ticks again", || size() > stands);
    }
    signal(stage.pid(), "TERM");
    assert_eq!(stage.code(), Some(143));
}

/// Who starts a child by vfork(2) waits, and cannot stop, until the child has executed; one that was stopped before never does.
#[test]
fn a_program_that_waits_for_a_child_that_stands_is_frozen() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // The child opens a pipe before it executes, which nobody writes to.
    let script = "import os, sys
print('up', flush=True)
os.posix_spawn('/bin/true', ['true'], {}, file_actions=[(os.POSIX_SPAWN_OPEN, 0, sys.argv[1], os.O_RDONLY, 0)])";
    let command = Stage::command(dir.path(), &["python3", "-c", script, pipe.to_str().unwrap()]);
    let mut stage = Stage::start(command, dir);
    let program = stage.started();
    assert_eq!(stage.says(), "up");
    eventually("it waits for its child", || state(program) == "D");
    stage.order("freeze");
    assert_eq!(stage.tells(), "frozen true");
    signal(stage.pid(), "TERM");
    stage.code();
}

#[test]
fn a_frozen_program_is_ended_by_the_first_sigterm() {
    let mut stage =
        Stage::of(&["perl", "-e", "$SIG{TERM} = 'IGNORE'; $| = 1; print \"up\\n\"; sleep 60 while 1"]);
    stage.started();
    assert_eq!(stage.says(), "up");
    stage.order("freeze");
    assert_eq!(stage.tells(), "frozen true");
    signal(stage.pid(), "TERM");
    assert_eq!(stage.code(), Some(137));
}

#[test]
fn why_a_program_does_not_start_is_told_and_its_code_is_a_shells() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &[u8], mode| {
        let path = dir.path().join(name);
        // By another process: whoever forks while we have it open for writing keeps it from being executed.
        let octal = format!("{mode:o}");
        let mut install = Command::new("install");
        let install = install.args(["-m", &octal, "/dev/stdin"]).arg(&path).stdin(Stdio::piped()).spawn();
        let mut install = install.unwrap();
        install.stdin.take().unwrap().write_all(text).unwrap();
        assert!(install.wait().unwrap().success());
        path.to_str().unwrap().to_owned()
    };
    let lost =
        "starting the program: it is there, but not the interpreter or loader that its first bytes name";
    for (program, code, told) in [
        ("no-such-program".to_owned(), 127, "starting the program: No such file or directory (os error 2)"),
        ("/no/such/program".to_owned(), 127, "starting the program: No such file or directory (os error 2)"),
        (file("plain", b"exit 0", 0o644), 126, "starting the program: Permission denied (os error 13)"),
        (file("lost", b"#!/no/such/interpreter\nexit 0\n", 0o755), 127, lost),
        (
            file("binary", b"\x7fELF\x02\x01\x01\0\0\0", 0o755),
            126,
            "starting the program: Exec format error (os error 8)",
        ),
        (file("empty", b"", 0o755), 126, "starting the program: Exec format error (os error 8)"),
        // What every shell and execvp(3) do.
        (file("bare", b"exit 7\n", 0o755), 7, ""),
    ] {
        let mut stage = Stage::of(&[&program]);
        assert_eq!(stage.code(), Some(code), "{program}");
        let rest = stage.rest();
        assert!(rest.trim_end().ends_with(told) && !rest.contains(CANARY), "{program}: {rest}");
        assert_eq!(stage.says(), "");
    }
}

#[test]
fn a_hook_runs_beside_the_program_and_has_the_values_of_its_time() {
    let mut stage = Stage::new("echo ready; exec sleep 60");
    let program = stage.started();
    stage.order("hook");
    assert_eq!(stage.tells(), format!("ended {}", CANARY.len()));
    fs::write(stage.dir.path().join("values"), "PASSWORD=longer\nSECOND=other\n").unwrap();
    stage.order("fetch");
    assert_eq!(stage.tells(), "brought Changed");
    stage.order("hook");
    assert_eq!(stage.tells(), "ended 6");
    assert_eq!(children(stage.pid()), [stage.stem(), program]);
}

#[test]
fn the_keeper_and_the_stem_that_stay_are_small() {
    let mut stage = Stage::new("echo ready; exec sleep 60");
    stage.started();
    assert_eq!(stage.says(), "ready");
    let size = |pid, name: &str| status(pid, name).split(' ').next().unwrap().parse::<u32>().unwrap();
    let (keeper, stem) = (stage.pid(), stage.stem());
    // Their own pages; what is shared is the program's file, which is there once.
    let own = size(keeper, "RssAnon") + size(stem, "RssAnon");
    assert!(own < 2000, "{own} kB");
}
