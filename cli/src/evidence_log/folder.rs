//! A log in a directory: `checkpoint`, `tile/…`, and `records/<decision>.cbor` where they were exported.
//!
//! Untrusted: every file.

use std::path::{Path, PathBuf};

use attest::File;
use attest::crypto::AwsLcRs;
use attest::log::{DecisionId, RecordDigest, SignedCheckpoint, SignedNote, Tile, Width, cut};

use crate::answer::NotJudged;
use crate::input;

/// A directory that holds a log.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    root: PathBuf,
    records: PathBuf,
}

impl Folder {
    /// The log in `root`; its records are there too unless they are elsewhere.
    pub(super) fn new(root: &Path, records: Option<&PathBuf>) -> Self {
        let records = records.cloned().unwrap_or_else(|| root.join("records"));
        Self { root: root.to_owned(), records }
    }

    /// The checkpoint.
    pub(super) fn checkpoint(&self) -> Result<SignedCheckpoint, NotJudged> {
        checkpoint(&self.root.join("checkpoint"))
    }

    /// The bytes of a tile, if there is such a file, or the full one that it grew to.
    pub(super) fn tile(&self, tile: Tile) -> Result<Option<Vec<u8>>, NotJudged> {
        self.grown(tile, Tile { width: Width::FULL, ..tile })
    }

    /// The bytes of a tile out of what a log of `held` entries has of it.
    pub(super) fn tile_of(&self, tile: Tile, held: u64) -> Result<Option<Vec<u8>>, NotJudged> {
        let grown = Tile::in_tree(tile.level, tile.index, held).unwrap_or(tile);
        self.grown(tile, grown)
    }

    fn grown(&self, tile: Tile, grown: Tile) -> Result<Option<Vec<u8>>, NotJudged> {
        if let Some(bytes) = optional(&self.root.join(tile.path()), TILE_LIMIT)? {
            return Ok(Some(bytes));
        }
        let grown = optional(&self.root.join(grown.path()), TILE_LIMIT)?;
        // What cannot be cut is no file of a log: as good as none.
        Ok(grown.and_then(|bytes| cut(&bytes, tile).ok()))
    }

    /// The digest of the signed record of a decision, if its file is there.
    pub(super) fn record(&self, decision: DecisionId) -> Result<Option<RecordDigest>, NotJudged> {
        let file = optional(&self.records.join(format!("{decision}.cbor")), RECORD_LIMIT)?;
        Ok(file.map(|file| record_digest(&file)))
    }
}

/// The digest of what was signed: a bundle's record has its objects beside it, another record stands alone.
pub(super) fn record_digest(file: &[u8]) -> RecordDigest {
    match File::parse(file) {
        Ok(bundle) => RecordDigest::of(&AwsLcRs, &bundle.record),
        Err(_alone) => RecordDigest::of(&AwsLcRs, file),
    }
}

/// Reads a checkpoint.
pub(super) fn checkpoint(path: &Path) -> Result<SignedCheckpoint, NotJudged> {
    let bytes = input::read(path, SignedNote::MAX_BYTES)?;
    SignedCheckpoint::parse(&bytes)
        .map_err(|error| NotJudged::new("log.checkpoint.malformed", format!("{}: {error}", path.display())))
}

fn optional(path: &Path, limit: usize) -> Result<Option<Vec<u8>>, NotJudged> {
    let unreadable = |error: std::io::Error| {
        NotJudged::new("input.unreadable", format!("expected to read {}, found: {error}", path.display()))
    };
    if path.try_exists().map_err(unreadable)? { input::read(path, limit).map(Some) } else { Ok(None) }
}

/// 256 entries of the longest kind.
const TILE_LIMIT: usize = 256 * (attest::log::Entry::MAX_BYTES + 2);
const RECORD_LIMIT: usize = attest::Bundle::MAX_BYTES;
