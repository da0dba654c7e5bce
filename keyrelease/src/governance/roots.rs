//! Additional trust roots: authorities whose word about TPM keys this mount believes beside the pinned ones.
//!
//! The vendors' own roots are in the program and change with it alone. A root that is taken off takes what was verified
//! under it along.
//!
//! Untrusted: the certificates, until somebody approved them.

use attest::TrustAnchors;
use attest::governance::Kind;
use openbao_plugin::{Error, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::items::{self, ROOTS};
use super::pem::blocks;
use super::steps::Desk;
use crate::reply::{self, bad_request};

/// The certificates in a text of PEM blocks, each of an authority.
pub(super) fn certificates(text: &str) -> Result<Vec<Vec<u8>>, Error> {
    let blocks = blocks(text).filter(|blocks| blocks.iter().all(|block| block.label == "CERTIFICATE"));
    let blocks = blocks.filter(|blocks| blocks.len() <= MOST).ok_or_else(|| bad_request(FORM))?;
    let found: Vec<Vec<u8>> = blocks.into_iter().map(|block| block.bytes).collect();
    TrustAnchors::vendor().with_tpm_authorities(&found).map_err(bad_request)?;
    Ok(found)
}

/// The authorities in force, out of what is stored.
pub(crate) fn authorities(stored: Option<&[u8]>) -> Result<Vec<Vec<u8>>, Error> {
    let text = std::str::from_utf8(stored.unwrap_or_default());
    let damaged = |why: &dyn std::fmt::Display| Error::Internal(format!("stored {ROOTS}: {why}"));
    certificates(text.map_err(|why| damaged(&why))?).map_err(|why| damaged(&why))
}

/// Answers a read of `config/roots`.
pub(super) async fn show(desk: &Desk<'_>) -> Result<Response, Error> {
    let stored = desk.host.storage().get(ROOTS).await?.unwrap_or_default();
    reply::data(&json!({ "certificates": String::from_utf8_lossy(&stored) }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RootsBody {
    certificates: String,
}

/// Answers a write of `config/roots` where nobody has to approve.
pub(super) async fn store(desk: &Desk<'_>, data: Map<String, Value>) -> Result<(), Error> {
    let body: RootsBody = reply::body(data)?;
    items::write(desk.mount, desk.host, Kind::Roots, "", &body.certificates).await
}

const FORM: &str = "roots: expected at most 16 PEM blocks CERTIFICATE and nothing else";
/// Every quote that brings a certificate looks at all of them.
const MOST: usize = 16;
