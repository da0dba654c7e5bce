//! `detach`: the enforcer lets go, whether its loader lives or not; where it guards itself, by a signed statement.
//!
//! This program is the enforcer by its file: the programs in the kernel let it through to the pins. It acts on nothing but a
//! good statement there, writes down that it did before it does, and then takes away what refuses. Where it does not, anybody
//! could take everything away, and nobody has to sign.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::kernel;
use crate::load::own::Owned;
use crate::load::{pins, switches};
use crate::succession::glass::Statement;
use crate::succession::policy;

/// What is told.
#[derive(Args, Debug)]
pub struct Detach {
    /// The signed statement; without it only what does not guard itself is let go (`--mode detect`).
    #[arg(long, value_name = "FILE")]
    pub break_glass: Option<PathBuf>,
    /// Where the enforcer's maps and links have their names.
    #[arg(long, value_name = "FOLDER", default_value = "/sys/fs/bpf/cloudtaser")]
    pub pins: PathBuf,
    /// Where it is written down, a line each.
    #[arg(long, value_name = "FILE", default_value = "/var/log/cloudtaser-enforcer-released.jsonl")]
    pub record: PathBuf,
}

/// Why nothing was let go, or not all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The statement, or what is enforced.
    #[error(transparent)]
    Policy(#[from] policy::Error),
    /// There is nothing.
    #[error("{0}: expected an enforcer's maps, found none: there is nothing to let go")]
    Nothing(String),
    /// It guards itself.
    #[error("expected a signed statement (--break-glass), for the enforcer guards itself here; found none")]
    Guarded,
    /// It cannot be written down, so it is not done.
    #[error("{path}: {source}")]
    Record {
        /// Where.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// The switches' guard stays.
    #[error("the switches' guard: {0}")]
    Switches(io::Error),
    /// Everything is let go, and the statement is good still, as long as the enforcer runs.
    #[error("all is let go, but the statement can be used again as long as the enforcer runs: {0}")]
    Spent(io::Error),
    /// The pins stay.
    #[error(transparent)]
    Pins(#[from] pins::Error),
}

/// Lets go, at this time (Unix).
pub fn detach(told: &Detach, now: u64) -> Result<(), Error> {
    let Some(statement) = &told.break_glass else {
        if policy::in_force()?.is_some() {
            return Err(Error::Guarded);
        }
        let owned = owned(&told.pins)?;
        record(&told.record, now, None)?;
        return let_go(&told.pins, &owned);
    };
    let (statement, spent) = policy::release(statement, now)?;
    record(&told.record, now, Some(&statement))?;
    let upstream = Path::new(protocol::enforcer::LET_GO);
    crate::record::upstream(upstream, &statement, now).map_err(unwritten(upstream))?;
    let_go(&told.pins, &owned(&told.pins)?)?;
    spent.forget().map_err(Error::Spent)
}

/// Writes down that all is let go, by which statement.
fn record(path: &Path, now: u64, statement: Option<&Statement>) -> Result<(), Error> {
    let line = serde_json::json!({ "event": "ENFORCER_RELEASED", "time": now, "statement": statement });
    written(path, &line.to_string()).map_err(unwritten(path))
}

fn unwritten(path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.display().to_string();
    |source| Error::Record { path, source }
}

/// What is the enforcer's, as it says itself.
fn owned(pins: &Path) -> Result<Owned, Error> {
    let nothing = |error: io::Error| {
        let is_there = error.kind() != io::ErrorKind::NotFound;
        if is_there { Error::Switches(error) } else { Error::Nothing(pins.display().to_string()) }
    };
    kernel::open_pin(&pins.join("maps/OWN")).map(Owned::by).map_err(nothing)
}

/// Takes away what is attached and pinned.
fn let_go(pins: &Path, owned: &Owned) -> Result<(), Error> {
    switches::release(Path::new(switches::GROUPS), owned).map_err(Error::Switches)?;
    Ok(pins::clear(pins)?)
}

/// Now, as Unix time.
#[must_use]
pub fn now() -> u64 {
    crate::events::clock::now().unix / 1_000_000_000
}

fn written(path: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    writeln!(file, "{line}")?;
    rustix::fs::fsync(file.as_fd())?;
    Ok(())
}
