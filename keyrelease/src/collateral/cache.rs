//! Objects in memory, as many as fit.

use std::collections::HashMap;
use std::sync::Arc;

use attest::Digest;

/// Objects by their digests.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    objects: HashMap<Digest<32>, Arc<[u8]>>,
    bytes: usize,
}

impl Cache {
    pub(crate) fn get(&self, name: &Digest<32>) -> Option<Arc<[u8]>> {
        self.objects.get(name).cloned()
    }

    /// Keeps one; when there are too many, it begins anew.
    pub(crate) fn put(&mut self, name: Digest<32>, object: Arc<[u8]>) {
        let grown = self.bytes.saturating_add(object.len());
        if grown > MOST_BYTES {
            self.objects.clear();
            self.bytes = 0;
        }
        self.bytes = self.bytes.saturating_add(object.len());
        if let Some(before) = self.objects.insert(name, object) {
            self.bytes = self.bytes.saturating_sub(before.len());
        }
    }
}

const MOST_BYTES: usize = 32 * 1024 * 1024;
