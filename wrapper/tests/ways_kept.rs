//! The ways after the graft while a program lives: restarts with new values, hooks, a program that is frozen.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

#[expect(dead_code, reason = "other test programs use the rest")]
mod bench;
#[expect(dead_code, reason = "other test programs use the rest")]
mod theft;

use std::fs::{self, File};
use std::io::{BufReader, Write as _};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use bench::CANARY;

/// A keeper that does as it is told.
struct Kept {
    dir: tempfile::TempDir,
    keeper: Child,
    orders: File,
    said: BufReader<ChildStdout>,
    told: BufReader<ChildStderr>,
}

impl Kept {
    fn by(way: &str, words: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("orders");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let built = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("examples/keeper");
        let values = dir.path().join("values");
        fs::write(&values, format!("PASSWORD={CANARY}\nSECOND=other\n")).unwrap();
        let mut command = Command::new(built);
        command.arg(values).arg("PASSWORD,SECOND").arg(&pipe).args(words).env("WAY", way);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut keeper = command.spawn().unwrap();
        let (said, told) = (keeper.stdout.take().unwrap(), keeper.stderr.take().unwrap());
        let orders = File::options().read(true).write(true).open(pipe).unwrap();
        Self { dir, keeper, orders, said: BufReader::new(said), told: BufReader::new(told) }
    }

    fn order(&mut self, order: &str) {
        self.orders.write_all(format!("{order}\n").as_bytes()).unwrap();
    }

    fn bring(&mut self, values: &str) {
        fs::write(self.dir.path().join("values"), values).unwrap();
        self.order("fetch");
        assert_eq!(self.tells(), "brought Changed");
    }

    fn says(&mut self) -> String {
        line(&mut self.said)
    }

    fn tells(&mut self) -> String {
        line(&mut self.told)
    }

    fn started(&mut self) -> i32 {
        let told = self.tells();
        let pid = told.strip_prefix("started ").and_then(|pid| pid.parse().ok());
        assert!(pid.is_some(), "{told}");
        pid.unwrap()
    }

    fn end(mut self) {
        self.order("end 7");
        assert_eq!(self.keeper.wait().unwrap().code(), Some(7));
    }
}

fn line(from: &mut impl std::io::BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

const SHOW_AND_STAY: [&str; 3] = ["perl", "-e", "$| = 1; print \"$ENV{PASSWORD}\\n\"; sleep 60"];
const BY_LIBRARY: &str = "cloudtaser-wrapper: values reach the program by constructor";

#[test]
fn a_restarted_program_finds_the_values_that_were_brought_last() {
    for way in ["constructor", "environ"] {
        let mut kept = Kept::by(way, &SHOW_AND_STAY);
        assert!(kept.tells().starts_with("cloudtaser-wrapper: "), "the way is told");
        let first = kept.started();
        assert_eq!(kept.says(), CANARY);
        kept.bring("PASSWORD=another\nSECOND=other\n");
        kept.order("restart");
        let second = kept.started();
        assert_eq!(kept.says(), "another", "{way}; and the way is not told again");
        assert_ne!(first, second);
        kept.end();
    }
}

#[test]
fn a_hook_has_the_values_of_its_time_by_the_programs_way() {
    for way in ["constructor", "environ"] {
        let mut kept = Kept::by(way, &SHOW_AND_STAY);
        kept.tells();
        kept.started();
        kept.says();
        kept.order("hook");
        assert_eq!(kept.tells(), format!("ended {}", CANARY.len()), "{way}");
        kept.bring("PASSWORD=longer\nSECOND=other\n");
        kept.order("hook");
        assert_eq!(kept.tells(), "ended 6", "{way}");
        kept.end();
    }
}

#[test]
fn a_program_that_was_frozen_is_answered_again_when_it_goes_on() {
    let script = "echo ready; read x; perl -e 'print \"$ENV{PASSWORD}\\n\"'; sleep 60";
    let mut kept = Kept::by("constructor", &["sh", "-c", script]);
    assert_eq!(kept.tells(), BY_LIBRARY);
    kept.started();
    assert_eq!(kept.says(), "ready");
    kept.order("freeze");
    assert_eq!(kept.tells(), "frozen true");
    kept.keeper.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    kept.order("thaw");
    assert_eq!(kept.says(), CANARY);
    kept.end();
}

#[test]
fn no_process_of_ours_has_values_in_ordinary_memory_by_any_way() {
    for way in ["constructor", "environ"] {
        let mut kept = Kept::by(way, &SHOW_AND_STAY);
        kept.tells();
        let program = kept.started();
        assert_eq!(kept.says(), CANARY);
        let keeper = i32::try_from(kept.keeper.id()).unwrap();
        let children = fs::read_to_string(format!("/proc/{keeper}/task/{keeper}/children")).unwrap();
        let stem = children.split_whitespace().map(|pid| pid.parse().unwrap()).find(|pid| *pid != program);
        assert!(
            theft::whole_memory_holds(program, CANARY),
            "the program's own copy shows that the search works"
        );
        for ours in [keeper, stem.unwrap()] {
            assert!(!theft::whole_memory_holds(ours, CANARY), "{way}: process {ours}");
            assert_eq!(theft::mappable_secret(ours, CANARY), None, "{way}: process {ours}");
        }
        kept.end();
    }
}
