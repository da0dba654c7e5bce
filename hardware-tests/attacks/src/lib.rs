//! Root's ways to a secret in another process, each tried twice: while the process is bare, and while it is protected.
//!
//! **The contract.** A [`Probe`] is one way: its id, the vector of the enforcer's catalogue that it belongs to (or [`OPEN`]: what
//! must go on working), and a function `fn(&Stage) -> Outcome` that is run in a forked child of its own, with a time limit. It
//! says [`Outcome::Got`] only when it really holds the victim's canary, or sees the effect; [`Outcome::Denied`] with the error
//! number that stopped it; [`Outcome::Nothing`] when each call went through and nothing came of it; [`Outcome::Impossible`] when
//! this machine does not have what it needs. That a child was killed is seen by who waits for it. `?` on system calls: write
//! `fn(&Stage) -> Attempt`, and wrap it: `|stage| flat(way(stage))`.
//!
//! The [`Stage`] has the victim ([`Stage::victim`], what it holds: [`Victim::held`]), and can start further ones
//! ([`Stage::fresh`]) which protect themselves only when told ([`Stage::settle`]), so that an attack can begin before that. What
//! a probe starts dies with it: it leads a process group of its own. A probe that changes the victim for good is marked
//! [`Probe::spoils`], one that changes the node [`Probe::invasive`]. A theme is a module with `pub(crate) const PROBES: &[Probe]`,
//! listed in [`catalogue`]. System calls without a safe interface go through [`kernel::call`] alone.
//!
//! Trusted: this program's own words. Untrusted: nothing; it is the attacker.
#![deny(unsafe_code)]

pub mod allowed;
pub mod bounded;
mod bpf;
mod btf;
mod crash;
mod debugger;
mod descriptors;
mod early;
pub mod group;
pub mod handshake;
pub mod inject;
mod inside;
pub mod kernel;
mod layout;
pub mod leftover;
mod near;
mod node;
mod own;
mod probe;
mod procfs;
pub mod report;
pub mod run;
mod runtime;
mod stage;
pub mod steady;
mod told;
mod tuning;
pub mod victim;
mod watch;

pub use crash::collect;
pub use probe::{Attempt, OPEN, Outcome, Probe, flat, found};
pub use stage::{Extras, Run, Stage};
pub use victim::Victim;

/// Every probe, theme by theme.
#[must_use]
pub fn catalogue() -> Vec<&'static Probe> {
    let process = [
        procfs::PROBES,
        debugger::PROBES,
        descriptors::PROBES,
        watch::PROBES,
        tuning::PROBES,
        crash::PROBES,
        near::PROBES,
        runtime::PROBES,
    ];
    let themes = [&process[..], node::THEMES, inside::THEMES, own::THEMES];
    themes.into_iter().flatten().copied().flatten().collect()
}
