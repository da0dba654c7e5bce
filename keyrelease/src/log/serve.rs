//! The log as its readers see it: the checkpoint, the tiles, the records.
//!
//! The layout is that of C2SP `tlog-tiles` below `<mount>/log`, raw bytes, so that what follows such logs can follow this
//! one. A tile that is not full is served in every width that it has had.
//!
//! Untrusted: the path.

use attest::UnixTime;
use attest::log::{Entry, Level, Tile, Width, bundle, cut, entries};
use openbao_plugin::{Error, Host, Operation, Response, Storage};
use serde_json::json;

use super::signer::LogSigner;
use super::tip::{Head, damaged, open_entries, tile_key};
use crate::reply::{self, bad_request};

/// Answers `log/checkpoint`, `log/key` and `log/tile/…`.
pub(crate) async fn read(
    signer: &LogSigner,
    host: &Host,
    operation: Operation,
    path: &str,
) -> Result<Option<Response>, Error> {
    if operation != Operation::Read {
        return Err(Error::UnsupportedOperation);
    }
    match path {
        "key" => {
            let key = signer.key().to_text(&attest::crypto::AwsLcRs);
            let origin = signer.origin().to_string();
            reply::data(&json!({ "origin": origin, "verifier_key": key })).map(Some)
        }
        "checkpoint" => {
            let head = head(host.storage()).await?;
            Ok(head.map(|head| Response::raw(200, "text/plain; charset=utf-8", head.checkpoint.to_vec())))
        }
        tile => {
            let tile = Tile::parse(tile).map_err(bad_request)?;
            let bytes = tile_bytes(host.storage(), tile).await?;
            Ok(bytes.map(|bytes| Response::raw(200, "application/octet-stream", bytes)))
        }
    }
}

/// How far the log reaches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    /// How many entries it has.
    pub(crate) size: u64,
    /// When the last one was written.
    pub(crate) clock: UnixTime,
}

/// How far the log reaches, if it has entries.
pub(crate) async fn end(host: &Host) -> Result<Option<End>, Error> {
    let Some(head) = head(host.storage()).await? else { return Ok(None) };
    let last = Entry::decode(&head.last).map_err(|why| damaged(&why))?;
    Ok(Some(End { size: head.size, clock: last.clock }))
}

pub(super) async fn head(storage: &Storage) -> Result<Option<Head>, Error> {
    storage.get(Head::KEY).await?.map(|bytes| Head::decode(&bytes)).transpose()
}

pub(super) async fn tile_bytes(storage: &Storage, tile: Tile) -> Result<Option<Vec<u8>>, Error> {
    let full = Tile { width: Width::FULL, ..tile };
    if let Some(bytes) = storage.get(&tile_key(full)).await? {
        return cut(&bytes, tile).map(Some).map_err(|why| damaged(&why));
    }
    let Some(head) = head(storage).await? else { return Ok(None) };
    let known = Tile::in_tree(tile.level, tile.index, head.size).filter(|known| known.width >= tile.width);
    match (known, tile.level) {
        (None, _) => Ok(None),
        (Some(_), Level::Hashes(level)) => {
            let cut = head.partial(level).map(|bytes| cut(bytes, tile)).transpose();
            cut.map_err(|why| damaged(&why))
        }
        (Some(_), Level::Entries) => {
            let open = open_entries(storage, head.size).await?;
            Ok(bundle(open.iter().take(tile.width.count()).map(Vec::as_slice)))
        }
    }
}

/// The whole log, bundle by bundle, as far as it reaches now.
pub(crate) async fn bundles(host: &Host) -> Result<Bundles, Error> {
    let size = head(host.storage()).await?.map_or(0, |head| head.size);
    Ok(Bundles { size, at: 0 })
}

/// A walk over the log.
#[derive(Debug)]
pub(crate) struct Bundles {
    size: u64,
    at: u64,
}

impl Bundles {
    /// The entries of the next bundle.
    pub(crate) async fn next(&mut self, host: &Host) -> Result<Option<Vec<Vec<u8>>>, Error> {
        let Some(tile) = Tile::in_tree(Level::Entries, self.at, self.size) else { return Ok(None) };
        self.at = self.at.saturating_add(1);
        let bytes = tile_bytes(host.storage(), tile).await?.ok_or_else(|| damaged(&"a bundle is missing"))?;
        let entries = entries(&bytes).map_err(|why| damaged(&why))?;
        Ok(Some(entries.into_iter().map(<[u8]>::to_vec).collect()))
    }
}
