//! The programs that protect secrets: digests of files, and the tags of the BPF programs that the enforcer holds.
//!
//! A tag is the kernel's own digest of a program's instructions (Linux, `bpf_prog_calc_tag`), which the kernel shows for each
//! descriptor of one. Of the enforcer's process the kernel tells what it really holds, whatever its file says.
//!
//! Trusted: the kernel.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use aws_lc_rs::digest;

use super::{Settings, Told};
use crate::logs::file::{Unread, read};

pub(super) fn tell(told: &mut Told<'_>, settings: &Settings) {
    for (name, path) in &settings.files {
        let name = format!("file.{name}");
        match sha256(path) {
            Ok(digest) => told.say(&name, &format!("sha256:{digest}")),
            Err(error) => told.unknown(&name, &format!("{}: {error}", path.display())),
        }
    }
    match enforcer(told, &settings.enforcer) {
        Ok(tags) if tags.is_empty() => told.say("enforcer", "none"),
        Ok(tags) => told.say("enforcer", &tags.join(",")),
        Err(why) => told.unknown("enforcer", &why),
    }
}

/// Piece by piece: a program may be larger than all the memory that the agent has.
fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let (mut context, mut piece) = (digest::Context::new(&digest::SHA256), vec![0; PIECE]);
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(hex::encode(context.finish())),
            Ok(count) => context.update(piece.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
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
        match read(&entry.map_err(unlisted)?.path(), MAX_INFO) {
            Ok(info) => tags.extend(program(&String::from_utf8_lossy(&info))),
            // A descriptor may be closed meanwhile. Any other may be of a program that nobody then hears of.
            Err(Unread::Call { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(unread) => return Err(unread.to_string()),
        }
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

const PIECE: usize = 64 * 1024;
const MAX_PID: usize = 32;
const MAX_INFO: usize = 64 * 1024;
