//! The kernel's maps of fingerprints, and the programs that search, which are attached while there is something to find.
//!
//! They are loaded and verified at start: a registration does not wait for the verifier.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use enforcer_abi::Part;
use enforcer_abi::leak::{Needle, Place, Set};

use super::Kernel;
use super::ledger::MOST_IN_ALL;
use crate::kernel;
use crate::load::own::Owned;
use crate::load::pins::Pins;

/// A program that is loaded and not attached.
#[derive(Debug)]
pub(crate) struct Dormant {
    /// Its name in the object.
    pub(crate) name: String,
    /// Where it will be attached.
    pub(crate) place: crate::load::hooks::Place,
    pub(crate) program: OwnedFd,
}

/// The maps and the programs.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) sets: OwnedFd,
    pub(crate) needles: OwnedFd,
    pub(crate) programs: Vec<(String, OwnedFd)>,
    pub(crate) pins: Option<Pins>,
    /// Those that are attached, by their programs' names.
    pub(crate) links: BTreeMap<String, OwnedFd>,
    /// What is ours, as the programs know it: links are, while they are there.
    pub(crate) owned: Owned,
}

impl Kernel for Tables {
    fn put(&mut self, place: Place, needle: Needle) -> io::Result<()> {
        kernel::update(self.needles.as_fd(), &place, &needle)
    }

    fn take(&mut self, place: Place) -> io::Result<()> {
        absent_is_fine(kernel::remove(self.needles.as_fd(), &place))
    }

    fn set(&mut self, group: u64, set: &Set) -> io::Result<()> {
        kernel::update(self.sets.as_fd(), &group, set)
    }

    fn unset(&mut self, group: u64) -> io::Result<()> {
        absent_is_fine(kernel::remove(self.sets.as_fd(), &group))
    }

    fn groups(&self) -> io::Result<Vec<(u64, [u8; 32])>> {
        let sets: Vec<(u64, Set)> = all(self.sets.as_fd())?;
        Ok(sets.into_iter().map(|(group, set)| (group, set.key.bytes())).collect())
    }

    fn needles(&self) -> io::Result<Vec<(Place, Needle)>> {
        all(self.needles.as_fd())
    }

    fn search(&mut self, on: bool) -> io::Result<()> {
        for (name, program) in &self.programs {
            if on && !self.links.contains_key(name) {
                let link = kernel::attach(program.as_fd())?;
                self.owned.add(Part::Link, link.as_fd())?;
                if let Some(pins) = &self.pins {
                    pins.link(name, link.as_fd()).map_err(io::Error::other)?;
                }
                self.links.insert(name.clone(), link);
            } else if !on && let Some(link) = self.links.get(name) {
                if let Some(pins) = &self.pins {
                    absent_is_fine(fs::remove_file(pins.path(name)))?;
                }
                // Or the list of what is ours would be full one day.
                self.owned.drop(Part::Link, link.as_fd())?;
                self.links.remove(name);
            }
        }
        Ok(())
    }
}

/// All that is in a map while others may write to it: no more than it can hold.
fn all<K: Copy + Default, V: Default>(map: BorrowedFd<'_>) -> io::Result<Vec<(K, V)>> {
    let mut found = Vec::new();
    let mut last: Option<K> = None;
    while found.len() < MOST_IN_ALL
        && let Some(key) = kernel::next_key(map, last.as_ref())?
    {
        found.extend(kernel::lookup(map, &key)?.map(|value| (key, value)));
        last = Some(key);
    }
    Ok(found)
}

fn absent_is_fine(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}
