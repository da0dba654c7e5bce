//! Attacks on the node as a whole: what shows or changes every process's memory without naming one.
//!
//! What changes the node is marked invasive, and puts everything back as it was.

mod administration;
mod clock_and_log;
mod code;
mod fanotify;
mod hardware;
mod memory;
pub(crate) mod mount;
mod perf;
mod programs;
mod swap;
mod sysctl;
mod tracing;
mod trusted;

use crate::Probe;

/// Theme by theme.
pub(crate) const THEMES: &[&[Probe]] = &[
    perf::PROBES,
    fanotify::PROBES,
    memory::PROBES,
    hardware::PROBES,
    tracing::PROBES,
    programs::PROBES,
    mount::PROBES,
    clock_and_log::PROBES,
    trusted::PROBES,
    administration::PROBES,
    sysctl::PROBES,
    code::PROBES,
    swap::PROBES,
];
