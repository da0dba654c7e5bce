//! Where the running kernel keeps the fields that the programs read, and which it does not have.

use enforcer_abi::{ABSENT, NOTHING, Numbers, Offsets};

use crate::btf::Btf;

/// The offsets, in the order of [`Offsets::PATHS`].
#[derive(Debug)]
pub(crate) struct Found {
    /// A word each.
    pub(crate) words: Vec<u32>,
    /// Names of fields that this kernel does not have.
    pub(crate) absent: Vec<&'static str>,
}

/// Looks all of them up.
pub(crate) fn find(btf: &Btf<'_>) -> Found {
    let mut absent = Vec::new();
    let words = Offsets::PATHS.iter().map(|(name, structure, path)| {
        btf.offset(structure, path).unwrap_or_else(|_absent| {
            absent.push(*name);
            ABSENT
        })
    });
    let words = words.collect();
    Found { words, absent }
}

/// The numbers of the kernel's enums, in the order of [`Numbers::NAMES`].
pub(crate) fn numbers(btf: &Btf<'_>) -> Vec<u32> {
    btf.enumerators(Numbers::NAMES).into_iter().map(|number| number.unwrap_or(NOTHING)).collect()
}
