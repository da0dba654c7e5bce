//! How values get into a stopped process: into secret memory that the process itself makes.
//!
//! It has the kernel make, size, map and close the memory, all on our behalf, while nothing is in it yet. No
//! socket, no namespace and no descriptor of ours is involved. Then we map the same memory and write ([`share`]).
//! Where we may not, for it is another user's, or have no locked memory left, the process itself stores word after
//! word that we put into its registers: that needs nothing but the tracing itself.
//!
//! Where ordinary memory stands in for secret memory here (`CLOUDTASER_MEMORY`), it does in the process too.
//!
//! Trusted: the kernel. Untrusted: the process, which is ours to stop and not to believe.

use std::sync::atomic::AtomicU8;

use rustix::process::{ForeignRawFd, Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use secretmem::{Kind, Shared};

use super::Error;
use super::inject::{Session, Tracee};
use super::page::{self, Outline};
use super::references::{Secrets, Template};

/// Memory with values in it, in the process.
#[derive(Debug)]
pub(super) struct Delivered {
    pub(super) address: u64,
    /// Our own mapping of it, where one could be had.
    pub(super) shared: Option<Shared>,
}

/// Gives the tracee memory with `texts` at the places of `outline`.
pub(super) fn deliver(
    tracee: Tracee,
    session: &mut Session,
    outline: &Outline,
    secrets: &Secrets,
    texts: &[&Template],
) -> Result<Delivered, Error> {
    let len = u64::try_from(outline.len).unwrap_or(u64::MAX);
    let memory = make(session)?;
    session.call("ftruncate", libc::SYS_ftruncate, [memory, len, 0, 0, 0, 0])?;
    let protection = unsigned(libc::PROT_READ | libc::PROT_WRITE);
    let mapping = [0, len, protection, unsigned(libc::MAP_SHARED), memory, 0];
    let address = session.call("mmap of secret memory", libc::SYS_mmap, mapping)?;
    let shared = share(tracee.pid, memory, outline.len);
    session.call("close", libc::SYS_close, [memory, 0, 0, 0, 0, 0])?;
    if secretmem::kind() != Kind::Secret {
        shield(session, address, len)?;
    }
    for (place, template) in outline.places.iter().zip(texts) {
        let text = secrets.bytes(template);
        match &shared {
            Some(shared) => page::write(bytes_from(shared, place.start), text),
            None => session.store(address.saturating_add(unsigned_len(place.start)), text)?,
        }
    }
    if shared.is_none() {
        session.forget_stored()?;
    }
    Ok(Delivered { address, shared })
}

/// A descriptor of memory, in the process: of the kind that we were given ourselves.
fn make(session: &mut Session) -> Result<u64, Error> {
    if secretmem::kind() == Kind::Secret {
        let flags = unsigned(libc::O_CLOEXEC);
        return session.call("memfd_secret", libc::SYS_memfd_secret, [flags, 0, 0, 0, 0, 0]);
    }
    let name = session.push(*b"values\0\0")?;
    let flags = u64::from(libc::MFD_CLOEXEC);
    session.call("memfd_create", libc::SYS_memfd_create, [name, flags, 0, 0, 0, 0])
}

/// Ordinary memory stands in: locked where the limit allows it, and left out of core dumps.
fn shield(session: &mut Session, address: u64, len: u64) -> Result<(), Error> {
    match session.call("mlock", libc::SYS_mlock, [address, len, 0, 0, 0, 0]) {
        Ok(_) | Err(Error::Refused { .. }) => {}
        Err(error) => return Err(error),
    }
    let advice = unsigned(libc::MADV_DONTDUMP);
    session.call("madvise", libc::SYS_madvise, [address, len, advice, 0, 0, 0]).map(drop)
}

/// Maps the process's memory here. None where we may not (it is another user's), or have no locked memory
/// left: then its values cannot be rewritten, and that is all.
fn share(pid: Pid, memory: u64, len: usize) -> Option<Shared> {
    let number = ForeignRawFd::try_from(memory).ok()?;
    let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    let memory = pidfd_getfd(process, number, PidfdGetfdFlags::empty()).ok()?;
    Shared::open(memory, len).ok()
}

fn bytes_from(shared: &Shared, start: usize) -> &[AtomicU8] {
    shared.bytes().get(start..).unwrap_or_default()
}

fn unsigned(flags: libc::c_int) -> u64 {
    u64::from(flags.cast_unsigned())
}

fn unsigned_len(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
