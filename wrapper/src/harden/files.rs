//! Landlock around a fetcher: which files it may read, and which ports it may reach.
//!
//! The keeper is in no landlock domain: a process in one may trace only processes in the same, and the program must
//! not inherit ours.
//!
//! Trusted: the configuration, for the names of files. A kernel without landlock, or with less of it, is told, not
//! refused: seccomp and the user's own rights hold there as well.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, NetPort, PathBeneath, PathFd,
    Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
};

/// The newest rules that this program knows: scopes came with the sixth.
const NEWEST: ABI = ABI::V6;

/// What the resolver of a C library reads. Libraries too: it loads them as `/etc/nsswitch.conf` says.
const RESOLVER: [&str; 11] = [
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/ld.so.cache",
    "/lib",
    "/lib64",
    "/usr/lib",
];
/// Names are asked for over TCP where an answer is long.
const NAMES: u16 = 53;

/// How much of the rules this kernel enforces.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Enforced {
    /// All of them.
    Fully,
    /// Those that it knows.
    Partly,
    /// It has no landlock, or has it switched off.
    Not,
}

/// Keeps this process from all files but `readable` and the resolver's, and from all ports but `port` and that of names.
pub(super) fn restrict(readable: &[PathBuf], port: Option<u16>) -> Result<Enforced, RulesetError> {
    let read = AccessFs::ReadFile;
    let resolver = RESOLVER.iter().map(PathBuf::from);
    let rules = resolver.chain(readable.iter().flat_map(|path| [path.clone(), folder(path)]));
    // What is not there cannot be read.
    let rules = rules
        .filter_map(|path| PathFd::new(path).ok())
        .map(|fd| Ok::<_, RulesetError>(PathBeneath::new(fd, read)));
    let ports = [Some(NAMES), port].into_iter().flatten();
    let ports = ports.map(|port| Ok::<_, RulesetError>(NetPort::new(port, AccessNet::ConnectTcp)));
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::AbstractUnixSocket | Scope::Signal)?
        .create()?
        .add_rules(rules)?
        .add_rules(ports)?
        .restrict_self()?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Enforced::Fully,
        RulesetStatus::PartiallyEnforced => Enforced::Partly,
        RulesetStatus::NotEnforced => Enforced::Not,
    })
}

/// Kubernetes changes projected files by pointing a link at another folder beside it.
fn folder(path: &Path) -> PathBuf {
    let linked = path.is_symlink();
    path.parent().filter(|_| linked).unwrap_or(path).to_owned()
}
