//! What was read from storage, until something in storage changes.
//!
//! Reading takes a while, and what is read first may change before the last is read. So a reading that
//! began before a change is never kept: a key that an operator took off the list must not come back with
//! it, to stay until the next change.
//!
//! Trusted: whoever says that something changed.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// One value, read when it is first needed.
#[derive(Debug)]
pub(crate) struct Memory<T> {
    inner: RwLock<Inner<T>>,
}

#[derive(Debug)]
struct Inner<T> {
    changes: u64,
    kept: Option<Arc<T>>,
}

/// How many changes there were when a reading began.
#[derive(Debug)]
pub(crate) struct Reading(u64);

impl<T> Memory<T> {
    /// Nothing was read.
    pub(crate) fn new() -> Self {
        Self { inner: RwLock::new(Inner { changes: 0, kept: None }) }
    }

    /// What is kept, or leave to read it.
    pub(crate) fn recall(&self) -> Result<Arc<T>, Reading> {
        let inner = self.read();
        inner.kept.clone().ok_or(Reading(inner.changes))
    }

    /// Keeps what was read, unless something changed since the reading began.
    pub(crate) fn keep(&self, reading: &Reading, value: &Arc<T>) {
        let mut inner = self.write();
        if inner.changes == reading.0 {
            inner.kept = Some(Arc::clone(value));
        }
    }

    /// Something changed, and this is what there is now: a reading that began before is not kept over it.
    pub(crate) fn replace(&self, value: &Arc<T>) {
        let mut inner = self.write();
        inner.changes = inner.changes.wrapping_add(1);
        inner.kept = Some(Arc::clone(value));
    }

    /// Something changed.
    pub(crate) fn forget(&self) {
        let mut inner = self.write();
        inner.changes = inner.changes.wrapping_add(1);
        inner.kept = None;
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner<T>> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner<T>> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_while_it_changed_is_not_kept() {
        let memory = Memory::new();
        let before = memory.recall().unwrap_err();
        memory.forget();
        memory.keep(&before, &Arc::new("with the key that was taken off the list"));
        let after = memory.recall().unwrap_err();
        memory.keep(&after, &Arc::new("without it"));
        assert_eq!(*memory.recall().unwrap(), "without it");
        memory.forget();
        assert!(memory.recall().is_err());
    }

    /// Two read the list of the revoked at once; one of them then revokes, and the other ends its reading later.
    #[test]
    fn a_slow_reading_does_not_bring_back_what_was_before_a_change_that_was_written_meanwhile() {
        let memory = Memory::new();
        let (slow, writer) = (memory.recall().unwrap_err(), memory.recall().unwrap_err());
        let list = Arc::new("without the machine");
        memory.keep(&writer, &list);
        memory.replace(&Arc::new("with the machine that was revoked"));
        memory.keep(&slow, &list);
        assert_eq!(*memory.recall().unwrap(), "with the machine that was revoked");
    }
}
