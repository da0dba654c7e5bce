//! From the object to programs that run: maps, identity, hooks by the strongest kind that this kernel takes.
//!
//! In this order: maps (those of an enforcer before us, where they are pinned), our own tag, what keeps identity, then what
//! refuses; each link is pinned as soon as it is there. What this kernel does not have is skipped, by name.
//! Attached is not enforcing: what is loaded here is believed only as far as the canary proves it.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use aya::Ebpf;
use aya::maps::RingBuf;
use aya_obj::Object;
use enforcer_abi::leak::Unread;
use enforcer_abi::{Mode, Part, Settings, Tier, Vector};
use sha2::{Digest as _, Sha256};

use crate::arms::Arms;
use crate::btf::{self, Btf};
use crate::edge::{self, Edge};
use crate::events::feed;
use crate::hooks::{self, Hook, Hooks, Place};
use crate::leak::{Dormant, Leaks, Tables};
use crate::maps::{data, make};
use crate::own::Owned;
use crate::pins::{self, Before, Pins};
use crate::procfs::{self, genuine_bytes, magic};
use crate::switches::{self, Stay};
use crate::trusted::Trusting;
use crate::{causes, fronts, kernel, offsets};

/// The kernel's own types.
pub(crate) const TYPES: &str = "/sys/kernel/btf/vmlinux";
/// Programs on typed tracepoints, without which nobody's identity is kept: name in the object, tracepoint.
const IDENTITY: [(&str, &str); 2] = [("forked", "sched_process_fork"), ("freed", "sched_process_free")];

/// Why nothing runs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that has to be there.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// The kernel's types cannot be read.
    #[error("{TYPES}: {0}")]
    Types(#[from] btf::Error),
    /// The maps do not load.
    #[error("loading {what}: {why}")]
    Load {
        /// Which.
        what: String,
        /// The kernel's answer.
        why: String,
    },
    /// The programs cannot be read, or identity cannot be kept.
    #[error(transparent)]
    Hooks(#[from] hooks::Error),
    /// Nothing can be pinned.
    #[error(transparent)]
    Pins(#[from] pins::Error),
    /// A map is not as the programs and we agreed.
    #[error("map {0} is not in the object")]
    Map(&'static str),
    /// A pinned map is another version's.
    #[error(
        "map {name} of an enforcer before this one has {what} {found}, expected {expected}: take that one away first"
    )]
    Version {
        /// Which.
        name: String,
        /// What differs.
        what: &'static str,
        /// As it is pinned.
        found: u32,
        /// As our programs want it.
        expected: u32,
    },
    /// Whose numbers they are is known to the kernel alone.
    #[error(
        "processes have other numbers here than for the kernel: expected the node's own name space (hostPID: true)"
    )]
    Numbers,
    /// What the kernel makes cannot be seen.
    #[error("procfs: {0}")]
    Procfs(io::Error),
    /// An enforcer runs elsewhere: two of them, each with its own.
    #[error(
        "map {0} is the policy of an enforcer whose pins are not where ours are to be: expected it to be taken over there, \
         or to end first"
    )]
    Elsewhere(u32),
    /// The kernel does not let us write a map.
    #[error("writing map {name}: {source}")]
    Write {
        /// Which.
        name: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl Error {
    /// Whether another kernel, or more rights, would do; nothing that was said to us is wrong.
    pub(crate) const fn is_the_kernels(&self) -> bool {
        match self {
            Self::Types(_)
            | Self::Load { .. }
            | Self::Hooks(_)
            | Self::Write { .. }
            | Self::Numbers
            | Self::Procfs(_) => true,
            // Who waited would keep its own maps for as long, and who comes next from taking over.
            Self::Elsewhere(_) | Self::File { .. } | Self::Pins(_) | Self::Map(_) | Self::Version { .. } => {
                false
            }
        }
    }
}

/// What is to be loaded, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'w> {
    /// The object's file, and what was read there.
    pub(crate) object: (&'w Path, Result<&'w [u8], &'w io::Error>),
    /// What the programs are told.
    pub(crate) settings: Settings,
    /// The control group whose members are subject to the switches' guard.
    pub(crate) group: &'w Path,
    /// How many bytes of records may wait to be read.
    pub(crate) ring: u32,
    /// Where names in bpffs go, if anywhere.
    pub(crate) pins: Option<&'w Path>,
    /// What was there before.
    pub(crate) before: Before,
}

/// What runs.
#[derive(Debug)]
pub(crate) struct Loaded {
    ebpf: Ebpf,
    /// Looks at a process that asks for protection.
    look: Option<OwnedFd>,
    hooks: Vec<Hook>,
    /// Loaded, and attached when there is something to search for.
    dormant: Vec<Dormant>,
    pins: Option<Pins>,
    /// What is needed to arm, and not afterwards.
    armoury: Option<(Hooks, Vec<u8>)>,
    /// What is ours, as the programs know it.
    owned: Owned,
    /// The control group whose members are subject to the switches' guard.
    group: PathBuf,
    /// Whether it stands.
    switches: bool,
    /// Those of enforcers before us.
    switches_before: io::Result<Vec<OwnedFd>>,
    /// Programs that were to be attached, by the names of their pins.
    wanted: Vec<String>,
    /// Hooks that are not in use, and why.
    pub(crate) missing: Vec<(String, String)>,
    /// Fields that this kernel does not have.
    pub(crate) absent: Vec<&'static str>,
    /// How many maps were there that are not taken over.
    pub(crate) forgotten: usize,
}

impl Loaded {
    /// Makes the maps. Nothing is attached yet.
    pub(crate) fn new(wanted: Wanted<'_>) -> Result<Self, Error> {
        if !procfs::counts_as_the_kernel().map_err(Error::Procfs)? {
            return Err(Error::Numbers);
        }
        let (bytes, types) = (of_object(wanted.object)?, types()?);
        let found = offsets::find(&Btf::parse(&types)?);
        let settings = bytes_of(wanted.settings);
        let offsets: Vec<u8> = found.words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let object = Object::parse(bytes).map_err(|error| refused("the object", &error))?;
        let numbers = offsets::numbers(&Btf::parse(&types)?);
        let numbers: Vec<u8> = numbers.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let pins = wanted.pins.map(Pins::open).transpose()?;
        let forgotten = pins.as_ref().map_or(Ok(0), |pins| pins.take_over(wanted.before))?;
        let globals = HashMap::from([
            ("OFFSETS", (offsets.as_slice(), true)),
            ("NUMBERS", (numbers.as_slice(), true)),
            ("SETTINGS", (settings.as_slice(), true)),
        ]);
        let made = make(bytes, &object, &globals, wanted.ring, pins.as_ref());
        let mut ebpf = made.inspect_err(|_| pins.iter().for_each(Pins::give_up))?;
        let look = edge::looking(&mut ebpf);
        let maps: HashMap<String, BorrowedFd<'_>> =
            ebpf.maps().map(|(name, map)| (name.to_owned(), data(map).fd().as_fd())).collect();
        let available = Hooks::new(bytes, globals, &maps)?;
        drop(maps);
        let mut missing = Vec::new();
        let look = look.map_err(|error| missing.push(("look".to_owned(), error.to_string()))).ok();
        let armoury = Some((available, types));
        let owned = owned(&ebpf, pins.as_ref())?;
        if let Some(look) = &look {
            owned.add(Part::Program, look.as_fd()).map_err(|source| Error::Write { name: "OWN", source })?;
        }
        let switches_before = switches::before(wanted.group, &owned);
        Ok(Self {
            ebpf,
            look,
            hooks: Vec::new(),
            dormant: Vec::new(),
            pins,
            armoury,
            owned,
            group: wanted.group.to_owned(),
            switches: false,
            switches_before,
            wanted: Vec::new(),
            missing,
            absent: found.absent,
            forgotten,
        })
    }

    /// Attaches what keeps identity, and each hook by the strongest kind that takes it.
    pub(crate) fn arm(&mut self, arms: &Arms<'_>) -> Result<(), Error> {
        let Some((available, types)) = self.armoury.take() else { return Ok(()) };
        let btf = Btf::parse(&types)?;
        for (name, tracepoint) in IDENTITY {
            let hook = available.attach(name, Place::Tracepoint(tracepoint), &btf)?;
            self.keep(hook)?;
        }
        for (name, tracepoint) in fronts::TRACEPOINTS {
            self.wanted.push(name.to_owned());
            match available.attach(name, Place::Tracepoint(tracepoint), &btf) {
                Ok(hook) => self.keep(hook)?,
                Err(error) => self.missing.push((name.to_owned(), error.to_string())),
            }
        }
        for name in available.names(&btf) {
            // Of those for different numbers of arguments one is enough.
            if self.hooks.iter().any(|hook| hook.is_kin(&name))
                || fronts::SEARCHES.contains(&name.as_str())
                || fronts::on_demand(&name) && !arms.asked.contains(&name.as_str())
            {
                continue;
            }
            self.wanted.push(name.clone());
            let mut reasons = Vec::new();
            let taken = arms.of(&name).into_iter().find_map(|(program, place)| {
                available.attach(program, place, &btf).map_err(|error| reasons.push(error.to_string())).ok()
            });
            match taken {
                Some(hook) => self.keep(hook)?,
                None => self.missing.push((name, reasons.join("; "))),
            }
        }
        self.arm_calls(arms, &available, &btf)?;
        self.prepare_searches(arms, &available, &btf);
        let stay = if self.pins.is_some() { Stay::On } else { Stay::WithUs };
        let before = std::mem::replace(&mut self.switches_before, Ok(Vec::new()));
        let guarded = before
            .and_then(|before| switches::guard(&mut self.ebpf, &self.group, &self.owned, stay, &before));
        match guarded {
            Ok(()) => self.switches = true,
            Err(error) => self.missing.push((switches::HOOK.to_owned(), error.to_string())),
        }
        // The kernel's types alone are megabytes, and we stay for months.
        drop(available);
        drop(btf);
        drop(types);
        kernel::give_back_memory();
        Ok(())
    }

    /// Where the check of a debugger's rights does not refuse, system calls are looked at themselves.
    fn arm_calls(&mut self, arms: &Arms<'_>, available: &Hooks, btf: &Btf<'_>) -> Result<(), Error> {
        let check = self.hooks().find(|(name, _)| *name == "ptrace_access_check").map(|(_, tier)| tier);
        if matches!(check, Some(Tier::Lsm | Tier::ModifyReturn)) {
            return Ok(());
        }
        let mut overridden = false;
        for call in arms.overridden() {
            match available.attach(fronts::OVERRIDE, Place::Override(call), btf) {
                Ok(hook) => {
                    self.keep(hook)?;
                    overridden = true;
                }
                Err(error) => {
                    self.missing.push((fronts::OVERRIDE.to_owned(), error.to_string()));
                    break;
                }
            }
        }
        if check.is_none() && !overridden && arms.passing {
            let place = Place::Passing(fronts::PASSING, arms.reaction);
            match available.attach(fronts::PASSING, place, btf) {
                Ok(hook) => self.keep(hook)?,
                Err(error) => self.missing.push((fronts::PASSING.to_owned(), error.to_string())),
            }
        }
        Ok(())
    }

    fn prepare_searches(&mut self, arms: &Arms<'_>, available: &Hooks, btf: &Btf<'_>) {
        for name in fronts::SEARCHES {
            if self.dormant.iter().any(|other| fronts::hook(&other.name) == fronts::hook(name)) {
                continue;
            }
            let mut reasons = Vec::new();
            let taken = arms.of(name).into_iter().find_map(|(program, place)| {
                let prepared = available.prepare(program, place, btf);
                let (program, _) = prepared.map_err(|error| reasons.push(error.to_string())).ok()?;
                Some(Dormant { name: name.to_owned(), place, program })
            });
            match taken {
                Some(dormant) => {
                    // Without it, it is one more program that others may open, and no more.
                    self.owned.add(Part::Program, dormant.program.as_fd()).unwrap_or_default();
                    self.dormant.push(dormant);
                }
                None => self.missing.push((name.to_owned(), reasons.join("; "))),
            }
        }
    }

    /// What registered secrets are searched with. What is registered already is searched for at once.
    pub(crate) fn leaks(&self, unread: Unread) -> Result<Leaks<Tables>, Error> {
        let cloned =
            self.dormant.iter().map(|dormant| Ok((dormant.name.clone(), dormant.program.try_clone()?)));
        let programs: io::Result<Vec<_>> = cloned.collect();
        let programs = programs.map_err(|source| Error::Write { name: "of searches", source })?;
        let (sets, needles) = (self.own("SETS")?, self.own("NEEDLES")?);
        let owned = self.owned.try_clone().map_err(|source| Error::Write { name: "OWN", source })?;
        let (pins, links) = (self.pins.clone(), BTreeMap::new());
        let mut leaks = Leaks::new(Tables { sets, needles, programs, pins, links, owned }, unread);
        leaks.adopt().map_err(|source| Error::Write { name: "SETS", source })?;
        Ok(leaks)
    }

    fn keep(&mut self, hook: Hook) -> Result<(), Error> {
        for (part, what) in [(Part::Program, &hook.program), (Part::Link, &hook.link)] {
            // A kprobe's link is a counter of perf, which has no number.
            let known = self.owned.add(part, what.as_fd());
            if !matches!(hook.place, Place::Override(_) | Place::Entry(..)) {
                known.map_err(|source| Error::Write { name: "OWN", source })?;
            }
        }
        if let Some(pins) = &self.pins {
            pins.link(&hook.pinned(), hook.link.as_fd())?;
        }
        self.hooks.push(hook);
        Ok(())
    }

    /// Takes away the links of enforcers before us, now that ours are there. Where one of ours is not, theirs stays.
    pub(crate) fn retire_others(&mut self) -> Result<usize, Error> {
        let Some(pins) = &self.pins else { return Ok(0) };
        let (before, kept) = pins.retire_others(|name| self.wanted.iter().any(|wanted| wanted == name))?;
        let why = "it could not be attached as strongly as by the enforcer before, whose program stays";
        self.missing.extend(kept.into_iter().map(|name| (name, why.to_owned())));
        Ok(before)
    }

    /// The hooks in use, and how.
    pub(crate) fn hooks(&self) -> impl Iterator<Item = (&str, Tier)> {
        let dormant = self.dormant.iter().map(|dormant| (dormant.name.as_str(), dormant.place.tier()));
        let switches = self.switches.then_some((switches::HOOK, Tier::Lsm));
        let hooks = self.hooks.iter().map(|hook| (hook.shown(), hook.place.tier()));
        hooks.chain(dormant).chain(switches)
    }

    /// SHA-256 over name, type and tag of every program, as the kernel tells them.
    pub(crate) fn programs(&self) -> Result<String, Error> {
        let mut lines = Vec::new();
        let dormant = self.dormant.iter().map(|dormant| (&dormant.name, &dormant.program));
        for (name, program) in self.hooks.iter().map(|hook| (&hook.name, &hook.program)).chain(dormant) {
            let told = kernel::program_info(program.as_fd());
            let told = told.map_err(|source| Error::Write { name: "of programs", source })?;
            lines.push(format!("{name} {} {}\n", told.type_, hex::encode(told.tag)));
        }
        lines.sort();
        Ok(hex::encode(Sha256::digest(lines.concat())))
    }

    /// Sets what is done about a vector.
    pub(crate) fn set_mode(&self, vector: Vector, mode: Mode) -> Result<(), Error> {
        #[expect(clippy::as_conversions, reason = "the number of an enum of repr(u32)")]
        let mode = mode as u32;
        let map = self.ebpf.map("MODES").ok_or(Error::Map("MODES"))?;
        let written = kernel::update(data(map).fd().as_fd(), &u32::from(vector.number()), &mode);
        written.map_err(|source| Error::Write { name: "MODES", source })
    }

    /// Whether others stand in our place, or nobody.
    pub(crate) fn is_over(&self) -> bool {
        self.pins.as_ref().is_some_and(Pins::are_gone)
    }

    /// The map of what is enforced.
    pub(crate) fn policy(&self) -> Result<OwnedFd, Error> {
        self.own("POLICY")
    }

    /// What is remembered of a trial.
    pub(crate) fn trial(&self) -> Result<OwnedFd, Error> {
        self.own("TRIAL")
    }

    /// The list of trusted programs.
    pub(crate) fn trusting(&self) -> Result<Trusting, Error> {
        Ok(Trusting {
            programs: self.own("TRUSTED")?,
            allowed: self.own("ALLOWED")?,
            within: self.own("WITHIN")?,
        })
    }

    /// What the socket's server needs.
    pub(crate) fn edge(&self) -> Result<Edge, Error> {
        let look = self.look.as_ref().map(OwnedFd::try_clone).transpose();
        let look = look.map_err(|source| Error::Write { name: "of look", source })?;
        Ok(Edge {
            tags: self.own("TAGS")?,
            pids: self.own("PIDS")?,
            sought: self.own("SOUGHT")?,
            look,
            leaks: None,
        })
    }

    /// The count of the canary's attacks.
    pub(crate) fn answered(&self) -> Result<OwnedFd, Error> {
        self.own("ANSWERED")
    }

    /// What is told goes through these; they can be had once.
    pub(crate) fn take_feed(&mut self) -> Result<feed::Maps, Error> {
        let records = self.ebpf.take_map("RECORDS").ok_or(Error::Map("RECORDS"))?;
        let records = RingBuf::try_from(records).map_err(|error| refused("RECORDS", &error))?;
        let (counts, searches) = (self.own("COUNTS")?, self.own("SEARCHES")?);
        Ok(feed::Maps { records, counts, searches, fill: self.own("FILL")? })
    }

    /// A descriptor of a map, for somebody else to keep.
    fn own(&self, name: &'static str) -> Result<OwnedFd, Error> {
        let map = self.ebpf.map(name).ok_or(Error::Map(name))?;
        let copy = data(map).fd().as_fd().try_clone_to_owned();
        copy.map_err(|source| Error::Write { name, source })
    }
}

/// The map of what is ours, with our maps in it, and the place of the pins.
fn owned(ebpf: &Ebpf, pins: Option<&Pins>) -> Result<Owned, Error> {
    let unwritten = |source| Error::Write { name: "OWN", source };
    let map = ebpf.map("OWN").ok_or(Error::Map("OWN"))?;
    let owned = Owned::by(data(map).fd().as_fd().try_clone_to_owned().map_err(unwritten)?);
    for (_, map) in ebpf.maps() {
        owned.add(Part::Map, data(map).fd().as_fd()).map_err(unwritten)?;
    }
    if let Some(pins) = pins {
        owned.add_pins(pins.root()).map_err(unwritten)?;
    }
    Ok(owned)
}

fn types() -> Result<Vec<u8>, Error> {
    genuine_bytes(Path::new(TYPES), magic::SYSFS).map_err(|source| unreadable(Path::new(TYPES), source))
}

fn of_object<'w>((path, read): (&Path, Result<&'w [u8], &io::Error>)) -> Result<&'w [u8], Error> {
    read.map_err(|error| unreadable(path, io::Error::new(error.kind(), error.to_string())))
}

fn unreadable(path: &Path, source: io::Error) -> Error {
    Error::File { path: path.display().to_string(), source }
}

/// What the kernel, or aya, does not do.
pub(crate) fn refused(what: &str, error: &dyn std::error::Error) -> Error {
    Error::Load { what: what.to_owned(), why: causes::line(error) }
}

fn bytes_of(settings: Settings) -> Vec<u8> {
    let Settings { scope_cgroup, scope_level, loader, typed, reactive, share, reserved } = settings;
    let words = [scope_level, loader, typed, reactive, share, reserved].map(u32::to_ne_bytes);
    [&scope_cgroup.to_ne_bytes()[..], words.as_flattened()].concat()
}
