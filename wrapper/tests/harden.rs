//! What our processes may do, held against what they do: the lists of system calls against recorded runs, the rules for
//! files and ports against processes that break them, and what is left of all that in a program.
#![expect(
    clippy::disallowed_methods,
    clippy::exit,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test"
)]

#[expect(dead_code, reason = "other test programs use the rest")]
mod bench;
#[expect(dead_code, reason = "other test programs use the rest")]
mod stage;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use bench::{CANARY, installed, skip};
use stage::{Answer, Stage};
use wrapper::harden::calls::{self, Need};
use wrapper::harden::filter::Process;

/// Runs `command` under strace; what the process that stays did, or what its fetcher did, after it was shut in.
///
/// A program can be traced by one only: the keeper is watched alone, so that it can graft.
fn record(process: Process, command: &Command) -> (BTreeSet<String>, Output) {
    let dir = tempfile::tempdir().unwrap();
    let mut strace = Command::new("strace");
    if process == Process::Fetcher {
        // Followed into every process; one file for each.
        strace.arg("-ff");
    }
    strace.args(["-qq", "-o"]).arg(dir.path().join("calls"));
    strace.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        strace.env(name, value.unwrap());
    }
    let output = strace.output().unwrap();
    let files = fs::read_dir(dir.path()).unwrap();
    let texts = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    // Fetchers say who they are.
    let is_it = |text: &String| process == Process::Keeper || text.contains("\"ct-fetcher\"");
    (texts.filter(is_it).flat_map(|text| calls_after_the_list(&text)).collect(), output)
}

/// The list is the second filter that a process puts on; none, where there are not two.
fn calls_after_the_list(text: &str) -> Vec<String> {
    let is_filter = |line: &&str| line.starts_with("seccomp(SECCOMP_SET_MODE_FILTER");
    let mut lines = text.lines();
    let found = [(); 2].iter().all(|()| lines.any(|line| is_filter(&line)));
    assert!(found, "no list was put on");
    let names = lines.filter_map(|line| line.split_once('(')).map(|(name, _)| name);
    let is_name = |name: &&str| name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric());
    names.filter(is_name).map(str::to_owned).collect()
}

#[test]
fn each_call_that_is_allowed_is_made_and_none_is_missing() {
    let test = "each_call_that_is_allowed_is_made_and_none_is_missing";
    if !installed("strace") {
        return skip(test, "strace", "strace is not installed");
    }
    let scripts = ["printenv PGPASSWORD; exec printenv PGUSER", "exec sleep 0.1", "exit 3"];
    for process in [Process::Keeper, Process::Fetcher] {
        let stage = Stage::new(vec![Answer::Release; scripts.len()]);
        let mut seen = BTreeSet::new();
        for script in scripts {
            let (calls, output) = record(process, &stage.wrapper("sh", &["-c", script]));
            let code = if script == "exit 3" { 3 } else { 0 };
            assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
            seen.extend(calls);
        }
        let need = |name: &str| {
            calls::all().find(|call| call.name == name).map_or(Need::No, |call| process.need(call))
        };
        let missing: Vec<&String> = seen.iter().filter(|name| need(name) == Need::No).collect();
        assert!(missing.is_empty(), "{process:?} makes calls that its list lacks: {missing:?}");
        let is_idle = |name: &str| matches!(need(name), Need::For(_)) && !seen.contains(name);
        let idle: Vec<&str> = calls::all().map(|call| call.name).filter(|name| is_idle(name)).collect();
        assert!(idle.is_empty(), "{process:?} does not make {idle:?}; it made {seen:?}");
    }
}

#[test]
fn every_call_is_listed_once_and_under_its_name() {
    let mut names = BTreeSet::new();
    for call in calls::all() {
        assert!(names.insert(call.name), "{}", call.name);
    }
}

#[test]
fn a_program_has_a_filter_of_its_own_and_none_of_our_lists() {
    // How many filters lie on this process, and on a program that it has started by way of the wrapper.
    let filters = |status: &str| -> usize {
        let line = status.lines().find_map(|line| line.strip_prefix("Seccomp_filters:"));
        line.unwrap().trim().parse().unwrap()
    };
    let own = filters(&fs::read_to_string("/proc/self/status").unwrap());
    let stage = Stage::new(vec![Answer::Release; 2]);
    for (word, more) in [("true", 1), ("false", 0)] {
        let mut wrapper = stage.wrapper("cat", &["/proc/self/status"]);
        let output = wrapper.env("CLOUDTASER_PROGRAM_FILTER", word).output().unwrap();
        assert_eq!(
            filters(&String::from_utf8(output.stdout).unwrap()).checked_sub(own),
            Some(more),
            "{word}"
        );
    }
}

#[test]
fn a_program_has_none_of_our_lists_and_what_its_starter_had_open() {
    let stage = Stage::new(vec![Answer::Release; 2]);
    let look = "grep -E '^(Seccomp|NoNewPrivs)' /proc/self/status; cat <&7; exec printenv PGPASSWORD";
    let kept = stage.certificate().parent().unwrap().join("kept");
    fs::write(&kept, "kept\n").unwrap();
    let mut wrapper = stage.wrapper("sh", &["-c", look]);
    wrapper.env("CLOUDTASER_PROGRAM_FILTER", "false");
    let mut starter = Command::new("sh");
    let script = format!("exec 7<'{}'; exec \"$@\"", kept.display());
    starter.args(["-c", &script, "sh"]).arg(wrapper.get_program()).args(wrapper.get_args());
    for (name, value) in wrapper.get_envs() {
        starter.env(name, value.unwrap());
    }
    let output = starter.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap().replace('\t', " ");
    let own = fs::read_to_string("/proc/self/status").unwrap().replace('\t', " ");
    let filters: Vec<&str> = own.lines().filter(|line| line.starts_with("Seccomp")).collect();
    let expected = [["NoNewPrivs: 1"].as_slice(), &filters, &["kept", CANARY]].concat();
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn our_processes_keep_nothing_open_that_our_starter_had() {
    let bench = bench::Bench::new();
    let kept = bench.path("secrets");
    let words = bench.graft("sh", &["-c", "readlink /proc/$PPID/fd/*; readlink /proc/$(cat /proc/$PPID/task/$PPID/children | cut -d' ' -f1)/comm; exit 0"]);
    let script = format!("exec 7<'{}'; exec \"$@\"", kept.display());
    let mut starter = Command::new("sh");
    starter.args(["-c", &script, "sh"]).arg(words.get_program()).args(words.get_args());
    let said = String::from_utf8(starter.output().unwrap().stdout).unwrap();
    assert!(!said.is_empty() && !said.contains("/secrets"), "{said}");
    assert!(said.contains("signalfd"), "{said}");
}

/// Runs this program again as the one test below, as a fetcher would be, and has it do one thing.
fn tried(deed: &str) -> String {
    let mut again = Command::new(std::env::current_exe().unwrap());
    again
        .args(["--exact", "--nocapture", "a_process_that_is_shut_in_does_one_thing"])
        .env("CLOUDTASER_DEED", deed);
    let output = again.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let said = said.lines().find_map(|line| line.split_once("did: ")).map(|(_, what)| what.to_owned());
    said.unwrap_or_else(|| format!("{}", output.status))
}

#[test]
fn a_process_that_is_shut_in_does_one_thing() {
    let Some(deed) = std::env::var_os("CLOUDTASER_DEED") else { return };
    let deed = deed.into_string().unwrap();
    let (process, deed) = deed.split_once(' ').unwrap();
    let process = if process == "keeper" { Process::Keeper } else { Process::Fetcher };
    wrapper::harden::filter::apply(process).unwrap();
    let outcome = match deed.split_once(' ').unwrap_or((deed, "")) {
        ("read", path) => fs::File::open(path).map(drop),
        ("write", path) => fs::OpenOptions::new().write(true).open(path).map(drop),
        ("make", path) => fs::File::create_new(path).map(drop),
        ("exec", path) => Command::new(path).status().map(drop),
        ("connect", address) => std::net::TcpStream::connect(address).map(drop),
        ("rename", path) => fs::rename(path, "/tmp/cloudtaser-renamed"),
        ("thread", _) => std::thread::Builder::new().spawn(|| ()).map(drop),
        (other, _) => unreachable!("{other}"),
    };
    println!("did: {}", outcome.map_or_else(|error| error.kind().to_string(), |()| "done".to_owned()));
    // A thread of this program's own may not end: ours have none.
    std::process::exit(0);
}

#[test]
fn what_is_not_in_its_list_kills_a_fetcher_and_fails_in_the_keeper() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "text").unwrap();
    let file = file.display();
    let killed = "signal: 31 (SIGSYS)";
    let new = dir.path().join("new");
    for (deed, keeper, fetcher) in [
        (format!("read {file}"), "done", "done"),
        (format!("write {file}"), "permission denied", "permission denied"),
        (format!("make {}", new.display()), "permission denied", "permission denied"),
        ("exec /bin/true".to_owned(), "permission denied", killed),
        ("connect 127.0.0.1:1".to_owned(), "permission denied", "connection refused"),
        (format!("rename {file}"), "permission denied", killed),
        ("thread".to_owned(), "permission denied", killed),
    ] {
        assert_eq!(tried(&format!("keeper {deed}")), keeper, "keeper {deed}");
        let as_fetcher = tried(&format!("fetcher {deed}"));
        assert!(as_fetcher.starts_with(fetcher), "fetcher {deed}: {as_fetcher}");
    }
    assert!(!Path::new(&new).exists());
}
