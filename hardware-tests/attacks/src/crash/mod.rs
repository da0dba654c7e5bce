//! The victim crashes, and somebody reads the core.

mod core;

pub use core::collect;

use crate::{Probe, flat};

/// All of them.
pub(crate) const PROBES: &[Probe] = &[
    Probe::new("core/abort-file", "core-dump", "V aborts: a core in its directory", |stage| {
        flat(core::file(stage, libc::SIGABRT))
    })
    .invasive(),
    Probe::new("core/segv-file", "core-dump", "V faults: a core in its directory", |stage| {
        flat(core::file(stage, libc::SIGSEGV))
    })
    .invasive(),
    Probe::new("core/as-configured", "core-dump", "V aborts: a core where the node says", |stage| {
        flat(core::as_configured(stage))
    }),
    Probe::new("core/abort-pipe", "core-dump", "V aborts: its core is piped into a program", |stage| {
        flat(core::pipe(stage, libc::SIGABRT))
    })
    .invasive(),
];
