//! What this process gives up before it touches a secret.
//!
//! Not dumpable: no core, and no reading of our memory by other processes of our user. No new
//! privileges: neither we nor the program gain any by running a set-user-id file.

use std::io;

use rustix::process::{
    DumpableBehavior, Pid, Resource, Rlimit, getpid, set_child_subreaper, set_dumpable_behavior, setrlimit,
};
use rustix::thread::set_no_new_privs;

/// Applies everything; the first refusal ends it.
pub fn harden() -> Result<(), Error> {
    let step = |doing, outcome: rustix::io::Result<()>| {
        outcome.map_err(|source| Error { doing, source: source.into() })
    };
    step("prctl(PR_SET_DUMPABLE)", set_dumpable_behavior(DumpableBehavior::NotDumpable))?;
    step("setrlimit(RLIMIT_CORE)", refuse_cores())?;
    step("prctl(PR_SET_NO_NEW_PRIVS)", set_no_new_privs(true))?;
    if getpid() != Pid::INIT {
        // Orphans come to us as they would to a real init, and are reaped.
        step("prctl(PR_SET_CHILD_SUBREAPER)", set_child_subreaper(Some(getpid())))?;
    }
    Ok(())
}

/// One byte, not none: a `core_pattern` that is a pipe ignores every limit but this one (`do_coredump` of
/// the kernel), and no core file is as small. The program inherits it: its own copies stay off the disk.
fn refuse_cores() -> rustix::io::Result<()> {
    let limit = |bytes| setrlimit(Resource::Core, Rlimit { current: Some(bytes), maximum: Some(bytes) });
    // A limit that is 0 already is not ours to raise.
    limit(1).or_else(|error| if error == rustix::io::Errno::PERM { limit(0) } else { Err(error) })
}

/// A protection that the kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {source}")]
pub struct Error {
    doing: &'static str,
    source: io::Error,
}
