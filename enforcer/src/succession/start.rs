//! `start`: how an enforcer comes to run where there may have been one before it, in a container or on a plain machine.
//!
//! This program is copied to where it lasts, lets the program before it let it in (see [`crate::succession::admit`]), and is executed from
//! its copy, with the words of `run`. It decides nothing: who may come is the word of the program before.
//!
//! Trusted: nothing here is. Untrusted: the copies, as far as the kernel does not know them.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::{Args, Parser as _};

use crate::config::{self, Run, Verb};
use crate::succession::admit::Answer;
use crate::succession::copies;

/// What is told.
#[derive(Args, Debug)]
pub struct Start {
    /// Where programs last: a folder of the machine's own, which root alone can write to.
    #[arg(long, value_name = "FOLDER", default_value = "/var/lib/cloudtaser/enforcer")]
    pub copies: PathBuf,
    /// `run`, and its words.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true, value_name = "run WORDS")]
    pub words: Vec<OsString>,
}

/// Why it did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The words are not those of `run`.
    #[error("expected `run` and its words, found: {0}")]
    Words(String),
    /// There is one before us, and it does not want us.
    #[error("the enforcer before this one does not let it take over: {0}")]
    Refused(String),
    /// Something cannot be done.
    #[error("{doing} {path}: {source}")]
    Machine {
        /// What was being done.
        doing: &'static str,
        /// With what.
        path: String,
        /// Why not.
        source: io::Error,
    },
}

/// Becomes the enforcer; comes back only if that failed.
pub fn start(told: &Start) -> Result<Infallible, Error> {
    let run = run_of(&told.words)?;
    let ours = crate::procfs::ours().and_then(|procfs| procfs.behind("self", "exe"));
    let program = ours.map_err(machine("opening", Path::new("/proc/self/exe")))?;
    let copy = copies::put(&told.copies, program).map_err(machine("copying to", &told.copies))?;
    let others = copies::all(&told.copies, &copy).map_err(machine("looking into", &told.copies))?;
    introduce(&copy, &others, &run)?;
    Err(machine("executing", &copy)(Command::new(&copy).args(&told.words).exec()))
}

/// What `run` is told by these words.
pub fn run_of(words: &[OsString]) -> Result<Run, Error> {
    let whole = [OsString::from("cloudtaser-enforcer")].into_iter().chain(words.iter().cloned());
    match config::Command::try_parse_from(whole).map_err(|error| Error::Words(error.to_string()))?.verb {
        Verb::Run(run) => Ok(*run),
        Verb::Start(_)
        | Verb::Admit(_)
        | Verb::Challenge(_)
        | Verb::CheckList { .. }
        | Verb::Digests { .. }
        | Verb::ConfirmGuards { .. }
        | Verb::Detach(_)
        | Verb::Canary { .. } => Err(Error::Words("another verb".to_owned())),
    }
}

/// Has the copy that the kernel knows, whichever it is, let ours in.
fn introduce(copy: &Path, all: &[PathBuf], run: &Run) -> Result<(), Error> {
    for other in all {
        match ask(other, copy, run) {
            Ok(Answer::Admitted { version }) => {
                say(&format!("{} lets this program take over, as version {version}", other.display()));
                return Ok(());
            }
            Ok(Answer::Nothing {}) => return Ok(()),
            Ok(Answer::Refused { why }) => return Err(Error::Refused(why)),
            // It is not the one; or was one that does not know this word.
            Ok(Answer::Unknown { why }) => say(&format!("{}: {why}", other.display())),
            Err(error) => say(&format!("{}: {error}", other.display())),
        }
    }
    // What is to be said of that is said by whoever runs.
    Ok(())
}

fn ask(other: &Path, newcomer: &Path, run: &Run) -> io::Result<Answer> {
    let mut command = Command::new(other);
    command.arg("admit").arg("--program").arg(newcomer).arg("--pins").arg(&run.pins);
    if let Some(list) = &run.successors {
        command.arg("--successors").arg(list);
    }
    let output = command.env_clear().stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("{}: {}", output.status, why.trim_end())));
    }
    serde_json::from_slice(&output.stdout).map_err(io::Error::other)
}

fn machine(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.display().to_string();
    move |source| Error::Machine { doing, path, source }
}

fn say(text: &str) {
    // Where standard error is closed there is nobody to tell.
    writeln!(io::stderr(), "cloudtaser-enforcer: {text}").unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    fn told(text: &str) -> Run {
        run_of(&words(text)).unwrap()
    }

    /// A program before ours that says this.
    fn before(folder: &Path, name: &str, says: &str) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\necho \"$@\" >> {}/asked\n{says}\n", folder.display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn what_is_started_runs_and_does_nothing_else() {
        assert_eq!(told("run --successors /list").successors, Some("/list".into()));
        for (text, refusal) in [
            ("detach --break-glass /f", "expected `run` and its words, found: another verb"),
            (
                "run --mode off-and-on",
                "expected `run` and its words, found: error: invalid value 'off-and-on'",
            ),
        ] {
            let found = run_of(&words(text)).unwrap_err().to_string();
            assert!(found.starts_with(refusal), "{found}");
        }
    }

    #[test]
    fn whoever_is_known_to_the_kernel_is_asked_and_decides() {
        let folder = tempfile::tempdir().unwrap();
        let stranger = before(folder.path(), "a", r#"echo '{"answer":"unknown","why":"no"}'"#);
        let broken = before(folder.path(), "b", "exit 7");
        let yes = before(folder.path(), "c", r#"echo '{"answer":"admitted","version":"2"}'"#);
        let no = before(folder.path(), "d", r#"echo '{"answer":"refused","why":"not on the list"}'"#);
        let run = told("run --successors /list");
        let ours = Path::new("/ours");
        introduce(ours, &[stranger.clone(), broken.clone(), yes.clone(), no.clone()], &run).unwrap();
        let asked = fs::read_to_string(folder.path().join("asked")).unwrap();
        let question = "admit --program /ours --pins /sys/fs/bpf/cloudtaser --successors /list\n";
        assert_eq!(asked, question.repeat(3));
        let refusal = introduce(ours, &[stranger.clone(), no, yes], &run).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "the enforcer before this one does not let it take over: not on the list"
        );
        // Nobody knows anything: what runs says so.
        introduce(ours, &[stranger, broken], &run).unwrap();
    }
}
