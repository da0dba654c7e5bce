//! Where the running kernel keeps the fields that the programs read.
//!
//! The loader looks each up in the kernel's own type information (BTF) and writes them into the object's read-only data
//! before it is verified, so that the verifier sees constants and cuts off what cannot work. A field that this kernel does
//! not have is [`ABSENT`]: what needs it says so by name and is off, the rest runs.

/// The offset of a field that is not there.
pub const ABSENT: u32 = u32::MAX;

macro_rules! offsets {
    ($($(#[$doc:meta])* $name:ident = $structure:literal $(. $field:literal)+),* $(,)?) => {
        /// Offsets in bytes, each from the head of its structure.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub struct Offsets {
            $($(#[$doc])* pub $name: u32,)*
        }

        impl Offsets {
            /// Nothing is known yet.
            pub const ABSENT: Self = Self { $($name: ABSENT,)* };
            /// Name, structure, and the path of fields within it, in the order of the structure above.
            pub const PATHS: &'static [(&'static str, &'static str, &'static [&'static str])] =
                &[$((stringify!($name), $structure, &[$($field),+]),)*];
        }
    };
}

offsets! {
    /// The process that a task belongs to, in the first name space.
    task_tgid = "task_struct"."tgid",
    /// Its thread.
    task_pid = "task_struct"."pid",
    /// Flags such as `PF_DUMPCORE`.
    task_flags = "task_struct"."flags",
    /// Whether and how it is traced.
    task_ptrace = "task_struct"."ptrace",
    /// The first of a process.
    task_group_leader = "task_struct"."group_leader",
    /// Where a task hangs in the list of its process id.
    task_pid_links = "task_struct"."pid_links",
    /// Its memory.
    task_mm = "task_struct"."mm",
    /// Its control groups.
    task_cgroups = "task_struct"."cgroups",
    /// How often a task has executed a program.
    task_executed = "task_struct"."self_exec_id",
    /// The last of the filters of its system calls.
    task_filter = "task_struct"."seccomp"."filter",
    /// The filter before.
    filter_before = "seccomp_filter"."prev",
    /// Who is asked by it.
    filter_notif = "seccomp_filter"."notif",
    /// The control group of the unified hierarchy.
    css_set_dfl_cgrp = "css_set"."dfl_cgrp",
    /// A control group's node in its file system.
    cgroup_kn = "cgroup"."kn",
    /// The number of that node.
    kernfs_node_id = "kernfs_node"."id",
    /// The program that a memory was made for.
    mm_exe_file = "mm_struct"."exe_file",
    /// The inode of an open file.
    file_inode = "file"."f_inode",
    /// How it was opened.
    file_mode = "file"."f_mode",
    /// `O_*` of its opening.
    file_flags = "file"."f_flags",
    /// Its directory entry.
    file_dentry = "file"."f_path"."dentry",
    /// The name of a directory entry.
    dentry_name = "dentry"."d_name"."name",
    /// The entry above.
    dentry_parent = "dentry"."d_parent",
    /// The inode of a directory entry.
    dentry_inode = "dentry"."d_inode",
    /// The file system of an inode.
    inode_sb = "inode"."i_sb",
    /// The number of an inode.
    inode_ino = "inode"."i_ino",
    /// Kind and rights of an inode.
    inode_mode = "inode"."i_mode",
    /// The device that an inode stands for.
    inode_rdev = "inode"."i_rdev",
    /// The size of a file.
    inode_size = "inode"."i_size",
    /// When an inode was changed: up to 6.5.
    inode_ctime = "inode"."i_ctime",
    /// Likewise in 6.6 to 6.10.
    inode_ctime_hidden = "inode"."__i_ctime",
    /// Likewise since 6.11: seconds.
    inode_ctime_sec = "inode"."i_ctime_sec",
    /// And nanoseconds.
    inode_ctime_nsec = "inode"."i_ctime_nsec",
    /// Which kind of file system.
    sb_magic = "super_block"."s_magic",
    /// The device of a file system.
    sb_dev = "super_block"."s_dev",
    /// The inode within one of procfs.
    proc_inode_vfs_inode = "proc_inode"."vfs_inode",
    /// Whose entry it is.
    proc_inode_pid = "proc_inode"."pid",
    /// The tasks of a process id.
    pid_tasks = "pid"."tasks",
    /// Its numbers, from the first name space on.
    pid_numbers = "pid"."numbers",
    /// The number as such.
    upid_nr = "upid"."nr",
    /// A task's counters of perf.
    task_perf = "task_struct"."perf_event_ctxp",
    /// How many there are.
    perf_events = "perf_event_context"."nr_events",
    /// Since 6.2, where a task has one such list for all kinds; before it has two.
    perf_kinds = "perf_event_context"."pmu_ctx_list",
    /// What a counter of perf looks at.
    perf_event_target = "perf_event"."hw"."target",
    /// Whose control group it looks at.
    perf_event_cgrp = "perf_event"."cgrp",
    /// That control group.
    perf_cgroup_group = "perf_cgroup"."css"."cgroup",
    /// What it counts.
    perf_event_attr = "perf_event"."attr",
    /// The number of a map.
    bpf_map_id = "bpf_map"."id",
    /// What is known of a program beside its instructions.
    bpf_prog_aux = "bpf_prog"."aux",
    /// The number of a program.
    bpf_prog_aux_id = "bpf_prog_aux"."id",
    /// The number of the system call that a task is in (x86-64).
    regs_orig_ax = "pt_regs"."orig_ax",
    /// Likewise (aarch64).
    regs_syscallno = "pt_regs"."syscallno",
    /// The first arguments of a system call (x86-64).
    regs_di = "pt_regs"."di",
    /// The second.
    regs_si = "pt_regs"."si",
    /// The third.
    regs_dx = "pt_regs"."dx",
    /// All registers in a row (aarch64).
    regs_row = "pt_regs"."regs",
    /// The characters of a counted string.
    qstr_name = "qstr"."name",
    /// A task's number as an object.
    task_thread_pid = "task_struct"."thread_pid",
    /// In how many name spaces a number has a meaning, beside the first.
    pid_level = "pid"."level",
    /// What a process does on a signal.
    action_handler = "k_sigaction"."sa"."sa_handler",
    /// Whether a memory may be dumped, in its lowest two bits.
    mm_flags = "mm_struct"."flags",
    /// The pieces of a message, or its only one: since 6.4.
    msg_iter_vector = "msghdr"."msg_iter"."__iov",
    /// Likewise before.
    msg_iter_vector_old = "msghdr"."msg_iter"."iov",
    /// How much of the first piece went before.
    msg_iter_skip = "msghdr"."msg_iter"."iov_offset",
    /// How many bytes there are.
    msg_iter_count = "msghdr"."msg_iter"."count",
    /// How many pieces.
    msg_iter_pieces = "msghdr"."msg_iter"."nr_segs",
    /// The caller's name.
    task_comm = "task_struct"."comm",
    /// The file that is executed.
    bprm_file = "linux_binprm"."file",
    /// What the kernel tells a program at its start.
    mm_saved_auxv = "mm_struct"."saved_auxv",
    /// The entry of a path.
    path_dentry = "path"."dentry",
    /// The mount of a path.
    path_mnt = "path"."mnt",
    /// What others know of a mount.
    mount_mnt = "mount"."mnt",
    /// A mount's number.
    mount_id = "mount"."mnt_id",
    /// The number of its peers' group.
    mount_group = "mount"."mnt_group_id",
    /// The file system of a mount.
    vfsmount_sb = "vfsmount"."mnt_sb",
    /// The group of a control group's parents, itself first.
    cgroup_self = "cgroup"."self",
    /// The one above.
    css_parent = "cgroup_subsys_state"."parent",
}

const _: () = assert!(size_of::<Offsets>() == 4 * Offsets::PATHS.len(), "one word each");
