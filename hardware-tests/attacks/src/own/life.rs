//! The enforcer's next life: its own program is known by its file when it is started again, so what is put into it would be the
//! enforcer.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::early::reached;
use crate::handshake::Enforcer;
use crate::told::{Found, absent, nothing, told};
use crate::{Probe, Stage};

pub(crate) const PROBES: &[Probe] = &[
    Probe::new(
        "own/life-loaded",
        "own-program",
        "have the enforcer's program load a library of the attacker's when it is started again",
        |stage| told(loaded(stage)),
    ),
    Probe::new(
        "own/life-memory",
        "proc-mem",
        "open the memory of the enforcer's program for writing while it is started again",
        |stage| told(program(stage).and_then(|program| reached(Command::new(program).arg("--version")))),
    ),
    Probe::new(
        "own/life-grouped",
        "own-map",
        "be protected, and have the enforcer's program started again by a neighbour, who may do anything to it",
        |stage| told(grouped(stage)),
    ),
];

/// A loader that lists what it would load takes what `LD_PRELOAD` names, too; a program without one asks nobody.
fn loaded(stage: &Stage) -> Found {
    let program = program(stage)?;
    let mut command = Command::new(&program);
    let answer = command.arg("--version").env("LD_TRACE_LOADED_OBJECTS", "1").output()?;
    let said = String::from_utf8_lossy(&answer.stdout).into_owned();
    match said.lines().find(|line| line.contains("=>")) {
        Some(line) => Ok(format!("{} loads {}", program.display(), line.trim())),
        None => Err(nothing(format!("{} loads nothing", program.display()))),
    }
}

/// What only the enforcer is told.
fn grouped(stage: &Stage) -> Found {
    let Some(socket) = stage.socket() else {
        // Where nobody is protected, everybody is everybody's neighbour.
        return reached(Command::new(program(stage)?).arg("--version"));
    };
    Enforcer::at(socket).and_then(|enforcer| enforcer.protect()).map_err(nothing)?;
    let answer = Command::new(program(stage)?)
        .args(["challenge", "--action", "detach", "--reason", "none"])
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&answer.stderr);
    if answer.status.success() {
        Ok("an enforcer in a group of the attacker's".into())
    } else if said.contains("Operation not permitted") || said.contains("the one that enforces it") {
        Err(std::io::Error::from_raw_os_error(libc::EPERM))
    } else {
        Err(nothing(said.trim()))
    }
}

/// The enforcer's; where there is none, our own stands for it.
fn program(stage: &Stage) -> std::io::Result<PathBuf> {
    match stage.socket() {
        None => std::env::current_exe(),
        Some(_) => found("cloudtaser-enforcer"),
    }
}

/// A program by its name, as a shell finds it.
fn found(name: &str) -> std::io::Result<PathBuf> {
    let folders = ["/bin", "/usr/bin", "/usr/local/bin", "/sbin", "/usr/sbin"];
    let mut paths = folders.iter().map(|folder| PathBuf::from(folder).join(name));
    let found = paths.find(|path| fs::metadata(path).is_ok());
    found.ok_or_else(|| absent(format!("{name} is in none of {folders:?}")))
}
