//! The run-time list of Linux' integrity measurement architecture: which files were run or read.
//!
//! [`ImaLog::parse`] checks the shape, `Files::proved` replays the list into the quoted PCR 10. The list goes on
//! while it is read, so it may be longer than what was quoted; what stands beyond is not looked at. A file is
//! claimed only if the digest of its entry was recomputed from the entry's own fields.
//!
//! After Linux, Documentation/security/IMA-templates.rst and security/integrity/ima.
//!
//! Trusted: the quoted value. Untrusted: the list.

mod ascii;
mod binary;
mod entry;
mod files;

pub use entry::{Entry, Template};
pub use files::{Aggregate, File, Files, Unlisted};

use crate::bytes::Malformed;

/// A list that was walked to its end once.
#[derive(Clone, Copy, Debug)]
pub struct ImaLog<'a> {
    bytes: &'a [u8],
    form: Form,
    count: usize,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    /// `binary_runtime_measurements`.
    Binary,
    /// `ascii_runtime_measurements`.
    Ascii,
}

impl<'a> ImaLog<'a> {
    /// The longest list that is read, in bytes: some tens of thousands of files.
    pub const MAX_BYTES: usize = 8 * 1024 * 1024;

    /// Walks a list to its end. Every entry is of PCR 10 and of a template that is understood.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.len() > Self::MAX_BYTES {
            let (what, expected) = ("length of an IMA list", "at most 8 MiB");
            return Err(Malformed::Value { what, expected, found: bytes.len().to_string() });
        }
        let form = if bytes.first().is_some_and(u8::is_ascii_digit) { Form::Ascii } else { Form::Binary };
        let (mut rest, mut count) = (bytes, 0_usize);
        while !rest.is_empty() {
            let (_, left) = form.entry(rest)?;
            (rest, count) = (left, count.saturating_add(1));
        }
        Ok(Self { bytes, form, count })
    }

    /// The entries, in their order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        let (mut rest, form) = (self.bytes, self.form);
        // `parse` walked the same bytes: no entry fails.
        std::iter::from_fn(move || {
            let (entry, left) = form.entry(rest).ok().filter(|_| !rest.is_empty())?;
            rest = left;
            Some(entry)
        })
    }

    /// How many entries there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }
}

impl Form {
    /// The first entry, and what follows it.
    fn entry(self, bytes: &[u8]) -> Result<(Entry<'_>, &[u8]), Malformed> {
        match self {
            Self::Binary => binary::entry(bytes),
            Self::Ascii => ascii::entry(bytes),
        }
    }
}
