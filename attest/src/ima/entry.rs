//! One entry of the list, and what its digest covers.

use std::borrow::Cow;

use crate::bytes::Malformed;
use crate::crypto::{Crypto, Hash};
use crate::eventlog::Measurement;

/// A file that was measured.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// The digest of the entry, as the list has it. Zeros for a violation: the file changed while it was measured.
    pub recorded: Measurement,
    /// Which fields the entry has.
    pub template: Template,
    /// The name of the digest's algorithm with what stands in front of it, as measured: `sha256:`.
    pub(super) prefix: &'a str,
    /// The function of the file's digest.
    pub algorithm: Hash,
    /// The digest of the file.
    pub digest: Measurement,
    /// Its path, as the kernel saw it.
    pub path: &'a str,
    /// A signature or a buffer, for the templates that have one.
    pub(super) extra: Cow<'a, [u8]>,
}

/// The fields of an entry (Linux, IMA-templates.rst).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Template {
    /// `ima`: a digest of 20 bytes and a name of at most 255.
    Ima,
    /// `ima-ng`: digest with algorithm, name.
    ImaNg,
    /// `ima-sig`, `ima-buf`: the same, and a signature or a buffer.
    ImaSig,
}

impl Template {
    pub(super) fn named(name: &str) -> Result<Self, Malformed> {
        match name {
            "ima" => Ok(Self::Ima),
            "ima-ng" | "ima-ngv2" => Ok(Self::ImaNg),
            "ima-sig" | "ima-sigv2" | "ima-buf" => Ok(Self::ImaSig),
            _ => Err(odd("IMA template", "ima, ima-ng, ima-sig or ima-buf", name)),
        }
    }
}

impl Entry<'_> {
    /// Whether the kernel gave up on this file: its digest is worth nothing.
    #[must_use]
    pub fn is_violation(&self) -> bool {
        self.recorded.as_bytes().iter().all(|byte| *byte == 0)
    }

    /// The digest of the fields (Linux, `ima_calc_field_array_hash_tfm`).
    pub(super) fn recomputed(&self, crypto: &dyn Crypto, bank: Hash) -> Measurement {
        let (digest, path) = (self.digest.as_bytes(), self.path.as_bytes());
        if self.template == Template::Ima {
            let filling = OLD_NAME.get(path.len()..).unwrap_or_default();
            return Measurement::of(crypto, bank, &[digest, path, filling]);
        }
        let sized = |parts: &[usize]| {
            let length = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(*part));
            u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
        };
        let (first, second) = (sized(&[self.prefix.len(), 1, digest.len()]), sized(&[path.len(), 1]));
        let fields = [&first, self.prefix.as_bytes(), &[0], digest, &second, path, &[0]];
        if self.template == Template::ImaNg {
            return Measurement::of(crypto, bank, &fields);
        }
        let third = sized(&[self.extra.len()]);
        let extra: [&[u8]; 2] = [&third, &self.extra];
        Measurement::of(crypto, bank, &[&fields[..], &extra].concat())
    }
}

/// The algorithm in `sha256:`, or in `ima:sha256:`, as newer templates have it. What `verity:` hashes is no file
/// content, and is not understood.
pub(super) fn algorithm(prefix: &str) -> Result<Hash, Malformed> {
    match prefix.strip_prefix("ima:").unwrap_or(prefix) {
        "sha1:" => Ok(Hash::Sha1),
        "sha256:" => Ok(Hash::Sha256),
        "sha384:" => Ok(Hash::Sha384),
        "sha512:" => Ok(Hash::Sha512),
        _ => Err(odd("algorithm of an IMA entry", "sha1, sha256, sha384 or sha512", prefix)),
    }
}

/// The digest, if it has its algorithm's length.
pub(super) fn of_length(algorithm: Hash, digest: &[u8]) -> Result<Measurement, Malformed> {
    if digest.len() == algorithm.length() {
        return Ok(Measurement::from(digest));
    }
    Err(Malformed::Length {
        what: "digest of an IMA entry",
        expected: algorithm.length(),
        found: digest.len(),
    })
}

/// A name that the old template can hold: it is hashed with zeros behind, so it has none itself.
pub(super) fn old_name(name: &str) -> Result<&str, Malformed> {
    if name.len() < OLD_NAME.len() && !name.contains('\0') {
        return Ok(name);
    }
    Err(odd("path of an IMA entry", "at most 255 bytes, without NUL", name))
}

pub(super) fn odd(what: &'static str, expected: &'static str, found: &str) -> Malformed {
    Malformed::Value { what, expected, found: found.chars().take(80).collect() }
}

/// `IMA_EVENT_NAME_LEN_MAX` and a NUL.
const OLD_NAME: &[u8] = &[0; 256];
