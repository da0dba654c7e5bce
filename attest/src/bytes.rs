//! Reading bytes that an attacker may have written.
//!
//! [`Reader`] walks a slice front to back; every read checks the length first, and [`Reader::finish`]
//! refuses what is left over. Untrusted: everything that it reads.

/// A cursor over untrusted bytes.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    total: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, total: bytes.len() }
    }

    /// The next `n` bytes.
    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let short = Malformed::Truncated { at: self.position(), wanted: n, left: self.rest.len() };
        let (head, tail) = self.rest.split_at_checked(n).ok_or(short)?;
        self.rest = tail;
        Ok(head)
    }

    /// The next `N` bytes, as an array.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.chunk().copied()
    }

    /// The next `N` bytes, where they stand.
    pub(crate) fn chunk<const N: usize>(&mut self) -> Result<&'a [u8; N], Malformed> {
        let short = Malformed::Truncated { at: self.position(), wanted: N, left: self.rest.len() };
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(short)?;
        self.rest = tail;
        Ok(head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16_be(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32_be(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64_be(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn u16_le(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32_le(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64_le(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// A TPM2B: a big-endian u16 length, then that many bytes (TPM 2.0 Part 2, clause 10.4).
    pub(crate) fn tpm2b(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.u16_be()?;
        self.take(usize::from(length))
    }

    /// What was not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything was read.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes were read.
    pub(crate) fn position(&self) -> usize {
        self.total.saturating_sub(self.rest.len())
    }

    /// Ends the reading: whatever is left is an error.
    pub(crate) fn finish(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed::Trailing { extra: self.rest.len() }) }
    }
}

/// Bytes that are not what they claim to be.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// A field does not fit in what is left.
    #[error("truncated at byte {at}: {wanted} bytes expected, {left} found")]
    Truncated {
        /// Where the field begins.
        at: usize,
        /// How long it is.
        wanted: usize,
        /// How many bytes there are.
        left: usize,
    },
    /// Bytes follow the end.
    #[error("{extra} bytes follow the end")]
    Trailing {
        /// How many.
        extra: usize,
    },
    /// The whole has a fixed length, and this is not it.
    #[error("{what} is {expected} bytes long, found {found}")]
    Length {
        /// What was read.
        what: &'static str,
        /// How long it is.
        expected: usize,
        /// How long this was.
        found: usize,
    },
    /// A value that this version of the format does not have.
    #[error("{what}: expected {expected}, found {found}")]
    Value {
        /// Which field.
        what: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it was.
        found: String,
    },
}
