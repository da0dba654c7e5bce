//! System calls that say by a number alone what they are about. Where functions may be made to fail, each can be answered at its
//! entry, by one program that is told which call it is: what stands in the caller's registers is the caller's word.
//!
//! Not seen here: what names a process by a descriptor, or all of a group; and calls of another architecture.

use enforcer_abi::Vector;

/// One call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Call {
    /// Its name, which is its function's.
    pub(crate) name: &'static str,
    /// Its number, by which the program knows it.
    pub(crate) number: libc::c_long,
    /// The hook that would refuse it.
    pub(crate) hook: &'static str,
    /// For what it may be refused.
    pub(crate) vector: Vector,
}

impl Call {
    /// What the program is told.
    pub(crate) fn cookie(&self) -> u64 {
        u64::try_from(self.number).unwrap_or(0)
    }

    /// The name of its pin.
    pub(crate) fn pinned(&self) -> String {
        format!("{PROGRAM}_{}", self.name)
    }
}

/// The program.
pub(crate) const PROGRAM: &str = "override_call";
/// How the kernel's functions of system calls are called.
pub(crate) const FUNCTIONS: &str = if cfg!(target_arch = "x86_64") { "__x64_sys_" } else { "__arm64_sys_" };

/// The call of this name.
pub(crate) fn named(name: &str) -> Option<&'static Call> {
    ALL.iter().find(|call| call.name == name)
}

/// All that a vector is about.
pub(crate) fn of(vector: Vector) -> impl Iterator<Item = &'static Call> {
    ALL.iter().filter(move |call| call.vector == vector)
}

macro_rules! calls {
    ($($vector:ident, $hook:literal: $($name:literal $number:ident),*;)*) => {
        /// All of them.
        pub(crate) const ALL: &[Call] = &[$($(
            Call { name: $name, number: libc::$number, hook: $hook, vector: Vector::$vector },
        )*)*];
    };
}

calls! {
    Ptrace, "ptrace_access_check": "ptrace" SYS_ptrace;
    ProcessVm, "ptrace_access_check": "process_vm_readv" SYS_process_vm_readv, "process_vm_writev" SYS_process_vm_writev;
    ProcessInspect, "ptrace_access_check": "kcmp" SYS_kcmp, "get_robust_list" SYS_get_robust_list, "move_pages" SYS_move_pages,
        "migrate_pages" SYS_migrate_pages;
    PerfTask, "ptrace_access_check": "perf_event_open" SYS_perf_event_open;
    TaskTune, "task_setrlimit": "prlimit64" SYS_prlimit64;
    TaskTune, "task_setscheduler": "sched_setparam" SYS_sched_setparam, "sched_setscheduler" SYS_sched_setscheduler,
        "sched_setaffinity" SYS_sched_setaffinity, "sched_setattr" SYS_sched_setattr;
    TaskTune, "task_setnice": "setpriority" SYS_setpriority;
    TaskTune, "task_setioprio": "ioprio_set" SYS_ioprio_set;
    SignalCore, "task_kill": "kill" SYS_kill, "tkill" SYS_tkill, "tgkill" SYS_tgkill, "rt_sigqueueinfo" SYS_rt_sigqueueinfo,
        "rt_tgsigqueueinfo" SYS_rt_tgsigqueueinfo;
    IoUring, "inode_init_security_anon": "io_uring_setup" SYS_io_uring_setup;
    UserNamespace, "userns_create": "unshare" SYS_unshare, "clone" SYS_clone, "clone3" SYS_clone3;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hook_that_would_refuse_a_call_is_one_of_its_vectors() {
        // What checks a debugger's rights stands before all that is about another's memory.
        let is =
            |call: &&Call| call.hook == "ptrace_access_check" || call.vector.row().hooks.contains(&call.hook);
        let strange: Vec<_> = ALL.iter().filter(|call| !is(call)).collect();
        assert_eq!(strange, [&ALL[0]; 0]);
        assert_eq!(of(Vector::UserNamespace).count(), 3);
    }
}
