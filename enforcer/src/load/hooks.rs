//! The programs with typed arguments: those that refuse, loaded for BPF LSM or, with the same bytes, to modify what
//! `security_*` returns; and those on tracepoints.
//!
//! aya does not know the second kind, and loads by its own rules; so all go one way here, over aya's reader of objects. The
//! maps are aya's, made before.
//!
//! Trusted: the object (its digest is told), the kernel's type information. What this kernel does not have is skipped by name.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use aya_obj::generated::{bpf_attach_type, bpf_prog_type};
use aya_obj::{Function, Object, ProgramSection};
use enforcer_abi::Tier;

use crate::btf::Btf;
use crate::kernel;
use crate::load::calls::{self, Call};
use crate::load::{fronts, kprobe};

/// `BPF_F_SLEEPABLE` (linux/bpf.h).
const SLEEPABLE: u32 = 1 << 4;
/// How much the verifier may say about what it minds.
const LOG: usize = 16 << 20;

/// What a program is attached to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// BPF LSM.
    Lsm,
    /// The return value of `security_*`.
    ModifyReturn,
    /// The tracepoint of this name.
    Tracepoint(&'static str),
    /// The tracepoint of this name, whose program kills (or only tells) who comes by.
    Passing(&'static str, Reaction),
    /// The entry of this system call, whose program overrides its result.
    Override(&'static Call),
    /// The entry of this function, whose program kills (or only tells) who comes by.
    Entry(&'static str, Reaction),
}

/// What becomes of somebody whom no program can refuse.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reaction {
    /// It is killed.
    Kill,
    /// It is told.
    Tell,
}

impl Place {
    /// How strong it is.
    pub(crate) const fn tier(self) -> Tier {
        match self {
            Self::Lsm => Tier::Lsm,
            Self::ModifyReturn => Tier::ModifyReturn,
            Self::Tracepoint(_) | Self::Passing(_, Reaction::Kill) => Tier::Tracepoint,
            Self::Override(_) => Tier::Override,
            Self::Entry(_, Reaction::Kill) => Tier::Kill,
            Self::Entry(_, Reaction::Tell) | Self::Passing(_, Reaction::Tell) => Tier::Observe,
        }
    }
}

/// A program that is loaded and attached.
#[derive(Debug)]
pub(crate) struct Hook {
    /// Its name in the object, which is the hook's where it refuses.
    pub(crate) name: String,
    /// Where it is attached.
    pub(crate) place: Place,
    pub(crate) program: OwnedFd,
    pub(crate) link: OwnedFd,
}

impl Hook {
    /// Its name in the catalogue.
    pub(crate) fn shown(&self) -> &str {
        match self.place {
            Place::Tracepoint(name) | Place::Passing(name, _) => name,
            Place::Override(call) => call.name,
            Place::Lsm | Place::ModifyReturn => {
                self.name.split_once("__").map_or(self.name.as_str(), |(hook, _)| hook)
            }
            Place::Entry(..) => self.name.strip_prefix("kill_").unwrap_or(&self.name),
        }
    }
}

impl Hook {
    /// The name of its pin: one program may be in several places.
    pub(crate) fn pinned(&self) -> String {
        match self.place {
            Place::Override(call) => call.pinned(),
            Place::Lsm
            | Place::ModifyReturn
            | Place::Tracepoint(_)
            | Place::Passing(..)
            | Place::Entry(..) => self.name.clone(),
        }
    }

    /// Whether a program of this name is the same with another number of arguments.
    pub(crate) fn is_kin(&self, name: &str) -> bool {
        let variants = [&self.name, name].map(fronts::arguments);
        fronts::hook(&self.name) == fronts::hook(name) && variants.iter().all(Option::is_some)
    }
}

/// Why a hook is not in use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The object cannot be read.
    #[error("reading the programs: {0}")]
    Object(String),
    /// The kernel has no such hook.
    #[error("this kernel has no {0}")]
    Absent(String),
    /// The kernel does not load it.
    #[error("loading {hook} for {what}: {source}{log}")]
    Load {
        /// Which.
        hook: String,
        /// As what.
        what: String,
        /// The kernel's answer.
        source: io::Error,
        /// What the verifier said last.
        log: String,
    },
    /// The kernel does not attach it.
    #[error("attaching {hook} to {what}: {source}")]
    Attach {
        /// Which.
        hook: String,
        /// To what.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// The refusing programs of the object, ready to be loaded.
#[derive(Debug)]
pub(crate) struct Hooks {
    object: Object,
    types: OwnedFd,
}

impl Hooks {
    /// Reads the object again, with the same settings, and the maps that are there already.
    pub(crate) fn new(
        bytes: &[u8],
        globals: HashMap<&str, (&[u8], bool)>,
        maps: &HashMap<String, BorrowedFd<'_>>,
    ) -> Result<Self, Error> {
        let unread = |error: &dyn std::fmt::Display| Error::Object(error.to_string());
        let mut object = Object::parse(bytes).map_err(|error| unread(&error))?;
        object.patch_map_data(globals).map_err(|error| unread(&error))?;
        let features = aya::features();
        let types = features.btf().and_then(|btf| object.fixup_and_sanitize_btf(btf).ok().flatten());
        let types = types.ok_or_else(|| unread(&"the object, or the kernel, has no type information"))?;
        let types = kernel::load_types(&types.to_bytes()).map_err(|error| unread(&error))?;
        let texts: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
        let kept: Vec<_> = object.maps.drain().collect();
        let known = kept.iter().filter_map(|(name, map)| {
            maps.get(name).map(|descriptor| (name.as_str(), descriptor.as_raw_fd(), map))
        });
        object.relocate_maps(known, &texts).map_err(|error| unread(&error))?;
        object.relocate_calls(&texts).map_err(|error| unread(&error))?;
        object.sanitize_functions(features);
        Ok(Self { object, types })
    }

    /// The hooks of security that the object has programs for, sorted; without those for another number of arguments.
    pub(crate) fn names(&self, btf: &Btf<'_>) -> Vec<String> {
        let programs = self.object.programs.iter();
        let mut names: Vec<String> = programs
            .filter(|(_, program)| matches!(program.section, ProgramSection::Lsm { .. }))
            .map(|(name, _)| name.clone())
            .filter(|name| fits(name, btf))
            .collect();
        names.sort();
        names
    }

    /// Loads and attaches a program.
    pub(crate) fn attach(&self, name: &str, place: Place, btf: &Btf<'_>) -> Result<Hook, Error> {
        let (program, what) = self.prepare(name, place, btf)?;
        let attached = match place {
            Place::Override(call) => kprobe::attach(program.as_fd(), &what, call.cookie()),
            Place::Entry(..) => kprobe::attach(program.as_fd(), &what, 0),
            Place::Lsm | Place::ModifyReturn | Place::Tracepoint(_) | Place::Passing(..) => {
                kernel::attach(program.as_fd())
            }
        };
        let link = attached.map_err(|source| Error::Attach { hook: name.to_owned(), what, source })?;
        Ok(Hook { name: name.to_owned(), place, program, link })
    }

    /// Loads a program, and says for what.
    pub(crate) fn prepare(
        &self,
        name: &str,
        place: Place,
        btf: &Btf<'_>,
    ) -> Result<(OwnedFd, String), Error> {
        let absent = || Error::Absent(name.to_owned());
        let program = self.object.programs.get(name).ok_or_else(absent)?;
        let function = self.object.functions.get(&program.function_key()).ok_or_else(absent)?;
        let sleepable = matches!(program.section, ProgramSection::Lsm { sleepable: true });
        let what = match place {
            Place::Lsm => format!("bpf_lsm_{}", fronts::hook(name)),
            Place::ModifyReturn => format!("security_{}", fronts::secured(fronts::hook(name))),
            Place::Tracepoint(name) | Place::Passing(name, _) | Place::Entry(name, _) => name.to_owned(),
            Place::Override(call) => format!("{}{}", calls::FUNCTIONS, call.name),
        };
        let id = match place {
            Place::Lsm | Place::ModifyReturn => btf.function(&what),
            Place::Tracepoint(tracepoint) | Place::Passing(tracepoint, _) => btf.tracepoint(tracepoint),
            // A kprobe is told its function when it is attached.
            Place::Override(_) | Place::Entry(..) => Ok(0),
        };
        let id = id.map_err(|_absent| Error::Absent(what.clone()))?;
        if let Some(arguments) = fronts::arguments(name)
            && btf.arguments(&what).ok() != Some(arguments)
        {
            return Err(Error::Absent(format!("{what} with {arguments} arguments")));
        }
        let program = self.load(function, &what, id, place, sleepable)?;
        Ok((program, what))
    }

    fn load(
        &self,
        function: &Function,
        what: &str,
        id: u32,
        place: Place,
        sleepable: bool,
    ) -> Result<OwnedFd, Error> {
        let (kind, attach) = match place {
            Place::Lsm => (bpf_prog_type::BPF_PROG_TYPE_LSM, bpf_attach_type::BPF_LSM_MAC),
            Place::ModifyReturn if fronts::answers_nothing(&function.name) => {
                (bpf_prog_type::BPF_PROG_TYPE_TRACING, bpf_attach_type::BPF_TRACE_FENTRY)
            }
            Place::ModifyReturn => (bpf_prog_type::BPF_PROG_TYPE_TRACING, bpf_attach_type::BPF_MODIFY_RETURN),
            Place::Tracepoint(_) | Place::Passing(..) => {
                (bpf_prog_type::BPF_PROG_TYPE_TRACING, bpf_attach_type::BPF_TRACE_RAW_TP)
            }
            // The kernel knows no kind of attachment here; 0.
            Place::Override(_) | Place::Entry(..) => {
                (bpf_prog_type::BPF_PROG_TYPE_KPROBE, bpf_attach_type::BPF_CGROUP_INET_INGRESS)
            }
        };
        let (functions, lines) = (function.func_info.func_info_bytes(), function.line_info.line_info_bytes());
        let load = |log: &mut [u8]| {
            #[expect(clippy::as_conversions, reason = "the numbers of the kernel's enums")]
            let mut program = kernel::Program {
                name: &function.name,
                kind: kind as u32,
                attach: attach as u32,
                flags: if sleepable { SLEEPABLE } else { 0 },
                function: id,
                instructions: &function.instructions,
                types: self.types.as_fd(),
                functions: (&functions, function.func_info_rec_size),
                lines: (&lines, function.line_info_rec_size),
                log,
            };
            kernel::load(&mut program)
        };
        // Without a log first: a large one makes loading slow, and a short one makes it fail.
        load(&mut []).or_else(|source| {
            let mut log = vec![0; LOG];
            load(&mut log).map_err(|_same| Error::Load {
                hook: function.name.clone(),
                what: what.to_owned(),
                source,
                log: last_words(&log),
            })
        })
    }
}

/// Whether this kernel's hook, or its function, has as many arguments; without the hook, the reason is told elsewhere.
fn fits(name: &str, btf: &Btf<'_>) -> bool {
    let Some(wanted) = fronts::arguments(name) else { return true };
    let hook = fronts::hook(name);
    let functions = [format!("bpf_lsm_{hook}"), format!("security_{}", fronts::secured(hook))];
    let found: Vec<u32> = functions.iter().filter_map(|function| btf.arguments(function).ok()).collect();
    found.is_empty() || found.contains(&wanted)
}

/// The end of what the verifier said.
fn last_words(log: &[u8]) -> String {
    let text = log.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().rev().take(12).collect();
    if lines.is_empty() {
        String::new()
    } else {
        format!("\n{}", lines.into_iter().rev().collect::<Vec<_>>().join("\n"))
    }
}
