//! What a probe has around it: a victim, what the run is about, and files that it was given.

use std::path::{Path, PathBuf};

use crate::group::Group;
use crate::handshake::Enforcer;
use crate::{Outcome, Victim};

/// Which of the two runs this is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Run {
    /// Nobody is protected.
    Bare,
    /// Victims ask the enforcer at this socket for protection.
    Protected(PathBuf),
}

/// What some probes need from outside.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Extras {
    /// A kernel module that is harmless to load.
    pub module: Option<PathBuf>,
    /// An image of a kernel.
    pub kernel: Option<PathBuf>,
    /// A program of many names, such as busybox, that the operator trusts.
    pub trusted: Option<PathBuf>,
    /// How many processes a flood has: more than the enforcer was told that a group may have.
    pub flood: Option<u32>,
    /// Whether the node may be changed.
    pub invasive: bool,
}

/// The surroundings of a probe.
#[derive(Debug)]
pub struct Stage {
    /// The victim that all probes share; settled.
    pub victim: Victim,
    /// Bare or protected.
    pub run: Run,
    /// What was given on the command line.
    pub extras: Extras,
    /// A directory of the suite's own.
    pub directory: PathBuf,
    /// The victim's control group, where it could be made.
    pub group: Option<Group>,
}

impl Stage {
    /// A stage with a settled victim.
    pub fn set(run: Run, extras: Extras, directory: PathBuf) -> Result<Self, String> {
        let group = Group::make(&format!("cloudtaser-attacks-{}", std::process::id()));
        let victim = settled(&run, &directory, group.as_ref())?;
        Ok(Self { victim, run, extras, directory, group })
    }

    /// Sets a new victim on it.
    pub fn renew(&mut self) -> Result<(), String> {
        // In a group of its own: nobody is moved into that of a protected process, and the last one may be dying still.
        let group = Group::make(&format!("cloudtaser-attacks-{}-{}", std::process::id(), self.victim.pid()));
        self.victim = settled(&self.run, &self.directory, group.as_ref())?;
        self.group = group;
        Ok(())
    }

    /// Where the enforcer listens, in the protected run.
    #[must_use]
    pub fn socket(&self) -> Option<&Path> {
        match &self.run {
            Run::Bare => None,
            Run::Protected(path) => Some(path),
        }
    }

    /// Another victim, a child of the caller, neither protected nor holding anything but its environment's canary.
    pub fn fresh(&self) -> Result<Victim, Outcome> {
        Victim::start(&self.directory).map_err(Outcome::Impossible)
    }

    /// Has such a victim protect itself in the protected run, and take hold of its secrets in both. A refused hand-shake is
    /// nothing got.
    pub fn settle(&self, victim: &mut Victim) -> Result<(), Outcome> {
        victim.settle(self.socket(), true).map_err(|why| Outcome::nothing(format!("no secrets there: {why}")))
    }

    /// The same without executing itself anew: it is tagged as it is.
    pub fn settle_in_place(&self, victim: &mut Victim) -> Result<(), Outcome> {
        victim
            .settle(self.socket(), false)
            .map_err(|why| Outcome::nothing(format!("not protected as it is: {why}")))
    }

    /// Another victim, settled as the stage's own one.
    pub fn another(&self) -> Result<Victim, Outcome> {
        let mut victim = self.fresh()?;
        victim
            .settle(self.socket(), true)
            .map_err(|why| Outcome::impossible(format!("another victim: {why}")))?;
        Ok(victim)
    }

    /// Has the calling process be protected itself, in the protected run: a neighbour that attacks.
    pub fn protect_self(&self) -> Result<(), Outcome> {
        let Some(path) = self.socket() else { return Ok(()) };
        let asked = Enforcer::at(path).and_then(|enforcer| enforcer.protect());
        asked.map_err(|why| Outcome::impossible(format!("the attacker was not protected: {why}")))
    }
}

fn settled(run: &Run, directory: &Path, group: Option<&Group>) -> Result<Victim, String> {
    let mut victim = Victim::start(directory)?;
    if let Some(group) = group {
        group.place(victim.pid()).map_err(|error| format!("the victim's control group: {error}"))?;
    }
    let socket = match run {
        Run::Bare => None,
        Run::Protected(path) => Some(path.as_path()),
    };
    victim.settle(socket, true)?;
    Ok(victim)
}
