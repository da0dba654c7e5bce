//! `attest-keys`: secrets that leave only sealed.
//!
//! `release/<key>/open` carries the evidence in the call and needs no token. `release/<key>` needs a token
//! of the trusted auth mount and seals to the key that was attested at login, so that a stolen token
//! yields only ciphertext.
//!
//! Untrusted: every request. Trusted: OpenBao's policies on the paths, and the mount's storage.

use attest::OfferedKey;
use attest::governance::Kind as Item;
use attest::log::{Kind as Event, SecretRef};
use openbao_plugin::{Backend, Error, Host, Kind, Operation, Request, Response, Secret, SpecialPaths};
use protocol::release::{Base64, Presentation, open_context};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::caller::{Asked, Caller, Given};
use crate::forward;
use crate::governance::items;
use crate::guard::Guard;
use crate::judge::Purpose;
use crate::keys::{self, StoredKey};
use crate::limits::Source;
use crate::manage::manage;
use crate::metrics::Step;
use crate::mount::{self, Judged, Mount, salted};
use crate::nodes::Asking;
use crate::paths::SECRETS;
use crate::protection;
use crate::reply::{self, bad_request};
use crate::rotate::{keep_keys, rotate};
use crate::seal::{Recipient, seal};
use crate::standing::{self, LeaseTerms, Renewal};
use crate::vouch::Vouched;

/// The secrets engine.
#[derive(Debug)]
pub struct SecretsEngine {
    mount: Mount,
}

impl SecretsEngine {
    /// On this mount.
    #[must_use]
    pub fn new(mount: Mount) -> Self {
        Self { mount }
    }
}

impl Backend for SecretsEngine {
    fn kind(&self) -> Kind {
        Kind::Secret
    }

    fn special_paths(&self) -> SpecialPaths {
        SECRETS.special()
    }

    async fn initialize(&self, host: &Host) -> Result<(), Error> {
        self.mount.initialize(host).await
    }

    async fn tick(&self, host: &Host) -> Result<(), Error> {
        self.mount.tick(host).await
    }

    fn needs_active_node(&self, request: &Request) -> bool {
        mount::writes(request)
    }

    async fn invalidate(&self, key: &str) {
        self.mount.changed(key);
    }

    async fn handle(&self, request: Request, host: &Host) -> Result<Option<Response>, Error> {
        SECRETS.allows(request.operation, &request.path)?;
        self.mount.enter(&request, host).await?;
        let path = request.path.clone();
        let parts: Vec<&str> = path.split('/').collect();
        match (request.operation, parts.as_slice()) {
            (Operation::Update, ["challenge"]) => reply::data(&self.mount.challenge(host).await?).map(Some),
            (Operation::Update, ["release", key, "open"]) => {
                // It holds a whole presentation on the way: too much to carry along in every request.
                Box::pin(self.open(request, host, key)).await.map(Some)
            }
            (Operation::Update, ["release", key]) => {
                let released = self.release(request, host, key).await?;
                self.mount.metrics.released_by_token();
                Ok(Some(released))
            }
            (Operation::Update, ["seal"]) => forward::seal_on(&self.mount, request, host).await.map(Some),
            (Operation::Read, ["config", "seal"]) => forward::show(&self.mount, host).await.map(Some),
            (Operation::Update, ["config", "seal"]) => {
                forward::configure(&self.mount, host, request.data).await?;
                Ok(None)
            }
            (Operation::Renew, _) => self.renew(request, host).await.map(Some),
            // What was released cannot be taken back; a key that is to change is drawn anew by `revoke`.
            (Operation::Revoke, _) => Ok(None),
            (Operation::List, ["keys", ""]) => Ok(Some(Response::keys(host.storage().list("keys/").await?))),
            (Operation::Read, ["keys", name]) => describe_key(host, name).await,
            (Operation::Update, ["keys", name]) => {
                self.write_key(request.data, host, reply::name(name)?).await.map(Some)
            }
            (Operation::Update, ["keys", name, "rotate"]) => {
                rotate(&self.mount, request.data, host, reply::name(name)?).await.map(Some)
            }
            (Operation::Delete, ["keys", name]) => {
                delete_key(&self.mount, host, reply::name(name)?).await.map(|()| None)
            }
            (Operation::Read, ["config", "auth"]) => {
                let state = self.mount.state(host).await?;
                reply::data(&json!({ "accessor": state.accessor })).map(Some)
            }
            (Operation::Update, ["config", "auth"]) => {
                let body: AuthBody = reply::body(request.data)?;
                items::write(&self.mount, host, Item::Auth, "", &body.accessor).await?;
                Ok(None)
            }
            _ => manage(&self.mount, request, host, "record").await,
        }
    }
}

impl SecretsEngine {
    /// Evidence in, sealed secret out.
    async fn open(&self, request: Request, host: &Host, name: &str) -> Result<Response, Error> {
        let name = reply::name(name)?;
        let presentation: Presentation = reply::body(request.data)?;
        let key = self.mount.keys.key(host.storage(), name).await?.ok_or_else(no_key)?;
        let state = self.mount.state(host).await?;
        let mount = request.mount_point.trim_end_matches('/');
        let purpose = Purpose {
            context: presentation.purpose(&open_context(mount, name)),
            policy: key.policy.clone(),
            request: format!("release of {} version {}", salted(&state, name), key.version),
            source: Source::of(&request.remote_addr),
            secret: Some(SecretRef { name: salted(&state, name), version: key.version }),
            asking: Asking::default(),
            demand: key.demand(),
        };
        match self.mount.judge(host, presentation, purpose).await? {
            Judged::Refused(id, refused) => reply::refusal(id, &refused),
            Judged::Admitted(admitted, receipt) => {
                let now = self.mount.now();
                let sealing = self.mount.metrics.time(Step::Seal);
                let sealed = seal(key.secret(), key.version, Recipient::Admitted(&admitted), receipt, now);
                drop(sealing);
                reply::data(&sealed.map_err(bad_request)?)
            }
        }
    }

    /// A token of the trusted auth mount in, a secret sealed to the key attested at login out.
    async fn release(&self, request: Request, host: &Host, name: &str) -> Result<Response, Error> {
        let name = reply::name(name)?;
        let body: ReleaseBody = reply::body(request.data)?;
        let key = self.mount.keys.key(host.storage(), name).await?.ok_or_else(no_key)?;
        let state = self.mount.state(host).await?;
        let purpose = open_context(request.mount_point.trim_end_matches('/'), name);
        let policy = &state.policy(&key.policy)?.policy;
        let (mount, entity, now) = (&self.mount, request.entity_id.as_str(), self.mount.now());
        let caller = Caller { mount, host, state: &state, entity, now };
        let asked = Asked { offered: body.offered()?, purpose: &purpose, policies: &[policy] };
        let vouched = caller.vouched(asked).await?;
        protection::meets(&key.demand(), vouched.login().protection.as_ref())?;
        let given = Given {
            kind: Event::TokenRelease,
            request: format!("release of {} version {}", salted(&state, name), key.version),
            secret: Some(SecretRef { name: salted(&state, name), version: key.version }),
            value: key.secret(),
            version: key.version,
        };
        let sealed = caller.give(&vouched, &given).await?;
        let answer = reply::data(&sealed)?;
        Ok(match key.lease {
            None => answer,
            Some(terms) => answer.with_secret(Secret {
                lease: terms.lease(vouched.until(), now),
                internal_data: given_to(name, &request.entity_id, &vouched),
            }),
        })
    }

    /// Prolongs the lease on a release. Of a key that is gone, nothing is prolonged.
    async fn renew(&self, request: Request, host: &Host) -> Result<Response, Error> {
        let denied = |why: &str| Error::PermissionDenied(format!("refused: {why}"));
        let lease = request.secret.ok_or_else(|| Error::BadRequest("renewal without a lease".to_owned()))?;
        let word = |name| lease.internal_data.get(name).and_then(Value::as_str).unwrap_or_default();
        let name = reply::name(word("key"))?.to_owned();
        let key = self.mount.keys.key(host.storage(), &name).await?;
        let key = key.ok_or_else(|| denied("the key is gone"))?;
        let terms = key.lease.ok_or_else(|| denied("the key gives no leases any more"))?;
        let entity = host.system().entity(word("entity")).await?;
        let entity = entity.ok_or_else(|| denied("the machine's entity is gone"))?;
        let state = self.mount.state(host).await?;
        let renewal = Renewal {
            entity: &entity,
            accessor: &state.accessor,
            policy: state.policy(&key.policy)?.policy.digest(),
            terms,
            guest: word("guest"),
            request: format!("renewal of {} version {}", salted(&state, &name), key.version),
        };
        let renewed = standing::renew(&self.mount, host, renewal).await?;
        Ok(Response::default().with_secret(Secret { lease: renewed, ..lease }))
    }

    /// Creates a key, or gives it a new version.
    async fn write_key(
        &self,
        mut data: Map<String, Value>,
        host: &Host,
        name: &str,
    ) -> Result<Response, Error> {
        // A type error's message could quote the value: the secret's fields are not parsed by serde.
        let fields = match (data.remove("data"), data.contains_key("draw")) {
            (Some(Value::Object(fields)), _) => fields,
            (None, true) => Map::new(),
            _ => {
                return Err(Error::BadRequest(
                    "data: expected an object with the secret's fields".to_owned(),
                ));
            }
        };
        let body: KeyBody = reply::body(data)?;
        let demanded = protection::demanded(body.min_protection, body.require_protection)?;
        let lease = body.lease.map(LeaseTerms::checked).transpose()?;
        let secret = match &body.draw {
            Some(drawn) if fields.is_empty() => keys::with_drawn(NO_FIELDS, drawn)?,
            Some(drawn) => keys::with_drawn(&keys::encode(&fields)?, drawn)?,
            None => keys::encode(&fields)?,
        };
        // In one transaction: a key that is drawn meanwhile must not be lost.
        let transaction = host.transaction().await?;
        let existing = StoredKey::load(&transaction, name).await?;
        existing.as_ref().map_or(Ok(()), |key| keep_keys(key.secret(), &secret))?;
        let guarding = existing.as_ref().map(|key| key.policy.as_str());
        let guard = Guard::of(&transaction, name, guarding).await?;
        let policy = guard.choose(body.policy, guarding)?;
        guard.keep(&transaction, &policy).await?;
        self.mount.state(host).await?.policy(&policy)?;
        let version = existing.as_ref().map_or(1, |key| key.version.saturating_add(1));
        let lease = lease.or_else(|| existing.as_ref().and_then(|key| key.lease));
        let demand = demanded.over(existing.as_ref().map(StoredKey::demand).unwrap_or_default());
        let key = StoredKey::new(policy, version, self.mount.now(), &secret).with(lease, body.draw);
        let key = key.demanding(demand);
        key.store(&transaction, name).await?;
        self.mount.commit(transaction).await?;
        reply::data(&json!({ "version": version }))
    }
}

/// Deletes a key with all its versions; what guards its name stays, where several rule.
async fn delete_key(mount: &Mount, host: &Host, name: &str) -> Result<(), Error> {
    let transaction = host.transaction().await?;
    let Some(key) = StoredKey::load(&transaction, name).await? else { return Ok(()) };
    let guard = Guard::of(&transaction, name, Some(&key.policy)).await?;
    guard.keep(&transaction, &guard.choose(None, Some(&key.policy))?).await?;
    transaction.delete(&format!("keys/{name}")).await?;
    mount.commit(transaction).await
}

/// What a lease has to know to be prolonged.
fn given_to(key: &str, entity: &str, vouched: &Vouched) -> Map<String, Value> {
    let guest = standing::guest(&vouched.login().whom);
    let facts = [("key", key), ("entity", entity), ("guest", &guest)];
    facts.into_iter().map(|(name, fact)| (name.to_owned(), fact.into())).collect()
}

async fn describe_key(host: &Host, name: &str) -> Result<Option<Response>, Error> {
    let Some(key) = StoredKey::load(host.storage(), name).await? else { return Ok(None) };
    let (policy, version, written) = (&key.policy, key.version, key.written);
    let (lease, draw, demand) = (&key.lease, key.drawn(), key.demand());
    reply::data(&json!({
        "policy": policy, "version": version, "written": written, "lease": lease, "draw": draw,
        "min_protection": demand.min_protection, "require_protection": demand.require_protection,
    }))
    .map(Some)
}

fn no_key() -> Error {
    Error::Coded { status: 404, message: "no such key".to_owned() }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyBody {
    policy: Option<String>,
    /// The lease on each release by token; as before unless given.
    lease: Option<LeaseTerms>,
    /// Fields to draw, with their lengths.
    draw: Option<keys::Drawn>,
    /// The least points of a protection report; as before unless given.
    min_protection: Option<u16>,
    /// The protections that have to be reached; as before unless given.
    require_protection: Option<Vec<attest::protection::Check>>,
}

/// A secret without fields.
const NO_FIELDS: &[u8] = &[0, 0];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthBody {
    accessor: String,
}

/// The key to seal to, on the token path.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReleaseBody {
    kem: String,
    public_key: Base64,
}

impl ReleaseBody {
    pub(crate) fn offered(&self) -> Result<OfferedKey, Error> {
        let kem = attest::Kem::named(&self.kem);
        let kem = kem
            .ok_or_else(|| Error::BadRequest("kem: expected x-wing, x25519 or rsa-oaep-sha256".to_owned()))?;
        let (expected, found) = (kem.public_len(), self.public_key.0.len());
        if !expected.contains(found) {
            return Err(Error::BadRequest(format!("public_key: expected {expected} bytes, found {found}")));
        }
        Ok(OfferedKey { kem, public: self.public_key.0.clone() })
    }
}
