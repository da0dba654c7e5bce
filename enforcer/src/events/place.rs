//! The pod and the container in the path of a control group.
//!
//! kubelet makes a control group for each pod, the runtime one in it for each container; how they are called depends on the driver
//! (`systemd`, `cgroupfs`) and the runtime (containerd, CRI-O, Docker). Only what hangs where kubelet hangs it counts: what a user calls
//! `kubepods` below a session or a service of their own is no pod.
//!
//! Trusted: the kernel, and whoever may make control groups at the top, which is root alone. An event's place informs; nothing is
//! let through because of it.

use protocol::enforcer::Place;

/// What the path, from the top of the hierarchy on, says.
#[must_use]
pub fn of(path: &str) -> Place {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    let place = Place { cgroup: Some(path.to_owned()), ..Place::default() };
    match pods(&names) {
        Some((pod, below)) => {
            let container = below.first().and_then(|name| container(name, IN_PODS));
            Place { pod: Some(pod), container, ..place }
        }
        None => Place { container: names.iter().find_map(|name| container(name, OTHERS)), ..place },
    }
}

/// The pod's id, and what is below its control group.
fn pods<'n>(names: &'n [&'n str]) -> Option<(String, &'n [&'n str])> {
    let top = names.iter().position(|name| *name == KUBEPODS || name.ends_with("kubepods.slice"))?;
    let (above, from) = names.split_at_checked(top)?;
    let (root, below) = from.split_first()?;
    match root.strip_suffix(".slice") {
        Some(stem) => sliced(stem, above).then(|| systemd(stem, below)).flatten(),
        None => (above.is_empty() || above == ["kubelet"]).then(|| kubelets(below)).flatten(),
    }
}

/// systemd.slice(5): `a-b.slice` lies in `a.slice`. So a slice named after kubelet's lies at the top or in slices that carry its name.
fn sliced(stem: &str, above: &[&str]) -> bool {
    let mut expected: Vec<String> = Vec::new();
    for (at, _) in stem.match_indices('-') {
        expected.extend(stem.get(..at).map(|parent| format!("{parent}.slice")));
    }
    above.iter().eq(expected.iter()) && (stem == KUBEPODS || stem.ends_with("-kubepods"))
}

/// `kubepods-burstable.slice/kubepods-burstable-podUID.slice/...`, the class left out for guaranteed pods.
fn systemd<'n>(stem: &str, below: &'n [&'n str]) -> Option<(String, &'n [&'n str])> {
    let (first, rest) = below.split_first()?;
    let (parent, pod, rest) =
        match CLASSES.into_iter().find(|class| *first == format!("{stem}-{class}.slice")) {
            Some(class) => {
                let (pod, rest) = rest.split_first()?;
                (format!("{stem}-{class}-pod"), pod, rest)
            }
            None => (format!("{stem}-pod"), first, rest),
        };
    let escaped = pod.strip_suffix(".slice")?.strip_prefix(parent.as_str())?;
    let uid = escaped.replace('_', "-");
    (!escaped.contains('-') && is_uid(&uid)).then_some((uid, rest))
}

/// `burstable/podUID/...`, the class left out for guaranteed pods.
fn kubelets<'n>(below: &'n [&'n str]) -> Option<(String, &'n [&'n str])> {
    let (first, rest) = below.split_first()?;
    let (pod, rest) = if CLASSES.contains(first) { rest.split_first()? } else { (first, rest) };
    let uid = pod.strip_prefix("pod").filter(|uid| is_uid(uid))?;
    Some((uid.to_owned(), rest))
}

/// A UUID, or the hash by which kubelet names a static pod.
fn is_uid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let uuid =
        parts.len() == 5 && parts.iter().zip([8, 4, 4, 4, 12]).all(|(part, length)| is_hex(part, length));
    uuid || is_hex(text, 32)
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// The id in the name that a runtime gave.
fn container(name: &str, prefixes: &[&str]) -> Option<String> {
    let name = name.strip_suffix(".scope").unwrap_or(name);
    let id = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix).filter(|id| is_hex(id, 64)))?;
    Some(id.to_owned())
}

const KUBEPODS: &str = "kubepods";
const CLASSES: [&str; 2] = ["burstable", "besteffort"];
/// The cgroupfs driver has the id alone; containerd, CRI-O and its monitor, Docker.
const IN_PODS: &[&str] = &["", "cri-containerd-", "crio-", "crio-conmon-", "docker-"];
/// Docker, Podman, nerdctl.
const OTHERS: &[&str] = &["", "docker-", "libpod-", "nerdctl-"];

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0f6d8f3a-2c1e-4b7a-9d55-3e1f0a9b8c7d";

    fn read(path: &str) -> (Option<String>, Option<String>) {
        let path =
            path.replace("<P>", UID).replace("<E>", &UID.replace('-', "_")).replace("<C>", &"3d".repeat(32));
        let place = of(&path);
        assert_eq!(place.cgroup, Some(path));
        (place.pod, place.container)
    }

    #[test]
    fn pods_of_every_driver_and_runtime_are_found() {
        for path in [
            "/kubepods.slice/kubepods-pod<E>.slice/cri-containerd-<C>.scope",
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<E>.slice/cri-containerd-<C>.scope",
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod<E>.slice/crio-<C>.scope/container",
            "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod<E>.slice/docker-<C>.scope",
            "/kubepods/pod<P>/<C>",
            "/kubepods/besteffort/pod<P>/<C>/init.scope",
            "/kubelet/kubepods/burstable/pod<P>/<C>",
        ] {
            assert_eq!(read(path), (Some(UID.to_owned()), Some("3d".repeat(32))), "{path}");
        }
        let hash = "8f2c".repeat(8);
        assert_eq!(read(&format!("/kubepods/burstable/pod{hash}/own")), (Some(hash), None), "a static pod");
    }

    #[test]
    fn what_others_call_a_pod_is_none() {
        for path in [
            "/user.slice/user-1000.slice/user@1000.service/kubepods.slice/kubepods-pod<E>.slice/x",
            "/system.slice/evil.service/kubepods/pod<P>/x",
            "/user.slice/kubepods.slice/kubepods-pod<E>.slice/x",
            "/evilkubepods.slice/evilkubepods-pod<E>.slice/x",
            "/kubepods.slice/kubepods-burstable.slice/kubepods-besteffort-pod<E>.slice",
            "/kubepods/guaranteed/pod<P>",
            "/kubepods/podnot-a-uid",
            "/kubepods.slice",
            "/",
            "",
        ] {
            assert_eq!(read(path), (None, None), "{path}");
        }
    }

    #[test]
    fn containers_without_a_pod_are_found() {
        for path in
            ["/system.slice/docker-<C>.scope", "/docker/<C>", "/machine.slice/libpod-<C>.scope/container"]
        {
            assert_eq!(read(path), (None, Some("3d".repeat(32))), "{path}");
        }
    }
}
