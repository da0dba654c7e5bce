//! What a mount keeps in memory: its keys, its policies, the attestation keys that were enrolled.
//!
//! All of it lives in OpenBao's storage and is read once; a change, here or on another node, makes the
//! mount forget it and read again.
//!
//! Trusted: the storage.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use attest::collateral::PackSigner;
use attest::governance::Kind;
use attest::{TrustAnchors, UnixTime, tpm};
use openbao_plugin::{Error, Host, HostError, Storage};

use crate::challenge::Challenges;
use crate::collateral::stored_signers;
use crate::governance::items::{AUTH_ACCESSOR, COLLATERAL_SIGNERS, ROOTS};
use crate::governance::{StoredEmergency, authorities, emergency, enrolled};
use crate::limits::Settings;
use crate::log::LogSigner;
use crate::nodes::Enrolments;
use crate::nodes::manufacturers::Manufacturers;
use crate::policies::{self, StoredPolicy};
use crate::signer::Signer;
use crate::workload::{Issuers, store};

/// A mount's memory.
#[derive(Debug)]
pub(crate) struct State {
    /// How many steps of the rule were on record when this was read: [`crate::log::Log::rules`].
    pub(crate) rules: u64,
    pub(crate) challenges: Challenges,
    pub(crate) signer: Signer,
    pub(crate) log_signer: Arc<LogSigner>,
    /// Salts the names of secrets in records.
    pub(crate) salt: [u8; 32],
    /// A policy that no longer parses is kept as the reason: it stops those who name it, and nobody else.
    pub(crate) policies: BTreeMap<String, Result<StoredPolicy, String>>,
    pub(crate) limits: Settings,
    pub(crate) attestation_keys: BTreeSet<tpm::Name>,
    /// Authorities that are believed about TPM keys beside the pinned ones.
    pub(crate) authorities: Vec<Vec<u8>>,
    /// The keys whose packs of collateral are taken; if there are any, nothing else is.
    pub(crate) pack_signers: Vec<PackSigner>,
    /// The auth mount whose claims are believed on the token path; empty if there is none.
    pub(crate) accessor: String,
    /// What holds for now instead of what was approved; it is in the other fields already.
    pub(crate) emergencies: Vec<StoredEmergency>,
    pub(crate) issuers: Issuers,
    pub(crate) enrolments: Enrolments,
    /// Whose endorsement keys of TPMs are believed.
    pub(crate) manufacturers: Manufacturers,
}

impl State {
    pub(crate) async fn load(
        host: &Host,
        mount_uuid: &str,
        rules: u64,
        anchors: &TrustAnchors,
        now: UnixTime,
    ) -> Result<Self, Error> {
        let storage = host.storage();
        let emergencies = emergency::holding(host, now).await?;
        let instead = |kind| emergency::instead(&emergencies, kind);
        let roots = match instead(Kind::Roots) {
            Some(content) => Some(content.as_bytes().to_vec()),
            None => storage.get(ROOTS).await?,
        };
        let signers = match instead(Kind::CollateralSigners) {
            Some(content) => Some(content.as_bytes().to_vec()),
            None => storage.get(COLLATERAL_SIGNERS).await?,
        };
        let accessor = match instead(Kind::Auth) {
            Some(content) => content.to_owned(),
            None => accessor(storage).await?,
        };
        let issuers = store::load(storage, &emergencies).await?;
        let challenge_key = stored_key(storage, "config/challenge-key").await?;
        let signer = Signer::new(&stored_key(storage, "config/signing-key").await?);
        Ok(Self {
            rules,
            challenges: Challenges::new(&challenge_key),
            enrolments: Enrolments::new(&challenge_key),
            manufacturers: Manufacturers::load(storage).await?.under(anchors),
            signer: signer.map_err(|error| Error::Internal(error.to_string()))?,
            log_signer: Arc::new(LogSigner::new(&stored_key(storage, "config/log-key").await?, mount_uuid)?),
            salt: stored_key(storage, "config/salt").await?,
            policies: policies::load(storage, &emergencies).await?,
            limits: Settings::load(storage).await?,
            attestation_keys: attestation_keys(storage).await?,
            authorities: authorities(roots.as_deref())?,
            pack_signers: stored_signers(signers.as_deref())?,
            accessor,
            emergencies,
            issuers,
        })
    }

    /// The first second at which it has to be read again.
    pub(crate) fn holds_until(&self) -> UnixTime {
        self.emergencies.iter().map(|stored| stored.emergency.until).min().unwrap_or(UnixTime(u64::MAX))
    }

    pub(crate) fn policy(&self, name: &str) -> Result<&StoredPolicy, Error> {
        match self.policies.get(name) {
            Some(Ok(policy)) => Ok(policy),
            Some(Err(why)) => Err(Error::Internal(format!("stored policy {name:?}: {why}"))),
            None => Err(Error::BadRequest(format!("policy {name:?} is not stored in this mount"))),
        }
    }
}

/// Makes the mount's keys if it has none. On a standby the storage says that it is read-only, and the
/// active node has made them already.
pub(crate) async fn make_keys(host: &Host) -> Result<(), Error> {
    for name in ["config/signing-key", "config/log-key", "config/challenge-key", "config/salt"] {
        if host.storage().get(name).await?.is_some() {
            continue;
        }
        match host.storage().put(name, random::<32>()?.to_vec()).await {
            Ok(()) | Err(HostError::ReadOnly) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Bytes from the system's random source.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    let unavailable = |_why| Error::Internal("the system's random source is unavailable".to_owned());
    aws_lc_rs::rand::fill(&mut bytes).map_err(unavailable)?;
    Ok(bytes)
}

async fn accessor(storage: &Storage) -> Result<String, Error> {
    let stored = storage.get(AUTH_ACCESSOR).await?.unwrap_or_default();
    String::from_utf8(stored).map_err(|_why| Error::Internal("stored accessor is damaged".to_owned()))
}

async fn stored_key(storage: &Storage, name: &str) -> Result<[u8; 32], Error> {
    let bytes = storage.get(name).await?.ok_or_else(|| Error::Internal(format!("{name} is missing")))?;
    let found = bytes.len();
    bytes.try_into().map_err(|_why| Error::Internal(format!("{name}: expected 32 bytes, found {found}")))
}

async fn attestation_keys(storage: &Storage) -> Result<BTreeSet<tpm::Name>, Error> {
    let mut names = enrolled(storage).await?;
    for name in storage.list("collateral/attestation-key/").await? {
        let key = format!("collateral/attestation-key/{name}");
        let Some(bytes) = storage.get(&key).await? else { continue };
        let name = tpm::Name::from_bytes(&bytes);
        names.insert(name.map_err(|error| Error::Internal(format!("{key}: {error}")))?);
    }
    Ok(names)
}
