//! Root's prompt inside: one line each way through a serial port, both in base64.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The host's end.
#[derive(Debug)]
pub struct Shell {
    guest: BufReader<UnixStream>,
}

/// How a command ended, and all that it said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Said {
    /// Its exit code.
    pub code: i32,
    /// Standard output and standard error.
    pub output: Vec<u8>,
}

impl Said {
    /// As text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).trim_end().to_owned()
    }
}

impl Shell {
    pub(crate) fn new(guest: UnixStream) -> Self {
        Self { guest: BufReader::new(guest) }
    }

    /// The next line, which is there when the system is up.
    pub(crate) fn greeting(&mut self) -> Result<String> {
        let mut line = String::new();
        self.guest.read_line(&mut line).context("waiting for the system")?;
        ensure!(!line.is_empty(), "the machine went off");
        Ok(line)
    }

    /// Runs a script to its end.
    pub fn run(&mut self, script: &str) -> Result<Said> {
        self.tell(script)?;
        let mut line = String::new();
        self.guest.read_line(&mut line).context("listening to the machine")?;
        let (code, output) = line
            .trim_end_matches(['\r', '\n'])
            .split_once(' ')
            .with_context(|| format!("{line:?} of {script:?}"))?;
        let output = STANDARD.decode(output).with_context(|| format!("the output of {script:?}"))?;
        Ok(Said { code: code.parse()?, output })
    }

    /// Starts a script that leaves nobody to answer.
    pub(crate) fn tell(&mut self, script: &str) -> Result<()> {
        let words = format!("{}\n", STANDARD.encode(script));
        self.guest.get_mut().write_all(words.as_bytes()).context("asking the machine")
    }

    /// Runs a script that must succeed, and gives what it wrote.
    pub fn read(&mut self, script: &str) -> Result<Vec<u8>> {
        let said = self.run(script)?;
        ensure!(said.code == 0, "{script}: exit code {}: {}", said.code, said.text());
        Ok(said.output)
    }

    /// Writes a file of a few kilobytes.
    pub fn write(&mut self, path: &str, content: &[u8]) -> Result<()> {
        self.read(&format!("echo {} | base64 -d > {path}", STANDARD.encode(content))).map(drop)
    }
}
