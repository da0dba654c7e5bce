//! What is the enforcer's own, told to the programs: numbers of maps, programs and links; the mount of the pins and those
//! above it. The control groups that it is in, the programs find out themselves when we load the next of them.
//!
//! Trusted: our own descriptors, and our own procfs. Which mounts the first process has is up to root, until we are armed.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use enforcer_abi::{Own, Part};
use rustix::fs::{Stat, major, minor, stat};

use crate::{kernel, procfs};

/// The map `OWN`.
#[derive(Debug)]
pub(crate) struct Owned {
    map: OwnedFd,
}

impl Owned {
    /// By this map.
    pub(crate) const fn by(map: OwnedFd) -> Self {
        Self { map }
    }

    /// For somebody else to add to.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        self.map.try_clone().map(Self::by)
    }

    /// What this descriptor stands for is ours.
    pub(crate) fn add(&self, part: Part, what: BorrowedFd<'_>) -> io::Result<()> {
        self.put(part, number(part, what)?)
    }

    /// It is about to be nobody's.
    pub(crate) fn drop(&self, part: Part, what: BorrowedFd<'_>) -> io::Result<()> {
        kernel::remove(self.map.as_fd(), &Own::new(part, number(part, what)?))
    }

    /// The file system of the pins is ours, and nobody may take away the mounts that it is in.
    pub(crate) fn add_pins(&self, pins: &Path) -> io::Result<()> {
        let Stat { st_dev: device, st_ino: folder, .. } = stat(pins)?;
        self.put(Part::Pins, folder)?;
        let (major, minor) = (major(device), minor(device));
        self.put(Part::FileSystem, device_of(major, minor))?;
        // The node's own mounts, where they can be seen; else ours.
        let procfs = procfs::ours()?;
        let table = procfs.text("1/mountinfo").or_else(|_unseen| procfs.text("self/mountinfo"))?;
        for mount in above(&table, &format!("{major}:{minor}")) {
            self.put(Part::Mount, mount.number)?;
            if let Some(peers) = mount.peers {
                self.put(Part::Peers, peers)?;
            }
        }
        Ok(())
    }

    fn put(&self, part: Part, number: u64) -> io::Result<()> {
        kernel::update(self.map.as_fd(), &Own::new(part, number), &1_u32)
    }

    /// Whether it is ours already.
    pub(crate) fn has(&self, part: Part, number: u64) -> io::Result<bool> {
        let found: Option<u32> = kernel::lookup(self.map.as_fd(), &Own::new(part, number))?;
        Ok(found.is_some())
    }
}

/// The number that the kernel tells of it.
fn number(part: Part, what: BorrowedFd<'_>) -> io::Result<u64> {
    let number = match part {
        Part::Map => kernel::map_info(what)?.id,
        Part::Program => kernel::program_info(what)?.id,
        Part::Link
        | Part::Cgroup
        | Part::Mount
        | Part::Peers
        | Part::FileSystem
        | Part::Home
        | Part::Pins => kernel::link_info(what)?.id,
    };
    Ok(number.into())
}

/// Another map of the same name and size as this one of ours: its number. Who starts us chooses the file system in which we look
/// for pins; the kernel's own list is nobody's choice.
pub(crate) fn like(ours: BorrowedFd<'_>) -> io::Result<Option<u32>> {
    let ours = kernel::map_info(ours)?;
    let mut number = 0;
    while let Some(next) = kernel::next_map(number)? {
        number = next;
        // One that has gone meanwhile is nobody's.
        let Ok(told) = kernel::open_map(next).and_then(|map| kernel::map_info(map.as_fd())) else { continue };
        if told.id != ours.id && told.name == ours.name && told.value_size == ours.value_size {
            return Ok(Some(next));
        }
    }
    Ok(None)
}

/// A device as the kernel has it in its own structures: twelve bits and twenty.
pub(crate) fn device_of(major: u32, minor: u32) -> u64 {
    u64::from(major) << 20 | u64::from(minor)
}

/// A line of mountinfo (`proc_pid_mountinfo(5)`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Mount {
    number: u64,
    parent: u64,
    peers: Option<u64>,
}

/// The mounts of a file system, and all that they are in.
fn above(table: &str, device: &str) -> Vec<Mount> {
    let lines: Vec<(Mount, &str)> = table.lines().filter_map(mount).collect();
    let by_number: HashMap<u64, Mount> = lines.iter().map(|(mount, _)| (mount.number, *mount)).collect();
    let mut found: Vec<Mount> = Vec::new();
    for (mount, _) in lines.iter().filter(|(_, of)| *of == device) {
        let mut next = Some(*mount);
        // The topmost is its own parent, or one that is not listed.
        while let Some(mount) = next.filter(|mount| !found.contains(mount)) {
            found.push(mount);
            next = by_number.get(&mount.parent).copied();
        }
    }
    found
}

fn mount(line: &str) -> Option<(Mount, &str)> {
    let mut fields = line.split(' ');
    let number = fields.next()?.parse().ok()?;
    let parent = fields.next()?.parse().ok()?;
    let device = fields.next()?;
    let mut optional = fields.skip(3).take_while(|field| *field != "-");
    let peers = optional.find_map(|field| field.strip_prefix("shared:")?.parse().ok());
    Some((Mount { number, parent, peers }, device))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 0:20 / /sys rw shared:7 - sysfs sysfs rw
23 22 0:31 / /sys/fs/bpf rw shared:11 - bpf bpf rw
24 21 0:21 / /proc rw - proc proc rw
30 21 0:31 / /run/pins rw - bpf bpf rw
";

    #[test]
    fn pins_go_with_each_mount_that_they_are_in() {
        let numbers: Vec<(u64, Option<u64>)> =
            above(TABLE, "0:31").iter().map(|mount| (mount.number, mount.peers)).collect();
        assert_eq!(numbers, [(23, Some(11)), (22, Some(7)), (21, Some(1)), (30, None)]);
    }

    #[test]
    fn a_line_that_is_none_is_left_out() {
        assert_eq!(above("21 x 8:1 / / rw - ext4 d rw\n\n", "8:1"), []);
    }

    #[test]
    fn a_mount_in_itself_ends() {
        assert_eq!(above("5 5 0:1 / / rw - bpf bpf rw\n", "0:1").len(), 1);
    }

    #[test]
    fn a_device_is_twelve_bits_and_twenty() {
        assert_eq!(device_of(8, 1), 0x0080_0001);
    }
}
