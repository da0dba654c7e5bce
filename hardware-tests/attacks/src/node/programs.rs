//! BPF programs of a stranger's: kinds that see what the kernel does, and the one that everybody may have.

use std::io;

use crate::bpf::{self, Program, attach, instruction, kind};
use crate::btf::{self, Kind};
use crate::told::{Found, nothing, told};
use crate::{OPEN, Probe};

pub(crate) const PROBES: &[Probe] = &[
    Probe::new("bpf/raw-tracepoint", "bpf-load", "load a program for raw tracepoints", |_| {
        told(loaded(Program::of(kind::RAW_TRACEPOINT, bpf::NOTHING)))
    }),
    Probe::new("bpf/tracepoint", "bpf-load", "load a program for tracepoints", |_| {
        told(loaded(Program::of(kind::TRACEPOINT, bpf::NOTHING)))
    }),
    Probe::new("bpf/kprobe", "bpf-load", "load a program for kprobes", |_| {
        told(loaded(Program::of(kind::KPROBE, bpf::NOTHING)))
    }),
    Probe::new("bpf/perf-event", "bpf-load", "load a program for counters of perf", |_| {
        told(loaded(Program::of(kind::PERF_EVENT, bpf::NOTHING)))
    }),
    Probe::new("bpf/tp-btf", "bpf-load", "load a tracing program for a tracepoint", |_| {
        told(tracing(kind::TRACING, attach::RAW_TP, Kind::Typedef, "btf_trace_sys_enter"))
    }),
    Probe::new("bpf/fentry", "bpf-load", "load a tracing program for a function", |_| {
        told(tracing(kind::TRACING, attach::FENTRY, Kind::Function, "vfs_read"))
    }),
    Probe::new("bpf/lsm", "bpf-load", "load a security module of one's own", |_| {
        told(tracing(kind::LSM, attach::LSM_MAC, Kind::Function, "bpf_lsm_file_open"))
    }),
    Probe::new("bpf/syscall", "bpf-load", "load a program that makes BPF system calls", |_| {
        const SLEEPABLE: u32 = 1 << 4;
        told(loaded(Program { flags: SLEEPABLE, ..Program::of(kind::SYSCALL, bpf::NOTHING) }))
    }),
    Probe::new(
        "bpf/sched-cls",
        "bpf-load",
        "load a program for packets that reads the kernel's memory",
        |_| told(reader(kind::SCHED_CLS)),
    ),
    Probe::new(
        "bpf/socket-filter-reader",
        "bpf-load",
        "load a socket filter that reads the kernel's memory",
        |_| told(reader(kind::SOCKET_FILTER)),
    ),
    Probe::new("runtime/socket-filter", OPEN, "load a socket filter that looks at nothing", |_| {
        told(loaded(Program::of(kind::SOCKET_FILTER, bpf::NOTHING)))
    }),
    Probe::new("runtime/bpf-map", OPEN, "make a map of one's own, and open it by its number", |_| {
        told(own_map())
    }),
];

/// `bpf_probe_read_kernel(stack, 8, bpf_get_current_task())`: whoever has `CAP_PERFMON` may, in any kind of program.
const READER: &[[u8; 8]] = &[
    instruction(0x85, 0, 0, 35),
    instruction(0xbf, 3, 0, 0),
    instruction(0xbf, 1, 10, 0),
    instruction(0x07, 1, 0, -8),
    instruction(0xb7, 2, 0, 8),
    instruction(0x85, 0, 0, 113),
    instruction(0xb7, 0, 0, 0),
    bpf::EXIT,
];

fn loaded(program: Program<'_>) -> Found {
    let program = program.load()?;
    let number = bpf::word_at(&bpf::information(&program)?, 4);
    Ok(format!("program {number}"))
}

/// The verifier knows the helpers for those only who have the right to them: taking it away is a guard's answer too.
fn reader(kind: u32) -> Found {
    loaded(Program::of(kind, READER)).map_err(|error| match error.raw_os_error() {
        Some(libc::EINVAL) => nothing(format!("the verifier refuses its helpers: {error}")),
        _ => error,
    })
}

fn tracing(kind: u32, attach: u32, of: Kind, name: &str) -> Found {
    let to = btf::number(of, name)?;
    loaded(Program { kind, attach, to, flags: 0, code: bpf::NOTHING })
}

fn own_map() -> io::Result<String> {
    let map = bpf::array(b"own")?;
    let number = bpf::word_at(&bpf::information(&map)?, 4);
    bpf::by_number(bpf::command::MAP_BY_ID, number)?;
    Ok(format!("map {number}"))
}
