//! What comes in: kept apart until it was verified, then moved into the log's directory.
//!
//! Files of a log never change, and a partial tile of another width is another file, so moving them in disturbs nothing;
//! the checkpoint comes last, and only then the log has grown. Whatever ends the program before that leaves the log as it
//! was. What was refused is kept as it came: it is evidence.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use attest::log::{Tile, Width};

use crate::answer::NotJudged;

/// A directory that takes a growing log.
#[derive(Debug)]
pub(super) struct Incoming {
    root: PathBuf,
    /// Held while this program writes here.
    _lock: File,
}

impl Incoming {
    /// Takes the directory, which is made if it is not there, and throws away what an earlier run left unverified.
    pub(super) fn new(root: &Path) -> Result<Self, NotJudged> {
        let unwritable = |error: io::Error| unwritable(root, &error);
        fs::create_dir_all(root).map_err(unwritable)?;
        let lock = File::create(root.join(".lock")).map_err(unwritable)?;
        lock.try_lock().map_err(|error| {
            NotJudged::new(
                "log.export.busy",
                format!("{}: expected to be alone here, found: {error}", root.display()),
            )
        })?;
        let incoming = Self { root: root.to_owned(), _lock: lock };
        incoming.clear()?;
        Ok(incoming)
    }

    /// Whether the log has a checkpoint already.
    pub(super) fn has_checkpoint(&self) -> bool {
        self.root.join("checkpoint").exists()
    }

    /// Keeps a file that is not verified yet.
    pub(super) fn keep(&self, path: &str, bytes: &[u8]) -> Result<(), NotJudged> {
        write(&self.stage().join(path), bytes)
    }

    /// A file that was kept.
    pub(super) fn read(&self, path: &str) -> Result<Vec<u8>, NotJudged> {
        let path = self.stage().join(path);
        fs::read(&path).map_err(|error| {
            NotJudged::new("input.unreadable", format!("expected to read {}, found: {error}", path.display()))
        })
    }

    /// Moves in what was verified, then the checkpoint; what the tiles were before they grew is no longer needed.
    pub(super) fn accept(&self, checkpoint: &[u8], old: u64, new: u64) -> Result<(), NotJudged> {
        move_in(&self.stage(), &self.root)?;
        self.replace_checkpoint(checkpoint)?;
        let superseded = Tile::between(0, old).filter(|tile| tile.width != Width::FULL);
        let superseded = superseded.filter(|tile| Tile::in_tree(tile.level, tile.index, new) != Some(*tile));
        for tile in superseded {
            let path = self.root.join(tile.path());
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(unwritable(&path, &error));
                }
                // The folder stays if something else is in it.
                Ok(()) | Err(_) => path.parent().map(fs::remove_dir).map_or((), drop),
            }
        }
        self.clear()
    }

    /// Writes the checkpoint in one go.
    pub(super) fn replace_checkpoint(&self, checkpoint: &[u8]) -> Result<(), NotJudged> {
        write(&self.root.join("checkpoint.new"), checkpoint)?;
        rename(&self.root.join("checkpoint.new"), &self.root.join("checkpoint"))
    }

    /// Puts what was refused aside, unless something that was refused is there already. Says where it is.
    pub(super) fn refuse(&self, checkpoint: &[u8]) -> Result<PathBuf, NotJudged> {
        let aside = self.root.join("refused");
        self.keep("checkpoint", checkpoint)?;
        if aside.exists() {
            self.clear()?;
        } else {
            rename(&self.stage(), &aside)?;
        }
        Ok(aside)
    }

    fn clear(&self) -> Result<(), NotJudged> {
        match fs::remove_dir_all(self.stage()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unwritable(&self.stage(), &error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn stage(&self) -> PathBuf {
        self.root.join("incoming")
    }
}

/// Moves all files of one directory into another.
fn move_in(from: &Path, to: &Path) -> Result<(), NotJudged> {
    if !from.exists() {
        return Ok(());
    }
    fs::create_dir_all(to).map_err(|error| unwritable(to, &error))?;
    for item in fs::read_dir(from).map_err(|error| unwritable(from, &error))? {
        let item = item.map_err(|error| unwritable(from, &error))?;
        let (source, target) = (item.path(), to.join(item.file_name()));
        if source.is_dir() { move_in(&source, &target)? } else { rename(&source, &target)? }
    }
    Ok(())
}

/// Writes a file so that it is there after a power failure.
fn write(path: &Path, bytes: &[u8]) -> Result<(), NotJudged> {
    let folder = path.parent().unwrap_or(path);
    let written = fs::create_dir_all(folder)
        .and_then(|()| File::create(path))
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(|error| unwritable(path, &error))
}

fn rename(from: &Path, to: &Path) -> Result<(), NotJudged> {
    fs::rename(from, to).map_err(|error| unwritable(to, &error))
}

fn unwritable(path: &Path, error: &io::Error) -> NotJudged {
    NotJudged::new("log.export.unwritable", format!("expected to write {}, found: {error}", path.display()))
}
