//! Which processes of ours no library reached.
//!
//! One that is meant for values, bears references and has not loaded the library was started where nobody looked
//! before, by a script mostly: it is linked statically, or `LD_PRELOAD` was changed, or the descriptor closed.
//!
//! What remains unseen: processes that end before two looks, and those that we may not look into (another user
//! without `CAP_SYS_PTRACE`).
//!
//! Untrusted: `/proc` shows what processes made of themselves. What is found is told and decides nothing.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::PathBuf;

use rustix::process::{Pid, PidfdFlags, getpid, pidfd_open};

use super::image;
use super::reach::{self, Fault};
use crate::graft::program::{Program, Role};
use crate::local::who::descends_from_us;

/// Bytes of an environment that are looked at: more than execve(2) takes by default.
const MAX_ENVIRONMENT: u64 = 8 << 20;
/// Bytes of a list of mappings: what a process with as many as it may have (65530) says of them, mostly.
const MAX_MAPS: u64 = 8 << 20;
/// Bytes of a command line: two words are of interest.
const MAX_WORDS: u64 = 256 << 10;

/// A process that bears references and will never have values.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unreached {
    /// The process.
    pub pid: i32,
    /// What it runs.
    pub file: PathBuf,
    /// What its file says against a library; none where something else was in the way.
    pub fault: Option<Fault>,
}

/// Our processes that bear references beginning with `prefix`, are meant for values, and did not load the library.
pub(super) fn unreached(prefix: &str) -> Vec<Unreached> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|pid| is_ours(*pid)).filter_map(|pid| unreached_one(pid, prefix)).collect()
}

fn is_ours(pid: i32) -> bool {
    let process = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    pid != getpid().as_raw_pid()
        && process.is_some_and(|process| descends_from_us(process).is_ok_and(|ours| ours))
}

fn unreached_one(pid: i32, prefix: &str) -> Option<Unreached> {
    let environment = beginning(&format!("/proc/{pid}/environ"), MAX_ENVIRONMENT).ok()?;
    if !environment.windows(prefix.len()).any(|window| window == prefix.as_bytes()) {
        return None;
    }
    let maps = beginning(&format!("/proc/{pid}/maps"), MAX_MAPS).ok()?;
    if maps.windows(image::NAME.len()).any(|window| window == image::NAME.as_bytes())
        || role(pid) == Role::Carrier
    {
        return None;
    }
    let link = format!("/proc/{pid}/exe");
    Some(Unreached { pid, fault: reach::fault_of(link.as_ref()), file: fs::read_link(link).ok()? })
}

/// A process may say that its environment is as long as its memory (`PR_SET_MM_MAP`).
fn beginning(file: &str, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What a running process is, as the graft sees it.
pub(super) fn role(pid: i32) -> Role {
    let file = fs::read_link(format!("/proc/{pid}/exe")).ok();
    let words = beginning(&format!("/proc/{pid}/cmdline"), MAX_WORDS).unwrap_or_default();
    let mut words = words.split(|byte| *byte == 0);
    let arguments = [words.next().unwrap_or_default(), words.next().unwrap_or_default()];
    Program { file: file.as_deref(), arguments }.role()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_program_with_references_and_without_the_library_is_seen() {
        let start = |program: &str, value: &str| {
            let mut command = Command::new(program);
            command.env("PASSWORD", value).stdin(Stdio::piped()).stdout(Stdio::null());
            command.spawn().unwrap()
        };
        let reference = "ctref:00112233aabbccdd:0:";
        let mut started = [start("cat", reference), start("sh", reference), start("cat", "plain")];
        let prefix = "ctref:00112233aabbccdd:";
        let shown =
            |file: &str| fs::read_link(format!("/proc/{}/exe", started[0].id())).unwrap().ends_with(file);
        while !shown("cat") && !shown("coreutils") {}
        let seen = unreached(prefix);
        let numbers: Vec<i32> = seen.iter().map(|unreached| unreached.pid).collect();
        assert_eq!(numbers, [i32::try_from(started[0].id()).unwrap()]);
        assert_eq!(seen[0].fault, None, "nothing in its file speaks against a library");
        for child in &mut started {
            drop(child.stdin.take());
            child.wait().unwrap();
        }
    }
}
