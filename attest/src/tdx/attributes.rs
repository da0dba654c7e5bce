//! TDATTRIBUTES and XFAM: what a TD is allowed, bit by bit.
//!
//! Meaning of the bits: Intel TDX Module ABI Specification 348551-008, table 3.23 (TDATTRIBUTES) and Intel
//! TDX Module Base Architecture Specification, "Extended Features Execution Control" (XFAM). What is allowed
//! is a policy's business; a bit without a name is not.

/// `ATTRIBUTES` of a TD.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TdAttributes(pub u64);

/// `XFAM` of a TD: which parts of XSAVE's state it may use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Xfam(pub u64);

/// The bits of TDATTRIBUTES that have a name: number, name, what it means when set.
pub const TD_ATTRIBUTES: [(u32, &str, &str); 13] = [
    (0, "debug", "THE HOST MAY READ AND WRITE THE TD'S MEMORY AND REGISTERS"),
    (4, "hgs_plus_prof", "the host may profile the TD with HGS+"),
    (5, "perf_prof", "the host may profile the TD with performance counters"),
    (6, "pmt_prof", "the host may profile the TD with PMT"),
    (16, "icssd", "a defence against single-stepping by instruction count"),
    (17, "servtd_ext", "the report has a hash of what is known of service TDs"),
    (27, "lass", "the TD may use linear address space separation"),
    (28, "sept_ve_disable", "touching a pending page ends the TD instead of raising #VE"),
    (29, "migratable", "a migration TD may move the TD to another machine"),
    (30, "pks", "the TD may use protection keys for supervisor pages"),
    (31, "kl", "the TD may use Key Locker"),
    (62, "tpa", "the TD is a provisioning agent of TDX Connect"),
    (63, "perfmon", "the TD may use the performance monitor"),
];

impl TdAttributes {
    /// Whether this bit is set.
    #[must_use]
    pub fn bit(self, bit: u32) -> bool {
        self.0.checked_shr(bit).is_some_and(|shifted| shifted & 1 == 1)
    }

    /// The bits that have no name.
    #[must_use]
    pub fn unnamed(self) -> u64 {
        TD_ATTRIBUTES.iter().fold(self.0, |left, (bit, _, _)| left & !(1_u64.wrapping_shl(*bit)))
    }
}

impl Xfam {
    /// The bits that are always 1: x87 and SSE.
    pub const ALWAYS: u64 = 0x3;
    /// The bits that a TDX module lets be 1.
    pub const KNOWN: u64 = 0x6_dbe7;

    /// Whether the fixed bits are as every TDX module sets them.
    #[must_use]
    pub fn fixed_bits_hold(self) -> bool {
        self.0 & Self::ALWAYS == Self::ALWAYS && self.0 & !Self::KNOWN == 0
    }
}

impl std::fmt::Display for TdAttributes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl std::fmt::Display for Xfam {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl serde::Serialize for TdAttributes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl serde::Serialize for Xfam {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_without_a_name_is_found() {
        assert_eq!(TdAttributes(0xc000_0000_f803_0071).unnamed(), 0);
        for bit in [1, 3, 7, 15, 18, 26, 32, 61] {
            assert_eq!(TdAttributes(1 << bit).unnamed(), 1 << bit);
        }
    }

    #[test]
    fn the_fixed_bits_of_xfam_are_known() {
        for real in [0x6_02e7, 0x6_18e7, 0x6_1ae7, 0x3] {
            assert!(Xfam(real).fixed_bits_hold(), "{real:#x}");
        }
        for wrong in [0x6_02e5, 0x8_02e7, 1 << 63 | 3, 0] {
            assert!(!Xfam(wrong).fixed_bits_hold(), "{wrong:#x}");
        }
    }
}
