//! The tools of the build, run to their end; and the emulators, which run beside us until they are dropped.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

/// Runs a tool and returns what it wrote; what it complained of becomes part of the error.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let name = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("running {name}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{name}: {}: {}", output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A program beside us. It ends when dropped.
#[derive(Debug)]
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        let _killed = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Asks again and again until it is done.
pub(crate) fn wait<T>(
    what: &str,
    patience: Duration,
    mut done: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = done()? {
            return Ok(found);
        }
        ensure!(start.elapsed() < patience, "waited {} s for {what}", patience.as_secs());
        thread::sleep(Duration::from_millis(50));
    }
}

/// How long a machine may take to come up. It is emulated, on a host that may have other things to do.
pub(crate) const PATIENCE: Duration = Duration::from_mins(5);
