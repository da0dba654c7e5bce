//! Which program of the object is for which hook, where names do not say it, and what runs only when asked for.
//!
//! A program for BPF LSM and `fmod_ret` bears the name of its hook, but for the exceptions here; programs of lower tiers are
//! listed with the vectors that they stand for.

use enforcer_abi::Vector;

use crate::load::calls;

/// Programs on typed tracepoints that identity does not rest on: name in the object, tracepoint. One that this kernel does not
/// take is skipped by name.
pub(crate) const TRACEPOINTS: [(&str, &str); 6] = [
    ("executed", "sched_process_exec"),
    ("let_go", "sched_process_exec"),
    ("signal_deliver", "signal_deliver"),
    ("cgroup_attach_task", "cgroup_attach_task"),
    ("trusted_exec", "sched_process_exec"),
    ("own_moved", "cgroup_attach_task"),
];

/// Programs that search what is sent, and run while there is something to find. Of the last two, one is enough: the first
/// may sleep, which not every place allows.
pub const SEARCHES: [&str; 3] = ["leak_file", "leak_send_patient", "leak_send"];

/// The hook that a program is for.
#[must_use]
pub fn hook(program: &str) -> &str {
    match program {
        // `file_permission` is on every read and write: each that needs it has a program of its own.
        "stale_file" | "leak_file" => "file_permission",
        "leak_send" | "leak_send_patient" => "socket_sendmsg",
        // After two underscores: which of several programs for one hook it is.
        same => same.split_once("__").map_or(same, |(hook, _)| hook),
    }
}

/// For how many arguments of its hook a program is, where that is not the same in all kernels.
#[must_use]
pub fn arguments(program: &str) -> Option<u32> {
    program.split_once("__").and_then(|(_, variant)| variant.parse().ok())
}

/// A hook's function in `security_*`, where it goes by another name.
#[must_use]
pub fn secured(hook: &str) -> &str {
    match hook {
        "bprm_check_security" => "bprm_check",
        "settime" => "settime64",
        "userns_create" => "create_user_ns",
        "shm_alloc_security" => "shm_alloc",
        "shm_free_security" => "shm_free",
        "inode_free_security" => "inode_free",
        same => same,
    }
}

/// Whether a hook answers nothing: where BPF LSM is not active, its program is attached to the function's entry instead.
#[must_use]
pub fn answers_nothing(hook: &str) -> bool {
    matches!(hook, "shm_free_security" | "inode_free_security")
}

/// Whether a program is only attached when somebody asks for it.
#[must_use]
pub fn on_demand(program: &str) -> bool {
    program == "stale_file"
}

/// Whether a program, by the name that it is shown by, stands for a vector.
#[must_use]
pub fn serves(shown: &str, vector: Vector) -> bool {
    match shown {
        "sys_enter" => BY_NUMBER.contains(&vector),
        "stale_file" => vector == Vector::StaleFile,
        search if SEARCHES.contains(&search) => vector == Vector::SecretLeak,
        // Every read and write is looked at for that alone.
        "file_permission" => vector != Vector::StaleFile && vector.row().hooks.contains(&shown),
        // As a whole where it cannot be loaded, and call by call where it can.
        calls::PROGRAM => calls::of(vector).next().is_some(),
        shown => match calls::named(shown) {
            Some(call) => call.vector == vector,
            None => vector.row().hooks.contains(&shown),
        },
    }
}

/// What goes by a process's number, and is seen at the entry of system calls.
const BY_NUMBER: [Vector; 6] = [
    Vector::Ptrace,
    Vector::ProcessVm,
    Vector::ProcessInspect,
    Vector::PerfTask,
    Vector::TaskTune,
    Vector::SignalCore,
];

/// A hook's programs where nothing refuses: name in the object, function of the kernel.
#[must_use]
pub fn entry(hook: &str) -> Option<(&'static str, &'static str)> {
    ENTRIES.iter().find(|(name, _)| name.strip_prefix("kill_") == Some(hook)).copied()
}

const ENTRIES: [(&str, &str); 22] = [
    ("kill_file_open", "security_file_open"),
    ("kill_ptrace_access_check", "security_ptrace_access_check"),
    ("kill_ptrace_traceme", "security_ptrace_traceme"),
    ("kill_task_kill", "security_task_kill"),
    ("kill_task_movememory", "security_task_movememory"),
    ("kill_task_setrlimit", "security_task_setrlimit"),
    ("kill_task_setscheduler", "security_task_setscheduler"),
    ("kill_task_setnice", "security_task_setnice"),
    ("kill_task_setioprio", "security_task_setioprio"),
    ("kill_perf_event_alloc", "security_perf_event_alloc"),
    ("kill_inode_init_security_anon", "security_inode_init_security_anon"),
    ("kill_uring_sqpoll", "security_uring_sqpoll"),
    ("kill_uring_override_creds", "security_uring_override_creds"),
    ("kill_uring_allowed", "security_uring_allowed"),
    ("kill_task_prctl", "security_task_prctl"),
    ("kill_userns_create", "security_create_user_ns"),
    ("kill_file_receive", "security_file_receive"),
    ("kill_mmap_file", "security_mmap_file"),
    ("kill_inode_free_security", "security_inode_free"),
    ("kill_shm_alloc_security", "security_shm_alloc"),
    ("kill_shm_shmat", "security_shm_shmat"),
    ("kill_shm_free_security", "security_shm_free"),
];

/// A hook that older kernels have and do not ask about a vector, and functions of which newer ones have one: `io_uring` makes its
/// files as others make theirs since 5.16.
pub(crate) const UNASKED: [(&str, Vector, [&str; 2]); 1] = [(
    "inode_init_security_anon",
    Vector::IoUring,
    ["anon_inode_getfile_secure", "anon_inode_create_getfile"],
)];
/// The program that sees every system call, and its tracepoint; only where nothing else does.
pub(crate) const PASSING: &str = "sys_enter";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_vector_about_a_protected_process_has_a_program_where_nothing_refuses() {
        use enforcer_abi::Guard;
        for vector in Vector::ALL {
            if matches!(vector.guard(), Guard::Process | Guard::Inside)
                && !matches!(vector, Vector::StaleFile | Vector::SecretLeak | Vector::GroupShare)
            {
                let hooks = vector.row().hooks;
                assert!(hooks.iter().any(|hook| entry(hook).is_some()), "{}", vector.row().name);
            }
        }
    }

    #[test]
    fn a_program_stands_for_what_its_hook_does_and_the_one_for_stale_files_for_that_alone() {
        assert!(serves("file_open", Vector::ProcMem));
        assert!(!serves("file_permission", Vector::StaleFile));
        assert!(serves("stale_file", Vector::StaleFile));
        assert!(serves("sys_enter", Vector::ProcessVm));
        assert!(!serves("sys_enter", Vector::ProcMem));
        assert!(serves("kill", Vector::SignalCore) && !serves("kill", Vector::Ptrace));
        assert!(serves("override_call", Vector::IoUring) && !serves("override_call", Vector::ProcMem));
    }

    #[test]
    fn names_differ_where_the_kernels_do() {
        assert_eq!(hook("stale_file"), "file_permission");
        assert_eq!(secured("userns_create"), "create_user_ns");
        assert!(answers_nothing("inode_free_security"));
        assert!(on_demand("stale_file"));
    }
}
