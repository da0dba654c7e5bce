//! Where an answer is read into.
//!
//! Answers that are sealed or public may lie in ordinary memory; those with tokens or values lie in secret memory, and only
//! there. Which of the two it is says the caller, who knows what was asked for.

use std::fmt;

use secretmem::Growing;
use zeroize::Zeroize as _;

use super::Error;

/// Bytes that have come, and room for more.
pub struct Buffer {
    store: Store,
    filled: usize,
    limit: usize,
}

enum Store {
    Ordinary(Vec<u8>),
    Secret(Growing),
}

/// The head of an answer, beside its body.
const MAX_HEAD: usize = 16 * 1024;
/// A record that is opened behind the last byte of the longest answer.
const SLACK: usize = 20 * 1024;

impl Buffer {
    /// For answers that may be seen.
    #[must_use]
    pub fn ordinary() -> Self {
        Self { store: Store::Ordinary(Vec::new()), filled: 0, limit: MAX_ANSWER }
    }

    /// For answers that may not.
    pub fn secret() -> Result<Self, secretmem::Error> {
        let most = MAX_ANSWER.saturating_add(MAX_HEAD).saturating_add(SLACK);
        Ok(Self { store: Store::Secret(Growing::create(most)?), filled: 0, limit: MAX_ANSWER })
    }

    /// The most bytes that the body of an answer may have.
    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    pub(super) fn filled(&self) -> &[u8] {
        self.all().get(..self.filled).unwrap_or_default()
    }

    pub(super) fn filled_mut(&mut self) -> &mut [u8] {
        let filled = self.filled;
        self.all_mut().get_mut(..filled).unwrap_or_default()
    }

    /// At least `len` bytes behind what has come.
    pub fn room(&mut self, len: usize) -> Result<&mut [u8], Error> {
        let end = self.filled.saturating_add(len);
        if end > self.limit.saturating_add(MAX_HEAD).saturating_add(SLACK) {
            return Err(Error::TooLong(self.limit));
        }
        match &mut self.store {
            Store::Ordinary(bytes) if bytes.len() < end => bytes.resize(end, 0),
            Store::Ordinary(_) => {}
            Store::Secret(bytes) => bytes.grow(end)?,
        }
        let filled = self.filled;
        Ok(self.all_mut().get_mut(filled..).unwrap_or_default())
    }

    /// `len` bytes of the room have come.
    pub fn keep(&mut self, len: usize) {
        self.filled = self.filled.saturating_add(len).min(self.all().len());
    }

    /// Only the first `len` bytes count.
    pub(super) fn cut(&mut self, len: usize) {
        self.filled = self.filled.min(len);
    }

    /// Forgets everything, and wipes it.
    pub(super) fn clear(&mut self) {
        self.all_mut().zeroize();
        self.filled = 0;
    }

    fn all(&self) -> &[u8] {
        match &self.store {
            Store::Ordinary(bytes) => bytes,
            Store::Secret(bytes) => bytes.bytes(),
        }
    }

    fn all_mut(&mut self) -> &mut [u8] {
        match &mut self.store {
            Store::Ordinary(bytes) => bytes,
            Store::Secret(bytes) => bytes.bytes_mut(),
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} bytes)", self.filled)
    }
}

/// A sealed secret of 1 MiB in base64, and what is around it.
pub const MAX_ANSWER: usize = 2 * 1024 * 1024;
