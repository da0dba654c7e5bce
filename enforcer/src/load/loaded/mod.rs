//! What runs: its maps, and what is asked of them.

mod arming;

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

use crate::btf::Btf;
use crate::edge::{self, Edge};
use crate::events::feed;
use crate::guards::tell::Trusting;
use crate::kernel;
use crate::leak::{Dormant, Leaks, Tables};
use crate::load::hooks::{Hook, Hooks};
use crate::load::maps::{data, make};
use crate::load::offsets;
use crate::load::own::Owned;
use crate::load::pins::{Before, Pins};
use crate::load::switches;
use crate::load::{Error, refused};
use crate::procfs::{self, genuine_bytes, magic};

/// The kernel's own types.
pub(crate) const TYPES: &str = "/sys/kernel/btf/vmlinux";

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
    /// Hooks that this kernel does not ask about a vector of theirs.
    pub(crate) unasked: Vec<(&'static str, Vector)>,
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
            unasked: Vec::new(),
            missing,
            absent: found.absent,
            forgotten,
        })
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

fn bytes_of(settings: Settings) -> Vec<u8> {
    let Settings { scope_cgroup, scope_level, loader, typed, reactive, share, reserved } = settings;
    let words = [scope_level, loader, typed, reactive, share, reserved].map(u32::to_ne_bytes);
    [&scope_cgroup.to_ne_bytes()[..], words.as_flattened()].concat()
}
