//! Product lines: which chips share a root key, a TCB layout and a way to write a chip id.

use std::fmt;

/// A line of EPYC processors with a root key of its own.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Product {
    /// EPYC 7003: family 19h, models 00h to 0Fh.
    Milan,
    /// EPYC 9004 and 8004 (Genoa, Bergamo, Siena): family 19h, models 10h to 1Fh and A0h to `AFh`.
    Genoa,
    /// EPYC 9005: family 1Ah, models 00h to 1Fh.
    Turin,
}

impl Product {
    /// The lines that this library knows.
    pub const ALL: [Self; 3] = [Self::Milan, Self::Genoa, Self::Turin];

    /// The name in AMD's certificates and key distribution service.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Milan => "Milan",
            Self::Genoa => "Genoa",
            Self::Turin => "Turin",
        }
    }

    /// The line of a CPU, from the family and model that a report of version 3 and later carries
    /// (AMD 56860 r1.58, table 23, `CPUID_FAM_ID` and `CPUID_MOD_ID`).
    #[must_use]
    pub fn of_cpuid(family: u8, model: u8) -> Option<Self> {
        match (family, model) {
            (0x19, 0x00..=0x0f) => Some(Self::Milan),
            (0x19, 0x10..=0x1f | 0xa0..=0xaf) => Some(Self::Genoa),
            (0x1a, 0x00..=0x1f) => Some(Self::Turin),
            _ => None,
        }
    }

    /// Whether a VEK's product name (`Milan-B0`, `Genoa`, …) is one of this line (AMD 57230, table 8).
    #[must_use]
    pub fn owns_name(self, product_name: &str) -> bool {
        let line = product_name.split('-').next().unwrap_or("");
        match self {
            Self::Milan => line == "Milan",
            Self::Genoa => ["Genoa", "Bergamo", "Siena"].contains(&line),
            Self::Turin => line == "Turin",
        }
    }

    /// How many bytes of `CHIP_ID` a chip of this line uses, which is the length of hwID in its VCEK.
    #[must_use]
    pub fn chip_id_len(self) -> usize {
        match self {
            Self::Milan | Self::Genoa => 64,
            Self::Turin => 8,
        }
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
