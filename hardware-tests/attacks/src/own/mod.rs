//! Attacks on the enforcer itself: its process, its control group, its maps, programs, links and pins.
//!
//! Where nobody is protected, a stand-in takes its place ([`target`]), so that what works against any process is seen to work.

mod cgroup;
mod life;
mod numbers;
mod pins;
mod process;
mod share;
mod signals;
mod target;

use crate::Probe;

/// Theme by theme: what kills comes last.
pub(crate) const THEMES: &[&[Probe]] = &[
    numbers::PROBES,
    life::PROBES,
    process::PROBES,
    pins::PROBES,
    share::PROBES,
    cgroup::PROBES,
    signals::PROBES,
];
