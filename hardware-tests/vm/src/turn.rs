//! One machine at a time: emulation takes every processor that there is, and two machines are slower than one after
//! the other. Whole runs take a turn, whatever process they are in.

use std::fs::File;

use anyhow::{Context as _, Result};

/// The turn. It is over when dropped, or when its process ends.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "it is held, not read")] File);

impl Turn {
    /// Waits for it.
    pub fn wait() -> Result<Self> {
        let path = std::env::temp_dir().join("cloudtaser-vm.turn");
        let file = File::options().create(true).append(true).open(&path);
        let file = file.with_context(|| path.display().to_string())?;
        file.lock().with_context(|| path.display().to_string())?;
        Ok(Self(file))
    }
}
