//! A bundle as a file: the signed record, the objects that it names, its place in the verifier's log.
//!
//! CBOR, `[record, [object, ...]]` or `[record, [object, ...], position]`, one encoding. Only the record is signed: it
//! holds the digests of the objects, and the log's checkpoint speaks for the position.
//!
//! Untrusted: all of it.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use super::{BadBundle, Bundle};
use crate::log::Position;

/// The parts of a file.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub struct File {
    /// The signed record: a `COSE_Sign1`.
    #[n(0)]
    pub record: ByteVec,
    /// What it names, in its order.
    #[n(1)]
    pub objects: Vec<ByteVec>,
    /// Where it stands in the verifier's log. `None`: nobody said.
    #[n(2)]
    pub position: Option<Position>,
}

impl File {
    /// Reads a file of at most [`Bundle::MAX_BYTES`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BadBundle> {
        if bytes.len() > Bundle::MAX_BYTES {
            return Err(BadBundle::TooLong { limit: Bundle::MAX_BYTES, found: bytes.len() });
        }
        let mut decoder = minicbor::Decoder::new(bytes);
        let file: Self = decoder.decode().map_err(|error| BadBundle::Content(error.to_string()))?;
        if file.to_cbor()? != bytes {
            return Err(BadBundle::Content("not the deterministic encoding".to_owned()));
        }
        Ok(file)
    }

    /// The bytes of the file.
    pub fn to_cbor(&self) -> Result<Vec<u8>, BadBundle> {
        minicbor::to_vec(self).map_err(|error| BadBundle::Content(error.to_string()))
    }
}
