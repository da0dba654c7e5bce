//! Whom an attacker left stopped: a tracepoint kills who attaches as a tracer, but only after the kernel has begun to stop the
//! other, who then waits for nobody. It is continued once the attacker is gone. What refuses leaves nobody stopped.
//!
//! Trusted: the kernel's side of a record.

use enforcer_abi::{Record, Ruling, Tier, Vector};

/// How many are remembered; more attackers than that within a second are a flood, and the next one of it is remembered.
const MOST: usize = 64;

/// Those who are to be continued, each once.
#[derive(Debug, Default)]
pub(crate) struct Stopped(Vec<u32>);

impl Stopped {
    /// Remembers whom this is about, where it may have stopped somebody.
    pub(crate) fn note(&mut self, record: &Record) {
        let stops = record.vector == Vector::Ptrace.number()
            && record.tier == tier(Tier::Tracepoint)
            && u32::from(record.ruling) == ruling(Ruling::Deny);
        if stops && self.0.len() < MOST && !self.0.contains(&record.object_pid) {
            self.0.push(record.object_pid);
        }
    }

    /// Those remembered, who are forgotten thereby.
    pub(crate) fn take(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.0)
    }
}

#[expect(clippy::as_conversions, reason = "the number of an enum of repr(u8)")]
const fn tier(tier: Tier) -> u8 {
    tier as u8
}

#[expect(clippy::as_conversions, reason = "the number of an enum of repr(u32)")]
const fn ruling(ruling: Ruling) -> u32 {
    ruling as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(vector: Vector, by: Tier, ruled: Ruling) -> Record {
        Record {
            at: 0,
            cgroup: 0,
            object_group: 7,
            subject_group: 0,
            detail: 0,
            pid: 1,
            tid: 1,
            uid: 0,
            object_pid: 42,
            vector: vector.number(),
            tier: tier(by),
            ruling: u8::try_from(ruling(ruled)).unwrap(),
            syscall: 101,
            comm: [0; 16],
            name: [0; 48],
        }
    }

    #[test]
    fn whom_a_killed_tracer_stopped_is_continued_once() {
        let mut stopped = Stopped::default();
        for _ in 0..3 {
            stopped.note(&record(Vector::Ptrace, Tier::Tracepoint, Ruling::Deny));
        }
        assert_eq!(stopped.take(), [42]);
        assert_eq!(stopped.take(), [0_u32; 0]);
    }

    #[test]
    fn who_was_not_stopped_is_left_alone() {
        let mut stopped = Stopped::default();
        stopped.note(&record(Vector::Ptrace, Tier::Lsm, Ruling::Deny));
        stopped.note(&record(Vector::Ptrace, Tier::Tracepoint, Ruling::Tell));
        stopped.note(&record(Vector::ProcessVm, Tier::Tracepoint, Ruling::Deny));
        assert_eq!(stopped.take(), [0_u32; 0]);
    }
}
