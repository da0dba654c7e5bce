//! The node's guards while they are on trial: what the kernel and a file remember, and what becomes of the modes.
//!
//! [`trial`] decides; this reads and writes. Trusted: the map, which only the enforcer can write. Untrusted: the file,
//! which can only shorten a trial.

pub mod check;
pub mod confirm;
pub(crate) mod tell;
pub mod trial;
pub mod trusted;

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use enforcer_abi::{Guard, Mode, Vector};
use sha2::{Digest as _, Sha256};

use crate::config::Run;
use crate::kernel;
use crate::load::{self, Loaded};
use trial::{LENGTH, Told, Trial};

/// The trial of what is told, at this time (nanoseconds since the machine's start).
pub(crate) fn begin(config: &Run, list: &[u8], loaded: &Loaded, now: u64) -> Result<Trial, load::Error> {
    let map = loaded.trial()?;
    let unread = |source| load::Error::Write { name: "TRIAL", source };
    let remembered: Option<Value> = kernel::lookup(map.as_fd(), &0_u32).map_err(unread)?;
    let file = fs::read_to_string(&config.confirmed).ok();
    let node = Vector::ALL.iter().filter(|vector| vector.guard() == Guard::Node);
    let trial = Trial::begin(&Told {
        period: Duration::from_secs(config.trial.saturating_mul(60)),
        refuses: node.clone().any(|vector| config.mode_of(*vector) == Mode::Enforce),
        policy: policy(config, list),
        remembered: remembered.unwrap_or_default().0,
        file: file.as_deref(),
        now,
    });
    remember(&map, &trial).map_err(unread)?;
    Ok(trial)
}

/// Sets the modes that are in force.
pub(crate) fn set(config: &Run, trial: &Trial, loaded: &Loaded) -> Result<(), load::Error> {
    Vector::ALL
        .iter()
        .try_for_each(|vector| loaded.set_mode(*vector, trial.mode(*vector, config.mode_of(*vector))))
}

/// How it stands from here on.
pub(crate) fn changed(trial: &Trial, loaded: &Loaded) -> Result<(), load::Error> {
    let unwritten = |source| load::Error::Write { name: "TRIAL", source };
    remember(&loaded.trial()?, trial).map_err(unwritten)
}

/// Writes a confirmation down, for after the machine's restart.
pub(crate) fn write_down(config: &Run, trial: &Trial) -> io::Result<()> {
    if let Some(folder) = config.confirmed.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&config.confirmed, trial.written())
}

fn remember(map: &OwnedFd, trial: &Trial) -> io::Result<()> {
    kernel::update(map.as_fd(), &0_u32, &trial.remember())
}

/// What an administrator confirms: the modes of the node's guards, and the list.
fn policy(config: &Run, list: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for vector in Vector::ALL.iter().filter(|vector| vector.guard() == Guard::Node) {
        digest.update(format!("{} {:?}\n", vector.row().name, config.mode_of(*vector)));
    }
    digest.update(list);
    digest.finalize().into()
}

#[derive(Clone, Copy)]
struct Value([u8; LENGTH]);

impl Default for Value {
    fn default() -> Self {
        Self([0; LENGTH])
    }
}
