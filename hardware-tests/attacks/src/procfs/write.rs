//! Settings of a process that procfs lets others write.

use std::fs::{OpenOptions, read_to_string};
use std::io::Write;

use super::views::place;
use crate::{Attempt, Outcome, Stage};

/// Writes, and reads it back where that is allowed.
pub(super) fn write(stage: &Stage, path: &str, text: &str, after: &str) -> Attempt {
    let path = place(stage, path);
    OpenOptions::new().write(true).open(&path)?.write_all(text.as_bytes())?;
    let seen = read_to_string(&path).unwrap_or_default();
    Ok(if after.is_empty() || seen.contains(after) || seen.is_empty() {
        Outcome::got(format!("{text} was taken"))
    } else {
        Outcome::nothing(format!("it is {} as before", seen.trim()))
    })
}
