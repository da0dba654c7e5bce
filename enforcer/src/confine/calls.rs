//! The calls of an enforcer that looks after what is armed: waiting, answering, reading what others run, writing what is told.
//!
//! Not among them: whatever executes, forks, traces, mounts, loads (modules, programs, kernels), opens a network, changes
//! whose rights it has, or makes memory executable.

use libc::c_long;

/// Allowed whatever their arguments are.
pub(super) const FREE: &[c_long] = &[
    // Waiting.
    libc::SYS_ppoll,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    // Files: procfs, control groups, what is told.
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_close,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_unlinkat,
    libc::SYS_mkdirat,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_fcntl,
    libc::SYS_dup,
    libc::SYS_dup3,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_renameat,
    libc::SYS_renameat2,
    // Sockets that are there.
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    // Processes, to be looked at.
    libc::SYS_pidfd_open,
    // Itself.
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getrandom,
    libc::SYS_uname,
    libc::SYS_getrusage,
    libc::SYS_sched_getaffinity,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigaction,
    libc::SYS_sigaltstack,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// The same by their older names, which musl uses where they are.
#[cfg(target_arch = "x86_64")]
pub(super) const OLD: &[c_long] = &[
    libc::SYS_poll,
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_dup2,
    libc::SYS_getrlimit,
];
/// As above.
#[cfg(not(target_arch = "x86_64"))]
pub(super) const OLD: &[c_long] = &[libc::SYS_renameat];

/// Allowed with one of these values in this argument.
pub(super) struct Bound {
    pub(super) call: c_long,
    pub(super) argument: u8,
    pub(super) values: &'static [u32],
}

const fn bound(call: c_long, argument: u8, values: &'static [u32]) -> Bound {
    Bound { call, argument, values }
}

/// Allowed for some things.
pub(super) const BOUND: [Bound; 5] = [
    bound(libc::SYS_bpf, 0, &COMMANDS),
    bound(libc::SYS_socket, 0, &[libc::AF_UNIX.cast_unsigned()]),
    bound(libc::SYS_ioctl, 1, &[FIONBIO, FIOCLEX]),
    // Whom a killed attacker stopped goes on.
    bound(libc::SYS_kill, 1, &[libc::SIGCONT.cast_unsigned()]),
    // The canary's children end.
    bound(libc::SYS_pidfd_send_signal, 1, &[libc::SIGKILL.cast_unsigned()]),
];

/// Allowed where memory is not to be executed.
pub(super) const NOT_EXECUTABLE: [c_long; 2] = [libc::SYS_mmap, libc::SYS_mprotect];

/// `enum bpf_cmd` (linux/bpf.h): elements of maps; names in bpffs, information, and links for the search for secrets, whose programs are loaded
/// already; the program that looks at a process. None that loads, makes a map, opens what is not ours, or detaches.
const COMMANDS: [u32; 9] = [
    1,  // BPF_MAP_LOOKUP_ELEM
    2,  // BPF_MAP_UPDATE_ELEM
    3,  // BPF_MAP_DELETE_ELEM
    4,  // BPF_MAP_GET_NEXT_KEY
    6,  // BPF_OBJ_PIN
    15, // BPF_OBJ_GET_INFO_BY_FD
    17, // BPF_RAW_TRACEPOINT_OPEN
    28, // BPF_LINK_CREATE
    33, // BPF_ITER_CREATE
];

/// `asm-generic/ioctls.h`.
const FIONBIO: u32 = 0x5421;
const FIOCLEX: u32 = 0x5451;
