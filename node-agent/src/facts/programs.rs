//! The programs that protect secrets: digests of files, and the tags of the BPF programs that the enforcer holds.
//!
//! A tag is the kernel's own digest of a program's instructions (Linux, `bpf_prog_calc_tag`), which the kernel shows for each
//! descriptor of one. Of the enforcer's process the kernel tells what it really holds, whatever its file says.
//!
//! Trusted: the kernel.

use std::io;
use std::path::Path;

use attest::crypto::{AwsLcRs, Crypto as _};

use super::{Settings, Told};
use crate::logs::file::{Unread, read};

pub(super) fn tell(told: &mut Told<'_>, settings: &Settings) {
    for (name, path) in &settings.files {
        let name = format!("file.{name}");
        match read(path, MAX_PROGRAM) {
            Ok(bytes) => told.say(&name, &format!("sha256:{}", AwsLcRs.sha256(&[&bytes]))),
            Err(unread) => told.unknown(&name, &unread.to_string()),
        }
    }
    match enforcer(told, &settings.enforcer) {
        Ok(tags) if tags.is_empty() => told.say("enforcer", "none"),
        Ok(tags) => told.say("enforcer", &tags.join(",")),
        Err(why) => told.unknown("enforcer", &why),
    }
}

/// Type and tag of each program, sorted; none if no enforcer runs.
fn enforcer(told: &Told<'_>, pid_file: &Path) -> Result<Vec<String>, String> {
    let text = match read(pid_file, MAX_PID) {
        Err(Unread::Call { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => String::from_utf8_lossy(&other.map_err(|unread| unread.to_string())?).trim().to_owned(),
    };
    let process: u32 = text
        .parse()
        .map_err(|_why| format!("{}: expected a process id, found {text:?}", pid_file.display()))?;
    let folder = told.path(&format!("proc/{process}/fdinfo"));
    let unlisted = |error: io::Error| format!("{}: {error}", folder.display());
    let mut tags = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(unlisted)? {
        let path = entry.map_err(unlisted)?.path();
        // A descriptor may be closed meanwhile.
        let info = read(&path, MAX_INFO).unwrap_or_default();
        tags.extend(program(&String::from_utf8_lossy(&info)));
    }
    tags.sort();
    tags.dedup();
    Ok(tags)
}

/// `TYPE:TAG`, if the descriptor is one of a BPF program.
fn program(info: &str) -> Option<String> {
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    Some(format!("{}:{}", field("prog_type:")?, field("prog_tag:")?))
}

const MAX_PROGRAM: usize = 256 * 1024 * 1024;
const MAX_PID: usize = 32;
const MAX_INFO: usize = 64 * 1024;
