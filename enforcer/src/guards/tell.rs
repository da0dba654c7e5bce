//! What the kernel is told of the list of trusted programs, and of ours.
//!
//! A program has a number there, by which threads that run are known. A number is given once: an entry keeps its own while it stays
//! as it is, and a changed one gets another, so that nobody has what a later list gives to somebody else.
//!
//! Trusted: the maps, which only the enforcer can write. Untrusted: the files, and the processes that run already.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use enforcer_abi::{Known, Place, Program, Tag, Trust, role, trust};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::guards::trusted::{Entry, List, Void, Whole, number_of, ourselves, own, program, whole};
use crate::kernel;
use crate::load::switches::GROUPS;
use crate::procfs::{self, Procfs};
use crate::socket::Tagger;

/// The maps `TRUSTED`, `ALLOWED` and `WITHIN`.
#[derive(Debug)]
pub(crate) struct Trusting {
    pub(crate) programs: OwnedFd,
    pub(crate) allowed: OwnedFd,
    pub(crate) within: OwnedFd,
}

impl Trusting {
    /// Tells the kernel the list, whose files lie below `root`. What was there before is void; an entry that is void is left out, and
    /// said.
    pub(crate) fn tell(
        &self,
        (list, root): (&List, &Path),
        tags: &impl Tagger,
        believed: Believed,
    ) -> io::Result<Vec<Void>> {
        let mut void = Vec::new();
        let mut known = Vec::new();
        let mut next = self.unused()?;
        for entry in &list.trusted {
            match self.learn(entry, root, &mut next)? {
                Ok(found) => known.push(found),
                Err(error) => void.push(error),
            }
        }
        // Only now, or those who are on the list as before would be nobody for a while.
        self.forget_all_but(&known)?;
        for number in 1..next {
            // Who runs already by an entry that is no more may nothing.
            if !known.iter().any(|(_, trust)| trust.entry == number) {
                self.allow(number, Trust::default())?;
            }
        }
        running(&known, tags, believed)?;
        Ok(void)
    }

    /// The first number that nobody had.
    fn unused(&self) -> io::Result<u32> {
        for number in 1..NUMBERS {
            if kernel::lookup::<_, u64>(self.allowed.as_fd(), &number)?.is_none_or(|found| found == 0) {
                return Ok(number);
            }
        }
        Ok(NUMBERS)
    }

    /// Tells the kernel one entry, if nobody wrote to its file until the kernel knew it. A new one takes the next number.
    fn learn(
        &self,
        entry: &Entry,
        root: &Path,
        next: &mut u32,
    ) -> io::Result<Result<(Program, Trust), Void>> {
        let (quiet, trust) = match entry.resolve(root) {
            Ok(found) => found,
            Err(void) => return Ok(Err(void)),
        };
        let program = quiet.program();
        if program.place == own()?.place {
            return Ok(Err(entry.own()));
        }
        let before: Option<Known> = kernel::lookup(self.programs.as_fd(), &program.place)?;
        let same = before
            .filter(|before| before.state == program.state && Trust { entry: 0, ..before.trust } == trust);
        let number = same.map_or(*next, |same| same.trust.entry);
        if number >= NUMBERS {
            return Ok(Err(entry.unnumbered()));
        }
        let trust = Trust { entry: number, ..trust };
        if same.is_none() {
            *next = next.saturating_add(1);
            self.allow(number, trust)?;
        }
        let told = quiet.tell(self.programs.as_fd(), trust);
        Ok(told.map(|()| (program, trust)).map_err(|loud| entry.loud(loud)))
    }

    fn allow(&self, number: u32, Trust { vectors, cgroup, .. }: Trust) -> io::Result<()> {
        kernel::update(self.within.as_fd(), &number, &cgroup)?;
        kernel::update(self.allowed.as_fd(), &number, &(vectors | trust::USED))
    }

    /// Our own program, executed again, is the enforcer: so its next life takes over. Only if it loads nothing at run time: what
    /// is loaded would be the enforcer, too, and root chooses that.
    pub(crate) fn succeed(&self) -> io::Result<Whole> {
        let whole = ourselves()?;
        if whole == Whole::Yes {
            let program = own()?;
            let trust = Trust { flags: trust::ENFORCER, ..Trust::default() };
            kernel::update(self.programs.as_fd(), &program.place, &Known { state: program.state, trust })?;
        }
        Ok(whole)
    }

    /// We stay known all the while, or our file could be written to.
    fn forget_all_but(&self, known: &[(Program, Trust)]) -> io::Result<()> {
        let own = own()?;
        let mut stale = Vec::new();
        let mut key = None;
        while let Some(next) = kernel::next_key::<Place>(self.programs.as_fd(), key.as_ref())? {
            if !known.iter().any(|(program, _)| program.place == next) && own.place != next {
                stale.push(next);
            }
            key = Some(next);
        }
        // Who writes to such a file takes its entry away, too, and shall not keep us from starting by it.
        let gone = |place| match kernel::remove(self.programs.as_fd(), place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        stale.iter().try_for_each(gone)
    }
}

/// Which processes that run already are believed to be what their files are. By then, whoever may do as he likes can have made
/// them anything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Believed {
    /// All: there was no guard before us, and this is the first word.
    All,
    /// Those that were trusted before, and so have been kept from others since they were executed.
    Trusted,
}

/// Programs of the list that run already: known by their files, tagged by number. Their threads may what it may.
fn running(known: &[(Program, Trust)], tags: &impl Tagger, believed: Believed) -> io::Result<()> {
    if known.is_empty() {
        return Ok(());
    }
    let procfs = procfs::ours()?;
    for number in procfs.processes()? {
        let exe = procfs.behind(&number.to_string(), "exe");
        let Some(number) = Pid::from_raw(number) else { continue };
        // One that has ended, or has no program, is none of them.
        let Ok(held) = pidfd_open(number, PidfdFlags::empty()) else { continue };
        let Ok(found) = exe.and_then(|file| program(&file)) else { continue };
        let Some((_, trust)) = known.iter().find(|(program, _)| *program == found) else { continue };
        if !fit(procfs, number.as_raw_nonzero().get(), trust).unwrap_or(false) {
            continue;
        }
        let before = tags.tag_of(held.as_fd()).unwrap_or(Tag::NONE);
        if believed == Believed::Trusted && !before.is(role::TRUSTED) {
            continue;
        }
        let children = if trust.flags & trust::CHILDREN == 0 { 0 } else { role::CHILDREN };
        let entry = trust.entry.checked_shl(role::ENTRY).unwrap_or(0);
        let roles = before.roles & !role::OF_TRUST | role::TRUSTED | children | entry;
        // Once it has its tag, the programs in the kernel take it away when it executes another.
        let executes = || procfs.behind(&number.as_raw_nonzero().get().to_string(), "exe");
        let tagged = tags.tag(held.as_fd(), Tag { roles, ..before }).and_then(|()| {
            let same = executes().and_then(|file| program(&file)).is_ok_and(|now| now == found);
            let nobody = Tag { roles: before.roles & !role::OF_TRUST, ..before };
            if same { Ok(()) } else { tags.tag(held.as_fd(), nobody) }
        });
        match tagged {
            Err(error) if error.raw_os_error() != Some(libc::ESRCH) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Whether a process that runs already is as the kernel wants those that start: in its control group, nobody's to trace, and
/// nothing loaded into it that its entry does not say.
fn fit(procfs: &Procfs, process: i32, trust: &Trust) -> io::Result<bool> {
    let status = procfs.text(&format!("{process}/status"))?;
    let alone = status.lines().any(|line| line == "TracerPid:\t0");
    let auxiliary = procfs.read(&format!("{process}/auxv"))?;
    let loads = trust.flags & trust::MAY_LOAD != 0 || whole(&auxiliary) == Whole::Yes;
    let groups = procfs.text(&format!("{process}/cgroup"))?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let folder = Path::new(GROUPS).join(group);
    let mut above = folder.ancestors().take_while(|path| path.starts_with(GROUPS));
    let within =
        trust.cgroup == 0 || above.any(|path| number_of(path).is_ok_and(|found| found == trust.cgroup));
    Ok(alone && loads && within)
}

/// How many numbers there are, with 0, which is nobody's: as many as the maps have entries.
const NUMBERS: u32 = enforcer_abi::ENTRIES;
