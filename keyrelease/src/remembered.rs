//! The keys that were asked for of late, in memory: a release does not read its secret from storage again.
//!
//! Whoever writes or deletes a key has all of them forgotten afterwards. What was being read meanwhile is kept in a
//! drawer that nobody opens any more. That a remembered key is released on the active node alone, the log sees to: on
//! any other its entry cannot be written.
//!
//! Trusted: whoever says that something changed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use openbao_plugin::{Error, Storage};

use crate::keys::StoredKey;
use crate::memory::Memory;

/// What is remembered of the keys of one mount.
#[derive(Debug)]
pub(crate) struct Remembered {
    drawer: Memory<Drawer>,
}

type Drawer = Mutex<HashMap<String, Arc<StoredKey>>>;

impl Remembered {
    /// Nothing.
    pub(crate) fn new() -> Self {
        Self { drawer: Memory::new() }
    }

    /// The key of this name, if there is one.
    pub(crate) async fn key(&self, storage: &Storage, name: &str) -> Result<Option<Arc<StoredKey>>, Error> {
        let drawer = self.drawer();
        let known = drawer.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let key = StoredKey::load(storage, name).await?.map(Arc::new);
        if let Some(key) = key.as_ref().filter(|key| key.secret().len() <= MOST_BYTES) {
            let mut keys = drawer.lock().unwrap_or_else(PoisonError::into_inner);
            if keys.len() >= MOST_KEYS {
                keys.clear();
            }
            keys.insert(name.to_owned(), Arc::clone(key));
        }
        Ok(key)
    }

    /// A key was written or deleted, or may have been.
    pub(crate) fn forget(&self) {
        self.drawer.forget();
    }

    fn drawer(&self) -> Arc<Drawer> {
        self.drawer.recall().unwrap_or_else(|reading| {
            let drawer = Arc::new(Drawer::default());
            self.drawer.keep(&reading, &drawer);
            drawer
        })
    }
}

/// The most keys that are remembered.
const MOST_KEYS: usize = 1024;
/// A larger one is read each time.
const MOST_BYTES: usize = 16 * 1024;
