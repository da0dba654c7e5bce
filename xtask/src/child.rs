//! Child processes: one way to start a command, to read what it says and to try it a second time.
//!
//! Every failure names the whole command line, so that a person can repeat it by hand.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Runs `command` with our own output streams.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| shown(command))?;
    if !status.success() {
        bail!("{}: {status}", shown(command));
    }
    Ok(())
}

/// Runs `command` and returns its standard output; its standard error becomes part of the failure.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| shown(command))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{}: {}: {}", shown(command), output.status, said.trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Does `task`, and once more if it fails: for tasks that use the network.
pub(crate) fn twice<T>(mut task: impl FnMut() -> Result<T>) -> Result<T> {
    task().or_else(|first| {
        eprintln!("xtask: {first:#}; trying once more");
        task()
    })
}

/// The cargo that runs us, in the workspace's root.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root);
    cargo
}

/// Where `program` is on the search path.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_command_is_named_with_what_it_said() {
        let error = read(Command::new("sh").args(["-c", "echo lost >&2; exit 3"])).unwrap_err().to_string();
        assert_eq!(error, "sh -c echo lost >&2; exit 3: exit status: 3: lost");
    }

    #[test]
    fn a_task_that_fails_once_is_done_again() {
        let mut calls = 0;
        let done = twice(|| {
            calls += 1;
            if calls == 1 {
                bail!("connection reset")
            }
            Ok(calls)
        });
        assert_eq!(done.unwrap(), 2);
    }

    #[test]
    fn a_task_that_fails_twice_has_failed() {
        let mut calls = 0;
        let done: Result<()> = twice(|| {
            calls += 1;
            bail!("no route {calls}")
        });
        assert_eq!(done.unwrap_err().to_string(), "no route 2");
    }
}
