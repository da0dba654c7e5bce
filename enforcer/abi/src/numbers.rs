//! Numbers of the running kernel's enums, which are not the same in every kernel: the reasons of `locked_down`, the kinds of
//! file that the kernel reads.
//!
//! The loader looks them up by name in the kernel's own types, as it does with [`crate::Offsets`].

/// The number of what this kernel does not have.
pub const NOTHING: u32 = u32::MAX;

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident = $enumerator:literal),* $(,)?) => {
        /// A number for each name.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub struct Numbers {
            $($(#[$doc])* pub $name: u32,)*
        }

        impl Numbers {
            /// Nothing is known yet.
            pub const UNKNOWN: Self = Self { $($name: NOTHING,)* };
            /// The kernel's names, in the order of the structure above.
            pub const NAMES: &'static [&'static str] = &[$($enumerator,)*];
        }
    };
}

numbers! {
    /// `/dev/mem` and its kin.
    locked_memory = "LOCKDOWN_DEV_MEM",
    /// `iopl`, `ioperm`, `/dev/port`.
    locked_port = "LOCKDOWN_IOPORT",
    /// Writing a processor's registers.
    locked_register = "LOCKDOWN_MSR",
    /// `/proc/kcore`.
    locked_core = "LOCKDOWN_KCORE",
    /// tracefs.
    locked_tracefs = "LOCKDOWN_TRACEFS",
    /// What of debugfs is more than reading.
    locked_debugfs = "LOCKDOWN_DEBUGFS",
    /// Another kernel that is not signed.
    locked_kexec = "LOCKDOWN_KEXEC",
    /// A module that is not signed.
    locked_module = "LOCKDOWN_MODULE_SIGNATURE",
    /// A BPF program that reads the kernel's memory.
    locked_read = "LOCKDOWN_BPF_READ_KERNEL",
    /// A BPF program that writes the memory of processes.
    locked_write = "LOCKDOWN_BPF_WRITE_USER",
    /// Registers and memory of devices on the bus.
    locked_bus = "LOCKDOWN_PCI_ACCESS",
    /// Tables of the firmware, which are programs that the kernel runs.
    locked_acpi = "LOCKDOWN_ACPI_TABLES",
    /// Likewise, as a tree.
    locked_tree = "LOCKDOWN_DEVICE_TREE",
    /// Calls into the firmware.
    locked_firmware = "LOCKDOWN_EFI_TEST",
    /// Registers of cards.
    locked_card = "LOCKDOWN_PCMCIA_CIS",
    /// The port of a serial line.
    locked_serial = "LOCKDOWN_TIOCSSERIAL",
    /// Where a module's device is.
    locked_parameter = "LOCKDOWN_MODULE_PARAMETERS",
    /// What drivers write to their devices.
    locked_traffic = "LOCKDOWN_MMIOTRACE",
    /// Errors that the firmware is to make.
    locked_errors = "LOCKDOWN_RTAS_ERROR_INJECTION",
    /// An image of the whole memory, and one put in its place.
    locked_hibernation = "LOCKDOWN_HIBERNATION",
    /// The kernel's debugger writes.
    locked_debug_write = "LOCKDOWN_DBG_WRITE_KERNEL",
    /// It reads.
    locked_debug_read = "LOCKDOWN_DBG_READ_KERNEL",
    /// The debugger of another architecture writes.
    locked_monitor_write = "LOCKDOWN_XMON_WR",
    /// It reads.
    locked_monitor_read = "LOCKDOWN_XMON_RW",
    /// A kprobe, by tracefs or by perf.
    locked_probe = "LOCKDOWN_KPROBES",
    /// The kernel's registers in a counter's samples.
    locked_perf = "LOCKDOWN_PERF",
    /// A module in a file.
    reading_module = "READING_MODULE",
    /// A kernel in a file.
    reading_kernel = "READING_KEXEC_IMAGE",
    /// Its initial RAM disk.
    reading_initrd = "READING_KEXEC_INITRAMFS",
    /// A module in memory.
    loading_module = "LOADING_MODULE",
    /// A kernel in memory.
    loading_kernel = "LOADING_KEXEC_IMAGE",
}

const _: () = assert!(size_of::<Numbers>() == 4 * Numbers::NAMES.len(), "one word each");
