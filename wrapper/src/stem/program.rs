//! From a new process to another program.
//!
//! Looks for the program as a shell does, and becomes it with the environment that we were given, what is ordered
//! on top, and without what only we needed. A failure is told over the line; the line's silent end is success.
//!
//! Trusted: the order. Untrusted: the file, whose first bytes say whether a shell is to run it.

use std::env;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use minicbor::{Decode, Encode};
use rustix::process::setpgid;

use super::gift::{Gift, Given};
use super::kernel;
use crate::config::TOKENS;
use crate::files::{self, unasked};
use crate::graft::kernel::ask_to_be_traced;
use crate::line::Line;

/// Where programs are looked for when nobody says where.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// Runs files that are neither binaries nor say by what they are run (execvp(3)).
const SHELL: &str = "/bin/sh";

/// How a new process becomes a program.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub struct Start {
    /// Variables on top of our own environment.
    #[n(0)]
    pub variables: Vec<(String, String)>,
    /// Whether it stops at its `execve`, traced by the keeper.
    #[n(1)]
    pub watch: Watch,
    /// Who answers when it opens files.
    #[n(2)]
    pub opens: Opens,
}

/// Who answers when a program, or what it starts, opens files.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Encode, Decode)]
pub enum Opens {
    /// The kernel.
    #[n(0)]
    Plain,
    /// The keeper, for files that are not there: [`crate::files`].
    #[n(1)]
    Answered,
}

/// Whether a program is traced from its `execve` on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Encode, Decode)]
pub enum Watch {
    /// By the keeper.
    #[n(0)]
    Traced,
    /// By nobody.
    #[n(1)]
    Alone,
    /// By nobody; before it begins, it is given this.
    #[n(2)]
    Given(#[n(0)] Gift),
    /// By whoever has attached to us already; in our place, with our group and our terminal.
    #[n(3)]
    InPlace,
}

/// Why a new process did not become the program.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Encode, Decode)]
pub(crate) enum Failure {
    /// Tracing was refused, with this error number.
    #[n(0)]
    Tracing(#[n(0)] i32),
    /// The program itself cannot be run.
    #[n(1)]
    Exec(#[n(0)] i32),
    /// The program is there; what it is to be run by, or loaded by, is not.
    #[n(2)]
    Interpreter,
    /// Nobody may answer when it opens files, with this error number.
    #[n(3)]
    Files(#[n(0)] i32),
}

impl Start {
    /// Becomes the program. Returns where that failed, after telling the keeper why.
    pub(super) fn exec(self, words: &[OsString], line: &Line) {
        let failure = self.attempt(words, line);
        // Without a keeper there is nobody to tell, and we end anyway.
        minicbor::to_vec(failure).map_or(Ok(()), |message| line.send(&message, None)).unwrap_or_default();
    }

    /// Becomes the program, or says why not.
    pub(super) fn attempt(&self, words: &[OsString], line: &Line) -> Failure {
        self.prepare(line)
            .and_then(|given| self.be_answered(line).map(|()| given))
            .and_then(|given| Ok(search(words, &self.environment(&given)?, &given)))
            .unwrap_or_else(|failure| failure)
    }

    fn prepare(&self, line: &Line) -> Result<Given, Failure> {
        if self.watch != Watch::InPlace {
            // A group of its own: the terminal's signals reach the program once, not through us as well.
            setpgid(None, None).map_err(|error| Failure::exec(&error.into()))?;
        }
        kernel::restore_sigpipe().map_err(|error| Failure::exec(&error))?;
        let given = match self.watch {
            Watch::Traced => {
                ask_to_be_traced().map_err(|error| Failure::Tracing(errno(&error)))?;
                return Ok(Given::default());
            }
            Watch::Given(gift) => gift.receive(line).map_err(|error| Failure::exec(&error))?,
            // Who attached unblocks signals, as after asking.
            Watch::InPlace => return Ok(Given::default()),
            Watch::Alone => Given::default(),
        };
        kernel::unblock_signals().map_err(|error| Failure::exec(&error))?;
        Ok(given)
    }

    /// From here on the keeper is asked about every file that is opened.
    fn be_answered(&self, line: &Line) -> Result<(), Failure> {
        if self.opens == Opens::Plain {
            return Ok(());
        }
        let listener = files::listen().map_err(|error| Failure::Files(errno(&error)))?;
        line.send(b".", Some(listener.as_fd())).map_err(|error| Failure::Files(errno(&error)))
    }

    fn environment(&self, given: &Given) -> Result<Vec<CString>, Failure> {
        let replaced = |name: &OsStr| {
            TOKENS.iter().any(|token| name == *token)
                || given.names(name.as_bytes())
                || self.variables.iter().any(|(ours, _)| name == ours.as_str())
        };
        let kept = env::vars_os().filter(|(name, _)| !replaced(name));
        let ours = self.variables.iter().map(|(name, value)| (name.into(), value.into()));
        let entry = |(mut entry, value): (OsString, OsString)| {
            entry.push("=");
            entry.push(value);
            c_string(entry)
        };
        kept.chain(ours).map(entry).collect()
    }
}

/// Tries each place that the program may be at; returns the failure that says most.
fn search(words: &[OsString], environment: &[CString], given: &Given) -> Failure {
    let environment: Vec<&CStr> = environment.iter().map(CString::as_c_str).chain(given.entries()).collect();
    let arguments = words.iter().cloned().map(c_string).collect::<Result<Vec<_>, _>>();
    let (Some(name), Ok(arguments)) = (words.first(), arguments) else {
        return Failure::Exec(libc::ENOENT);
    };
    if name.as_bytes().contains(&b'/') {
        return attempt(Path::new(name), &arguments, &environment);
    }
    let path = env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    let mut answer = Failure::Exec(libc::ENOENT);
    for mut place in env::split_paths(&path) {
        place.push(name);
        match attempt(&place, &arguments, &environment) {
            Failure::Exec(libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT) => {}
            // Perhaps there is another, further on, that we may run.
            failure @ (Failure::Exec(libc::EACCES) | Failure::Interpreter) => answer = failure,
            failure @ (Failure::Exec(_) | Failure::Files(_) | Failure::Tracing(_)) => return failure,
        }
    }
    answer
}

fn attempt(path: &Path, arguments: &[CString], environment: &[&CStr]) -> Failure {
    let Ok(file) = c_string(path.into()) else { return Failure::Exec(libc::ENOENT) };
    let error = kernel::execve(&file, arguments, environment);
    match error.raw_os_error() {
        // The kernel says the same of a program and of the interpreter that its first line or its header names.
        Some(libc::ENOENT) if unasked::exists(path) => Failure::Interpreter,
        Some(libc::ENOEXEC) if is_script(path) => {
            let Ok(shell) = CString::new(SHELL) else { return Failure::exec(&error) };
            let rest = arguments.iter().skip(1).cloned();
            let script: Vec<CString> = [shell.clone(), file].into_iter().chain(rest).collect();
            Failure::exec(&kernel::execve(&shell, &script, environment))
        }
        _other => Failure::exec(&error),
    }
}

/// Whether a shell may make sense of a file: its first line has no NUL, as POSIX has it of text.
fn is_script(path: &Path) -> bool {
    let mut beginning = [0; 128];
    let read = unasked::open(path).and_then(|mut file| file.read(&mut beginning)).unwrap_or(0);
    let line = beginning.iter().take(read).take_while(|byte| **byte != b'\n');
    line.clone().count() > 0 && !line.into_iter().any(|byte| *byte == 0)
}

impl Failure {
    fn exec(error: &io::Error) -> Self {
        Self::Exec(errno(error))
    }
}

fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::ENOENT)
}

fn c_string(text: OsString) -> Result<CString, Failure> {
    CString::new(text.into_vec()).map_err(|_nul| Failure::Exec(libc::EINVAL))
}
