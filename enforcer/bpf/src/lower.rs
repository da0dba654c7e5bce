//! Where nothing obeys a program: the same rules at the entry of `security_*`, and who is found there is killed before it gets
//! back to its own code. What it took into registers of its own it never sees; what it shares with an accomplice, that one
//! sees: a descriptor in a common table, so this is no refusal.

use aya_ebpf::helpers::generated::bpf_send_signal;
use aya_ebpf::programs::ProbeContext;

use crate::front::Numbers;
use crate::{inside, open, process, secret, shared};

/// signal(7).
const KILL: u32 = 9;

/// A kprobe on a function of security, for a rule.
macro_rules! kill {
    ($name:ident, $rule:path) => {
        #[unsafe(no_mangle)]
        #[unsafe(link_section = concat!("kprobe/", stringify!($name)))]
        pub fn $name(ctx: *mut core::ffi::c_void) -> u32 {
            if $rule(&Numbers(&ProbeContext::new(ctx))) != 0 {
                // SAFETY: a number.
                unsafe { bpf_send_signal(KILL) };
            }
            0
        }
    };
}

kill!(kill_file_open, open::opened);
kill!(kill_ptrace_access_check, process::access);
kill!(kill_ptrace_traceme, process::traceme);
kill!(kill_task_kill, process::kill);
kill!(kill_task_movememory, process::inspected);
kill!(kill_task_setrlimit, process::tuned);
kill!(kill_task_setscheduler, process::tuned);
kill!(kill_task_setnice, process::tuned);
kill!(kill_task_setioprio, process::tuned);
kill!(kill_perf_event_alloc, process::counted);
kill!(kill_inode_init_security_anon, inside::made);
kill!(kill_uring_sqpoll, inside::ring);
kill!(kill_uring_override_creds, inside::ring);
kill!(kill_uring_allowed, inside::ring);
kill!(kill_task_prctl, inside::control);
kill!(kill_userns_create, inside::user_namespace);
kill!(kill_file_receive, secret::received);
kill!(kill_mmap_file, secret::mapped);
kill!(kill_inode_free_security, secret::freed);
kill!(kill_shm_alloc_security, shared::made);
kill!(kill_shm_shmat, shared::attached);
kill!(kill_shm_free_security, shared::freed);
