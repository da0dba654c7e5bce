//! Who is calling: a user, or a pod.
//!
//! `process` asks the kernel who connected and in which cgroup they are, `cgroup` reads that, and here it is decided
//! who is served, and under which name their requests are counted. A caller in a pod is that pod, whatever user it is: the
//! agent stamps its requests, so that nobody else can have asked them. Where pods are known, whoever cannot be placed is
//! refused: they could be in any.
//!
//! Trusted: the kernel. Untrusted: callers.

pub mod cgroup;
pub(crate) mod process;

use std::collections::BTreeSet;
use std::fmt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use attest::PodUid;

use cgroup::{Place, Pod, Root};
use process::{Peer, Registry, Surety, Unknown};

/// What the operator says of pods.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Where kubelet's cgroups begin.
    pub cgroup_root: Root,
}

/// Who may call, and how they are told apart.
#[derive(Debug)]
pub(crate) struct Book {
    allowed: BTreeSet<u32>,
    /// `None`: this is no node of a cluster, and callers are users.
    registry: Option<Registry>,
}

/// Who is at the other end of the socket.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Caller {
    pub(crate) peer: Peer,
    pub(crate) place: Place,
}

/// The name under which a caller's requests are counted.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Key {
    Pod(PodUid),
    User(u32),
}

impl Book {
    pub(crate) fn new(allowed: BTreeSet<u32>, pods: Option<Settings>) -> Self {
        let proc = PathBuf::from("/proc");
        Self { allowed, registry: pods.map(|settings| Registry { proc, root: settings.cgroup_root }) }
    }

    /// Who is on the list, by the kernel's word.
    pub(crate) fn look_up(&self, stream: &UnixStream, peer: Peer) -> Result<(Caller, Surety), Refused> {
        let (place, surety) = match &self.registry {
            None => (Place::Host, Surety::Proved),
            Some(registry) => registry.place(stream, peer)?,
        };
        let caller = Caller { peer, place };
        match &caller.place {
            Place::Pod(_) => Ok((caller, surety)),
            Place::Host | Place::Container(_) if self.allowed.contains(&peer.uid) => Ok((caller, surety)),
            Place::Host | Place::Container(_) => Err(Refused::Denied(peer.uid)),
        }
    }
}

impl Caller {
    pub(crate) fn key(&self) -> Key {
        self.pod().map_or(Key::User(self.peer.uid), |pod| Key::Pod(pod.uid.clone()))
    }

    pub(crate) fn pod(&self) -> Option<&Pod> {
        match &self.place {
            Place::Pod(pod) => Some(pod),
            Place::Host | Place::Container(_) => None,
        }
    }

    /// Of whom nothing more is known than the kernel's first word.
    pub(crate) fn unplaced(peer: Peer) -> Self {
        Self { peer, place: Place::Host }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid={} pid={}", self.peer.uid, self.peer.pid)?;
        let container = match &self.place {
            Place::Host => None,
            Place::Container(id) => Some(id),
            Place::Pod(Pod { uid, container }) => {
                write!(f, " pod={uid}")?;
                container.as_ref()
            }
        };
        container.map_or(Ok(()), |id| write!(f, " container={id}"))
    }
}

/// Why a caller is not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("user {0} may not ask for evidence")]
    Denied(u32),
    #[error("it is not known whether a pod asks: {0}")]
    Unknown(#[from] Unknown),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_counted_and_noted_as_its_pod_if_it_has_one() {
        let peer = Peer { uid: 0, pid: 7 };
        let host = Caller::unplaced(peer);
        assert_eq!((host.key(), host.to_string()), (Key::User(0), "uid=0 pid=7".to_owned()));
        let pod = Pod { uid: "7f1c".parse().unwrap(), container: Some("3d".repeat(32)) };
        let inside = Caller { peer, place: Place::Pod(pod.clone()) };
        assert_eq!(inside.key(), Key::Pod(pod.uid));
        assert_eq!(inside.to_string(), format!("uid=0 pid=7 pod=7f1c container={}", "3d".repeat(32)));
        let container = Caller { peer, place: Place::Container("ab".to_owned()) };
        assert_eq!((container.key(), container.pod()), (Key::User(0), None));
    }
}
