//! The rules between rooms: who may depend on whom, and where what is dangerous may be written.
//!
//! The rules are in `xtask/layers.toml`; what is checked against them is `cargo metadata` and the source
//! itself. Every fault is printed, then the task fails.

use std::fmt;

use anyhow::{Context as _, Result, bail};

use crate::house::House;
use list::List;

pub(crate) mod list;

mod arrows;
mod source;
mod trust;

/// A place where a rule is broken.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Fault {
    /// The room, or file and line.
    pub(crate) place: String,
    /// What is expected, and what was found.
    pub(crate) what: String,
}

pub(crate) fn run(house: &House) -> Result<()> {
    let list = List::read(house)?;
    let mut faults = arrows::faults(house, &list);
    let mut trust = Vec::new();
    for room in &house.rooms {
        let manifest = std::fs::read_to_string(&room.manifest_path)?;
        faults.extend(source::manifest_faults(room.name(), &manifest));
        for path in house.sources(room)? {
            let name = house.relative(&path);
            let text = std::fs::read_to_string(&path).with_context(|| name.clone())?;
            let is_root = room.targets.iter().any(|target| target.src_path == path);
            let scan = source::scan(&list, &name, &text, is_root);
            faults.extend(scan.faults);
            trust.extend(scan.trust);
        }
    }
    println!("{} rooms; trust is created in {} places:", house.rooms.len(), trust.len());
    for place in &trust {
        println!("  {place}");
    }
    if !faults.is_empty() {
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        bail!("{} faults against xtask/layers.toml:\n  {}", lines.len(), lines.join("\n  "));
    }
    Ok(())
}

impl Fault {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}: {}", self.place, self.what)
    }
}
