//! TCB versions: the security versions of the firmware's parts.
//!
//! Eight bytes whose meaning depends on the product line. They are compared part by part, never as one
//! number: a high microcode version must not hide an old boot loader.

use std::fmt;

use super::Product;

/// A `TCB_VERSION` as it stands in a report (AMD 56860 r1.58, section 2.2, tables 3 and 4).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct TcbVersion(pub [u8; 8]);

/// The parts of a TCB version. `fmc` exists on Turin and later.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Tcb {
    /// The first mutable code (Turin and later).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fmc: Option<u8>,
    /// The boot loader of the security processor.
    pub bl: u8,
    /// Its operating system.
    pub tee: u8,
    /// The SNP firmware.
    pub snp: u8,
    /// The microcode of all cores.
    pub ucode: u8,
}

impl TcbVersion {
    /// The parts, as `product` lays them out.
    #[must_use]
    pub fn parts(self, product: Product) -> Tcb {
        match product {
            Product::Milan | Product::Genoa => {
                let [bl, tee, _, _, _, _, snp, ucode] = self.0;
                Tcb { fmc: None, bl, tee, snp, ucode }
            }
            Product::Turin => {
                let [fmc, bl, tee, snp, _, _, _, ucode] = self.0;
                Tcb { fmc: Some(fmc), bl, tee, snp, ucode }
            }
        }
    }

    /// Whether every byte, the reserved ones included, is at most that of `other`.
    #[must_use]
    pub fn at_most(self, other: Self) -> bool {
        self.0.iter().zip(other.0).all(|(mine, theirs)| *mine <= theirs)
    }
}

impl Tcb {
    /// Whether every part is at least that of `floor`. A floor with `fmc` on a line without it, or the
    /// reverse, is not met.
    #[must_use]
    pub fn meets(self, floor: Self) -> bool {
        let fmc = match (self.fmc, floor.fmc) {
            (Some(mine), Some(least)) => mine >= least,
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        fmc && self.bl >= floor.bl
            && self.tee >= floor.tee
            && self.snp >= floor.snp
            && self.ucode >= floor.ucode
    }
}

impl fmt::Display for Tcb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(fmc) = self.fmc {
            write!(f, "fmc {fmc}, ")?;
        }
        write!(f, "bl {}, tee {}, snp {}, ucode {}", self.bl, self.tee, self.snp, self.ucode)
    }
}

impl fmt::Display for TcbVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl serde::Serialize for TcbVersion {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turin_has_its_own_layout() {
        let raw = TcbVersion([1, 2, 3, 4, 0, 0, 0, 5]);
        assert_eq!(raw.parts(Product::Turin), Tcb { fmc: Some(1), bl: 2, tee: 3, snp: 4, ucode: 5 });
        assert_eq!(raw.parts(Product::Genoa), Tcb { fmc: None, bl: 1, tee: 2, snp: 0, ucode: 5 });
    }

    /// Lesson L7: as one little-endian integer the microcode byte would decide alone.
    #[test]
    fn l07_high_microcode_does_not_hide_an_old_boot_loader() {
        let floor = Tcb { fmc: None, bl: 3, tee: 0, snp: 8, ucode: 115 };
        let found = Tcb { fmc: None, bl: 2, tee: 0, snp: 8, ucode: 255 };
        assert!(!found.meets(floor));
        assert!(floor.meets(floor));
        assert!(!TcbVersion([3, 0, 0, 0, 0, 0, 8, 1]).at_most(TcbVersion([2, 0, 0, 0, 0, 0, 8, 9])));
    }
}
