//! What the socket's server asks of the kernel: tags on tasks, who is left of a group, and who is in a process.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use aya::programs::{Iter, ProgramError};
use aya::{Ebpf, Endianness};
use enforcer_abi::{Seen, Tag, role};
use protocol::enforcer::Needle;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::kernel;
use crate::leak::{Leaks, Tables};
use crate::load::{self, Error, refused};
use crate::procfs::{self, genuine_bytes, magic};
use crate::socket::{Inside, Needles, Tagger};

/// The maps that say who is who.
#[derive(Debug)]
pub(crate) struct Edge {
    /// By task.
    pub(crate) tags: OwnedFd,
    /// By number of the process.
    pub(crate) pids: OwnedFd,
    /// Which process is looked at.
    pub(crate) sought: OwnedFd,
    /// The program that looks; none where this kernel does not take it.
    pub(crate) look: Option<OwnedFd>,
    /// What groups shall not send; none before everything is armed.
    pub(crate) leaks: Option<Leaks<Tables>>,
}

impl Tagger for Edge {
    fn tag(&self, process: BorrowedFd<'_>, tag: Tag) -> io::Result<()> {
        let (pid, descriptor) = (pid(process)?, process.as_raw_fd());
        if tag == Tag::NONE {
            // By number last: what knows a process by number alone goes on refusing for as long.
            absent_is_fine(kernel::remove(self.tags.as_fd(), &descriptor))?;
            return absent_is_fine(kernel::remove(self.pids.as_fd(), &pid));
        }
        // What the programs counted they count off.
        let entry: Option<Tag> = kernel::lookup(self.pids.as_fd(), &pid)?;
        let entry = Tag { becoming: entry.unwrap_or(Tag::NONE).becoming & Tag::COUNTED, ..tag };
        kernel::update(self.pids.as_fd(), &pid, &entry)?;
        kernel::update(self.tags.as_fd(), &descriptor, &tag).inspect_err(|_ended| {
            // Who has its number next is not it.
            absent_is_fine(kernel::remove(self.pids.as_fd(), &pid)).unwrap_or_default();
        })
    }

    fn tag_of(&self, process: BorrowedFd<'_>) -> io::Result<Tag> {
        let found: Option<Tag> = kernel::lookup(self.tags.as_fd(), &process.as_raw_fd())?;
        Ok(found.unwrap_or(Tag::NONE))
    }

    fn lives(&self, group: u64) -> io::Result<bool> {
        let mut key = None;
        while let Some(next) = kernel::next_key::<u32>(self.pids.as_fd(), key.as_ref())? {
            let found: Option<Tag> = kernel::lookup(self.pids.as_fd(), &next)?;
            if found.is_some_and(|found| found.group == group) {
                return Ok(true);
            }
            key = Some(next);
        }
        Ok(false)
    }

    fn look(&self, pid: u32) -> io::Result<Option<Inside>> {
        let Some(look) = &self.look else { return Ok(None) };
        kernel::update(self.sought.as_fd(), &0_u32, &pid)?;
        let mut records = Vec::new();
        File::from(kernel::iterate(look.as_fd())?).read_to_end(&mut records)?;
        inside(&records).map(Some).ok_or_else(|| io::Error::other("the kernel did not show the process"))
    }
}

impl Needles for Edge {
    fn register(&mut self, group: u64, key: &[u8; 32], needles: &[Needle]) -> Result<(), String> {
        let leaks = self.leaks.as_mut().ok_or("what is sent is not looked at here")?;
        leaks.register(group, key, needles)
    }

    fn registered(&self) -> Vec<u64> {
        self.leaks.as_ref().map_or(Vec::new(), |leaks| leaks.groups().collect())
    }

    fn key(&self, group: u64) -> Option<[u8; 32]> {
        self.leaks.as_ref().and_then(|leaks| leaks.key(group))
    }

    fn forget(&mut self, group: u64) {
        if let Some(leaks) = &mut self.leaks {
            leaks.forget(group);
        }
    }
}

/// What was seen of a process; none where it was not.
fn inside(records: &[u8]) -> Option<Inside> {
    let mut inside = None;
    let mut foreign = None;
    for record in records.chunks_exact(size_of::<Seen>()) {
        let word = |at: usize| {
            let bytes = record.get(at..at.checked_add(4)?)?;
            bytes.try_into().ok().map(u32::from_ne_bytes)
        };
        let long = |at: usize| {
            let bytes = record.get(at..at.checked_add(8)?)?;
            bytes.try_into().ok().map(u64::from_ne_bytes)
        };
        if word(0)? == Seen::FOREIGN {
            foreign = word(4);
        } else {
            let (executed, wrong, exe) = (word(8)?, word(12)?, (long(16)?, long(24)?));
            let [supervised, measured] = [Seen::SUPERVISED, Seen::MEASURED].map(|bit| wrong & bit != 0);
            inside = Some(Inside { executed, supervised, measured, exe, foreign: None });
        }
    }
    inside.map(|inside| Inside { foreign, ..inside })
}

/// The number of the process that a descriptor stands for.
fn pid(process: BorrowedFd<'_>) -> io::Result<u32> {
    let told = procfs::ours()?.told(process, "Pid")?;
    // -1: it has ended.
    let number = told.and_then(|text| text.parse::<u32>().ok()).filter(|pid| *pid > 0);
    number.ok_or_else(|| io::Error::from(rustix::io::Errno::SRCH))
}

fn absent_is_fine(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

impl Edge {
    /// Tells enforcers before us to end, and waits until they have: their links go with them, and the ring is ours alone.
    pub(crate) fn end_others(&self) -> io::Result<usize> {
        let mut ended = 0_usize;
        let mut key = None;
        let ours = rustix::process::getpid();
        while let Some(next) = kernel::next_key::<u32>(self.pids.as_fd(), key.as_ref())? {
            let found: Option<Tag> = kernel::lookup(self.pids.as_fd(), &next)?;
            key = Some(next);
            let pid = i32::try_from(next).ok().and_then(Pid::from_raw).filter(|pid| *pid != ours);
            let (Some(tag), Some(pid)) = (found, pid) else { continue };
            if tag.is(role::ENFORCER) && !tag.is(role::DECOY) && self.end(pid)? {
                ended = ended.saturating_add(1);
            }
        }
        Ok(ended)
    }

    /// Whether there was such an enforcer. The number may be another's by now: the tag of the process itself decides.
    fn end(&self, pid: Pid) -> io::Result<bool> {
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(false) };
        let tag = self.tag_of(process.as_fd())?;
        if !tag.is(role::ENFORCER) || tag.is(role::DECOY) {
            return Ok(false);
        }
        // Not the one by which whoever started it tells it to end.
        pidfd_send_signal(&process, Signal::USR1)?;
        for _ in 0..LOOKS {
            let mut fds = [PollFd::new(&process, PollFlags::IN)];
            // Or it lives on as nobody in particular, to be told to end by whoever started it.
            if poll(&mut fds, Some(&PAUSE))? > 0 || !self.tag_of(process.as_fd())?.is(role::ENFORCER) {
                return Ok(true);
            }
        }
        Err(io::Error::other(format!("the enforcer before us, process {pid}, did not end")))
    }
}

/// How often we look whether an enforcer before us has ended, and how long we wait each time: twenty seconds in all.
const LOOKS: u32 = 400;
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// Loads the program that looks at a process; aya knows its kind.
pub(crate) fn looking(ebpf: &mut Ebpf) -> Result<OwnedFd, Error> {
    let failed = |error: &dyn std::error::Error| refused("look", error);
    let program = ebpf.program_mut("look").ok_or(Error::Map("look"))?;
    let program: &mut Iter = program.try_into().map_err(|error: ProgramError| failed(&error))?;
    let types = genuine_bytes(Path::new(load::TYPES), magic::SYSFS).map_err(|error| failed(&error))?;
    let types = aya::Btf::parse(&types, Endianness::default()).map_err(|error| failed(&error))?;
    program.load("task_file", &types).map_err(|error| failed(&error))?;
    let descriptor = program.fd().map_err(|error| failed(&error))?;
    descriptor.as_fd().try_clone_to_owned().map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(words: [u32; 4], longs: [u64; 2]) -> Vec<u8> {
        let words = words.iter().flat_map(|word| word.to_ne_bytes());
        words.chain(longs.iter().flat_map(|long| long.to_ne_bytes())).collect()
    }

    #[test]
    fn what_was_seen_of_a_process_is_put_together() {
        let itself = record([Seen::ITSELF, 0, 3, 1], [8, 77]);
        let foreign = record([Seen::FOREIGN, 4711, 0, 0], [0, 0]);
        let expected = Inside { executed: 3, exe: (8, 77), supervised: true, ..Inside::default() };
        assert_eq!(inside(&[itself.clone(), itself.clone()].concat()), Some(expected));
        let all = [itself.clone(), foreign.clone(), itself].concat();
        assert_eq!(inside(&all), Some(Inside { foreign: Some(4711), ..expected }));
        assert_eq!(inside(&foreign), None, "a process that was not seen is not known to be alone");
    }
}
