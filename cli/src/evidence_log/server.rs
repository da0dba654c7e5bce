//! A log as OpenBao serves it: `<mount>/log/…` and `<mount>/record/<decision>`, below `auth/` `<mount>/verdict/<decision>`.
//!
//! Untrusted: every answer.

use std::time::Duration;

use attest::log::{DecisionId, Tile};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::answer::NotJudged;
use crate::openbao::{Client, Seen, Server as Place};

/// The code of everything that a server may get over.
pub(super) const UNREADABLE: &str = "log.server";

/// One mount of one OpenBao.
#[derive(Debug)]
pub(super) struct Server {
    client: Client,
    mount: String,
}

impl Server {
    /// The mount of the server that the words and the environment name.
    pub(super) fn new(place: &Place, mount: &str, patience: Duration) -> Result<Self, NotJudged> {
        Ok(Self { client: place.connect(patience)?, mount: mount.to_owned() })
    }

    /// The checkpoint, if anything was logged yet.
    pub(super) fn checkpoint(&self) -> Result<Option<Vec<u8>>, NotJudged> {
        self.bytes("log/checkpoint")
    }

    /// A file of the log.
    pub(super) fn tile(&self, tile: Tile) -> Result<Option<Vec<u8>>, NotJudged> {
        self.bytes(&format!("log/{tile}"))
    }

    /// The record of a decision, if it is still kept.
    pub(super) fn record(&self, decision: DecisionId) -> Result<Option<Vec<u8>>, NotJudged> {
        let folder = if self.mount.starts_with("auth/") { "verdict" } else { "record" };
        let path = format!("{folder}/{decision}");
        let Some(body) = self.bytes(&path)? else { return Ok(None) };
        let malformed =
            || NotJudged::new(UNREADABLE, format!("{path}: expected a record, found something else"));
        let answer: Envelope = serde_json::from_slice(&body).map_err(|_why| malformed())?;
        STANDARD.decode(answer.data.bundle).map(Some).map_err(|_why| malformed())
    }

    fn bytes(&self, path: &str) -> Result<Option<Vec<u8>>, NotJudged> {
        let seen: Seen<_> = self.client.bytes(&format!("{}/{path}", self.mount));
        seen.map_err(|why| NotJudged::new(UNREADABLE, why.to_string()))
    }
}

/// What OpenBao says around a record.
#[derive(Deserialize)]
struct Envelope {
    data: Record,
}

#[derive(Deserialize)]
struct Record {
    bundle: String,
}
