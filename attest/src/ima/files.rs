//! Which files a list proves to have been measured.

use super::{Entry, ImaLog};
use crate::crypto::{Crypto, Hash};
use crate::eventlog::Measurement;

/// The entries that the quoted PCR 10 covers.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Files {
    /// The bank.
    pub bank: Hash,
    /// The files, in their order, without violations.
    pub files: Vec<File>,
    /// How often a file changed while it was measured: its digest is worth nothing.
    pub violations: usize,
    /// How many entries came after the quote; they prove nothing and are not among the files.
    pub later: usize,
    /// How the first entry compares with the PCRs of the same quote.
    pub boot_aggregate: Aggregate,
}

/// A file that was measured.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
pub struct File {
    /// The path, as the kernel saw it.
    pub path: String,
    /// The function of the digest.
    pub algorithm: Hash,
    /// The digest of the file.
    pub digest: Measurement,
}

/// How the first entry, a digest of the firmware's PCRs, compares with the quoted ones.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Aggregate {
    /// It is theirs.
    Matches,
    /// It is not: the list is of another boot.
    Differs,
    /// Not all of them were quoted in its bank.
    NotQuoted,
    /// The first entry is none.
    Absent,
}

/// Why a list proves nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Unlisted {
    /// The digest of an entry is not that of its fields.
    #[error("entry {0} has a digest that is not that of its fields")]
    Digest(usize),
    /// No beginning of the list gives the quoted value.
    #[error("no beginning of the list gives the quoted value")]
    Differs,
}

impl Files {
    /// Replays a list until PCR 10 has its quoted value. `quoted` gives the quoted PCRs (bank, index) → value.
    pub(crate) fn proved(
        crypto: &dyn Crypto,
        list: &ImaLog<'_>,
        bank: Hash,
        quoted: &dyn Fn(Hash, u32) -> Option<Vec<u8>>,
    ) -> Result<Self, Unlisted> {
        let wanted = quoted(bank, 10).ok_or(Unlisted::Differs)?;
        let mut chains = [Form::Rehashed, Form::Padded].map(|form| Chain::new(form, bank));
        let (mut files, mut violations) = (Vec::new(), 0_usize);
        for (at, entry) in list.entries().enumerate() {
            if entry.is_violation() {
                violations = violations.saturating_add(1);
            } else if entry.recorded == entry.recomputed(crypto, entry.recorded_bank()) {
                files.push(File::of(&entry));
            } else {
                return Err(Unlisted::Digest(at));
            }
            for chain in &mut chains {
                chain.extend(crypto, &entry);
            }
            if chains.iter().any(|chain| chain.value.as_bytes() == wanted) {
                let later = list.count().saturating_sub(at).saturating_sub(1);
                let boot_aggregate = aggregate(crypto, files.first(), quoted);
                return Ok(Self { bank, files, violations, later, boot_aggregate });
            }
        }
        Err(Unlisted::Differs)
    }
}

impl ImaLog<'_> {
    /// The value of PCR 10 after the whole list, on a kernel since Linux 5.8.
    #[must_use]
    pub fn replay(&self, crypto: &dyn Crypto, bank: Hash) -> Measurement {
        let mut chain = Chain::new(Form::Rehashed, bank);
        for entry in self.entries() {
            chain.extend(crypto, &entry);
        }
        chain.value
    }
}

impl File {
    fn of(entry: &Entry<'_>) -> Self {
        Self { path: entry.path.to_owned(), algorithm: entry.algorithm, digest: entry.digest }
    }
}

impl Entry<'_> {
    /// The list has SHA-1 digests, or, in the files of one bank, that bank's.
    fn recorded_bank(&self) -> Hash {
        let banks = [Hash::Sha256, Hash::Sha384, Hash::Sha512];
        let length = self.recorded.as_bytes().len();
        banks.into_iter().find(|bank| bank.length() == length).unwrap_or(Hash::Sha1)
    }
}

/// What kernels extended into a bank other than SHA-1's.
#[derive(Clone, Copy)]
enum Form {
    /// Since Linux 5.8: the digest of the fields by the bank's own function.
    Rehashed,
    /// Before: the SHA-1 digest, with zeros behind.
    Padded,
}

struct Chain {
    form: Form,
    bank: Hash,
    value: Measurement,
}

impl Chain {
    fn new(form: Form, bank: Hash) -> Self {
        Self { form, bank, value: Measurement::filled(bank, 0) }
    }

    fn extend(&mut self, crypto: &dyn Crypto, entry: &Entry<'_>) {
        let bank = self.bank;
        let digest = match self.form {
            // Linux, `ima_add_template_entry`: a violation is logged as zeros and extended as ones.
            _ if entry.is_violation() => Measurement::filled(bank, 0xff),
            Form::Rehashed => entry.recomputed(crypto, bank),
            Form::Padded => {
                let short = entry.recomputed(crypto, Hash::Sha1);
                let mut padded = [0; 64];
                padded.iter_mut().zip(short.as_bytes()).for_each(|(place, byte)| *place = *byte);
                Measurement::from(padded.get(..bank.length()).unwrap_or(&padded))
            }
        };
        self.value = self.value.extended(crypto, bank, digest.as_bytes());
    }
}

/// Linux, `ima_calc_boot_aggregate_tfm`: PCRs 0 to 7 of the digest's own bank; since 5.8 also 8 and 9, but not
/// for SHA-1.
fn aggregate(
    crypto: &dyn Crypto,
    first: Option<&File>,
    quoted: &dyn Fn(Hash, u32) -> Option<Vec<u8>>,
) -> Aggregate {
    let Some(first) = first.filter(|file| file.path == "boot_aggregate") else { return Aggregate::Absent };
    let values: Vec<Vec<u8>> = (0..10).map_while(|index| quoted(first.algorithm, index)).collect();
    let of = |count: usize| {
        let parts: Vec<&[u8]> = values.get(..count)?.iter().map(Vec::as_slice).collect();
        Some(Measurement::of(crypto, first.algorithm, &parts))
    };
    match [of(8), of(10)] {
        [None, _] => Aggregate::NotQuoted,
        sums if sums.contains(&Some(first.digest)) => Aggregate::Matches,
        // Eight are not enough to say no.
        [Some(_), None] if first.algorithm != Hash::Sha1 => Aggregate::NotQuoted,
        [Some(_), _] => Aggregate::Differs,
    }
}
