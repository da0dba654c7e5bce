//! Attestation keys of TPMs that were enrolled, where several rule the mount: lists of names, each an item.
//!
//! Whoever enrols a key makes the mount believe its quotes, as a root does. Where nobody approves, keys are enrolled one by
//! one (`collateral/attestation-key/…`).
//!
//! Untrusted: the names, until somebody approved them.

use std::collections::BTreeSet;

use attest::tpm::Name;
use openbao_plugin::{Error, Storage};

use crate::reply::bad_request;

/// Whether this content may be stored under this name, beside the others; nothing takes a list away.
pub(super) async fn fits(storage: &Storage, name: &str, content: &str) -> Result<(), Error> {
    let found = names(content)?.len();
    if found > MOST_NAMES {
        return Err(bad_request(format!("attestation-keys: at most {MOST_NAMES} in a list, found {found}")));
    }
    let others = storage.list(FOLDER).await?;
    if others.len() >= MOST_LISTS && !others.iter().any(|other| other == name) {
        return Err(bad_request(format!("attestation-keys: at most {MOST_LISTS} lists")));
    }
    Ok(())
}

/// All that were approved.
pub(crate) async fn enrolled(storage: &Storage) -> Result<BTreeSet<Name>, Error> {
    let mut all = BTreeSet::new();
    for list in storage.list(FOLDER).await? {
        let content = storage.get(&format!("{FOLDER}{list}")).await?.unwrap_or_default();
        let damaged = |why: &dyn std::fmt::Display| Error::Internal(format!("stored {FOLDER}{list}: {why}"));
        let content = String::from_utf8(content).map_err(|why| damaged(&why))?;
        all.extend(names(&content).map_err(|why| damaged(&why))?);
    }
    Ok(all)
}

/// A name in hex a line.
fn names(content: &str) -> Result<BTreeSet<Name>, Error> {
    let lines = content.lines().map(str::trim).filter(|line| !line.is_empty());
    let name = |line: &str| {
        let bytes = hex::decode(line).map_err(|why| bad_request(format!("attestation key: {why}")))?;
        Name::from_bytes(&bytes).map_err(bad_request)
    };
    lines.map(name).collect()
}

const FOLDER: &str = "attestation-keys/";
const MOST_LISTS: usize = 64;
/// With its text a proposal has to be read by somebody.
const MOST_NAMES: usize = 512;
