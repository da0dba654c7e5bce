//! The node as a whole: ways to every process's memory, or to the kernel's, that no one process is the object of.
//!
//! Whoever is on the list of trusted programs may; the rest is told, or refused, as each vector's mode says. What runtimes,
//! kubelet, systemd and network plug-ins do all day is left out by rule, not by name: see each hook.

use enforcer_abi::{Tag, Vector};

use crate::front::{Front, Pointer, hook, probe};
use crate::identity;
use crate::kinds::{CGROUP, CGROUP2, CHARACTERS, DEBUGFS, KIND, PROC, REGULAR, TRACEFS, WRITE};
use crate::maps::{number, offset};
use crate::names::{self, Name};
use crate::open::named;
use crate::rule::{Object, Voice, against};
use crate::{syscalls, trusted};

hook!(file_open__node, 1, opened);
hook!(locked_down, 1, lockdown);
hook!(kernel_read_file, 3, read_file);
hook!(kernel_load_data, 2, load_data);
hook!(bpf__3, 3, bpf);
hook!(bpf__4, 4, bpf);
hook!(perf_event_open__1, 1, perf_without_attributes);
hook!(perf_event_open__2, 2, perf);
hook!(path_notify, 3, notify);
hook!(syslog, 1, log);
hook!(settime, 2, clock);

/// What a refusal is in the kernel's words.
const EPERM: i32 = -1;

/// What a guard of the node answers.
#[inline(always)]
pub fn guarded<F: Front>(vector: Vector, object: &Object) -> i32 {
    let subject = identity::current();
    if trusted::allowed(subject, vector) {
        return 0;
    }
    against::<F>(vector, subject, object, Voice::Aloud)
}

/// Something that is no process.
#[inline(always)]
pub const fn thing(detail: u64) -> Object {
    Object { detail, ..Object::of(Tag::NONE, 0) }
}

/// Something with a name.
#[inline(always)]
pub fn called(detail: u64, name: &[u8; 16]) -> Object {
    let mut object = thing(detail);
    object.name[..16].copy_from_slice(name);
    object
}

/// `file_open(file)`: what is a guard's by the file system that it is in, or by the device that it stands for.
#[inline(always)]
fn opened<F: Front>(front: &F) -> i32 {
    let file = front.pointer(0);
    file_opened::<F>(file).unwrap_or(0)
}

#[inline(always)]
fn file_opened<F: Front>(file: Pointer) -> Option<i32> {
    let inode: Pointer = F::read(file, offset!(file_inode)?)?;
    let kind = F::read::<u16>(inode, offset!(inode_mode)?)? & KIND;
    if kind == CHARACTERS {
        return Some(device::<F>(F::read(inode, offset!(inode_rdev)?)?));
    }
    let writes = F::read::<u32>(file, offset!(file_mode)?)? & WRITE != 0;
    if kind == REGULAR && writes && trusted::rewritten::<F>(file, inode) != 0 {
        return Some(EPERM);
    }
    // The place that is to be swapped to is opened as any file.
    if syscalls::SWAPON.contains(&syscalls::current()) {
        return Some(guarded::<F>(Vector::SwapOn, &thing(0)));
    }
    let (_, magic) = names::file_system::<F>(inode)?;
    // Nearly every file is of none of these.
    if !matches!(magic, PROC | CGROUP | CGROUP2 | TRACEFS | DEBUGFS) {
        return None;
    }
    let entry: Pointer = F::read(file, offset!(file_dentry)?)?;
    let name = names::of_entry::<F>(entry)?;
    let opened = Opened { inode, entry, writes, name };
    Some(match magic {
        PROC => in_proc::<F>(&opened),
        TRACEFS if number!(locked_tracefs) == enforcer_abi::NOTHING => {
            guarded::<F>(Vector::Tracefs, &called(0, &opened.name))
        }
        DEBUGFS => in_debugfs::<F>(&opened),
        CGROUP | CGROUP2 if writes => crate::own::cgroup_file::<F>(&opened),
        _ => 0,
    })
}

/// A file that is being opened.
pub struct Opened {
    inode: Pointer,
    /// Its directory entry.
    pub entry: Pointer,
    writes: bool,
    /// Its name, cut off after fifteen bytes.
    pub name: [u8; 16],
}

impl Opened {
    /// Its name as a number.
    #[inline(always)]
    pub const fn word(&self) -> Name {
        Name::from_le_bytes(self.name)
    }

    /// The entry above it.
    #[inline(always)]
    pub fn folder<F: Front>(&self) -> Option<Pointer> {
        F::read(self.entry, offset!(dentry_parent)?)
    }

    /// The name of the folder that it is in.
    #[inline(always)]
    fn within<F: Front>(&self) -> Name {
        let name = self.folder::<F>().and_then(names::of_entry::<F>);
        Name::from_le_bytes(name.unwrap_or_default())
    }
}

/// `mem`, `kmem` and `port`, whatever the node of the file system is called (admin-guide/devices.txt).
#[inline(always)]
fn device<F: Front>(device: u32) -> i32 {
    const MEMORY: u32 = 1 << 20;
    match device {
        _ if device == MEMORY | 1 || device == MEMORY | 2 || device == MEMORY | 4 => {
            guarded::<F>(Vector::DeviceMemory, &thing(u64::from(device)))
        }
        _ => 0,
    }
}

const KCORE: Name = named("kcore");
const KALLSYMS: Name = named("kallsyms");
const KPAGEFLAGS: Name = named("kpageflags");
const KPAGECOUNT: Name = named("kpagecount");
const KPAGECGROUP: Name = named("kpagecgroup");
const SYSRQ: Name = named("sysrq-trigger");
const FTRACE: Name = named("ftrace_enabled");
const CORE_PATTERN: Name = named("core_pattern");
const KERNEL: Name = named("kernel");
const KPROBES: Name = named("kprobes");
const ENABLED: Name = named("enabled");

/// Files of procfs that belong to no process, in whichever mount of it.
#[inline(always)]
fn in_proc<F: Front>(file: &Opened) -> i32 {
    let vector = match file.word() {
        KCORE | KALLSYMS | KPAGEFLAGS | KPAGECOUNT | KPAGECGROUP => Vector::KernelCore,
        SYSRQ | CORE_PATTERN if file.writes => Vector::Sysctl,
        FTRACE if file.writes && file.within::<F>() == KERNEL => {
            return crate::own::own::<F>(Vector::HookSwitch, &called(0, &file.name));
        }
        _ => return 0,
    };
    // A thread may have any name, but not in the uppermost folder, or in that of the switches.
    if of_nobody(file.inode) { guarded::<F>(vector, &called(0, &file.name)) } else { 0 }
}

/// Whether an inode of procfs belongs to no process.
#[inline(always)]
fn of_nobody(inode: Pointer) -> bool {
    let pid = || {
        let outer = inode.wrapping_byte_sub(offset!(proc_inode_vfs_inode)?);
        probe::<Pointer>(outer, offset!(proc_inode_pid)?)
    };
    pid().is_some_and(|pid| pid.is_null())
}

/// The switch of all kprobes; and, where the kernel does not ask `locked_down`, the rest.
#[inline(always)]
fn in_debugfs<F: Front>(file: &Opened) -> i32 {
    if file.writes && file.word() == ENABLED && file.within::<F>() == KPROBES {
        return crate::own::own::<F>(Vector::HookSwitch, &called(0, &file.name));
    }
    if number!(locked_debugfs) == enforcer_abi::NOTHING {
        return guarded::<F>(Vector::Debugfs, &called(0, &file.name));
    }
    0
}

/// `locked_down(reason)`: where the kernel asks whether it is to be kept from root. Other than the boot option, this can tell
/// who asks.
#[inline(always)]
fn lockdown<F: Front>(front: &F) -> i32 {
    let reason = front.number(0);
    let vector = match reason {
        _ if reason == number!(locked_memory) => Vector::DeviceMemory,
        _ if reason == number!(locked_port) || reason == number!(locked_register) => Vector::IoPort,
        _ if reason == number!(locked_core) => Vector::KernelCore,
        _ if reason == number!(locked_tracefs) => Vector::Tracefs,
        _ if reason == number!(locked_debugfs) => Vector::Debugfs,
        _ if reason == number!(locked_kexec) => Vector::Kexec,
        _ if reason == number!(locked_module) => Vector::ModuleLoad,
        // Any kind of program may read the kernel's memory if root loads it: this is asked when it is loaded.
        _ if reason == number!(locked_read) || reason == number!(locked_write) => Vector::BpfLoad,
        _ if reason == number!(locked_probe) => Vector::Tracefs,
        _ if reason == number!(locked_perf) => Vector::PerfSystem,
        _ if reason == number!(locked_hibernation) => return hibernation::<F>(reason),
        _ if is_hardware(reason) => Vector::Hardware,
        _ if reason == number!(locked_debug_write)
            || reason == number!(locked_debug_read)
            || reason == number!(locked_monitor_write)
            || reason == number!(locked_monitor_read) =>
        {
            Vector::KernelCore
        }
        _ => return 0,
    };
    guarded::<F>(vector, &thing(u64::from(reason)))
}

/// What reaches devices and the firmware, which reach all memory.
#[inline(always)]
fn is_hardware(reason: u32) -> bool {
    reason == number!(locked_bus)
        || reason == number!(locked_acpi)
        || reason == number!(locked_tree)
        || reason == number!(locked_firmware)
        || reason == number!(locked_card)
        || reason == number!(locked_serial)
        || reason == number!(locked_parameter)
        || reason == number!(locked_traffic)
        || reason == number!(locked_errors)
}

/// Asked for by whoever only reads what the machine can do, all day: that is answered, and not told.
#[inline(always)]
fn hibernation<F: Front>(reason: u32) -> i32 {
    let subject = identity::current();
    if trusted::allowed(subject, Vector::Hibernation) {
        return 0;
    }
    let voice =
        if crate::syscalls::current() == crate::syscalls::READ { Voice::Silent } else { Voice::Aloud };
    against::<F>(Vector::Hibernation, subject, &thing(u64::from(reason)), voice)
}

/// `kernel_read_file(file, kind, contents)`.
#[inline(always)]
fn read_file<F: Front>(front: &F) -> i32 {
    let kind = front.number(1);
    let vector = match kind {
        _ if kind == number!(reading_module) => Vector::ModuleLoad,
        _ if kind == number!(reading_kernel) || kind == number!(reading_initrd) => Vector::Kexec,
        _ => return 0,
    };
    let file = front.pointer(0);
    let entry = offset!(file_dentry).and_then(|at| F::read::<Pointer>(file, at));
    let name = entry.and_then(names::of_entry::<F>).unwrap_or_default();
    guarded::<F>(vector, &called(u64::from(kind), &name))
}

/// `kernel_load_data(kind, contents)`: likewise from memory.
#[inline(always)]
fn load_data<F: Front>(front: &F) -> i32 {
    let kind = front.number(0);
    let vector = match kind {
        _ if kind == number!(loading_module) => Vector::ModuleLoad,
        _ if kind == number!(loading_kernel) => Vector::Kexec,
        _ => return 0,
    };
    guarded::<F>(vector, &thing(u64::from(kind)))
}

/// Kinds of program that look at packets and sockets, or at what a control group's members ask for (linux/bpf.h): socket
/// filter, sched_cls, sched_act, xdp, cgroup_skb, cgroup_sock, lwt_in, lwt_out, lwt_xmit, sock_ops, sk_skb, cgroup_device,
/// sk_msg, cgroup_sock_addr, lwt_seg6local, sk_reuseport, flow_dissector, cgroup_sysctl, cgroup_sockopt, sk_lookup,
/// netfilter. Network plug-ins and systemd load them all day; one that reads the kernel's memory is seen in `locked_down`.
const PASS: u64 = 1 << 1
    | 1 << 3
    | 1 << 4
    | 1 << 6
    | 1 << 8
    | 1 << 9
    | 1 << 10
    | 1 << 11
    | 1 << 12
    | 1 << 13
    | 1 << 14
    | 1 << 15
    | 1 << 16
    | 1 << 18
    | 1 << 19
    | 1 << 21
    | 1 << 22
    | 1 << 23
    | 1 << 25
    | 1 << 30
    | 1 << 32;
/// `BPF_PROG_LOAD` (linux/bpf.h).
const PROG_LOAD: u32 = 5;

/// `bpf(command, attributes, size)`.
#[inline(always)]
fn bpf<F: Front>(front: &F) -> i32 {
    let command = front.number(0);
    let attributes = front.pointer(1);
    if command != PROG_LOAD {
        return crate::own::command::<F>(command, attributes);
    }
    if identity::current().is(enforcer_abi::role::ENFORCER) {
        crate::own::at_home();
        return 0;
    }
    let kind = u64::from(probe::<u32>(attributes, 0).unwrap_or(u32::MAX));
    if kind < 64 && PASS & (1 << kind) != 0 {
        return 0;
    }
    guarded::<F>(Vector::BpfLoad, &thing(kind))
}

/// `PERF_SECURITY_CPU` (linux/perf_event.h).
const PROCESSOR: u32 = 1;

/// `perf_event_open(attributes, kind)`: counters on a whole processor. Those on one's own processes stay.
#[inline(always)]
fn perf<F: Front>(front: &F) -> i32 {
    perf_kind::<F>(front.number(1))
}

/// `perf_event_open(kind)`, in newer kernels.
#[inline(always)]
fn perf_without_attributes<F: Front>(front: &F) -> i32 {
    perf_kind::<F>(front.number(0))
}

#[inline(always)]
fn perf_kind<F: Front>(kind: u32) -> i32 {
    if kind == PROCESSOR { guarded::<F>(Vector::PerfSystem, &thing(kind.into())) } else { 0 }
}

/// `path_notify(path, mask, kind)`: watching a mount or a file system, with descriptors; watching a file stays.
#[inline(always)]
fn notify<F: Front>(front: &F) -> i32 {
    let kind = front.number(2);
    if kind == 0 { 0 } else { guarded::<F>(Vector::Fanotify, &thing(kind.into())) }
}

/// `syslog(action)`: 0 and 1 do nothing, 9 and 10 are sizes (syslog(2)).
#[inline(always)]
fn log<F: Front>(front: &F) -> i32 {
    match front.number(0) {
        0 | 1 | 9 | 10 => 0,
        action => guarded::<F>(Vector::KernelLog, &thing(action.into())),
    }
}

/// `settime(time, zone)`. Slewing the clock does not come here.
#[inline(always)]
fn clock<F: Front>(_: &F) -> i32 {
    guarded::<F>(Vector::ClockSet, &thing(0))
}
