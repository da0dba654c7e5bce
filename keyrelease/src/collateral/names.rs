//! `collateral/<form>/<name>`: single objects under an operator's own names, and enrolled attestation keys.
//!
//! A name is a note of the operator's; what counts is the index, which is written by the same import as a pack.
//!
//! Trusted: the operator. Everything is verified before it is stored.

use attest::collateral::{Kind, file};
use attest::crypto::AwsLcRs;
use attest::{Crypto, Digest, tpm};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openbao_plugin::{Error, Host, Operation, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::import::{Import, PACKS_ONLY, store_plan, take};
use super::index::Origin;
use super::plan::{Outcome, Plan};
use crate::governance::ungoverned;
use crate::mount::Mount;
use crate::reply::{self, bad_request};

/// What a name may stand for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    Certificate,
    List,
    Document,
    AttestationKey,
}

impl Form {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "certificate" => Some(Self::Certificate),
            "crl" => Some(Self::List),
            "document" => Some(Self::Document),
            "attestation-key" => Some(Self::AttestationKey),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::List => "crl",
            Self::Document => "document",
            Self::AttestationKey => "attestation-key",
        }
    }

    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Crl | Kind::RootCrl | Kind::PckCrl => Self::List,
            Kind::TcbInfo | Kind::QeIdentity => Self::Document,
            Kind::Vek | Kind::Issuer | _ => Self::Certificate,
        }
    }

    /// Certificates and lists in PEM or base64 DER; signed documents as they are; names of attestation keys in hex.
    fn read(self, value: &str) -> Result<Vec<u8>, Error> {
        match self {
            Self::AttestationKey => {
                let bytes = hex::decode(value.trim());
                let bytes = bytes.map_err(|error| bad_request(format!("attestation key: {error}")))?;
                tpm::Name::from_bytes(&bytes).map(|_| bytes).map_err(bad_request)
            }
            Self::Document => Ok(value.as_bytes().to_vec()),
            Self::Certificate | Self::List => {
                let lines = value.lines().filter(|line| !line.starts_with("-----"));
                let bytes = STANDARD.decode(lines.map(str::trim).collect::<String>());
                bytes.map_err(|error| bad_request(format!("value: expected PEM or base64 of DER: {error}")))
            }
        }
    }

    fn show(self, bytes: &[u8]) -> String {
        match self {
            Self::AttestationKey => hex::encode(bytes),
            Self::Document => String::from_utf8_lossy(bytes).into_owned(),
            Self::Certificate | Self::List => STANDARD.encode(bytes),
        }
    }

    fn key(self, name: &str) -> String {
        format!("collateral/{}/{name}", self.name())
    }
}

/// Answers `collateral/<form>/<name>`.
pub(crate) async fn answer(
    mount: &Mount,
    host: &Host,
    operation: Operation,
    form: Form,
    name: &str,
    body: Map<String, Value>,
) -> Result<Option<Response>, Error> {
    let storage = host.storage();
    match (operation, name) {
        (Operation::List, "") => Ok(Some(Response::keys(storage.list(&form.key("")).await?))),
        (Operation::Read, name) => {
            let bytes = storage.get(&form.key(name)).await?;
            bytes.map(|bytes| reply::data(&json!({ "value": form.show(&bytes) }))).transpose()
        }
        (Operation::Update, name) => {
            store(mount, host, form, reply::name(name)?, reply::body(body)?).await?;
            Ok(None)
        }
        (Operation::Delete, name) => {
            withdraw(mount, host, form, name).await?;
            Ok(None)
        }
        _ => Err(Error::UnsupportedOperation),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    value: String,
}

async fn store(mount: &Mount, host: &Host, form: Form, name: &str, body: Body) -> Result<(), Error> {
    let bytes = form.read(&body.value)?;
    let others = host.storage().list(&form.key("")).await?;
    let most = if form == Form::AttestationKey { MOST_KEYS } else { MOST_NAMES };
    if others.len() >= most && !others.iter().any(|other| other == name) {
        return Err(Error::BadRequest(format!("collateral/{}: at most {most} entries", form.name())));
    }
    if form == Form::AttestationKey {
        // Whoever enrols a key makes the mount believe its quotes.
        let transaction = host.transaction().await?;
        ungoverned(&transaction).await?;
        transaction.put(&form.key(name), bytes).await?;
        mount.commit(transaction).await?;
    } else {
        import(mount, host, form, &bytes).await?;
        host.storage().put(&form.key(name), bytes).await?;
    }
    mount.forget();
    Ok(())
}

async fn import(mount: &Mount, host: &Host, form: Form, object: &[u8]) -> Result<(), Error> {
    if !mount.state(host).await?.pack_signers.is_empty() {
        return Err(bad_request(PACKS_ONLY));
    }
    let found = Form::of(file(object).map_err(bad_request)?.kind);
    if found != form {
        return Err(bad_request(format!("expected a {}, found a {}", form.name(), found.name())));
    }
    let import = Import { objects: vec![object.to_vec()], origin: Origin::Operator, pack: None };
    let (told, _id) = take(mount, host, import).await?;
    match told.into_iter().find(|told| told.outcome == Outcome::Refused) {
        Some(told) => Err(bad_request(format!("collateral: {}", told.why.unwrap_or_default()))),
        None => Ok(()),
    }
}

/// Forgets a name, and withdraws its object from judgements. Older ones are refused still.
async fn withdraw(mount: &Mount, host: &Host, form: Form, name: &str) -> Result<(), Error> {
    let key = form.key(name);
    let Some(bytes) = host.storage().get(&key).await? else { return Ok(()) };
    if form != Form::AttestationKey {
        let store = &mount.collateral;
        let turn = store.turn().await;
        let digest: Digest<32> = AwsLcRs.sha256(&[&bytes]);
        if let Some(plan) = Plan::without(store.index(host).await?.as_ref(), &digest) {
            store_plan(mount, host, &plan, Origin::Operator, None, mount.now()).await?;
            store.done(plan, &turn);
        }
    }
    // Whoever hangs up meanwhile must not leave the mount with a key that is gone.
    let transaction = host.transaction().await?;
    transaction.delete(&key).await?;
    mount.commit(transaction).await
}

/// Names are for people.
const MOST_NAMES: usize = 256;
/// Enrolled attestation keys are looked up by name.
const MOST_KEYS: usize = 10_000;
