//! Attacks on what the victim has open, and on the name spaces it lives in.

mod enter;
pub(crate) mod take;

use crate::{Probe, flat};

macro_rules! enter {
    ($name:literal, $flag:expr) => {
        Probe::new(concat!("setns/", $name), "setns", concat!("setns(/proc/V/ns/", $name, ")"), |stage| {
            flat(enter::by_file(stage, $name, $flag))
        })
    };
}

/// All of them.
pub(crate) const PROBES: &[Probe] = &[
    Probe::new("getfd/memfd", "pidfd-getfd", "pidfd_getfd of a memfd", |stage| flat(take::memfd(stage))),
    Probe::new(
        "getfd/secret",
        "pidfd-getfd",
        "pidfd_getfd of memfd_secret, and mmap: its real hole",
        |stage| flat(take::secret(stage)),
    ),
    Probe::new("getfd/thread", "pidfd-getfd", "pidfd_getfd through a thread's pidfd", |stage| {
        flat(take::by_thread(stage))
    }),
    Probe::new("getfd/child", "pidfd-getfd", "pidfd_getfd of what V's child inherited", |stage| {
        flat(take::of_child(stage))
    }),
    Probe::new(
        "getfd/before",
        "pidfd-getfd",
        "pidfd_getfd with a pidfd from before V protected itself",
        |stage| flat(take::before(stage)),
    ),
    Probe::new(
        "getfd/accomplice",
        "pidfd-getfd",
        "pidfd_getfd by a child that shares the attacker's descriptors",
        |stage| flat(take::accomplice(stage)),
    ),
    Probe::new("scm/secret", "secret-receive", "V is made to send its memfd_secret over a socket", |stage| {
        flat(take::received(stage))
    }),
    enter!("mnt", libc::CLONE_NEWNS),
    enter!("uts", libc::CLONE_NEWUTS),
    enter!("net", libc::CLONE_NEWNET),
    enter!("cgroup", libc::CLONE_NEWCGROUP),
    Probe::new("setns/pidfd", "setns", "setns(pidfd of V)", |stage| flat(enter::by_pidfd(stage))),
    Probe::new("setns/ioctl-mnt", "setns", "PIDFD_GET_MNT_NAMESPACE", |stage| {
        flat(enter::by_ioctl(stage, "mnt", 3))
    }),
    Probe::new("setns/ioctl-net", "setns", "PIDFD_GET_NET_NAMESPACE", |stage| {
        flat(enter::by_ioctl(stage, "net", 4))
    }),
];
