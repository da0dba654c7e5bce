//! Several values in one region, written once.
//!
//! A [`Builder`] lays values side by side: [`Builder::spare`] is the place to decrypt into, [`Builder::keep`]
//! declares its first bytes a value. [`Builder::freeze`] makes the pages read-only: [`Values`].
//!
//! Trusted: nothing is decided here about the bytes. Untrusted: lengths, which are checked.

use std::fmt;
use std::ops::Range;

use crate::{Error, Region};

/// Where one value lies. It says nothing about the value but its length.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Span(Range<usize>);

impl Span {
    /// Bytes of the value.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the value is the empty one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A region that is being filled.
pub struct Builder {
    region: Region,
    filled: usize,
}

impl Builder {
    /// Room for `capacity` bytes, all values together.
    pub fn with_capacity(capacity: usize) -> Result<Self, Error> {
        Ok(Self { region: Region::create(capacity)?, filled: 0 })
    }

    /// The bytes that hold no value yet: decrypt here, then [`keep`](Self::keep) what is plaintext.
    pub fn spare(&mut self) -> Result<&mut [u8], Error> {
        let filled = self.filled;
        self.region.bytes_mut().map(|bytes| bytes.get_mut(filled..).unwrap_or_default())
    }

    /// Declares the first `len` spare bytes a value.
    pub fn keep(&mut self, len: usize) -> Result<Span, Error> {
        let left = self.region.bytes().len().saturating_sub(self.filled);
        if len > left {
            return Err(Error::Full { needed: len, left });
        }
        let end = self.filled.saturating_add(len);
        let span = Span(self.filled..end);
        self.filled = end;
        Ok(span)
    }

    /// Copies a value in. The copy outside is the caller's to wipe.
    pub fn push(&mut self, value: &[u8]) -> Result<Span, Error> {
        let spare = self.spare()?;
        let left = spare.len();
        spare.get_mut(..value.len()).ok_or(Error::Full { needed: value.len(), left })?.copy_from_slice(value);
        self.keep(value.len())
    }

    /// Ends writing: from here on a write to these pages faults.
    pub fn freeze(self) -> Result<Values, Error> {
        Values::adopt(self.region)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Builder({} secret bytes)", self.filled)
    }
}

/// Values that are there to be read until they die with their region.
pub struct Values {
    region: Region,
}

impl Values {
    /// Takes over a region that was filled elsewhere; a write to it faults from here on.
    pub fn adopt(mut region: Region) -> Result<Self, Error> {
        region.set_read_only()?;
        Ok(Self { region })
    }

    /// The span of `len` bytes from `start`, if the region has them.
    #[must_use]
    pub fn span(&self, start: usize, len: usize) -> Option<Span> {
        let range = start..start.checked_add(len)?;
        self.region.bytes().get(range.clone()).map(|_bytes| Span(range))
    }

    /// The value at `span`; none when the span is of some other, larger builder.
    #[must_use]
    pub fn read(&self, span: &Span) -> Option<&[u8]> {
        self.region.bytes().get(span.0.clone())
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Values({:?})", self.region)
    }
}
