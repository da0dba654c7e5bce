//! The kinds of TD report that a quote can carry, and the bits in them.

/// The kind of TD report in a quote.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Body {
    /// TDX 1.0: 584 bytes.
    Td10,
    /// TDX 1.5: 648 bytes, with a second TCB and the service TD.
    Td15,
    /// TDX 1.5, extended: 885 bytes.
    Td15Ex,
}

impl Body {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Td10, Self::Td15, Self::Td15Ex];

    /// Length in bytes.
    #[must_use]
    pub const fn len(self) -> usize {
        match self {
            Self::Td10 => 584,
            Self::Td15 => 648,
            Self::Td15Ex => 885,
        }
    }

    /// No report is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        false
    }

    pub(super) const fn number(self) -> u16 {
        match self {
            Self::Td10 => 2,
            Self::Td15 => 3,
            Self::Td15Ex => 4,
        }
    }
}

/// Bits of the TD attributes (Intel TDX module ABI 348551-008, table 3.23).
pub mod attributes {
    /// The host may debug the TD.
    pub const DEBUG: u64 = 1;
    /// The host may profile the TD; these bits make it untrusted, as debugging does.
    pub const PROFILING: u64 = 0x70;
    /// Defence against single-stepping by counting instructions.
    pub const ICSSD: u64 = 1 << 16;
    /// The report says more of the service TDs.
    pub const SERVTD_EXT: u64 = 1 << 17;
    /// Linear address space separation.
    pub const LASS: u64 = 1 << 27;
    /// The guest takes no exception on a page that the host took away.
    pub const SEPT_VE_DISABLE: u64 = 1 << 28;
    /// The TD can be migrated by a service TD.
    pub const MIGRATABLE: u64 = 1 << 29;
    /// Supervisor protection keys.
    pub const PKS: u64 = 1 << 30;
    /// Key locker.
    pub const KL: u64 = 1 << 31;
    /// Provisioning agent of TDX Connect.
    pub const TPA: u64 = 1 << 62;
    /// Performance monitoring.
    pub const PERFMON: u64 = 1 << 63;
}
