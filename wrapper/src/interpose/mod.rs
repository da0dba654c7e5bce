//! The ways after the graft: where tracing is refused, a library fetches the values from inside the program.
//!
//! [`choice`] takes the first way that is allowed and works. For the library's two ways [`reach`] looks before the start
//! whether it can be loaded at all, `image` is what is loaded, and `door` is where it asks: shells and their like
//! are told to carry their references on, programs get theirs expanded into fresh secret memory. `tree` says who may
//! ask, and who never did.
//!
//! What the graft keeps is kept: `/proc/PID/environ` shows references, no descriptor stays open, and children of the
//! keeper alone are answered. What is weaker: only programs that a loader brings in are reached.
//!
//! Trusted: our own secrets. Untrusted: every caller.

pub mod choice;
mod door;
mod image;
pub mod reach;
mod tree;
mod ways;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::process::{Resource, getrlimit};
use secretmem::Parcel;

use crate::graft::Secrets;
use crate::graft::page::{Outline, Room};
use crate::graft::program::Role;
pub use choice::Taken;
use door::{Answer, Door};
pub use image::Form;
pub use tree::Unreached;
pub use ways::Ways;
pub(crate) use ways::{Prepared, form, why_untraced};

/// The loader's variable.
pub const PRELOAD: &str = "LD_PRELOAD";

/// The highest number that the library's descriptor gets; scripts count from 3 up, and bash uses 255.
const HIGHEST: u64 = 199;
/// The exit code of a program that could not be given secret memory.
const NO_PROTECTION: u8 = 123;

/// Answers programs that have loaded the library.
#[derive(Debug)]
pub struct Interposer {
    form: Form,
    door: Door,
    /// Seen once without the library; seen twice, they were told of.
    suspects: BTreeMap<i32, Seen>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Seen {
    Once,
    Told,
}

/// What came of a turn.
#[derive(Debug, Default)]
pub struct Served {
    /// Somebody was told to carry references on.
    pub carriers: bool,
    /// What stood in the way of others, who were told to end.
    pub troubles: Vec<secretmem::Error>,
}

/// What a program to be is given, beside references.
#[derive(Debug)]
pub struct Equipment {
    /// The library.
    pub library: OwnedFd,
    /// The number that its descriptor must have in the program, and be inherited by.
    pub number: u32,
    /// The value of [`PRELOAD`].
    pub preload: String,
}

impl Interposer {
    /// Opens the door.
    pub fn open(form: Form) -> Result<Self, Error> {
        let door = Door::open().map_err(os("opening a socket for programs"))?;
        Ok(Self { form, door, suspects: BTreeMap::new() })
    }

    /// What a program needs to find the door. `before` is the `LD_PRELOAD` that was there.
    pub fn equip(&self, secrets: &Secrets, before: Option<&str>) -> Result<Equipment, Error> {
        let number = free_number().map_err(os("looking for a free descriptor"))?;
        let library = image::sealed(self.form, self.door.name(), number, secrets.prefix())
            .map_err(os("making the library"))?;
        Ok(Equipment { library, number, preload: preload(number, before) })
    }

    /// What to wait for.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.door.descriptors()
    }

    /// Answers everybody who asks.
    pub fn ready(&mut self, secrets: &Secrets) -> Result<Served, Error> {
        let mut served = Served::default();
        for question in self.door.questions().map_err(os("letting programs in"))? {
            let answer = match tree::role(question.pid.as_raw_pid()) {
                Role::Carrier => {
                    served.carriers = true;
                    Ok(Answer::Stay)
                }
                Role::Consumer => lay_out(secrets, &question.entries),
            };
            let answer = answer.unwrap_or_else(|error| {
                served.troubles.push(error);
                Answer::End(NO_PROTECTION)
            });
            // Who gets no answer says so itself, and ends: it is one caller's end, not everybody's.
            question.answer(answer).unwrap_or_default();
        }
        Ok(served)
    }

    /// Looks for processes that bear references and have not loaded the library, at the second sight of each: the first
    /// may have come before its loader. To be called now and then.
    pub fn look(&mut self, secrets: &Secrets) -> Vec<Unreached> {
        let unreached = tree::unreached(secrets.prefix());
        let mut seen = BTreeMap::new();
        let fresh = unreached.into_iter().filter(|unreached| {
            let before = self.suspects.get(&unreached.pid);
            seen.insert(unreached.pid, before.map_or(Seen::Once, |_| Seen::Told));
            before == Some(&Seen::Once)
        });
        let fresh = fresh.collect();
        self.suspects = seen;
        fresh
    }
}

fn lay_out(secrets: &Secrets, entries: &[Vec<u8>]) -> Result<Answer, secretmem::Error> {
    let (memory, len, starts) = laid_out(secrets, entries)?;
    Ok(Answer::Values { memory, len, starts })
}

fn lay_out_entries(secrets: &Secrets, entries: &[Vec<u8>]) -> Result<(OwnedFd, u32), secretmem::Error> {
    laid_out(secrets, entries).map(|(memory, len, _starts)| (memory, len))
}

/// The entries, expanded, side by side in memory that is about to change hands; its length, and where each begins.
fn laid_out(secrets: &Secrets, entries: &[Vec<u8>]) -> Result<(OwnedFd, u32, Vec<u32>), secretmem::Error> {
    let templates: Vec<_> = entries.iter().map(|entry| secrets.template_or_text(entry)).collect();
    let lens: Vec<usize> = templates.iter().map(|template| secrets.len(template)).collect();
    let Outline { places, len } = Outline::new(&lens, Room::Exact, rustix::param::page_size());
    let mut parcel = Parcel::create(len)?;
    let memory = parcel.bytes_mut()?;
    let mut starts = Vec::with_capacity(places.len());
    for (template, place) in templates.iter().zip(places) {
        starts.push(number(place.start)?);
        let place = memory.get_mut(place).unwrap_or_default();
        place.iter_mut().zip(secrets.bytes(template)).for_each(|(place, byte)| *place = byte);
    }
    Ok((parcel.give(), number(len)?, starts))
}

fn number(len: usize) -> Result<u32, secretmem::Error> {
    u32::try_from(len).map_err(|_too_long| secretmem::Error::Size(len))
}

/// Ours first: whatever was there before follows it, as it was.
fn preload(number: u32, before: Option<&str>) -> String {
    let rest = before.map(|before| format!(":{before}")).unwrap_or_default();
    format!("/proc/self/fd/{number}{rest}")
}

/// A number that no descriptor of ours has, and so none that the program inherits.
fn free_number() -> io::Result<u32> {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let taken: Vec<u64> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    let highest = limit.saturating_sub(1).min(HIGHEST);
    let free = (3..=highest).rev().find(|number| !taken.contains(number));
    free.and_then(|number| u32::try_from(number).ok())
        .ok_or_else(|| io::Error::from_raw_os_error(libc::EMFILE))
}

impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, file, fault } = self;
        let file = file.display();
        write!(f, "process {pid} ({file}) has references and no values: ")?;
        match fault {
            Some(fault) => write!(f, "it {fault}"),
            None => write!(f, "it did not load our library (LD_PRELOAD changed, or descriptors closed)"),
        }
    }
}

fn os(doing: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error { doing, source }
}

/// Why a program cannot be started by a way that is not the graft.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// No way is left.
    #[error(transparent)]
    NoWay(#[from] choice::NoWay),
    /// A variable that we would have to write anew, and cannot.
    #[error("LD_PRELOAD: not UTF-8")]
    Preload,
    /// The program has ended, and with it the door for those beside it.
    #[error("the program has ended, nobody is answered any more")]
    Closed,
    /// Too little secret memory.
    #[error(transparent)]
    Memory(#[from] secretmem::Error),
    /// The kernel refused something.
    #[error(transparent)]
    Os(#[from] Error),
}

/// The kernel refused something that the library's ways need.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {source}")]
pub struct Error {
    doing: &'static str,
    source: io::Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preload_that_was_there_stays_after_ours() {
        assert_eq!(preload(199, None), "/proc/self/fd/199");
        assert_eq!(preload(199, Some("")), "/proc/self/fd/199:");
        assert_eq!(preload(9, Some("/a.so /b.so")), "/proc/self/fd/9:/a.so /b.so");
    }

    #[test]
    fn the_librarys_number_is_nobody_elses() {
        let number = free_number().unwrap();
        assert!((3..=199).contains(&number));
        assert!(!fs::exists(format!("/proc/self/fd/{number}")).unwrap());
    }
}
