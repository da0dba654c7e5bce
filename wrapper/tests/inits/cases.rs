//! The cases that need no terminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::Case;
use crate::play::{self, Init, NEVER, Place, Run, SOON, Started, children, comes, is_called, state};

const TERM: i32 = 15;
const CONT: i32 = 18;
const TSTP: i32 = 20;

/// SIGKILL, SIGSTOP, which are not forwarded by anybody, and SIGCHLD, which is the init's own.
const NOT_FORWARDED: [i32; 3] = [9, 17, 19];

fn all_signals() -> impl Iterator<Item = i32> {
    // 32 and 33 belong to the C library.
    (1..32).chain(34..65)
}

pub(crate) const ENDS: [Case; 5] = [
    Case {
        name: "exit codes",
        play: |run| {
            // Each of them once; as process 1, where a start costs more, some.
            let step = if run.place == Place::First { 51 } else { 3 };
            let wrong = (0..256)
                .step_by(step)
                .filter(|code| run.code(&["sh", "-c", &format!("exit {code}")]) != Some(*code));
            listed(wrong)
        },
        right: ["none"; 2],
        others: &[],
    },
    Case {
        name: "a death by signal is 128 + n",
        play: |run| {
            let step = if run.place == Place::First { 7 } else { 1 };
            let deadly = all_signals()
                .filter(|signal| ![17, 18, 19, 20, 21, 22, 23, 28].contains(signal))
                .step_by(step);
            let wrong =
                deadly.filter(|signal| run.code(&["perl", "-e", &deadly_for(*signal)]) != Some(128 + signal));
            listed(wrong)
        },
        right: ["none"; 2],
        others: &[],
    },
    Case {
        name: "a program that is not there is 127",
        play: |run| told(run.code(&["/nowhere/at-all"])),
        right: ["127"; 2],
        others: &[
            (Init::DumbInit, Place::First),
            (Init::DumbInit, Place::Subreaper),
            (Init::Catatonit, Place::First),
            (Init::Catatonit, Place::Subreaper),
        ],
    },
    Case {
        name: "one that is not executable is 126",
        play: |run| told(run.code(&["/etc/passwd"])),
        right: ["126"; 2],
        others: &[
            (Init::DumbInit, Place::First),
            (Init::DumbInit, Place::Subreaper),
            (Init::Catatonit, Place::First),
            (Init::Catatonit, Place::Subreaper),
        ],
    },
    Case {
        name: "a script without its interpreter is 127",
        play: |run| told(run.code(&[&run.bench.script("orphan", "#!/nowhere/interpreter\n")])),
        right: ["127"; 2],
        others: &[
            (Init::DumbInit, Place::First),
            (Init::DumbInit, Place::Subreaper),
            (Init::Catatonit, Place::First),
            (Init::Catatonit, Place::Subreaper),
        ],
    },
];

/// Says the number of each signal that comes.
const TELLING: &str = r#"
use POSIX; $| = 1;
for my $n (1..8, 10..16, 18, 20..31, 34..64) { sigaction($n, POSIX::SigAction->new(sub { syswrite STDOUT, "$n\n" })) }
sigprocmask(SIG_SETMASK, POSIX::SigSet->new);
my $init = getppid;
sigaction(17, POSIX::SigAction->new(sub { syswrite STDOUT, "17\n" if $_[1]{pid} == $init }, POSIX::SigSet->new, SA_SIGINFO));
syswrite STDOUT, "ready\n"; sleep 60 while 1;
"#;

pub(crate) const SIGNALS: [Case; 7] = [
    Case {
        name: "signals that do not reach the program",
        play: |run| {
            let mut started = run.start(&["perl", "-e", TELLING]);
            let mut missing = Vec::new();
            for number in all_signals().filter(|number| !NOT_FORWARDED.contains(number)) {
                started.signal(number);
                if started.line(NEVER).as_deref() == Some(&number.to_string()) {
                    continue;
                }
                missing.push(number);
                if started.code(Duration::ZERO).is_some() || "TZ".contains(state(started.init)) {
                    started = run.start(&["perl", "-e", TELLING]);
                }
            }
            listed(missing.into_iter())
        },
        right: ["none"; 2],
        others: &[
            (Init::Tini, Place::First),
            (Init::Catatonit, Place::First),
            (Init::Tini, Place::Subreaper),
            (Init::DumbInit, Place::Subreaper),
            (Init::Catatonit, Place::Subreaper),
        ],
    },
    Case {
        name: "noise that does, such as the end of orphans",
        play: |run| {
            let program = TELLING.replace("sleep 60 while 1", ORPHANS);
            let started = run.start(&["perl", "-e", &program]);
            told_lines(&started, "done")
        },
        right: [""; 2],
        others: &[],
    },
    Case {
        name: "a signal before the program started",
        play: |run| {
            // It is pending in the init from its first instruction on.
            let early = "use POSIX; sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGUSR1)); if (!fork) { kill USR1, getppid; exit } wait; exec @ARGV";
            let unblocked = "use POSIX; sigprocmask(SIG_SETMASK, POSIX::SigSet->new); sleep 60";
            let mut words = vec!["perl", "-e", early];
            let inner = run.words(false);
            let split = if run.place == Place::First { 5 } else { 0 };
            let (apart, init) = inner.split_at(split);
            words.splice(0..0, apart.iter().map(String::as_str));
            words.extend(init.iter().map(String::as_str));
            words.extend(["perl", "-e", unblocked]);
            let mut command = Command::new(words[0]);
            let mut child = command.args(&words[1..]).stderr(Stdio::null()).spawn().unwrap();
            let code = play::code_within(&mut child, Duration::from_secs(3));
            child.kill().unwrap_or_default();
            child.wait().unwrap();
            told(code)
        },
        right: ["138"; 2],
        others: &[(Init::DumbInit, Place::First), (Init::DumbInit, Place::Subreaper)],
    },
    Case {
        name: "SIGTSTP stops the program, and the init",
        play: |run| {
            let started =
                run.start(&["perl", "-e", "syswrite STDOUT, \"ready\\n\"; sleep 60; print \"on\\n\""]);
            let program = started.program("perl");
            started.signal(TSTP);
            let stopped = [program, started.init].map(|pid| comes(NEVER, || state(pid) == 'T'));
            started.signal(CONT);
            let on = [program, started.init].map(|pid| comes(NEVER, || state(pid) == 'S'));
            format!("{stopped:?} then {on:?}")
        },
        right: ["[true, false] then [true, true]", "[true, true] then [true, true]"],
        others: &[
            (Init::Catatonit, Place::First),
            (Init::Tini, Place::Subreaper),
            (Init::Catatonit, Place::Subreaper),
        ],
    },
    Case {
        name: "SIGTTIN and SIGTTOU as well",
        play: |run| {
            let stops = [21, 22].map(|number| {
                let started = run.start(&["perl", "-e", "syswrite STDOUT, \"ready\\n\"; sleep 60"]);
                let program = started.program("perl");
                started.signal(number);
                comes(NEVER, || state(program) == 'T')
            });
            format!("{stops:?}")
        },
        right: ["[true, true]"; 2],
        others: &[
            (Init::Tini, Place::First),
            (Init::Catatonit, Place::First),
            (Init::Tini, Place::Subreaper),
            (Init::Catatonit, Place::Subreaper),
        ],
    },
    Case {
        name: "the second SIGTERM ends who ignores the first",
        play: |run| {
            let program = "$SIG{TERM} = sub { syswrite STDOUT, \"ignored\\n\" }; syswrite STDOUT, \"ready\\n\"; sleep 60 while 1";
            let mut started = run.start(&["perl", "-e", program]);
            started.signal(TERM);
            if started.line(SOON).as_deref() != Some("ignored") {
                return "the first did not come".to_owned();
            }
            started.signal(TERM);
            told(started.code(NEVER))
        },
        right: ["137"; 2],
        // Their users send SIGKILL, which takes the init itself.
        others: &[
            (Init::Tini, Place::First),
            (Init::Tini, Place::Subreaper),
            (Init::DumbInit, Place::First),
            (Init::DumbInit, Place::Subreaper),
            (Init::Catatonit, Place::First),
            (Init::Catatonit, Place::Subreaper),
        ],
    },
    Case {
        name: "who is told, with groups asked for",
        play: |run| {
            let script = "$| = 1; $SIG{USR1} = sub { syswrite STDOUT, \"told\\n\" }; my $p = $$; my $child = fork; if ($child) { select undef, undef, undef, 0.1; syswrite STDOUT, \"ready\\n\" } sleep 60 while 1";
            let heard = [run.start(&["perl", "-e", script]), run.start_group(&["perl", "-e", script])].map(
                |started| {
                    started.signal(10);
                    [started.line(NEVER), started.line(NEVER)].into_iter().flatten().count()
                },
            );
            format!("{heard:?}")
        },
        right: ["[1, 2]"; 2],
        others: &[],
    },
];

const ORPHANS: &str = "for (1..5) { my $p = fork; if (!$p) { exit if fork; select undef, undef, undef, 0.05; exit } waitpid $p, 0 } select undef, undef, undef, 0.4; syswrite STDOUT, \"done\\n\"; sleep 60 while 1";

pub(crate) const FAMILIES: [Case; 5] = [
    Case {
        name: "zombies left by a thousand orphans",
        play: |run| {
            let program = "for (1..1000) { my $p = fork; if (!$p) { exit if fork; select undef, undef, undef, 0.02; exit } waitpid $p, 0 } syswrite STDOUT, \"ready\\n\"; sleep 60 while 1";
            let started = run.start(&["perl", "-e", program]);
            orphans_left(started.init)
        },
        right: ["0"; 2],
        others: &[],
    },
    Case {
        name: "orphans that die while the program is stopped",
        play: |run| {
            let program = "my $p = fork; if (!$p) { exit if fork; select undef, undef, undef, 0.3; exit } waitpid $p, 0; syswrite STDOUT, \"ready\\n\"; sleep 60 while 1";
            let started = run.start(&["perl", "-e", program]);
            play::signal(started.program("perl"), 19);
            thread::sleep(Duration::from_millis(500));
            play::signal(started.init, CONT);
            orphans_left(started.init)
        },
        right: ["0"; 2],
        others: &[],
    },
    Case {
        name: "a program that goes into the background",
        play: |run| told(run.code(&["perl", "-e", "exit 7 if fork; setpgrp; close STDOUT; sleep 2"])),
        right: ["7"; 2],
        others: &[],
    },
    Case {
        name: "grandchildren that live on hold nobody up",
        play: |run| {
            let mut command = run.command(false, &["sh", "-c", "sleep 8 & exit 9"]);
            let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
            told(play::code_within(&mut child, Duration::from_secs(5)))
        },
        right: ["9"; 2],
        others: &[],
    },
    Case {
        name: "nor do those that hold the output",
        play: |run| {
            let mut command = run.command(false, &["sh", "-c", "sleep 8 & echo said; exit 9"]);
            let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
            let code = play::code_within(&mut child, Duration::from_secs(5));
            let mut said = [0; 5];
            child.stdout.take().unwrap().read_exact(&mut said).unwrap();
            format!("{} {}", told(code), String::from_utf8_lossy(&said).trim())
        },
        right: ["9 said"; 2],
        others: &[],
    },
];

pub(crate) const SURROUNDINGS: [Case; 5] = [
    Case {
        name: "closed standard descriptors",
        play: |run| {
            let words = run.words(false).join(" ");
            let ends = ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"].map(|closed| {
                let script = format!("exec {words} sh -c 'exit 6' {closed}");
                Command::new("sh").args(["-c", &script]).status().unwrap().code()
            });
            format!("{:?}", ends.map(told))
        },
        right: ["[\"6\", \"6\", \"6\", \"6\"]"; 2],
        others: &[(Init::Tini, Place::First), (Init::Tini, Place::Subreaper)],
    },
    Case {
        name: "a descriptor of the starter",
        play: |run| {
            let mut kept = File::create(run.bench.path("kept")).unwrap();
            kept.write_all(b"kept open\n").unwrap();
            let words = run.words(false).join(" ");
            let script = format!("exec 7<'{}'; exec {words} cat /dev/fd/7", run.bench.path("kept").display());
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
        },
        right: ["kept open"; 2],
        others: &[],
    },
    Case {
        name: "no descriptor of the init",
        play: |run| as_plain(run, "", "ls /proc/self/fd </dev/null 2>/dev/null"),
        right: ["as without an init"; 2],
        others: &[],
    },
    Case {
        name: "ignored signals stay ignored, none is blocked",
        play: |run| as_plain(run, "trap '' HUP USR2;", "grep -E '^Sig(Blk|Ign)' /proc/self/status"),
        right: ["as without an init"; 2],
        others: &[
            (Init::DumbInit, Place::First),
            (Init::DumbInit, Place::Subreaper),
            (Init::Catatonit, Place::First),
            (Init::Catatonit, Place::Subreaper),
        ],
    },
    Case {
        name: "folder, mask, niceness, limits, groups",
        play: |run| {
            let words = run.words(false).join(" ");
            let script = format!(
                "cd /usr; umask 027; ulimit -n 321; exec nice -n 3 {words} sh -c 'pwd; umask; ulimit -n; nice; id -G'"
            );
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            String::from_utf8_lossy(&output.stdout).lines().take(4).collect::<Vec<_>>().join(" ")
        },
        right: ["/usr 0027 321 3"; 2],
        others: &[],
    },
];

/// Whether a script says the same with an init as without one.
fn as_plain(run: &Run<'_>, before: &str, command: &str) -> String {
    let says = |words: &str| {
        let script = format!("{before} exec {words} {command}");
        String::from_utf8(Command::new("sh").args(["-c", &script]).output().unwrap().stdout).unwrap()
    };
    let (with, without) = (says(&run.words(false).join(" ")), says(""));
    if with == without {
        "as without an init".to_owned()
    } else {
        with.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// Ends itself by a signal, which whoever runs the tests in the background may have had ignored.
fn deadly_for(signal: i32) -> String {
    let heard = format!("use POSIX; sigaction({signal}, POSIX::SigAction->new('DEFAULT'));");
    let heard = if signal == 9 { String::new() } else { heard };
    format!("{heard} kill {signal}, $$; sleep 60")
}

fn listed(numbers: impl Iterator<Item = i32>) -> String {
    let all: Vec<String> = numbers.map(|number| number.to_string()).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(" ") }
}

fn told(code: Option<i32>) -> String {
    code.map_or_else(|| "does not end".to_owned(), |code| code.to_string())
}

fn told_lines(started: &Started, last: &str) -> String {
    let mut lines = Vec::new();
    while let Some(line) = started.line(SOON).filter(|line| line != last) {
        lines.push(line);
    }
    lines.join(" ")
}

/// How many orphans, dead ones too, an init of a program in Perl is left with when all had the time to end.
fn orphans_left(init: u32) -> String {
    let left = || children(init).into_iter().filter(|pid| is_called(*pid, "perl")).skip(1).count();
    comes(SOON, || left() == 0);
    left().to_string()
}
