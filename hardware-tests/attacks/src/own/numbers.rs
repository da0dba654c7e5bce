//! The enforcer's maps, programs and links by their numbers, which the kernel lists for root.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::PathBuf;

use rustix::process::getpid;

use crate::bpf::{self, Attributes, Program, attach, command, kind};
use crate::told::{Found, absent, nothing, told};
use crate::{Probe, Stage};

pub(crate) const PROBES: &[Probe] = &[
    Probe::new("own/map-by-number", "own-map", "open one of the enforcer's maps by its number", |stage| {
        told(map_by_number(stage))
    }),
    Probe::new("own/program-by-number", "own-program", "open one of its programs by its number", |stage| {
        told(program_by_number(stage))
    }),
    Probe::new("own/link-by-number", "own-program", "open one of its links by its number", |stage| {
        told(links(stage, |link| Ok(format!("link {}", link.as_raw_fd()))))
    }),
    Probe::new("own/link-update", "own-program", "put another program into one of its links", |stage| {
        told(links(stage, replaced))
    })
    .invasive(),
    Probe::new("own/link-detach", "own-program", "detach one of its links", |stage| {
        told(links(stage, detached))
    })
    .invasive(),
];

/// Of the enforcer's object, as the kernel cuts names.
const MAPS: &[&str] = &["TAGS", "PIDS", "MODES", "RECORDS", "COUNTERS", "OWN", "SCRATCH", "NEEDLES"];

/// Tries all numbers. What is opened and looks like the enforcer's is booty; what is refused is taken for the enforcer's.
fn tried(numbers: Vec<u32>, by: u32, ours: impl Fn(&OwnedFd) -> io::Result<Option<String>>) -> Found {
    let mut answer = Err(absent("there is none of the enforcer's"));
    for number in numbers {
        match bpf::by_number(by, number) {
            Ok(file) => {
                if let Some(name) = ours(&file)? {
                    return Ok(format!("{name}, number {number}"));
                }
            }
            // It was there a moment ago.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            Err(error) => answer = Err(error),
        }
    }
    answer
}

fn name(file: &OwnedFd, offset: usize) -> io::Result<String> {
    let information = bpf::information(file)?;
    let bytes = information.iter().skip(offset).take(16).take_while(|byte| **byte != 0).copied().collect();
    Ok(String::from_utf8(bytes).unwrap_or_default())
}

/// The kernel's `bpf_map_info`: the name is at 24.
fn map_by_number(stage: &Stage) -> Found {
    let stand_in = bpf::array(b"stand_in")?;
    let bare = stage.socket().is_none();
    let found = tried(bpf::numbers(command::MAP_NEXT)?, command::MAP_BY_ID, |file| {
        let name = name(file, 24)?;
        let ours = if bare { name == "stand_in" } else { MAPS.contains(&name.as_str()) };
        Ok(ours.then_some(name))
    });
    drop(stand_in);
    found
}

/// `bpf_prog_info`: the kind is at 0, the name at 64. Tracing programs and security modules are nobody else's here.
fn program_by_number(stage: &Stage) -> Found {
    let bare = stage.socket().is_none();
    let stand_in = Program::of(kind::SOCKET_FILTER, bpf::NOTHING).load()?;
    let found = tried(bpf::numbers(command::PROG_NEXT)?, command::PROG_BY_ID, |file| {
        let ours = match bpf::word_at(&bpf::information(file)?, 0) {
            kind::LSM | kind::TRACING => !bare,
            _ => bare && name(file, 64)? == "stranger",
        };
        Ok(if ours { Some(name(file, 64)?) } else { None })
    });
    drop(stand_in);
    found
}

/// Links of tracing and of security modules cannot be detached by anybody; those of control groups can.
fn links(stage: &Stage, with: impl Fn(&OwnedFd) -> Found) -> Found {
    let stand_in = if stage.socket().is_none() { Some(Hung::up()?) } else { None };
    let mut answer = Err(absent("there is no link of the enforcer's"));
    for number in bpf::numbers(command::LINK_NEXT)? {
        if stand_in.as_ref().is_some_and(|hung| hung.number != number) {
            continue;
        }
        match tried_link(number, stand_in.is_some(), &with) {
            Ok(None) => {}
            Ok(Some(what)) => return Ok(what),
            Err(error) => answer = Err(error),
        }
    }
    answer
}

/// None when it is somebody else's. `bpf_link_info`: the number of its program is at 8.
fn tried_link(number: u32, ours: bool, with: impl Fn(&OwnedFd) -> Found) -> io::Result<Option<String>> {
    let link = bpf::by_number(command::LINK_BY_ID, number)?;
    let program = bpf::word_at(&bpf::information(&link)?, 8);
    if !ours && !is_guards(program) {
        return Ok(None);
    }
    with(&link).map(Some).map_err(|error| match error.raw_os_error() {
        Some(libc::EOPNOTSUPP | libc::EINVAL) => {
            nothing(format!("the kernel does not do this to such links: {error}"))
        }
        _ => error,
    })
}

/// Whose program cannot be opened is the enforcer's; where one of its can be, the probe of programs finds it.
fn is_guards(program: u32) -> bool {
    let refused = bpf::by_number(command::PROG_BY_ID, program);
    refused.is_err_and(|error| error.raw_os_error() == Some(libc::EPERM))
}

fn detached(link: &OwnedFd) -> Found {
    Attributes::new().descriptor(0, link).call(command::LINK_DETACH)?;
    Ok("a link is detached".into())
}

fn replaced(link: &OwnedFd) -> Found {
    let other = yes()?;
    Attributes::new().descriptor(0, link).descriptor(4, &other).call(command::LINK_UPDATE)?;
    Ok("a link with another program".into())
}

fn yes() -> io::Result<OwnedFd> {
    Program { attach: attach::CGROUP_SYSCTL, ..Program::of(kind::CGROUP_SYSCTL, bpf::YES) }.load()
}

/// A link of a stand-in: a program that says yes, in an empty control group.
struct Hung {
    group: PathBuf,
    link: Option<OwnedFd>,
    number: u32,
}

impl Hung {
    fn up() -> io::Result<Self> {
        let group = PathBuf::from(format!("/sys/fs/cgroup/attacks-link-{}", getpid()));
        fs::create_dir_all(&group)?;
        let mut hung = Self { group, link: None, number: 0 };
        let folder = OwnedFd::from(fs::File::open(&hung.group)?);
        let program = yes()?;
        let attributes = Attributes::new().descriptor(0, &program).descriptor(4, &folder);
        let link = attributes.word(8, attach::CGROUP_SYSCTL).open(command::LINK_CREATE)?;
        hung.number = bpf::word_at(&bpf::information(&link)?, 4);
        hung.link = Some(link);
        Ok(hung)
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        drop(self.link.take());
        // An empty group that stays behind does no harm.
        drop(fs::remove_dir(&self.group));
    }
}
