//! Settings of the node that probes change, put back after each of them, whatever became of it.
//!
//! Trusted: the values as they were before the first probe.

use std::fs::{read_to_string, write};

/// What is looked after.
const PLACES: &[&str] = &[
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/core_uses_pid",
    "/proc/sys/kernel/core_pipe_limit",
    "/proc/sys/kernel/ftrace_enabled",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/sysrq",
    "/proc/sys/kernel/yama/ptrace_scope",
    "/proc/sys/fs/suid_dumpable",
    "/proc/sys/vm/swappiness",
    "/sys/kernel/debug/kprobes/enabled",
];

/// The settings as they were.
#[derive(Debug)]
pub struct Settings(Vec<(&'static str, String)>);

impl Settings {
    /// Remembers those that there are.
    #[must_use]
    pub fn remember() -> Self {
        Self(PLACES.iter().filter_map(|place| Some((*place, read_to_string(place).ok()?))).collect())
    }

    /// Puts back what is no longer as it was. What cannot be put back is told.
    pub fn restore(&self) -> Result<(), String> {
        for (place, value) in &self.0 {
            let now = read_to_string(place);
            if now.is_ok_and(|now| now != *value) {
                write(place, value.trim_end())
                    .map_err(|error| format!("{place} is no longer {}: {error}", value.trim_end()))?;
            }
        }
        Ok(())
    }
}
