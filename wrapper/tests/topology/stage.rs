//! A keeper that is told what to do by a test, and what the kernel says of processes.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub(crate) const CANARY: &str = "canary-77c0ffee-value";

/// A keeper that does as it is told, and its program, which has said its first line.
pub(crate) struct Stage {
    pub(crate) dir: tempfile::TempDir,
    keeper: Child,
    pipe: File,
    said: BufReader<ChildStdout>,
    told: BufReader<ChildStderr>,
}

impl Stage {
    pub(crate) fn command(dir: &Path, words: &[&str]) -> Command {
        let pipe = dir.join("orders");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        fs::write(dir.join("values"), format!("PASSWORD={CANARY}\nSECOND=other\n")).unwrap();
        let built = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("examples/keeper");
        let mut keeper = Command::new(built);
        keeper.arg(dir.join("values")).arg("PASSWORD,SECOND").arg(pipe).args(words);
        keeper.stdout(Stdio::piped()).stderr(Stdio::piped());
        keeper
    }

    pub(crate) fn new(script: &str) -> Self {
        Self::of(&["sh", "-c", script])
    }

    pub(crate) fn of(words: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::start(Self::command(dir.path(), words), dir)
    }

    pub(crate) fn start(mut command: Command, dir: tempfile::TempDir) -> Self {
        let mut keeper = command.spawn().unwrap();
        let said = BufReader::new(keeper.stdout.take().unwrap());
        let told = BufReader::new(keeper.stderr.take().unwrap());
        let pipe = File::options().read(true).write(true).open(dir.path().join("orders")).unwrap();
        Self { dir, keeper, pipe, said, told }
    }

    pub(crate) fn order(&mut self, order: &str) {
        self.pipe.write_all(format!("{order}\n").as_bytes()).unwrap();
    }

    pub(crate) fn says(&mut self) -> String {
        line(&mut self.said)
    }

    pub(crate) fn tells(&mut self) -> String {
        line(&mut self.told)
    }

    /// The program's process, from what the keeper tells.
    pub(crate) fn started(&mut self) -> i32 {
        let told = self.tells();
        told.strip_prefix("started ").unwrap_or_else(|| panic!("{told}")).parse().unwrap()
    }

    pub(crate) fn pid(&self) -> i32 {
        self.keeper.id().try_into().unwrap()
    }

    /// The first child: it was forked before all others.
    pub(crate) fn stem(&self) -> i32 {
        children(self.pid())[0]
    }

    pub(crate) fn code(&mut self) -> Option<i32> {
        self.keeper.wait().unwrap().code()
    }

    pub(crate) fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.told.read_to_string(&mut rest).unwrap();
        rest
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.keeper.try_wait().unwrap().is_none() {
            let own = children(self.pid());
            self.keeper.kill().unwrap();
            self.keeper.wait().unwrap();
            for pid in own {
                signal(pid, "KILL");
            }
        }
    }
}

pub(crate) fn line(from: &mut impl std::io::BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

pub(crate) fn signal(pid: i32, name: &str) {
    // Some have ended by then, which is no fault.
    Command::new("kill").args(["-s", name, &pid.to_string()]).stderr(Stdio::null()).status().unwrap();
}

pub(crate) fn children(pid: i32) -> Vec<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

pub(crate) fn parent(pid: i32) -> i32 {
    stat(pid)[1].parse().unwrap()
}

/// The fields of `proc_pid_stat(5)` from the state on.
pub(crate) fn stat(pid: i32) -> Vec<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_else(|_gone| "0 () X 0".to_owned());
    stat.rsplit_once(") ").unwrap().1.split(' ').map(str::to_owned).collect()
}

pub(crate) fn state(pid: i32) -> String {
    stat(pid)[0].clone()
}

pub(crate) fn status(pid: i32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("{name} {status}")).trim_start_matches(':').trim().to_owned()
}

pub(crate) fn descriptors(pid: i32) -> BTreeSet<PathBuf> {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    links.map(|entry| fs::read_link(entry.unwrap().path()).unwrap_or_default()).collect()
}

pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        sleep(Duration::from_millis(10));
    }
}
