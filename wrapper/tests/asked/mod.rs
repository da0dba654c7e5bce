//! A program that was given a value, that can be asked for it, and that can be given another one.
#![expect(clippy::arithmetic_side_effects, reason = "a test that cannot go on fails there")]

use std::fs;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use crate::bench::Bench;

/// Longer than the first: it needs the room behind it.
pub(crate) const RENEWED: &str = "renewed-canary-5f1e0c77-value-that-has-grown";

pub(crate) fn teller(name: &str) -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/tellers", name].iter().collect();
    path.to_str().unwrap().to_owned()
}

/// As the programs in `tellers/` count.
pub(crate) fn checksum(value: &str) -> String {
    let sum =
        value.bytes().zip(1..).fold(0_u32, |sum, (byte, place)| (sum + place * u32::from(byte)) % 65_521);
    sum.to_string()
}

/// A program that was given the value and waits, and those who may give it another one.
pub(crate) struct Asked {
    pub(crate) wrapper: Child,
    answers: Lines<BufReader<ChildStdout>>,
    reports: Lines<BufReader<ChildStderr>>,
    fifo: PathBuf,
}

impl Asked {
    pub(crate) fn start(bench: &Bench, program: &[&str]) -> Self {
        Self::start_by(bench, program, |_| ())
    }

    /// `prepare` may change how the wrapper itself is started.
    pub(crate) fn start_by(bench: &Bench, program: &[&str], prepare: impl FnOnce(&mut Command)) -> Self {
        let built = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("examples/rewrite");
        let fifo = bench.path("orders");
        assert!(Command::new("mkfifo").args(["-m", "666"]).arg(&fifo).status().unwrap().success());
        let own = bench.path("rewrite");
        assert!(Command::new("cp").arg(built).arg(&own).status().unwrap().success());
        let mut command = Command::new(own);
        command.arg(bench.path("secrets")).arg(&fifo).args(program);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        prepare(&mut command);
        let mut wrapper = command.spawn().unwrap();
        let mut answers = BufReader::new(wrapper.stdout.take().unwrap()).lines();
        let reports = BufReader::new(wrapper.stderr.take().unwrap()).lines();
        assert_eq!(answers.next().unwrap().unwrap(), "ready");
        Self { wrapper, answers, reports, fifo }
    }

    pub(crate) fn ask(&mut self) -> String {
        self.wrapper.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        self.answers.next().unwrap().unwrap()
    }

    pub(crate) fn order(&mut self, order: &str) -> String {
        fs::write(&self.fifo, format!("{order}\n")).unwrap();
        self.reports.next().unwrap().unwrap()
    }

    /// Gives out another value; what came of it.
    pub(crate) fn renew(&mut self, bench: &Bench, value: &str) -> String {
        fs::write(bench.path("secrets"), format!("PASSWORD={value}\nSECOND=other\n")).unwrap();
        self.order("rewrite")
    }

    pub(crate) fn end(mut self) {
        drop(self.wrapper.stdin.take());
        assert!(self.wrapper.wait().unwrap().success());
    }
}
