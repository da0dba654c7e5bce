use super::*;

const UID: &str = "0f6d8f3a-2c1e-4b7a-9d55-3e1f0a9b8c7d";
const ESCAPED: &str = "0f6d8f3a_2c1e_4b7a_9d55_3e1f0a9b8c7d";
const OTHER: &str = "7b0c3f44_91aa_4d0e_8f6b_2a5d1c9e7f30";

fn id() -> String {
    "3d".repeat(32)
}

/// `text` with P for the pod, E for the pod as systemd has it, O for another pod so, and C for the container.
fn read_below(root: &str, text: &str) -> Result<Place, BadCgroup> {
    let text = text.replace("<P>", UID).replace("<E>", ESCAPED).replace("<O>", OTHER).replace("<C>", &id());
    place(&text, &Root::parse(root).unwrap())
}

fn read(text: &str) -> Result<Place, BadCgroup> {
    read_below("/", text)
}

fn pod(container: Option<String>) -> Place {
    Place::Pod(Pod { uid: UID.parse().unwrap(), container })
}

#[test]
fn pods_of_every_runtime_and_driver_are_known() {
    for line in [
        // containerd and systemd, as kubeadm, EKS, AKS and GKE have it: the three classes of pods.
        "0::/kubepods.slice/kubepods-pod<E>.slice/cri-containerd-<C>.scope",
        "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<E>.slice/cri-containerd-<C>.scope",
        "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod<E>.slice/cri-containerd-<C>.scope",
        // CRI-O, with the cgroup that crun makes within, and its monitor.
        "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod<E>.slice/crio-<C>.scope/container",
        "0::/kubepods.slice/kubepods-pod<E>.slice/crio-conmon-<C>.scope",
        // Docker, by cri-dockerd.
        "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<E>.slice/docker-<C>.scope",
        // kubelet's own driver: k3s, kind before 0.20, Docker.
        "0::/kubepods/pod<P>/<C>",
        "0::/kubepods/burstable/pod<P>/<C>",
        "0::/kubepods/besteffort/pod<P>/crio-<C>",
        // A workload that was given its cgroup to divide, down to a name that lies.
        "0::/kubepods/pod<P>/<C>/init.scope",
        "0::/kubepods.slice/kubepods-pod<E>.slice/cri-containerd-<C>.scope/kubepods.slice/kubepods-pod<O>.slice/x",
    ] {
        assert_eq!(read(line), Ok(pod(Some(id()))), "{line}");
    }
    let between = "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<E>.slice";
    assert_eq!(read(between), Ok(pod(None)));
    assert_eq!(read("0::/kubepods/pod<P>/payload"), Ok(pod(None)), "a runtime with names of its own");
    let hash = "8f2c".repeat(8);
    let fixed =
        read(&format!("0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{hash}.slice"));
    let Ok(Place::Pod(fixed)) = fixed else { panic!("{fixed:?}") };
    assert_eq!(fixed.uid.as_str(), hash, "a static pod");
}

#[test]
fn version_1_and_both_versions_together_are_known() {
    let first = "12:pids:/kubepods/burstable/pod<P>/<C>\n11:memory:/kubepods/burstable/pod<P>/<C>\n\
                 1:name=systemd:/kubepods/burstable/pod<P>/<C>\n";
    assert_eq!(read(first), Ok(pod(Some(id()))));
    let hybrid = "13:blkio:/kubepods.slice/kubepods-pod<E>.slice/cri-containerd-<C>.scope\n\
                  2:cpu,cpuacct:/kubepods.slice/kubepods-pod<E>.slice/cri-containerd-<C>.scope\n\
                  0::/system.slice/containerd.service\n";
    assert_eq!(read(hybrid), Ok(pod(Some(id()))));
    let two = "2:pids:/kubepods/pod<P>/<C>\n0::/kubepods.slice/kubepods-pod<O>.slice\n";
    assert_eq!(read(two), Err(BadCgroup::Two(UID.to_owned(), OTHER.replace('_', "-"))));
}

/// An agent in a pod of its own, without the host's cgroup namespace.
#[test]
fn pods_are_known_from_within_another_cgroup_namespace() {
    for line in [
        "0::/../../../kubepods-besteffort.slice/kubepods-besteffort-pod<E>.slice/cri-containerd-<C>.scope",
        "0::/../../kubepods-burstable-pod<E>.slice/cri-containerd-<C>.scope",
        "0::/../../../../kubepods.slice/kubepods-pod<E>.slice/cri-containerd-<C>.scope",
        "0::/../../pod<P>/<C>",
        "0::/../../../besteffort/pod<P>/<C>",
    ] {
        assert_eq!(read(line), Ok(pod(Some(id()))), "{line}");
    }
    assert_eq!(read("0::/../../../../system.slice/sshd.service"), Ok(Place::Host));
    assert_eq!(read("0::/../../../../init.scope"), Ok(Place::Host));
    let liar = "0::/../../../../user.slice/user-1000.slice/kubepods.slice/kubepods-pod<E>.slice/x";
    assert!(matches!(read(liar), Err(BadCgroup::Unplaced(_))));
}

#[test]
fn a_kubelet_with_a_root_of_its_own_is_known_by_that_root_alone() {
    let kind = "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/\
                kubelet-kubepods-burstable-pod<E>.slice/cri-containerd-<C>.scope";
    assert_eq!(read_below("/kubelet", kind), Ok(pod(Some(id()))));
    assert!(matches!(read(kind), Err(BadCgroup::Unplaced(_))));
    let plain = "0::/my-root/a/kubepods/besteffort/pod<P>/<C>";
    assert_eq!(read_below("/my-root/a", plain), Ok(pod(Some(id()))));
    assert!(matches!(read_below("/my-root", plain), Err(BadCgroup::Unplaced(_))));
    let dashed = "0::/my_root.slice/my_root-kubepods.slice/my_root-kubepods-pod<E>.slice/crio-<C>.scope";
    assert_eq!(read_below("/my-root", dashed), Ok(pod(Some(id()))));
    for odd in ["", "kubelet", "/..", "/a:b", "/a b"] {
        assert_eq!(Root::parse(odd), Err(BadRoot), "{odd}");
    }
}

#[test]
fn processes_of_the_host_and_containers_without_a_pod_are_told_apart() {
    for line in [
        "0::/",
        "0::/init.scope",
        "0::/user.slice/user-1000.slice/session-3.scope",
        "0::/system.slice/kubelet.service",
        "9:name=systemd:/system.slice/ssh.service\n4:memory:/system.slice/ssh.service\n0::/system.slice/ssh.service",
        "0::/podinfo.service",
    ] {
        assert_eq!(read(line), Ok(Place::Host), "{line}");
    }
    for line in [
        "0::/system.slice/docker-<C>.scope",
        "5:devices:/docker/<C>\n0::/",
        "0::/machine.slice/libpod-<C>.scope/container",
        "0::/user.slice/user-1000.slice/user@1000.service/user.slice/nerdctl-<C>.scope",
    ] {
        assert_eq!(read(line), Ok(Place::Container(id())), "{line}");
    }
}

/// A user may make cgroups below the session that systemd gave them, and call them anything.
#[test]
fn names_of_kubelets_in_another_place_are_no_pod_and_no_process_of_the_host() {
    for line in [
        "0::/user.slice/user-1000.slice/user@1000.service/kubepods.slice/kubepods-pod<E>.slice/cri-containerd-<C>.scope",
        "0::/system.slice/docker-<C>.scope/kubepods/pod<P>/<C>",
        "0::/kubepods.slice",
        "0::/kubepods/burstable",
        "0::/kubepods/guaranteed/pod<P>/<C>",
        "0::/kubepods/podnot-a-uid/<C>",
        "0::/kubepods/pod<E>/<C>",
        "0::/kubepods.slice/kubepods-pod<P>.slice",
        "0::/kubepods.slice/kubepods-burstable-pod<E>.slice",
        "0::/kubepods.slice/kubepods-burstable.slice/kubepods-besteffort-pod<E>.slice",
        "0::/pod<P>/<C>",
        // containerd with the other driver than kubelet's.
        "0::/system.slice/containerd.service/kubepods-burstable-pod<E>.slice:cri-containerd:<C>",
    ] {
        assert!(matches!(read(line), Err(BadCgroup::Unplaced(_))), "{line}: {:?}", read(line));
    }
}

#[test]
fn what_is_no_such_file_is_refused() {
    assert_eq!(read(""), Err(BadCgroup::Empty));
    assert_eq!(read("0::"), Err(BadCgroup::Line("0::".to_owned())));
    assert_eq!(read("0::relative"), Err(BadCgroup::Line("0::relative".to_owned())));
    assert_eq!(read("0::/kubepods/pod<P>/<C>\n\n"), Err(BadCgroup::Line(String::new())));
    assert_eq!(read("0::/kubepods/pod<P>/<C> (deleted)"), Err(BadCgroup::Deleted));
}
