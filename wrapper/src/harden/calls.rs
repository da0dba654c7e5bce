//! Which system calls our processes may make, each with its reason: one table, from which the filters are made and which
//! `tests/harden.rs` holds against recorded runs.
//!
//! Who writes code that needs another call adds a row here, with its reason. A call is allowed to a process only if some
//! recorded run makes it ([`Need::For`]), or says why none does ([`Need::Seldom`]).

use libc::c_long;

/// One system call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Its name, as strace has it.
    pub name: &'static str,
    /// Its number on this machine.
    pub number: c_long,
    /// What the keeper makes it for.
    pub keeper: Need,
    /// What a fetcher makes it for.
    pub fetcher: Need,
}

/// Whether a process may make a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    /// It may not.
    No,
    /// It may, and each good run does.
    For(&'static str),
    /// It may, and few runs do: why that is so.
    Seldom(&'static str),
}

use Need::{For, No, Seldom};

const MUSL: Need = Seldom("musl's way");

const fn call(name: &'static str, number: c_long, keeper: Need, fetcher: Need) -> Call {
    Call { name, number, keeper, fetcher }
}

/// Calls that every architecture has.
pub const EVERYWHERE: &[Call] = &[
    // Memory.
    call("brk", libc::SYS_brk, Seldom("the heap grows"), Seldom("the heap grows")),
    call("mmap", libc::SYS_mmap, For("secret memory"), For("secret memory")),
    call("munmap", libc::SYS_munmap, For("secret memory ends"), For("the heap shrinks")),
    call(
        "mprotect",
        libc::SYS_mprotect,
        For("values are made read-only"),
        Seldom("secret memory is made read-only"),
    ),
    call("mremap", libc::SYS_mremap, Seldom("a long buffer grows"), Seldom("a long buffer grows")),
    call(
        "madvise",
        libc::SYS_madvise,
        For("no core, no fork of secret memory"),
        For("no core, no fork of secret memory"),
    ),
    call(
        "memfd_secret",
        libc::SYS_memfd_secret,
        Seldom("a token goes along with an errand"),
        For("keys and values"),
    ),
    call(
        "ftruncate",
        libc::SYS_ftruncate,
        Seldom("the size of secret memory"),
        For("the size of secret memory"),
    ),
    call(
        "prlimit64",
        libc::SYS_prlimit64,
        Seldom("the limit that an error names"),
        Seldom("the limit that an error names"),
    ),
    // Descriptors.
    call("read", libc::SYS_read, For("signals"), Seldom("certificates and tokens, where there are any")),
    call("write", libc::SYS_write, Seldom("the log"), Seldom("the log")),
    call("readv", libc::SYS_readv, No, MUSL),
    call("writev", libc::SYS_writev, Seldom("the log"), Seldom("the log")),
    call("close", libc::SYS_close, For("every end"), For("every end")),
    call("close_range", libc::SYS_close_range, No, No),
    call(
        "openat",
        libc::SYS_openat,
        Seldom("what a process says of itself in /proc"),
        Seldom("certificates, tokens, resolver"),
    ),
    call("lseek", libc::SYS_lseek, Seldom("files are read whole"), Seldom("files are read whole")),
    call(
        "pread64",
        libc::SYS_pread64,
        Seldom("what a program asks for, in its memory"),
        Seldom("a library of the resolver"),
    ),
    call("statx", libc::SYS_statx, For("the size of memory that was sent"), Seldom("the size of a file")),
    call("fstat", libc::SYS_fstat, Seldom("the size of memory that was sent"), Seldom("the size of a file")),
    call(
        "newfstatat",
        libc::SYS_newfstatat,
        Seldom("the size of memory that was sent"),
        Seldom("the size of a file"),
    ),
    call("pwrite64", libc::SYS_pwrite64, Seldom("how a file of ours looks, in its asker's memory"), No),
    call("setfsuid", libc::SYS_setfsuid, Seldom("the memory of a program that became another user"), No),
    call("setfsgid", libc::SYS_setfsgid, Seldom("the memory of a program that became another user"), No),
    call("readlinkat", libc::SYS_readlinkat, MUSL, No),
    call("fcntl", libc::SYS_fcntl, For("whether memory is secret"), For("whether memory is secret")),
    call("dup", libc::SYS_dup, No, No),
    call("ioctl", libc::SYS_ioctl, For("the terminal"), Seldom("how much of an answer there is")),
    call("ppoll", libc::SYS_ppoll, For("waiting"), Seldom("waiting")),
    call(
        "getdents64",
        libc::SYS_getdents64,
        Seldom("who descends from the program, before it is frozen"),
        No,
    ),
    call("faccessat", libc::SYS_faccessat, Seldom("which files there are for a program"), No),
    call("getxattr", libc::SYS_getxattr, For("whether a program gains rights"), No),
    call(
        "memfd_create",
        libc::SYS_memfd_create,
        Seldom("the library for programs that may not be traced"),
        Seldom("memory where there is none that is secret"),
    ),
    call(
        "mlock",
        libc::SYS_mlock,
        Seldom("memory where there is none that is secret"),
        Seldom("memory where there is none that is secret"),
    ),
    call("unlinkat", libc::SYS_unlinkat, Seldom("the path of our socket goes with us"), No),
    // Lines and sockets.
    call(
        "socket",
        libc::SYS_socket,
        Seldom("the door of ways without tracing, the local socket"),
        For("the agent, OpenBao, names"),
    ),
    call("socketpair", libc::SYS_socketpair, For("lines"), No),
    call(
        "bind",
        libc::SYS_bind,
        Seldom("the door of ways without tracing, the local socket"),
        Seldom("names"),
    ),
    call("listen", libc::SYS_listen, Seldom("the door of ways without tracing, the local socket"), No),
    call("accept4", libc::SYS_accept4, Seldom("the door of ways without tracing, the local socket"), No),
    call(
        "connect",
        libc::SYS_connect,
        Seldom("the enforcer, when it has come back; the keeper opens Unix sockets alone"),
        For("the agent, OpenBao, names"),
    ),
    call("sendmsg", libc::SYS_sendmsg, For("orders"), For("what was fetched")),
    call("recvmsg", libc::SYS_recvmsg, For("what was fetched"), Seldom("names")),
    call("sendto", libc::SYS_sendto, Seldom("an answer"), For("requests")),
    call("recvfrom", libc::SYS_recvfrom, Seldom("a question"), For("answers")),
    call("sendmmsg", libc::SYS_sendmmsg, No, Seldom("names")),
    call(
        "getsockopt",
        libc::SYS_getsockopt,
        Seldom("the door of ways without tracing, the local socket"),
        Seldom("how connecting went"),
    ),
    call(
        "setsockopt",
        libc::SYS_setsockopt,
        Seldom("how long an answer may take"),
        For("how long an answer may take"),
    ),
    call("getsockname", libc::SYS_getsockname, No, Seldom("names")),
    call("getpeername", libc::SYS_getpeername, No, Seldom("names")),
    call("shutdown", libc::SYS_shutdown, Seldom("a file ends"), Seldom("the end of a session")),
    // Processes and signals.
    call("wait4", libc::SYS_wait4, For("the dead and the stopped"), No),
    call("ptrace", libc::SYS_ptrace, For("the graft"), No),
    call("process_vm_readv", libc::SYS_process_vm_readv, For("the program's stack"), No),
    call("kill", libc::SYS_kill, Seldom("signals are passed on"), No),
    call("setpgid", libc::SYS_setpgid, Seldom("the group of a program that is not traced"), No),
    call("pidfd_open", libc::SYS_pidfd_open, For("who is given memory stays who it is"), No),
    call("pidfd_getfd", libc::SYS_pidfd_getfd, For("the program's memory, to write values to"), No),
    call("getppid", libc::SYS_getppid, Seldom("who asks is of the program's family"), No),
    call("geteuid", libc::SYS_geteuid, Seldom("who asks is our user"), No),
    call("getegid", libc::SYS_getegid, Seldom("whether a program gains rights"), No),
    call("tgkill", libc::SYS_tgkill, Seldom("we abort"), Seldom("we abort")),
    call("getpid", libc::SYS_getpid, Seldom("whether we are process 1"), Seldom("we abort")),
    call("gettid", libc::SYS_gettid, Seldom("we abort"), Seldom("we abort")),
    call("rt_sigaction", libc::SYS_rt_sigaction, Seldom("we abort"), Seldom("we abort")),
    call("rt_sigprocmask", libc::SYS_rt_sigprocmask, Seldom("we abort"), Seldom("we abort")),
    call("rt_sigreturn", libc::SYS_rt_sigreturn, Seldom("after a stop"), Seldom("after a stop")),
    call("restart_syscall", libc::SYS_restart_syscall, Seldom("after a stop"), Seldom("after a stop")),
    call(
        "sigaltstack",
        libc::SYS_sigaltstack,
        For("Rust takes its stack down"),
        For("Rust takes its stack down"),
    ),
    call("futex", libc::SYS_futex, Seldom("what is made once"), Seldom("what is made once")),
    call("exit_group", libc::SYS_exit_group, For("the end"), For("the end")),
    // Time and chance.
    call("clock_gettime", libc::SYS_clock_gettime, Seldom("without a vDSO"), Seldom("without a vDSO")),
    call(
        "clock_nanosleep",
        libc::SYS_clock_nanosleep,
        Seldom("until a family stands still"),
        Seldom("between two attempts"),
    ),
    call("nanosleep", libc::SYS_nanosleep, MUSL, MUSL),
    call("timerfd_create", libc::SYS_timerfd_create, For("leases have an end"), No),
    call("timerfd_settime", libc::SYS_timerfd_settime, For("leases have an end"), No),
    call("getrandom", libc::SYS_getrandom, For("tags, names of sockets"), For("keys")),
    // What of itself it shows: a process that asks for a file is asked back by its own user.
    call("prctl", libc::SYS_prctl, Seldom("what is shown in /proc"), No),
    // The kernel's name, which the resolver and libraries ask.
    call("uname", libc::SYS_uname, No, Seldom("names")),
];

/// Calls that only older architectures have.
#[cfg(target_arch = "x86_64")]
pub const HERE: &[Call] = &[
    call("open", libc::SYS_open, MUSL, MUSL),
    call("stat", libc::SYS_stat, MUSL, MUSL),
    call("access", libc::SYS_access, Seldom("which files there are for a program"), No),
    call("unlink", libc::SYS_unlink, Seldom("the path of our socket goes with us"), No),
    call("readlink", libc::SYS_readlink, For("which file a program runs"), No),
    call("poll", libc::SYS_poll, MUSL, For("waiting")),
    call("getpgrp", libc::SYS_getpgrp, Seldom("job control"), No),
];
/// Calls that only older architectures have.
#[cfg(not(target_arch = "x86_64"))]
pub const HERE: &[Call] = &[call("getpgid", libc::SYS_getpgid, Seldom("job control"), No)];

/// The whole table.
pub fn all() -> impl Iterator<Item = &'static Call> {
    EVERYWHERE.iter().chain(HERE)
}
