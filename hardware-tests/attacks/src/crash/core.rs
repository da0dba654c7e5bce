//! Cores in files and in pipes. Whatever is in one is searched for the canary of ordinary memory.

use std::fs::{File, read, read_dir, read_to_string, write};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use crate::victim::Order;
use crate::{Attempt, Outcome, Stage, Victim, found};

/// Where the node says what becomes of cores.
pub(crate) const PATTERN: &str = "/proc/sys/kernel/core_pattern";

/// In a file, wherever the node had it before.
pub(super) fn file(stage: &Stage, signal: i32) -> Attempt {
    set("core")?;
    crash(stage, signal)
}

/// As the node has it: seen only where that is a file in the victim's directory.
pub(super) fn as_configured(stage: &Stage) -> Attempt {
    let pattern = read_to_string(PATTERN)?;
    if pattern.starts_with(['|', '/', '@']) {
        return Err(Outcome::impossible(format!("cores go to {}", pattern.trim())));
    }
    crash(stage, libc::SIGABRT)
}

/// Into this program's own `collect`, started by the kernel.
pub(super) fn pipe(stage: &Stage, signal: i32) -> Attempt {
    let program = std::fs::read_link("/proc/self/exe")?;
    let place = stage.directory.join("core.piped");
    let words = format!("|{} collect {}", program.display(), place.display());
    if words.len() > 127 {
        return Err(Outcome::impossible("the program's path is too long for core_pattern"));
    }
    set(&words)?;
    crash(stage, signal)
}

fn set(pattern: &str) -> Result<(), Outcome> {
    // It is put back by who runs the probes, even when this process is killed.
    Ok(write(PATTERN, pattern)?)
}

/// Crashes another victim, and looks for what it left.
fn crash(stage: &Stage, signal: i32) -> Attempt {
    let mut victim = stage.another()?;
    victim.tell(&Order::Crash { signal })?;
    victim.end();
    // The program at the end of a pipe has still to write it down.
    for _ in 0..50 {
        if let Some(core) = left(&stage.directory) {
            return look(&core, &victim);
        }
        sleep(Duration::from_millis(20));
    }
    Ok(Outcome::nothing("no core was left"))
}

fn left(directory: &Path) -> Option<PathBuf> {
    let entries = read_dir(directory).ok()?;
    let mut names = entries.filter_map(|entry| Some(entry.ok()?.path()));
    names.find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("core")))
}

fn look(core: &Path, victim: &Victim) -> Attempt {
    let bytes = read(core)?;
    std::fs::remove_file(core)?;
    Ok(found(&bytes, &victim.held().memory.canary, "in its core"))
}

/// What the kernel starts at the end of a pipe: keeps what it is given.
pub fn collect(path: &Path) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    // Under another name first, so that nobody sees half of it.
    let part = path.with_file_name("part");
    File::create(&part)?.write_all(&bytes)?;
    std::fs::rename(part, path)
}
