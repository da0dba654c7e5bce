//! Which pod a process is in, by the text of its `/proc/PID/cgroup`.
//!
//! kubelet makes a cgroup for each pod, under `kubepods`, in the spelling of systemd (`…-pod<uid>.slice`) or in its own
//! (`pod<uid>`); the container runtime makes one for each container below. The grammar is anchored at the root: a process
//! that may make cgroups below its own (a session of systemd's, a container) can give them any name, and is in no pod by
//! that. What has kubelet's words in another place is refused, not taken for a process of the host.
//!
//! Trusted: the kernel, and whoever may write to cgroups outside of pods, who is root. Untrusted: names below a pod's.

use attest::PodUid;

/// Where a process is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// In no container that is known here.
    Host,
    /// In a container that belongs to no pod.
    Container(String),
    /// In a pod.
    Pod(Pod),
}

/// A pod, and the container in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pod {
    /// The pod's unique id.
    pub uid: PodUid,
    /// The container's id, 64 hex digits. Not known between pod and container, nor of a runtime that names them otherwise.
    pub container: Option<String>,
}

/// Where kubelet's cgroups begin.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Root(Vec<String>);

impl Root {
    /// What kubelet was told as `--cgroup-root`; `/` unless it was.
    pub fn parse(text: &str) -> Result<Self, BadRoot> {
        let rest = text.strip_prefix('/').ok_or(BadRoot)?;
        let parts: Vec<String> = rest.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let plain = |part: &String| part != "." && part != ".." && !part.contains([':', ' ', '\n']);
        if parts.iter().all(plain) { Ok(Self(parts)) } else { Err(BadRoot) }
    }

    /// The cgroups between the root and a pod of this class, in one spelling.
    fn chain(&self, spelling: Spelling, class: Option<&str>) -> Vec<String> {
        let words = self.0.iter().map(String::as_str).chain([KUBEPODS]).chain(class);
        match spelling {
            Spelling::Kubelet => words.map(str::to_owned).collect(),
            Spelling::Systemd => {
                // systemd.slice(5): a slice has the names of those above it in its own, parted by hyphens.
                let mut name = String::new();
                let slice = |word: &str| {
                    let word = word.replace('-', "_");
                    name = if name.is_empty() { word } else { format!("{name}-{word}") };
                    format!("{name}.slice")
                };
                words.map(slice).collect()
            }
        }
    }
}

/// How kubelet spells cgroups: its option `cgroupDriver`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Spelling {
    Systemd,
    Kubelet,
}

impl Spelling {
    /// The pod that a cgroup below this chain is for.
    fn pod(self, chain: &[String], name: &str) -> Option<PodUid> {
        let uid = match self {
            Self::Kubelet => name.strip_prefix("pod")?.to_owned(),
            Self::Systemd => {
                let above = chain.last()?.strip_suffix(".slice")?;
                let escaped = name.strip_suffix(".slice")?.strip_prefix(above)?.strip_prefix("-pod")?;
                if escaped.contains('-') {
                    return None;
                }
                escaped.replace('_', "-")
            }
        };
        if is_uid(&uid) { uid.parse().ok() } else { None }
    }
}

/// Reads `/proc/PID/cgroup`: a line `hierarchy:controllers:path` for each hierarchy (cgroups(7)).
pub fn place(text: &str, root: &Root) -> Result<Place, BadCgroup> {
    let mut found: Option<Place> = None;
    for line in text.lines() {
        let path = line.splitn(3, ':').nth(2).filter(|path| path.starts_with('/'));
        let here = of_path(path.ok_or_else(|| BadCgroup::Line(shown(line)))?, root)?;
        found = Some(match found {
            None => here,
            Some(before) => both(before, here)?,
        });
    }
    found.ok_or(BadCgroup::Empty)
}

/// What two hierarchies say together: not every one need have the pod's cgroups, but two pods are one too many.
fn both(one: Place, other: Place) -> Result<Place, BadCgroup> {
    Ok(match (one, other) {
        (Place::Pod(one), Place::Pod(other)) if one.uid == other.uid => {
            let container = one.container.or(other.container);
            Place::Pod(Pod { uid: one.uid, container })
        }
        (Place::Pod(one), Place::Pod(other)) => {
            return Err(BadCgroup::Two(one.uid.to_string(), other.uid.to_string()));
        }
        (pod @ Place::Pod(_), Place::Host | Place::Container(_))
        | (Place::Host | Place::Container(_), pod @ Place::Pod(_)) => pod,
        (container @ Place::Container(_), Place::Host | Place::Container(_))
        | (Place::Host, container @ Place::Container(_)) => container,
        (Place::Host, Place::Host) => Place::Host,
    })
}

fn of_path(path: &str, root: &Root) -> Result<Place, BadCgroup> {
    // cgroups(7): the cgroup is gone, and the process has ended.
    if path.ends_with(" (deleted)") {
        return Err(BadCgroup::Deleted);
    }
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    // cgroup_namespaces(7): what lies outside our own namespace is shown from our own cgroup on. The cgroups above ours are
    // root's, so what comes next is as well anchored as the root is.
    let up = names.iter().take_while(|name| **name == "..").count();
    let names = names.get(up..).unwrap_or_default();
    for spelling in [Spelling::Systemd, Spelling::Kubelet] {
        for class in [None, Some("burstable"), Some("besteffort")] {
            let chain = root.chain(spelling, class);
            if let Some(pod) = below(&chain, spelling, names, up > 0) {
                return Ok(Place::Pod(pod));
            }
        }
    }
    if names.iter().any(|name| is_kubelets(name)) {
        return Err(BadCgroup::Unplaced(shown(path)));
    }
    Ok(names.iter().find_map(|name| container(name, OTHERS)).map_or(Place::Host, Place::Container))
}

/// The pod of a path that begins with the chain; seen from elsewhere, with the end of the chain.
fn below(chain: &[String], spelling: Spelling, names: &[&str], from_elsewhere: bool) -> Option<Pod> {
    let most = if from_elsewhere { chain.len() } else { 0 };
    (0..=most).find_map(|skipped| {
        let expected = chain.get(skipped..)?;
        let (above, rest) = names.split_at_checked(expected.len())?;
        if above != expected {
            return None;
        }
        let (pod, rest) = rest.split_first()?;
        let uid = spelling.pod(chain, pod)?;
        Some(Pod { uid, container: rest.first().and_then(|name| container(name, IN_PODS)) })
    })
}

/// Words of kubelet's, wherever they stand.
fn is_kubelets(name: &str) -> bool {
    name.contains(KUBEPODS) || name.strip_prefix("pod").is_some_and(is_uid)
}

/// A pod's unique id: a UUID of the API server's, or the hash by which kubelet names a static pod.
fn is_uid(text: &str) -> bool {
    let hex = |part: &str, length| {
        part.len() == length && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let parts: Vec<&str> = text.split('-').collect();
    let uuid = parts.len() == 5 && parts.iter().zip([8, 4, 4, 4, 12]).all(|(part, length)| hex(part, length));
    uuid || hex(text, 32)
}

/// The id in a name that a runtime gave to a container's cgroup.
fn container(name: &str, prefixes: &[&str]) -> Option<String> {
    let name = name.strip_suffix(".scope").unwrap_or(name);
    let is_id =
        |id: &&str| id.len() == 64 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    prefixes.iter().find_map(|prefix| name.strip_prefix(prefix).filter(is_id)).map(str::to_owned)
}

fn shown(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { '?' } else { c }).collect()
}

const KUBEPODS: &str = "kubepods";
/// containerd, CRI-O (and its monitor), Docker by cri-dockerd; without systemd, mostly the id alone.
const IN_PODS: &[&str] = &["", "cri-containerd-", "crio-", "crio-conmon-", "docker-"];
/// Docker, Podman, nerdctl.
const OTHERS: &[&str] = &["", "docker-", "libpod-", "nerdctl-"];

/// Why a text does not say where a process is.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadCgroup {
    /// No line.
    #[error("cgroup: expected a line for each hierarchy, found none")]
    Empty,
    /// Not a line of that file.
    #[error("cgroup: expected hierarchy:controllers:path, found {0:?}")]
    Line(String),
    /// Words of kubelet's in a place where kubelet makes no cgroups.
    #[error("cgroup: expected a pod's below pods.cgroup_root, or none of kubelet's, found {0:?}")]
    Unplaced(String),
    /// In two pods.
    #[error("cgroup: expected one pod in all hierarchies, found {0} and {1}")]
    Two(String, String),
    /// The cgroup was removed.
    #[error("cgroup: expected a process that lives, found a cgroup that was removed")]
    Deleted,
}

/// A text that is no cgroup root.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected an absolute path such as / or /kubelet")]
pub struct BadRoot;

#[cfg(test)]
#[path = "cgroup_tests.rs"]
mod tests;
