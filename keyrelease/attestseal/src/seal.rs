//! The seal itself: one of the sources of its key, behind OpenBao's questions.

use std::collections::BTreeMap;

use openbao_plugin::{Blob, Plaintext, Seal, SealError};

use crate::config::{Config, Source};
use crate::custodians::CustodianSeal;
use crate::peer::Peer;

/// A configured seal.
#[derive(Debug)]
pub struct AttestSeal {
    source: Keyholder,
}

/// Who lets us have the key.
#[derive(Debug)]
enum Keyholder {
    Peer(Box<Peer>),
    Custodians(CustodianSeal),
}

impl AttestSeal {
    /// From the settings of the `seal "attestseal"` stanza. Nobody is asked for anything yet: a server whose
    /// peer is away starts, stays sealed and asks again.
    pub fn new(settings: &BTreeMap<String, String>) -> Result<Self, String> {
        let Config { source } = Config::try_from(settings).map_err(|problems| problems.to_string())?;
        let source = match source {
            Source::Peer(config) => {
                Keyholder::Peer(Box::new(Peer::new(config).map_err(|error| error.to_string())?))
            }
            Source::Custodians(config) => {
                Keyholder::Custodians(CustodianSeal::new(config).map_err(|error| error.to_string())?)
            }
        };
        Ok(Self { source })
    }
}

impl Seal for AttestSeal {
    fn kind(&self) -> &'static str {
        "attestseal"
    }

    fn description(&self) -> BTreeMap<String, String> {
        match &self.source {
            Keyholder::Peer(peer) => peer.description(),
            Keyholder::Custodians(custodians) => custodians.description(),
        }
    }

    fn init(&self) -> Result<(), SealError> {
        match &self.source {
            Keyholder::Peer(peer) => peer.init(),
            Keyholder::Custodians(custodians) => custodians.init(),
        }
    }

    fn key_id(&self) -> Result<String, SealError> {
        match &self.source {
            Keyholder::Peer(peer) => Ok(peer.key_id()),
            Keyholder::Custodians(custodians) => Ok(custodians.key_id()),
        }
    }

    fn encrypt(&self, plaintext: &[u8], aad: &[u8]) -> Result<Blob, SealError> {
        match &self.source {
            Keyholder::Peer(peer) => peer.encrypt(plaintext, aad),
            Keyholder::Custodians(custodians) => custodians.encrypt(plaintext, aad),
        }
    }

    fn decrypt(&self, blob: &Blob, aad: &[u8]) -> Result<Plaintext, SealError> {
        match &self.source {
            Keyholder::Peer(peer) => peer.decrypt(blob, aad),
            Keyholder::Custodians(custodians) => custodians.decrypt(blob, aad),
        }
    }
}
