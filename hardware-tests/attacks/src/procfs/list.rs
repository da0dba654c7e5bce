//! What procfs shows to anybody, and no runtime needs of a protected process.

use std::fs::File;

use super::views::{anything, directory, place, read};
use crate::{Attempt, Stage};

/// Lists a directory, reads a file.
pub(super) fn show(stage: &Stage, path: &str) -> Attempt {
    let mut file = File::open(place(stage, path))?;
    if file.metadata()?.is_dir() {
        return directory(stage, path);
    }
    Ok(anything(&read(&mut file)?, &stage.victim))
}
