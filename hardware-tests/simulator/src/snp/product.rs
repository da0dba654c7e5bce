//! Product lines, and how each lays out its trusted computing base version.
//!
//! The report's version does not tell the product; its CPUID bytes do (from version 3 on).

/// A product line with a root key of its own.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Product {
    /// EPYC 7003.
    Milan,
    /// EPYC 9004; also Bergamo and Siena.
    Genoa,
    /// EPYC 9005.
    Turin,
}

impl Product {
    /// All product lines.
    pub const ALL: [Self; 3] = [Self::Milan, Self::Genoa, Self::Turin];

    /// The name that AMD's certificates and key distribution service use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Milan => "Milan",
            Self::Genoa => "Genoa",
            Self::Turin => "Turin",
        }
    }

    /// The product name extension of a VCEK: Milan carries its stepping.
    #[must_use]
    pub const fn vcek_product_name(self) -> &'static str {
        match self {
            Self::Milan => "Milan-B0",
            Self::Genoa => "Genoa",
            Self::Turin => "Turin",
        }
    }

    /// CPUID family (extended included), model and stepping.
    #[must_use]
    pub const fn cpuid(self) -> [u8; 3] {
        match self {
            Self::Milan => [0x19, 0x01, 1],
            Self::Genoa => [0x19, 0x11, 1],
            Self::Turin => [0x1a, 0x02, 1],
        }
    }

    /// Bytes of the hardware id: the rest of the report's chip id is zero.
    #[must_use]
    pub const fn hwid_len(self) -> usize {
        match self {
            Self::Milan | Self::Genoa => 64,
            Self::Turin => 8,
        }
    }

    /// The report version that this product's current firmware writes.
    #[must_use]
    pub const fn report_version(self) -> u32 {
        match self {
            Self::Milan => 3,
            Self::Genoa | Self::Turin => 5,
        }
    }

    /// A current firmware's TCB; on Turin all components differ, so that a wrong layout shows.
    #[must_use]
    pub const fn current_tcb(self) -> Tcb {
        match self {
            Self::Milan => Tcb { fmc: 0, bootloader: 4, tee: 0, snp: 24, microcode: 219 },
            Self::Genoa => Tcb { fmc: 0, bootloader: 10, tee: 0, snp: 25, microcode: 84 },
            Self::Turin => Tcb { fmc: 1, bootloader: 2, tee: 3, snp: 4, microcode: 71 },
        }
    }

    /// The first byte of serials under this product's root.
    pub(super) const fn serial_prefix(self) -> u64 {
        match self {
            Self::Milan => 0x01_0000,
            Self::Genoa => 0x02_0000,
            Self::Turin => 0x03_0000,
        }
    }
}

/// A trusted computing base version: the security patch level of each component.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Tcb {
    /// FMC firmware; only on Turin, ignored elsewhere.
    pub fmc: u8,
    /// Secure processor boot loader.
    pub bootloader: u8,
    /// Secure processor operating system.
    pub tee: u8,
    /// SNP firmware.
    pub snp: u8,
    /// Lowest microcode level of all cores.
    pub microcode: u8,
}

impl Tcb {
    /// The `TCB_VERSION` of a report (AMD 56860, `TCB_VERSION` structure; Turin's differs).
    #[must_use]
    pub const fn encode(self, product: Product) -> [u8; 8] {
        match product {
            Product::Milan | Product::Genoa => {
                [self.bootloader, self.tee, 0, 0, 0, 0, self.snp, self.microcode]
            }
            Product::Turin => [self.fmc, self.bootloader, self.tee, self.snp, 0, 0, 0, self.microcode],
        }
    }
}
