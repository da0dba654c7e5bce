//! Root against the program: the same thief, with and without the wrapper.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::stage::Stage;

/// A running copy of the ordinary program.
#[derive(Debug)]
pub(crate) struct Victim {
    started: Child,
    /// What it said about its secret.
    pub(crate) said: String,
}

/// Compiles the ordinary program.
pub(crate) fn compile(stage: &Stage) -> Result<PathBuf> {
    let source = stage.file("program.c", include_str!("program.c"))?;
    let program = stage.dir.path().join("program");
    crate::child::run(Command::new("cc").arg("-O1").arg(&source).arg("-o").arg(&program))?;
    Ok(program)
}

impl Victim {
    /// Starts it, or says why it was not started: exit code and all that was printed.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut started = command.spawn()?;
        let out = started.stdout.take().context("a child without standard output")?;
        let mut said = String::new();
        BufReader::new(out).read_line(&mut said)?;
        if said.is_empty() {
            let output = started.wait_with_output()?;
            bail!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(Self { started, said: said.trim().to_owned() })
    }

    /// The process that runs the ordinary program: ours, or the wrapper's child.
    pub(crate) fn process(&self) -> Result<u32> {
        let id = self.started.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        let child = children.split_whitespace().next().map(str::parse).transpose()?;
        Ok(child.unwrap_or(id))
    }

    /// Lets it end, and returns its exit code.
    pub(crate) fn end(mut self) -> Result<i32> {
        drop(self.started.stdin.take());
        self.started.wait()?.code().context("ended by a signal")
    }
}

/// What the thief brought back.
#[derive(Debug)]
pub(crate) struct Loot {
    /// A line for each way.
    pub(crate) told: Vec<String>,
    /// How many of them found the value.
    pub(crate) found: usize,
}

/// Sends the thief to a process.
pub(crate) fn steal(stage: &Stage, process: u32, value: &str) -> Result<Loot> {
    let thief = stage.file("thief.py", include_str!("thief.py"))?;
    let told: Vec<String> = send(&thief, process, value)?.lines().map(aligned).collect();
    if told.len() != 4 {
        bail!("expected four attempts, found: {told:?}");
    }
    let found = told.iter().filter(|line| line.starts_with("FOUND")).count();
    Ok(Loot { told, found })
}

fn aligned(line: &str) -> String {
    let mut words = line.split('\t');
    let mut word = || words.next().unwrap_or_default();
    format!("{:<8} {:<22} {}", word(), word(), word())
}

fn send(thief: &Path, process: u32, value: &str) -> Result<String> {
    let mut command = Command::new("python3");
    command.arg(thief).arg(process.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut thief = command.spawn()?;
    thief.stdin.take().context("a child without standard input")?.write_all(value.as_bytes())?;
    Ok(String::from_utf8(thief.wait_with_output()?.stdout)?)
}
