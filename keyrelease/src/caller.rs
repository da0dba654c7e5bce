//! The caller on the token path: which key, and which workload, the trusted auth mount admitted; what it is given.
//!
//! A login was for itself. What is asked now has to be covered by the same policy: judged under the very text that this
//! mount has, and granted by it for this purpose, to the workload that logged in.
//!
//! Trusted: the auth mount that `config/auth` names, and this mount's policies. Untrusted: the request.

use attest::crypto::AwsLcRs;
use attest::log::{Kind, SecretRef};
use attest::{Answer, Digest, OfferedKey, Policy, UnixTime};
use minicbor::Encode;
use openbao_plugin::{Error, Host};
use protocol::released::Released;

use crate::log::{Draft, Facts};
use crate::mount::Mount;
use crate::record::{DecisionId, record_vouched};
use crate::reply::bad_request;
use crate::seal::{Recipient, seal};
use crate::state::{State, random};
use crate::vouch::Vouched;

/// Somebody with a token, and what they are judged by: one reading of the mount's state, so that what is given is on record
/// only if no rule has changed since.
#[derive(Debug)]
pub(crate) struct Caller<'a> {
    pub(crate) mount: &'a Mount,
    pub(crate) host: &'a Host,
    pub(crate) state: &'a State,
    /// The entity of the token.
    pub(crate) entity: &'a str,
    pub(crate) now: UnixTime,
}

/// What a caller asks for.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    /// The key to seal to.
    pub(crate) offered: OfferedKey,
    /// The path, as the grants of a policy have it.
    pub(crate) purpose: &'a str,
    /// The policies of this mount under any of which the login may have been judged.
    pub(crate) policies: &'a [&'a Policy],
}

impl Caller<'_> {
    /// The recipient, if the trusted auth mount vouches for the key and the policy grants the purpose.
    pub(crate) async fn vouched(&self, asked: Asked<'_>) -> Result<Vouched, Error> {
        let accessor = &self.state.accessor;
        if accessor.is_empty() {
            return Err(denied(&"no auth mount is trusted: config/auth is not set"));
        }
        let entity = self.host.system().entity(self.entity).await?;
        let entity = entity.ok_or_else(|| denied(&"the token has no entity"))?;
        let found = Vouched::find(&entity, accessor, asked.offered, asked.policies, self.now);
        let (vouched, policy) = found.map_err(|error| denied(&error))?;
        let check = policy.covers(asked.purpose, vouched.login().workload.as_ref());
        if let Some(check) = check.filter(|check| check.verdict == Answer::Fail) {
            return Err(denied(&format!("{}: expected {}, found {}", check.id, check.expected, check.found)));
        }
        // Asked again when it is recorded; here the reason can be told.
        match self.mount.bars(self.host).await?.against(&vouched.login().whom) {
            Some(bar) => Err(denied(&bar)),
            None => Ok(vouched),
        }
    }

    /// Seals to a recipient whom the trusted auth mount vouches for, after the record is stored.
    pub(crate) async fn give(&self, vouched: &Vouched, given: &Given<'_>) -> Result<Released, Error> {
        let internal = |error: &dyn std::fmt::Display| Error::Internal(error.to_string());
        let now = self.now;
        let written = TokenRelease {
            format: TokenRelease::FORMAT,
            login: vouched.login().id.to_string(),
            entity: self.entity,
            key: vouched.key().thumbprint(&AwsLcRs),
            request: &given.request,
            at: now,
        };
        let payload = minicbor::to_vec(&written).map_err(|error| internal(&error))?;
        let signed = self.state.signer.sign_payload(payload).map_err(|error| internal(&error))?;
        let facts = Facts {
            kind: given.kind,
            at: now,
            id: DecisionId(random()?),
            under: Some(vouched.login().id),
            request: given.request.clone(),
            subject: vouched.login().entry_subject(given.secret.clone()),
        };
        let ledger = self.mount.ledger(self.host, self.state, now);
        let receipt = record_vouched(&ledger, vouched, Draft::new(facts, signed)).await?;
        seal(given.value, given.version, Recipient::Vouched(vouched), receipt, now).map_err(bad_request)
    }
}

/// What is given to a recipient, and how the log shall call it.
pub(crate) struct Given<'a> {
    pub(crate) kind: Kind,
    pub(crate) request: String,
    pub(crate) secret: Option<SecretRef>,
    /// [`protocol::secret::encode`].
    pub(crate) value: &'a [u8],
    pub(crate) version: u64,
}

/// The record of what was given on the token path: the evidence is in the login's record.
#[derive(Encode)]
struct TokenRelease<'a> {
    #[n(0)]
    format: &'a str,
    #[n(1)]
    login: String,
    #[n(2)]
    entity: &'a str,
    #[n(3)]
    key: Digest<32>,
    #[n(4)]
    request: &'a str,
    #[n(5)]
    at: UnixTime,
}

impl TokenRelease<'_> {
    const FORMAT: &'static str = "cloudtaser/token-release/v1";
}

fn denied(why: &dyn std::fmt::Display) -> Error {
    Error::PermissionDenied(format!("refused: {why}"))
}
