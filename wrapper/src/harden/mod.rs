//! What each of our processes gives up, and when.
//!
//! | process | when | what |
//! |---|---|---|
//! | all | first | cores, being read by others of our user, new privileges ([`harden`]) |
//! | keeper | once the stem exists | inherited descriptors, system calls outside its list ([`keeper`]) |
//! | fetcher | before it opens a connection | the same, files but a few, ports of TCP but two ([`fetcher`]) |
//! | stem | - | nothing more: what it makes would inherit it. It holds nothing and reads nothing |
//! | program | before its `execve` | new privileges and cores; system calls by which memory goes where no hook looks ([`program`]) |
//!
//! The program gets the descriptors of our starter, as it would without us: that is how systemd hands sockets over.
//!
//! Trusted: the configuration. Untrusted: what a fetcher reads, which is why it is shut in.

pub mod calls;
mod files;
pub mod filter;
mod kernel;
mod program;

use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use rustix::process::{
    DumpableBehavior, Pid, Resource, Rlimit, getpid, set_child_subreaper, set_dumpable_behavior, setrlimit,
};
use rustix::thread::{set_name, set_no_new_privs};

pub use files::Enforced;
pub use program::program;

use crate::config::{Authority, Config, Method};
use filter::Process;

/// Applies what holds for all; the first refusal ends it.
pub fn harden() -> Result<(), Error> {
    // rustix reads what the kernel told at the start, once; before Linux 6.4 that is a file, which nobody but root may
    // open in a process that shows nothing.
    rustix::param::page_size();
    be_hidden()?;
    harden_shown()
}

/// The same for a process that our hand is to trace, and that the enforcer keeps all others off.
pub fn harden_shown() -> Result<(), Error> {
    step("setrlimit(RLIMIT_CORE)", refuse_cores())?;
    step("prctl(PR_SET_NO_NEW_PRIVS)", set_no_new_privs(true))?;
    if getpid() != Pid::INIT {
        // Orphans come to us as they would to a real init, and are reaped.
        step("prctl(PR_SET_CHILD_SUBREAPER)", set_child_subreaper(Some(getpid())))?;
    }
    Ok(())
}

/// Shows nobody of our user anything.
pub fn be_hidden() -> Result<(), Error> {
    step("prctl(PR_SET_DUMPABLE)", set_dumpable_behavior(DumpableBehavior::NotDumpable))
}

/// For the keeper, once the stem exists. `kept` is every descriptor that it owns.
pub fn keeper(kept: &[BorrowedFd<'_>]) -> Result<(), Error> {
    kernel::close_all_but(kept).map_err(|source| Error::Step { doing: "close_range", source })?;
    Ok(filter::apply(Process::Keeper)?)
}

/// The same for a keeper that answers for files.
pub fn keeper_of_files(kept: &[BorrowedFd<'_>]) -> Result<(), Error> {
    kernel::close_all_but(kept).map_err(|source| Error::Step { doing: "close_range", source })?;
    Ok(filter::apply(Process::KeeperOfFiles)?)
}

/// For a fetcher, before it opens a connection. `kept` is every descriptor that it owns.
pub fn fetcher(config: &Config, kept: &[BorrowedFd<'_>]) -> Result<Enforced, Error> {
    kernel::close_all_but(kept).map_err(|source| Error::Step { doing: "close_range", source })?;
    step("prctl(PR_SET_NAME)", set_name(c"ct-fetcher"))?;
    let enforced = files::restrict(&readable(config), port(&config.server.address))?;
    filter::apply(Process::Fetcher)?;
    Ok(enforced)
}

/// The files that the configuration has a fetcher read.
fn readable(config: &Config) -> Vec<PathBuf> {
    let authority = match &config.server.authority {
        Authority::File(file) => Some(file.clone()),
        Authority::InsecureNobody => None,
    };
    let token = match &config.login.method {
        Method::Kubernetes(file) => Some(file.clone()),
        Method::Attest | Method::Token => None,
    };
    let identity = config.server.identity.iter();
    let identity = identity.flat_map(|identity| [identity.certificate.clone(), identity.key.clone()]);
    let named = [authority, token, config.workload_token.clone()].into_iter().flatten();
    named.chain(identity).collect()
}

/// The port of an address that was checked when it was read; none where it cannot be told, and then all are closed.
fn port(address: &str) -> Option<u16> {
    let (scheme, rest) = address.split_once("://")?;
    let host = rest.split('/').next()?;
    let named = host.rsplit_once(':').filter(|(_, port)| !port.contains(']'));
    match (named, scheme) {
        (Some((_, port)), _) => port.parse().ok(),
        (None, "https") => Some(443),
        (None, _) => Some(80),
    }
}

fn step(doing: &'static str, outcome: rustix::io::Result<()>) -> Result<(), Error> {
    outcome.map_err(|source| Error::Step { doing, source: source.into() })
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
#[non_exhaustive]
pub enum Error {
    /// One request.
    #[error("{doing}: {source}")]
    Step {
        /// The system call.
        doing: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A list of system calls.
    #[error(transparent)]
    Filter(#[from] filter::Error),
    /// Rules for files and ports.
    #[error("landlock: {0}")]
    Files(#[from] landlock::RulesetError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_an_address_is_told_or_the_schemes_own() {
        for (address, expected) in [
            ("https://bao.example:8200", Some(8200)),
            ("https://bao.example", Some(443)),
            ("http://127.0.0.1/x:1", Some(80)),
            ("https://[::1]:8201/", Some(8201)),
            ("https://[::1]", Some(443)),
            ("https://bao.example:none", None),
        ] {
            assert_eq!(port(address), expected, "{address}");
        }
    }
}
