//! Who asks on a machine: a workload's token, verified against the issuers that an operator named.
//!
//! [`keys`] are an issuer's key set, [`token`] is RFC 7515 and 7519, [`issuer`] says what an issuer's claims mean, [`store`]
//! keeps the entries under `config/workload-issuers/`. Nothing is fetched: a key set is stored as JSON. The token's digest
//! and claims go into the record; the token is a credential and goes nowhere.
//!
//! Trusted: the entries. Untrusted: the token.

pub(crate) mod issuer;
pub(crate) mod keys;
pub(crate) mod metadata;
pub(crate) mod store;
mod token;

use std::collections::BTreeMap;

use attest::crypto::AwsLcRs;
use attest::workload::{Found, Pods, Presented};
use attest::{Crypto, Workload};
use protocol::release::Bearer;

use issuer::{BadClaims, Issuer};
use token::{BadToken, Token};

/// The issuers of a mount, by the names of their entries. An entry that no longer parses is kept as the reason: tokens are
/// refused for it while it stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Issuers(BTreeMap<String, Result<Issuer, String>>);

impl Issuers {
    /// What a token is found to be. Only work for the processor.
    pub(crate) fn judge(&self, token: &Bearer) -> Presented {
        let digest = AwsLcRs.sha256(&[token.0.as_bytes()]);
        let (found, pods) = match self.identify(&token.0) {
            Ok((workload, pods)) => (Found::Genuine(Box::new(workload)), pods),
            Err(why) => (Found::Refused(why.to_string()), Pods::Attested),
        };
        Presented { token: digest, found, pods: Some(pods) }
    }

    fn identify(&self, text: &str) -> Result<(Workload, Pods), NotIdentified> {
        if text.len() > Bearer::MAX {
            return Err(NotIdentified::TooLong(text.len()));
        }
        let token = Token::parse(text)?;
        let issuer = self.issuer_of(&token)?;
        let claims = token.verify(issuer.keys())?;
        Ok((issuer.workload(&claims)?, issuer.pods()))
    }

    /// The one issuer whom the token names. Two would be two answers to who vouches for it.
    fn issuer_of(&self, token: &Token<'_>) -> Result<&Issuer, NotIdentified> {
        let claims = token.unverified();
        let mut named = self.0.values().flatten().filter(|issuer| issuer.is_named_by(claims));
        let found = || {
            let said = claims.iss.as_deref().unwrap_or("none");
            said.chars().take(120).map(|c| if c.is_control() { '?' } else { c }).collect::<String>()
        };
        match (named.next(), named.next()) {
            (Some(one), None) => Ok(one),
            (None, _) => match self.0.iter().find(|(_, issuer)| issuer.is_err()) {
                Some((name, Err(why))) => Err(NotIdentified::Entry { name: name.clone(), why: why.clone() }),
                _ => Err(NotIdentified::Unknown(found())),
            },
            (Some(_), Some(_)) => Err(NotIdentified::Several(found())),
        }
    }
}

/// Why a token names no workload.
#[derive(Debug, thiserror::Error)]
enum NotIdentified {
    #[error("at most 16384 bytes, found {0}")]
    TooLong(usize),
    #[error(transparent)]
    Token(#[from] BadToken),
    #[error("iss: expected an issuer of config/workload-issuers, found {0:?}")]
    Unknown(String),
    #[error("iss: two entries of config/workload-issuers are for it, found {0:?}")]
    Several(String),
    #[error("config/workload-issuers/{name}: {why}")]
    Entry { name: String, why: String },
    #[error(transparent)]
    Claims(#[from] BadClaims),
}

#[cfg(test)]
mod tests;
