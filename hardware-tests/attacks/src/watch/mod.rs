//! `perf_event_open(2)` on the victim: how much it ran, what was in its registers and on its stack, what touched its memory.

mod event;

use crate::{Probe, flat};

/// All of them.
pub(crate) const PROBES: &[Probe] = &[
    Probe::new("perf/count", "perf-task", "count V's time on the processor", |stage| {
        flat(event::count(stage))
    }),
    Probe::new("perf/count-thread", "perf-task", "the same of V's child, by its number", |stage| {
        flat(event::count_child(stage))
    }),
    Probe::new("perf/from-before", "perf-task", "count from before V asks to be protected", |stage| {
        flat(event::count_from_before(stage))
    }),
    Probe::new("perf/sample", "perf-task", "sample V's registers and stack", |stage| {
        flat(event::sample(stage))
    }),
    Probe::new("perf/breakpoint", "perf-task", "watch an address of V's memory", |stage| {
        flat(event::breakpoint(stage))
    }),
    Probe::new("perf/cgroup", "perf-task", "count what V's control group does", |stage| {
        flat(event::control_group(stage))
    }),
    Probe::new("perf/cgroup-above", "perf-task", "count what the group above its own does", |stage| {
        flat(event::group_above(stage))
    }),
];
