//! Names of the system calls that lead to a hook. A call's number depends on the machine, its name does not.

/// The call's name, if it is one of those.
pub(super) fn name(number: i32) -> Option<&'static str> {
    let number = libc::c_long::from(number);
    CALLS.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
}

macro_rules! calls {
    ($($(#[$cfg:meta])? $constant:ident $name:literal;)*) => {
        const CALLS: &[(libc::c_long, &str)] = &[$($(#[$cfg])? (libc::$constant, $name),)*];
    };
}

calls! {
    SYS_read "read"; SYS_write "write"; SYS_pread64 "pread64"; SYS_pwrite64 "pwrite64"; SYS_readv "readv"; SYS_writev "writev";
    SYS_preadv "preadv"; SYS_pwritev "pwritev"; SYS_preadv2 "preadv2"; SYS_pwritev2 "pwritev2"; SYS_sendfile "sendfile";
    SYS_splice "splice"; SYS_copy_file_range "copy_file_range"; SYS_getdents64 "getdents64";
    SYS_openat "openat"; SYS_openat2 "openat2"; SYS_readlinkat "readlinkat"; SYS_name_to_handle_at "name_to_handle_at";
    SYS_open_by_handle_at "open_by_handle_at"; SYS_statx "statx"; SYS_execve "execve"; SYS_execveat "execveat";
    SYS_io_uring_setup "io_uring_setup"; SYS_io_uring_enter "io_uring_enter"; SYS_io_uring_register "io_uring_register";
    SYS_ptrace "ptrace"; SYS_process_vm_readv "process_vm_readv"; SYS_process_vm_writev "process_vm_writev";
    SYS_process_madvise "process_madvise"; SYS_process_mrelease "process_mrelease"; SYS_kcmp "kcmp";
    SYS_get_robust_list "get_robust_list"; SYS_move_pages "move_pages"; SYS_migrate_pages "migrate_pages";
    SYS_pidfd_open "pidfd_open"; SYS_pidfd_getfd "pidfd_getfd"; SYS_pidfd_send_signal "pidfd_send_signal";
    SYS_setns "setns"; SYS_unshare "unshare"; SYS_clone "clone"; SYS_clone3 "clone3";
    SYS_sendto "sendto"; SYS_sendmsg "sendmsg"; SYS_sendmmsg "sendmmsg"; SYS_recvmsg "recvmsg"; SYS_recvmmsg "recvmmsg";
    SYS_perf_event_open "perf_event_open"; SYS_bpf "bpf"; SYS_userfaultfd "userfaultfd"; SYS_fanotify_mark "fanotify_mark";
    SYS_prlimit64 "prlimit64"; SYS_setrlimit "setrlimit"; SYS_setpriority "setpriority"; SYS_ioprio_set "ioprio_set";
    SYS_sched_setscheduler "sched_setscheduler"; SYS_sched_setparam "sched_setparam"; SYS_sched_setattr "sched_setattr";
    SYS_sched_setaffinity "sched_setaffinity"; SYS_prctl "prctl"; SYS_shmat "shmat";
    SYS_kill "kill"; SYS_tkill "tkill"; SYS_tgkill "tgkill"; SYS_rt_sigqueueinfo "rt_sigqueueinfo";
    SYS_mount "mount"; SYS_umount2 "umount2"; SYS_move_mount "move_mount"; SYS_open_tree "open_tree"; SYS_fsconfig "fsconfig";
    SYS_fsmount "fsmount"; SYS_mount_setattr "mount_setattr"; SYS_pivot_root "pivot_root";
    SYS_init_module "init_module"; SYS_finit_module "finit_module"; SYS_delete_module "delete_module";
    SYS_kexec_load "kexec_load"; SYS_syslog "syslog";
    SYS_settimeofday "settimeofday"; SYS_clock_settime "clock_settime"; SYS_adjtimex "adjtimex"; SYS_clock_adjtime "clock_adjtime";
    SYS_unlinkat "unlinkat"; SYS_renameat2 "renameat2"; SYS_ioctl "ioctl"; SYS_mmap "mmap"; SYS_vmsplice "vmsplice"; SYS_tee "tee";
    // musl's table of aarch64 lacks it.
    #[cfg(target_arch = "x86_64")] SYS_kexec_file_load "kexec_file_load";
    #[cfg(target_arch = "x86_64")] SYS_open "open";
    #[cfg(target_arch = "x86_64")] SYS_creat "creat";
    #[cfg(target_arch = "x86_64")] SYS_readlink "readlink";
    #[cfg(target_arch = "x86_64")] SYS_getdents "getdents";
    #[cfg(target_arch = "x86_64")] SYS_unlink "unlink";
    #[cfg(target_arch = "x86_64")] SYS_rename "rename";
    #[cfg(target_arch = "x86_64")] SYS_rmdir "rmdir";
    #[cfg(target_arch = "x86_64")] SYS_iopl "iopl";
    #[cfg(target_arch = "x86_64")] SYS_ioperm "ioperm";
    #[cfg(target_arch = "x86_64")] SYS_fork "fork";
    #[cfg(target_arch = "x86_64")] SYS_vfork "vfork";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_called_by_its_name() {
        assert_eq!(name(i32::try_from(libc::SYS_pidfd_getfd).unwrap()), Some("pidfd_getfd"));
        assert_eq!([name(-1), name(i32::MAX)], [None, None]);
    }
}
