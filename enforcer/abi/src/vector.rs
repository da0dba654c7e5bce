//! The catalogue: what is defended, and by what. Documents, events, metrics and the attack suite are made from it.
//!
//! A vector is a way to a secret, or to the guard in front of it. Its number travels in records; its name in the
//! configuration, in metrics and in reports; its event is what the reader of a log sees.

/// What stands behind a vector: who may, and who may not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Guard {
    /// A protected process is what it is done to: only its own group may.
    Process,
    /// A part of the enforcer is: only the enforcer may.
    Own,
    /// The node as a whole is: only trusted programs may. In audit until an operator decides.
    Node,
    /// A protected process does it: it may not.
    Inside,
}

/// The first kernel that has the hook.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Since(pub u8, pub u8);

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// The event that tells of it.
    pub event: &'static str,
    /// What stands behind it.
    pub guard: Guard,
    /// The hooks that see it, the first one first.
    pub hooks: &'static [&'static str],
    /// The first kernel on which the first hook exists; the object as a whole needs 5.15.
    pub since: Since,
    /// What an attacker does.
    pub what: &'static str,
}

macro_rules! catalogue {
    ($($variant:ident $name:literal $event:literal $guard:ident $hooks:expr, ($major:literal, $minor:literal), $what:literal;)*) => {
        /// What is defended.
        #[repr(u16)]
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Vector {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl Vector {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// What stands behind it.
            #[must_use]
            #[inline]
            pub const fn guard(self) -> Guard {
                match self {
                    $(Self::$variant => Guard::$guard,)*
                }
            }
        }

        /// A row for each vector, in the order of their numbers.
        pub const CATALOGUE: &[Row] = &[$(Row {
            name: $name, event: $event, guard: Guard::$guard, hooks: &$hooks, since: Since($major, $minor), what: $what,
        },)*];
    };
}

impl Vector {
    /// Its number.
    #[expect(clippy::as_conversions, reason = "the number of an enum of repr(u16)")]
    #[must_use]
    #[inline]
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The vector of this number.
    #[must_use]
    pub fn of(number: u16) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The vector of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let at = CATALOGUE.iter().position(|row| row.name == name)?;
        Self::ALL.get(at).copied()
    }

    /// Its row.
    #[must_use]
    pub fn row(self) -> &'static Row {
        // Both are made from one list.
        CATALOGUE.get(usize::from(self.number())).unwrap_or(&EMPTY)
    }
}

const EMPTY: Row = Row { name: "", event: "", guard: Guard::Own, hooks: &[], since: Since(0, 0), what: "" };

catalogue! {
    // A protected process, from outside.
    ProcMem "proc-mem" "PROCMEM_READ" Process ["file_open", "ptrace_access_check"], (5, 7),
        "read or write /proc/PID/mem, of a thread, through another procfs mount, or by io_uring";
    Environ "environ" "ENVIRON_READ" Process ["file_open", "ptrace_access_check"], (5, 7),
        "read /proc/PID/environ, of the process or of a thread";
    ProcView "proc-view" "PROC_READ" Process ["ptrace_access_check", "file_open"], (5, 7),
        "read what procfs shows only to a debugger: auxv, maps, smaps, pagemap, stack, syscall, io, map_files, exe, cwd, root, fdinfo and their kin";
    ProcList "proc-list" "PROC_LIST" Process ["file_open"], (5, 7),
        "list or read what procfs shows to anybody and no runtime needs: fd, ns, task, cmdline, sched, timers";
    ProcWrite "proc-write" "PROC_WRITE" Process ["file_open"], (5, 7),
        "write coredump_filter, clear_refs, timerslack_ns and their kin";
    StaleFile "stale-file" "PROC_STALE_FD" Process ["file_permission"], (5, 7),
        "use a file of /proc/PID that was opened before the process was protected";
    DescriptorOpen "descriptor-open" "FD_OPEN" Process ["ptrace_access_check"], (5, 7),
        "open /proc/PID/fd/N";
    Ptrace "ptrace" "PTRACE_DENIED" Process ["ptrace_access_check"], (5, 7),
        "PTRACE_ATTACH or PTRACE_SEIZE";
    TraceMe "traceme" "PTRACE_TRACEME" Process ["ptrace_traceme"], (5, 7),
        "have a protected process ask to be traced by a parent outside its group";
    ProcessVm "process-vm" "PROCESS_VM" Process ["ptrace_access_check"], (5, 7),
        "process_vm_readv or process_vm_writev";
    ProcessInspect "process-inspect" "PROCESS_INSPECT" Process ["ptrace_access_check", "task_movememory"], (5, 7),
        "kcmp, process_madvise, get_robust_list, move_pages, migrate_pages";
    PidfdGetfd "pidfd-getfd" "PIDFD_GETFD" Process ["ptrace_access_check"], (5, 7),
        "take a descriptor with pidfd_getfd, of memfd_secret too";
    Setns "setns" "SETNS" Process ["ptrace_access_check"], (5, 7),
        "enter its name spaces, by /proc/PID/ns or by pidfd";
    SecretReceive "secret-receive" "SECRET_FD_RECEIVED" Process ["file_receive", "inode_init_security_anon"], (5, 14),
        "receive its memfd_secret over a socket";
    PerfTask "perf-task" "PERF_TASK" Process ["perf_event_alloc"], (5, 7),
        "perf_event_open on it: its registers, its stack, breakpoints";
    TaskTune "task-tune" "TASK_TUNE" Process ["task_prlimit", "task_setrlimit", "task_setscheduler", "task_setnice", "task_setioprio"], (5, 7),
        "change its limits, its scheduling, its priorities";
    SharedMemory "shared-memory" "SHM_ATTACH" Process ["shm_shmat"], (5, 7),
        "attach System V shared memory that it made";
    Fanotify "fanotify" "FANOTIFY" Node ["path_notify"], (5, 7),
        "watch a whole mount or file system, and be handed descriptors";
    SignalCore "signal-core" "SIGNAL_CORE" Process ["task_kill", "file_send_sigiotask"], (5, 7),
        "send it a signal that dumps core";
    CoreDump "core-dump" "CORE_DUMP" Inside ["signal_deliver", "file_open"], (5, 7),
        "let it crash, and read the core from a file or a pipe";

    // A protected process, from inside.
    IoUring "io-uring" "IO_URING" Inside ["inode_init_security_anon", "uring_sqpoll", "uring_override_creds", "uring_allowed"], (5, 16),
        "io_uring_setup: system calls that no filter sees";
    Userfaultfd "userfaultfd" "USERFAULTFD" Inside ["inode_init_security_anon"], (5, 12),
        "userfaultfd: its pages in another's hands";
    Dumpable "dumpable" "DUMPABLE" Inside ["task_prctl"], (5, 7),
        "PR_SET_DUMPABLE or PR_SET_PTRACER: opens itself to others";
    UserNamespace "user-namespace" "USERNS_CREATE" Inside ["userns_create"], (6, 1),
        "unshare(CLONE_NEWUSER): rights it was not given";
    SecretLeak "secret-leak" "SECRET_LEAK" Inside ["file_permission", "socket_sendmsg"], (5, 17),
        "send a secret, or what looks like one, out: raw, hex or base64";

    // The enforcer.
    OwnMap "own-map" "ENFORCER_MAP" Own ["bpf_map"], (5, 7),
        "open one of its maps by number or pin";
    OwnProgram "own-program" "ENFORCER_PROGRAM" Own ["bpf_prog", "file_open"], (5, 7),
        "open one of its programs by number or pin";
    OwnPin "own-pin" "ENFORCER_PIN" Own ["inode_unlink", "inode_rename", "inode_rmdir", "sb_umount"], (5, 7),
        "remove, rename or unmount its pins";
    OwnSignal "own-signal" "ENFORCER_SIGNAL" Process ["task_kill", "file_send_sigiotask"], (5, 7),
        "kill or stop the enforcer";
    CgroupKill "cgroup-kill" "CGROUP_KILL" Own ["file_open"], (5, 14),
        "cgroup.kill or cgroup.freeze of the enforcer's control group, or of one above it";
    CgroupMove "cgroup-move" "CGROUP_MOVE" Process ["file_open"], (5, 7),
        "move a process into or out of a protected process's control group";
    HookSwitch "hook-switch" "HOOKS_OFF" Own ["cgroup/sysctl", "file_open"], (5, 2),
        "kernel.ftrace_enabled=0 or kprobes/enabled=0: all hooks off, in silence";

    // The node.
    PerfSystem "perf-system" "PERF_OPEN" Node ["perf_event_open"], (5, 7),
        "perf on a whole processor";
    DeviceMemory "device-memory" "DEV_MEM" Node ["locked_down", "file_open"], (5, 7),
        "open /dev/mem, /dev/kmem or /dev/port, by any name";
    IoPort "io-port" "IO_PORT" Node ["locked_down"], (5, 7),
        "iopl or ioperm";
    KernelCore "kernel-core" "KCORE" Node ["locked_down", "file_open"], (5, 7),
        "open /proc/kcore, kallsyms, kpageflags, kpagecount";
    Tracefs "tracefs" "TRACEFS" Node ["locked_down", "file_open"], (5, 7),
        "kprobes and uprobes through tracefs";
    Debugfs "debugfs" "DEBUGFS" Node ["locked_down", "file_open"], (5, 7),
        "open debugfs";
    ModuleLoad "module-load" "MODULE_LOAD" Node ["kernel_read_file", "kernel_load_data", "locked_down"], (5, 7),
        "load a kernel module";
    Kexec "kexec" "KEXEC" Node ["kernel_load_data", "kernel_read_file", "locked_down"], (5, 7),
        "load another kernel";
    BpfLoad "bpf-load" "BPF_LOAD" Node ["bpf", "bpf_prog_load"], (5, 7),
        "load a BPF program that sees or changes the kernel";
    KernelLog "kernel-log" "SYSLOG" Node ["syslog"], (5, 7),
        "read or clear the kernel's log";
    ClockSet "clock-set" "SETTIME" Node ["settime"], (5, 7),
        "set the clock";
    SwapOn "swap-on" "SWAP_ON" Node ["file_open"], (5, 7),
        "turn on swap: the kernel writes every process's pages there, and whoever may read it, reads them";
    Mount "mount" "MOUNT" Node ["sb_mount", "move_mount", "sb_umount", "sb_remount"], (5, 7),
        "mount procfs anew, over a process's files, or bind what is hidden";
    Sysctl "sysctl" "SYSCTL_WRITE" Node ["cgroup/sysctl", "file_open"], (5, 2),
        "core_pattern, sysrq-trigger, and their kin";
    TrustedProcess "trusted-process" "TRUSTED_TAKEN" Node ["ptrace_access_check", "file_open"], (5, 7),
        "take over a trusted program with a debugger's rights: ptrace, its memory, its descriptors";
    Hardware "hardware" "HARDWARE_ACCESS" Node ["locked_down"], (5, 7),
        "registers and memory of devices on the bus, tables of the firmware, ports of serial lines";
    Hibernation "hibernation" "HIBERNATION" Node ["locked_down"], (5, 7),
        "an image of the whole memory, or one put in its place";
    CgroupStarve "cgroup-starve" "CGROUP_STARVE" Node ["file_open"], (5, 7),
        "limits of a control group above the enforcer's: memory, processor, processes";
    GroupShare "group-share" "GROUP_SHARE" Inside ["task_alloc", "inode_init_security_anon", "mmap_file", "shm_alloc_security"], (5, 7),
        "fill the tables in which protected processes are known, so that others are not";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_stands_where_its_vectors_number_says() {
        assert_eq!(Vector::ALL.len(), CATALOGUE.len());
        for (at, vector) in Vector::ALL.iter().enumerate() {
            assert_eq!(usize::from(vector.number()), at);
            assert_eq!(Vector::of(vector.number()), Some(*vector));
            assert_eq!(Vector::named(vector.row().name), Some(*vector));
            assert_eq!(vector.row().guard, vector.guard());
        }
        assert_eq!(Vector::of(u16::MAX), None);
        assert_eq!(Vector::named("no such"), None);
    }

    #[test]
    fn the_names_that_users_know_are_there() {
        for event in
            ["SECRET_LEAK", "PROCMEM_READ", "ENVIRON_READ", "PTRACE_DENIED", "MODULE_LOAD", "BPF_LOAD"]
        {
            assert!(CATALOGUE.iter().any(|row| row.event == event), "{event}");
        }
    }

    #[test]
    fn names_and_events_are_each_ones_own() {
        for (at, row) in CATALOGUE.iter().enumerate() {
            assert!(!row.hooks.is_empty() && !row.what.is_empty(), "{}", row.name);
            for other in &CATALOGUE[..at] {
                assert_ne!(row.name, other.name);
                assert_ne!(row.event, other.event);
            }
        }
    }
}
