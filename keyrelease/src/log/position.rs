//! Where a record stands in the log, with the proof.
//!
//! The proof is made by [`attest::log`] out of the tiles that it asks for; here they are fetched, one by one, until it has
//! all of them. Their number is bounded by the height of the tree.

use std::collections::BTreeMap;

use attest::Malformed;
use attest::crypto::AwsLcRs;
use attest::log::{Level, Position, Proof, Tile, entries, inclusion, nodes};
use openbao_plugin::{Error, Storage};

use super::serve::{head, tile_bytes};
use super::tip::{BUNDLE, damaged};

/// The place of entry `index`; none if the log does not reach so far.
pub(super) async fn position(storage: &Storage, index: u64) -> Result<Option<Position>, Error> {
    let Some(head) = head(storage).await?.filter(|head| index < head.size) else { return Ok(None) };
    let Some(bundle) = Tile::in_tree(Level::Entries, index / BUNDLE, head.size) else { return Ok(None) };
    let missing = || damaged(&"a tile is missing");
    let bytes = tile_bytes(storage, bundle).await?.ok_or_else(missing)?;
    let place = usize::try_from(index % BUNDLE).unwrap_or(usize::MAX);
    let entries = entries(&bytes).map_err(|why| damaged(&why))?;
    let entry = entries.get(place).ok_or_else(missing)?.to_vec();
    let mut tiles: BTreeMap<Tile, Vec<u8>> = BTreeMap::new();
    loop {
        match prove(index, head.size, &tiles) {
            Ok(Some(proof)) => {
                return Ok(Some(Position {
                    entry: entry.into(),
                    proof: proof.0,
                    checkpoint: head.checkpoint,
                }));
            }
            Ok(None) => return Ok(None),
            Err(Want::Tile(tile)) if tiles.len() < MOST_TILES => {
                tiles.insert(tile, tile_bytes(storage, tile).await?.ok_or_else(missing)?);
            }
            Err(Want::Tile(_)) => return Err(damaged(&"a proof asks for too many tiles")),
            Err(Want::Nothing(why)) => return Err(damaged(&why)),
        }
    }
}

fn prove(index: u64, size: u64, tiles: &BTreeMap<Tile, Vec<u8>>) -> Result<Option<Proof>, Want> {
    let mut read = |tile: Tile| tiles.get(&tile).cloned().ok_or(Want::Tile(tile));
    inclusion(&AwsLcRs, index, size, &mut nodes(&AwsLcRs, size, &mut read))
}

/// What a proof lacks.
enum Want {
    Tile(Tile),
    Nothing(Malformed),
}

impl From<Malformed> for Want {
    fn from(why: Malformed) -> Self {
        Self::Nothing(why)
    }
}

/// A tree has eight levels of tiles, and a proof needs two of each at most.
const MOST_TILES: usize = 32;
