//! The guard of the kernel's switches: a program of the topmost control group. Its kind belongs to the group itself, not to a
//! link that somebody could detach, and it goes on without us.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use aya::Ebpf;
use aya::programs::{CgroupAttachMode, CgroupSysctl};
use enforcer_abi::Part;

use crate::kernel;
use crate::load::causes;
use crate::load::own::Owned;
use crate::procfs::{genuine, magic};

/// Its name in the object, and in the catalogue.
const PROGRAM: &str = "switches";
/// The topmost control group.
pub(crate) const GROUPS: &str = "/sys/fs/cgroup";
/// The catalogue's word for it.
pub(crate) const HOOK: &str = "cgroup/sysctl";

/// For how long the guard stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stay {
    /// As long as the group.
    On,
    /// As long as this program.
    WithUs,
}

/// The programs of enforcers before us. Opening them takes a right that arming does not, so it is done before.
pub(crate) fn before(group: &Path, owned: &Owned) -> io::Result<Vec<OwnedFd>> {
    let group = genuine(group, magic::CGROUP2)?;
    ours(group.as_fd(), owned)?.into_iter().map(kernel::program_of).collect()
}

/// Loads it, attaches it beside whatever is there, and takes away those of enforcers before us.
pub(crate) fn guard(
    ebpf: &mut Ebpf,
    group: &Path,
    owned: &Owned,
    stay: Stay,
    before: &[OwnedFd],
) -> io::Result<()> {
    let program = ebpf.program_mut(PROGRAM).ok_or_else(|| io::Error::other("the object has none"))?;
    let program: &mut CgroupSysctl = program.try_into().map_err(io::Error::other)?;
    program.load().map_err(|error| io::Error::other(causes::line(&error)))?;
    let group = genuine(group, magic::CGROUP2)?;
    if stay == Stay::WithUs {
        // A link stands beside others by nature.
        return program
            .attach(group, CgroupAttachMode::Single)
            .map(|_link| ())
            .map_err(|error| io::Error::other(causes::line(&error)));
    }
    let program = program.fd().map_err(io::Error::other)?.as_fd();
    owned.add(Part::Program, program)?;
    kernel::attach_to_group(program, group.as_fd())?;
    before.iter().try_for_each(|program| kernel::detach_from_group(program.as_fd(), group.as_fd()))
}

/// Takes away all that are ours.
pub(crate) fn release(group: &Path, owned: &Owned) -> io::Result<()> {
    let programs = before(group, owned)?;
    let group = genuine(group, magic::CGROUP2)?;
    programs.iter().try_for_each(|program| kernel::detach_from_group(program.as_fd(), group.as_fd()))
}

fn ours(group: BorrowedFd<'_>, owned: &Owned) -> io::Result<Vec<u32>> {
    let mut found = kernel::attached_to_group(group)?;
    let mut wrong = None;
    found.retain(|number| {
        owned.has(Part::Program, u64::from(*number)).unwrap_or_else(|error| {
            wrong = Some(error);
            false
        })
    });
    wrong.map_or(Ok(found), Err)
}
