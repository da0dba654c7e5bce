//! Why there is no secret memory. Every variant names something an operator can change.

use std::io;

/// Why secret memory cannot be had, or cannot hold what was asked of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system call does not exist: kernel without `CONFIG_SECRETMEM`, or a seccomp filter.
    #[error("memfd_secret is not available: kernel built without CONFIG_SECRETMEM, or denied by seccomp")]
    Absent,
    /// The kernel has the feature and it was not enabled at boot.
    #[error("memfd_secret is disabled: boot the kernel with secretmem.enable=1")]
    Disabled,
    /// Secret pages are locked pages and the limit on those is too low.
    #[error("secret memory needs {needed} more locked bytes, RLIMIT_MEMLOCK allows {allowed} in all")]
    MemoryLock {
        /// Bytes of the new mapping, whole pages.
        needed: usize,
        /// The soft limit of this process.
        allowed: u64,
    },
    /// A region of no bytes, or of more than the address space has.
    #[error("a secret region of {0} bytes cannot exist")]
    Size(usize),
    /// More bytes were offered than the region has left.
    #[error("secret of {needed} bytes, region has {left} left")]
    Full {
        /// Bytes offered.
        needed: usize,
        /// Bytes left.
        left: usize,
    },
    /// A received descriptor is not the memory that was announced.
    #[error("received memory of {found} bytes, expected {expected}")]
    Received {
        /// Bytes announced.
        expected: usize,
        /// Bytes the descriptor has.
        found: u64,
    },
    /// Somebody wrote past the end of the values: what they are cannot be relied on.
    #[error("memory behind secret values was written to, nothing of it is used")]
    Overrun,
    /// Some other refusal of the kernel.
    #[error("{doing}: {source}")]
    Os {
        /// The step, named after its system call.
        doing: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
}
