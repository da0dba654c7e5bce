//! What differs from one kind of hardware to the next: a file of this folder each.
//!
//! To add one: a file with a constant [`Tee`], its policy beside it, and a line in [`ALL`].

use anyhow::{Context as _, Result};

use super::narrate::Story;
use super::stage::{Machine, Stage};

mod nitro;
mod snp;
mod tdx;
mod vtpm;

/// A part of the story that only one kind of hardware has.
pub(crate) type Chapter = fn(&mut Story, &Stage, &Machine) -> Result<()>;

/// One kind of hardware in the story.
#[derive(Debug)]
pub(crate) struct Tee {
    /// What `--tee` says.
    pub(crate) name: &'static str,
    /// Its name in evidence: `sev-snp`.
    pub(crate) platform: &'static str,
    /// For the head of the story.
    pub(crate) title: &'static str,
    /// The step in which the first machine appears.
    pub(crate) arrival: &'static str,
    /// Where the unchanged agent finds the hardware.
    pub(crate) interface: &'static str,
    /// The policy. `VERSION` and what [`Tee::variables`] names are replaced.
    pub(crate) policy: &'static str,
    /// Words of the policy and what stands for them unless a chapter says otherwise.
    pub(crate) variables: &'static [(&'static str, &'static str)],
    /// Starts a machine of this name, with further arguments for the simulator.
    pub(crate) machine: fn(&Stage, &str, &[&str]) -> Result<Machine>,
    /// The simulator's root among the machine's endorsements, if its vendor has one.
    pub(crate) root: Option<&'static str>,
    /// What a client sends beside the evidence, by the names of the machine's endorsements.
    pub(crate) brings: Brings,
    /// Machines that are refused.
    pub(crate) attacks: &'static [Attack],
    /// What has to be done before the first release: enrolment, for example.
    pub(crate) before: Option<Chapter>,
    /// Chapters of its own; the last argument is the ordinary program.
    pub(crate) more: fn(&mut Story, &Stage, &Machine, &str) -> Result<()>,
    /// How many decisions of attest-keys/ are recorded in the end: admitted, refused.
    pub(crate) decisions: (usize, usize),
}

/// Names of files, by what they are.
#[derive(Debug)]
pub(crate) struct Brings {
    pub(crate) certificates: &'static [&'static str],
    pub(crate) revocation_lists: &'static [&'static str],
    pub(crate) documents: &'static [&'static str],
}

/// What is wrong with a machine, what makes it so, and the checks that must say so.
#[derive(Debug)]
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// Further arguments for the simulator.
    pub(crate) hardware: &'static [&'static str],
    /// The failing checks, in order, and no others.
    pub(crate) checks: &'static [&'static str],
}

/// All of them.
pub(crate) const ALL: [&Tee; 4] = [&snp::TEE, &tdx::TEE, &nitro::TEE, &vtpm::TEE];

/// The one that `--tee` names.
pub(crate) fn named(name: &str) -> Result<&'static Tee> {
    let names = || ALL.map(|tee| tee.name).join(", ");
    let tee = ALL.into_iter().find(|tee| tee.name == name);
    tee.with_context(|| format!("--tee: expected one of {}, found {name:?}", names()))
}

/// 48 bytes of another measurement.
const OTHER: &str =
    "010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_hardware_that_has_no_story_is_named() {
        let told = named("sgx").unwrap_err().to_string();
        assert!(told.starts_with("--tee: expected one of snp, tdx"), "{told}");
        assert!(
            ALL.into_iter().all(|tee| named(tee.name).is_ok() && tee.policy.contains("version = VERSION"))
        );
    }
}
