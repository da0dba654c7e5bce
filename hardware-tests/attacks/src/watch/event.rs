//! The events. Layout: `linux/perf_event.h`, `struct perf_event_attr` of 112 bytes (version 5).

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use crate::group::Group;
use crate::kernel::{Mapping, adopt};
use crate::layout::{put, u64_at};
use crate::victim::PAGE;
use crate::{Attempt, Outcome, Stage, Victim, call};

const SOFTWARE: u32 = 1;
const BREAKPOINT: u32 = 5;
const TASK_CLOCK: u64 = 1;
/// No kernel, no hypervisor: what even a user may ask of a process of its own.
const USER_ALONE: u64 = 1 << 5 | 1 << 6;

/// An event's description.
struct Event([u8; 112]);

impl Event {
    fn new(kind: u32, config: u64) -> Self {
        let mut bytes = [0; 112];
        put(&mut bytes, 0, &kind.to_ne_bytes());
        put(&mut bytes, 4, &112_u32.to_ne_bytes());
        put(&mut bytes, 8, &config.to_ne_bytes());
        Self(bytes)
    }

    fn with(mut self, at: usize, value: u64) -> Self {
        put(&mut self.0, at, &value.to_ne_bytes());
        self
    }

    fn open(&self, target: i32, processor: i32, flags: u64) -> Result<OwnedFd, Errno> {
        adopt(call!(libc::SYS_perf_event_open, &self.0[..], target, processor, -1, flags)?)
    }
}

/// Has the victim do something, and reads how often the event was counted.
fn counted(event: &OwnedFd, victim: &Victim, what: &str) -> Attempt {
    for _ in 0..20 {
        victim.scratch()?;
    }
    let mut value = [0; 8];
    rustix::io::read(event, &mut value)?;
    let count = u64_at(&value, 0);
    Ok(if count > 0 {
        Outcome::got(format!("{what}: {count}"))
    } else {
        Outcome::nothing(format!("{what}: never"))
    })
}

pub(super) fn count(stage: &Stage) -> Attempt {
    let event = Event::new(SOFTWARE, TASK_CLOCK).open(stage.victim.pid(), -1, 0)?;
    counted(&event, &stage.victim, "nanoseconds that it ran")
}

/// It stays over `execve`, and counts the program that has the secrets as well.
pub(super) fn count_from_before(stage: &Stage) -> Attempt {
    let mut victim = stage.fresh()?;
    let event = Event::new(SOFTWARE, TASK_CLOCK).open(victim.pid(), -1, 0)?;
    stage.settle(&mut victim)?;
    counted(&event, &victim, "nanoseconds that it ran with its secrets")
}

/// The child sleeps: that the event is there is all there is to see.
pub(super) fn count_child(stage: &Stage) -> Attempt {
    let event = Event::new(SOFTWARE, TASK_CLOCK).open(stage.victim.held().child, -1, 0)?;
    let mut value = [0; 8];
    let length = rustix::io::read(&event, &mut value)?;
    Ok(if length == 8 {
        Outcome::got("an event on its child")
    } else {
        Outcome::nothing("an event that says nothing")
    })
}

/// `PERF_SAMPLE_IP | REGS_USER | STACK_USER`, each hundred microseconds that it runs.
pub(super) fn sample(stage: &Stage) -> Attempt {
    let (ip, registers, stack) = (1, 1 << 12, 1 << 13);
    // The stack pointer and the instruction pointer: registers 7 and 8 of asm/perf_regs.h; 4 KiB of stack.
    let event = Event::new(SOFTWARE, TASK_CLOCK)
        .with(16, 100_000)
        .with(24, ip | registers | stack)
        .with(40, USER_ALONE)
        .with(80, 1 << 7 | 1 << 8)
        .with(88, 4096)
        .open(stage.victim.pid(), -1, 0)?;
    let ring = Mapping::ring(event.as_fd(), 9 * PAGE, 0)?;
    // data_head, as far as the kernel has written.
    let head = || ring.word(1024);
    for _ in 0..2000 {
        stage.victim.scratch()?;
        if head() > 0 {
            break;
        }
    }
    let head = head();
    Ok(if head > 0 {
        Outcome::got(format!("{head} bytes of samples"))
    } else {
        Outcome::nothing("no sample")
    })
}

/// `HW_BREAKPOINT_RW` on the first eight bytes of the scratch page, which it reads when it is told to look.
pub(super) fn breakpoint(stage: &Stage) -> Attempt {
    let event = Event::new(BREAKPOINT, 0)
        .with(40, USER_ALONE)
        .with(48, 3 << 32)
        .with(56, stage.victim.held().scratch)
        .with(64, 8)
        .open(stage.victim.pid(), -1, 0)?;
    counted(&event, &stage.victim, "accesses to its memory")
}

/// By the control group: every processor that it runs on has an event of its own, and none names the victim.
pub(super) fn control_group(stage: &Stage) -> Attempt {
    let group =
        stage.group.as_ref().ok_or(Outcome::impossible("the victim has no control group of its own"))?;
    counted_group(group, &stage.victim)
}

/// By the group above: what is counted is what all below it do.
pub(super) fn group_above(stage: &Stage) -> Attempt {
    let none = || Outcome::impossible("no control groups of our own");
    let above = Group::make(&format!("attacks-above-{}", std::process::id())).ok_or_else(none)?;
    let inner = above.within("inner").ok_or_else(none)?;
    // Perf knows groups below which a controller is in use. Where that is so already, or cannot be, is seen below.
    for group in [above.path().parent(), Some(above.path())].into_iter().flatten() {
        drop(std::fs::write(group.join("cgroup.subtree_control"), "+pids"));
    }
    let mut victim = stage.fresh()?;
    inner.place(victim.pid()).map_err(Outcome::from)?;
    stage.settle(&mut victim)?;
    let outcome = counted_group(&above, &victim);
    drop(victim);
    drop(inner);
    outcome
}

fn counted_group(group: &Group, victim: &Victim) -> Attempt {
    const PERF_FLAG_PID_CGROUP: u64 = 1 << 2;
    let directory = File::open(group.path())?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&directory);
    let mut events = Vec::new();
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    for processor in 0..i32::try_from(processors).unwrap_or(1) {
        // The processor's clock; ENOENT: perf does not know the group, for no controller was ever enabled above it.
        events.push(Event::new(SOFTWARE, 0).open(number, processor, PERF_FLAG_PID_CGROUP).map_err(
            |error| match error {
                Errno::NOENT => Outcome::impossible("perf does not know the control group"),
                error => error.into(),
            },
        )?);
    }
    for _ in 0..200 {
        victim.scratch()?;
    }
    let mut sum = 0_u64;
    for event in &events {
        let mut value = [0; 8];
        rustix::io::read(event, &mut value)?;
        sum = sum.saturating_add(u64_at(&value, 0));
    }
    Ok(if sum > 0 {
        Outcome::got(format!("{sum} ns on the processors"))
    } else {
        Outcome::nothing("never counted")
    })
}
