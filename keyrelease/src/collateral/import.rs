//! `collateral/import`: verify everything, then take it or nothing.
//!
//! Objects come in a pack, or, while no signer is pinned, by themselves from whoever may write the path. Each is
//! verified up to the mount's anchors. What is new is stored in the transaction that puts the import on record.
//!
//! Trusted: OpenBao's policies on the path, the pinned signers. Untrusted: the objects.

use attest::collateral::{Issuers, Pack, PackSigner};
use attest::crypto::AwsLcRs;
use attest::log::{Kind as EntryKind, Subject};
use attest::{Crypto, Digest, TrustAnchors, UnixTime};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minicbor::Encode;
use openbao_plugin::{Error, Host, Response};
use protocol::release::Base64;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::candidate::Candidate;
use super::index::Origin;
use super::plan::{Outcome, Plan, Spoiled};
use super::store::object_key;
use crate::log::{Draft, Facts};
use crate::mount::Mount;
use crate::record::{DecisionId, Ledger, LedgerError};
use crate::reply::{self, bad_request};
use crate::state::random;

/// What is to be imported.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) objects: Vec<Vec<u8>>,
    pub(crate) origin: Origin,
    /// Of a pack: who signed it, when it was made, its digest.
    pub(crate) pack: Option<Origins>,
}

/// Where a pack comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origins {
    signer: Option<Digest<32>>,
    made: UnixTime,
    file: Digest<32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    pack: Option<String>,
    objects: Option<Vec<Base64>>,
    origin: Option<Origin>,
}

/// Answers a write to `collateral/import`.
pub(crate) async fn import(mount: &Mount, host: &Host, body: Map<String, Value>) -> Result<Response, Error> {
    let import = Import::read(&mount.state(host).await?.pack_signers, reply::body(body)?)?;
    let (made, signer) = (import.pack.map(|pack| pack.made), import.pack.and_then(|pack| pack.signer));
    let (plan, id) = take(mount, host, import).await?;
    let count = |outcome| plan.iter().filter(|told| told.outcome == outcome).count();
    let data = json!({
        "new": count(Outcome::New),
        "kept": count(Outcome::Kept),
        "refused": count(Outcome::Refused),
        "objects": plan,
        "made": made,
        "signer": signer.map(|signer| signer.to_string()),
        "decision": id.map(|id| id.to_string()),
    });
    reply::data(&data)
}

impl Import {
    fn read(signers: &[PackSigner], body: Body) -> Result<Self, Error> {
        match (body.pack, body.objects) {
            (Some(text), None) => {
                if body.origin.is_some() {
                    return Err(bad_request("origin: a pack has its own"));
                }
                let file = STANDARD.decode(text.trim());
                let file = file.map_err(|error| bad_request(format!("pack: expected base64: {error}")))?;
                let (pack, signer) = if signers.is_empty() {
                    (Pack::insecure_peek(&file).map_err(bad_request)?, None)
                } else {
                    let (pack, signer) = Pack::open(&file, signers, &AwsLcRs).map_err(bad_request)?;
                    (pack, Some(signer))
                };
                let origins = Origins { signer, made: pack.made, file: AwsLcRs.sha256(&[&file]) };
                let objects = pack.objects().iter().map(|packed| packed.bytes.clone()).collect();
                Ok(Self { objects, origin: Origin::Pack, pack: Some(origins) })
            }
            (None, Some(objects)) if signers.is_empty() => {
                if objects.len() > Pack::MAX_OBJECTS {
                    return Err(bad_request(format!("objects: at most {}", Pack::MAX_OBJECTS)));
                }
                let origin = body.origin.unwrap_or(Origin::Operator);
                if ![Origin::Operator, Origin::Refresh].contains(&origin) {
                    return Err(bad_request("origin: expected operator or refresh"));
                }
                Ok(Self { objects: objects.into_iter().map(|object| object.0).collect(), origin, pack: None })
            }
            (None, Some(_)) => Err(bad_request(PACKS_ONLY)),
            _ => Err(bad_request("expected either pack, a file as base64, or objects, a list of them")),
        }
    }
}

/// Verifies and takes. What became of each object, and the id under which the import is on record, if anything changed.
pub(crate) async fn take(
    mount: &Mount,
    host: &Host,
    import: Import,
) -> Result<(Vec<super::plan::Told>, Option<DecisionId>), Error> {
    let store = &mount.collateral;
    let turn = store.turn().await;
    let now = mount.now();
    let mut issuers = store.issuers(host).await?;
    for object in &import.objects {
        issuers.add(object);
    }
    let anchors = mount.anchors().clone();
    let candidates = verified(host, import.objects, issuers, anchors, now).await?;
    let index = store.index(host).await?;
    let plan = Plan::of(&index, candidates, import.origin, now).map_err(refused)?;
    if plan.is_empty() {
        return Ok((plan.told, None));
    }
    let id = store_plan(mount, host, &plan, import.origin, import.pack, now).await?;
    let told = plan.told.clone();
    store.done(plan, &turn);
    Ok((told, Some(id)))
}

/// Some at a time, so that releases get their turn on the pool.
async fn verified(
    host: &Host,
    objects: Vec<Vec<u8>>,
    issuers: Issuers,
    anchors: TrustAnchors,
    now: UnixTime,
) -> Result<Vec<Candidate>, Error> {
    let (issuers, anchors) = (std::sync::Arc::new(issuers), std::sync::Arc::new(anchors));
    let mut candidates = Vec::new();
    for some in objects.chunks(AT_ONCE) {
        let (some, issuers, anchors) = (some.to_vec(), issuers.clone(), anchors.clone());
        let work = move |_: &_| -> Vec<Candidate> {
            let each = some.iter().map(|object| {
                let digest = AwsLcRs.sha256(&[object]);
                Candidate::verified(digest, object, &issuers, &anchors, now)
            });
            each.collect()
        };
        candidates.extend(host.blocking(work).await?);
    }
    Ok(candidates)
}

/// Stores the plan with its record. Many objects are stored before, some at a time: they are named by nothing yet, and
/// releases go on in between.
pub(crate) async fn store_plan(
    mount: &Mount,
    host: &Host,
    plan: &Plan,
    origin: Origin,
    pack: Option<Origins>,
    now: UnixTime,
) -> Result<DecisionId, Error> {
    let state = mount.state(host).await?;
    let mut shared = plan.objects.clone();
    if shared.len() > AT_ONCE {
        for some in shared.chunks(AT_ONCE) {
            let transaction = host.transaction().await?;
            for (name, object) in some {
                transaction.put(&object_key(name), object.clone()).await?;
            }
            transaction.commit().await?;
        }
        shared.clear();
    }
    let id = DecisionId(random()?);
    let counts = plan.counts().into_iter().map(|(kind, count)| format!("{count} {kind}"));
    let counts = counts.collect::<Vec<_>>().join(", ");
    let request = if counts.is_empty() {
        "collateral withdrawn".to_owned()
    } else {
        format!("collateral: new {counts}")
    };
    let written = Written {
        format: Written::FORMAT,
        at: now,
        origin,
        signer: pack.and_then(|pack| pack.signer),
        pack: pack.map(|pack| pack.file),
        taken: plan.objects.iter().map(|(name, _)| *name).collect(),
    };
    let payload = minicbor::to_vec(&written).map_err(|error| Error::Internal(error.to_string()))?;
    let signed = state.signer.sign_payload(payload).map_err(|error| Error::Internal(error.to_string()))?;
    let kind = EntryKind::CollateralImport;
    let facts = Facts { kind, at: now, id, under: None, request, subject: Subject::default() };
    let draft = Draft { shared, ..Draft::new(facts, signed) }.taking(&plan.index, plan.puts()?);
    let appended = mount.ledger(host, &state, now).append(draft).await;
    if matches!(appended, Err(LedgerError::Changed)) {
        mount.collateral.forget();
    }
    appended?;
    Ok(id)
}

fn refused(why: Spoiled) -> Error {
    let message = why.to_string();
    match why {
        Spoiled::Objects(told) => {
            Error::Refused { message, data: Map::from_iter([("objects".to_owned(), json!(told))]) }
        }
        Spoiled::Full { .. } => Error::BadRequest(message),
    }
}

/// The record of an import.
#[derive(Encode)]
struct Written {
    #[n(0)]
    format: &'static str,
    #[n(1)]
    at: UnixTime,
    #[n(2)]
    origin: Origin,
    #[n(3)]
    signer: Option<Digest<32>>,
    #[n(4)]
    pack: Option<Digest<32>>,
    #[n(5)]
    taken: Vec<Digest<32>>,
}

impl Written {
    const FORMAT: &'static str = "cloudtaser/collateral-import/v1";
}

/// How many objects one job verifies and one transaction stores.
const AT_ONCE: usize = 64;
pub(crate) const PACKS_ONLY: &str =
    "this mount takes collateral in signed packs only (config/collateral-signers)";
