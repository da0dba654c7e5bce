//! `auth/attest`: evidence in, an OpenBao token out.
//!
//! The token is an ordinary batch token with the policies of its role. Its identity is the machine's: an
//! alias named after the hardware, with what was found in its metadata, so that ACL templates, the audit
//! log and `attest-keys` see it.
//!
//! Untrusted: the login. Trusted: roles and policies, which operators wrote.

use std::time::Duration;

use attest::crypto::AwsLcRs;
use attest::protection::Demand;
use attest::{Admitted, Crypto, UnixTime};
use openbao_plugin::{Alias, Auth, Backend, Error, Host, Kind, Lease, Operation, Request, Response};
use openbao_plugin::{SpecialPaths, TokenType};
use protocol::release::{Presentation, login_context, node_login_context};
use serde_json::{Map, Value, json};

use crate::judge::Purpose;
use crate::limits::Source;
use crate::manage::manage;
use crate::mount::{self, Judged, Mount};
use crate::nodes::{self, Asking, Enrol};
use crate::paths::AUTH;
use crate::record::Receipt;
use crate::reply::bad_request;
use crate::role::{Role, RoleToken};
use crate::standing::{self, Renewal};
use crate::workload::metadata;
use crate::{protection, reply, vouch};

/// The auth method.
#[derive(Debug)]
pub struct AuthMethod {
    mount: Mount,
}

impl AuthMethod {
    /// On this mount.
    #[must_use]
    pub fn new(mount: Mount) -> Self {
        Self { mount }
    }
}

impl Backend for AuthMethod {
    fn kind(&self) -> Kind {
        Kind::Auth
    }

    fn special_paths(&self) -> SpecialPaths {
        AUTH.special()
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
        AUTH.allows(request.operation, &request.path)?;
        self.mount.enter(&request, host).await?;
        let path = request.path.clone();
        let parts: Vec<&str> = path.split('/').collect();
        match (request.operation, parts.as_slice()) {
            (Operation::Update, ["challenge"]) => reply::data(&self.mount.challenge(host).await?).map(Some),
            (Operation::Update, ["enrol"]) => {
                let source = Source::of(&request.remote_addr);
                let begun = nodes::begin(&self.mount, host, reply::body(request.data)?, source).await?;
                reply::data(&begun).map(Some)
            }
            (operation, ["node", name]) => {
                nodes::answer(&self.mount, host, operation, name, request.data).await
            }
            (Operation::Update, ["login"]) => Box::pin(self.login(request, host)).await.map(Some),
            (Operation::Renew, ["login"]) => self.renew(request, host).await.map(Some),
            (Operation::ResolveRole, ["login"]) => {
                // OpenBao takes the answer for a string unseen, and panics where it is none.
                let role = request.data.get("role").and_then(Value::as_str).unwrap_or_default();
                reply::data(&json!({ "role": role })).map(Some)
            }
            (Operation::List, ["role", ""]) => Ok(Some(Response::keys(host.storage().list("role/").await?))),
            (Operation::Read, ["role", name]) => {
                Role::load(host, name).await?.map(|role| reply::data(&role)).transpose()
            }
            (Operation::Delete, ["role", name]) => {
                host.storage().delete(&format!("role/{name}")).await?;
                Ok(None)
            }
            (Operation::Update, ["role", name]) => {
                Role::store(&self.mount, host, reply::name(name)?, request.data).await?;
                Ok(None)
            }
            _ => manage(&self.mount, request, host, "verdict").await,
        }
    }
}

impl AuthMethod {
    async fn login(&self, request: Request, host: &Host) -> Result<Response, Error> {
        let mut data = request.data;
        let Some(Value::String(role_name)) = data.remove("role") else {
            return Err(Error::BadRequest("role: expected the name of a role".to_owned()));
        };
        let as_text = match data.remove("refusal").as_ref().map(Value::as_str) {
            None | Some(Some("json")) => false,
            Some(Some("text")) => true,
            Some(_) => return Err(Error::BadRequest("refusal: expected json or text".to_owned())),
        };
        let (name, answer) = (data.remove("node"), data.remove("enrolment"));
        let presentation: Presentation = reply::body(data)?;
        let role_name = reply::name(&role_name)?;
        let role = Role::load(host, role_name).await?;
        let role = role.ok_or_else(|| Error::BadRequest(format!("role {role_name:?} does not exist")))?;
        let asking = self.asking(host, &role, name, answer).await?;
        let mount = request.mount_point.trim_end_matches('/');
        let (path, named) = match &asking.name {
            Some(name) => {
                (node_login_context(mount, role_name, name), format!(" in the name of node {name}"))
            }
            None => (login_context(mount, role_name), String::new()),
        };
        let purpose = Purpose {
            context: presentation.purpose(&path),
            policy: role.policy.clone(),
            request: format!("login as {role_name}{named}"),
            source: Source::of(&request.remote_addr),
            secret: None,
            asking,
            demand: Demand::default(),
        };
        match self.mount.judge(host, presentation, purpose).await? {
            // A workflow, and inline auth, tell why only where it is an error of OpenBao's own; of "permission denied"
            // they tell nothing but that.
            Judged::Refused(id, refused) if as_text => {
                Err(Error::Coded { status: 403, message: format!("{refused} (decision {id})") })
            }
            Judged::Refused(id, refused) => reply::refusal(id, &refused),
            Judged::Admitted(admitted, receipt) => self.token(&role, role_name, &admitted, &receipt),
        }
    }

    /// In which name somebody asks, and by which rules of the role.
    async fn asking(
        &self,
        host: &Host,
        role: &Role,
        name: Option<Value>,
        answer: Option<Value>,
    ) -> Result<Asking, Error> {
        let name = match name {
            None => None,
            Some(Value::String(name)) => Some(reply::node_name(&name)?.to_owned()),
            Some(_) => return Err(Error::BadRequest("node: expected the name of a node".to_owned())),
        };
        let proof = match answer {
            None => None,
            Some(_) if role.enrol == Enrol::None => {
                return Err(Error::BadRequest("enrolment: the role takes none (enrol = none)".to_owned()));
            }
            Some(answer) => {
                let unreadable = |why: serde_json::Error| bad_request(format!("enrolment: {why}"));
                let answer = serde_json::from_value(answer).map_err(unreadable)?;
                let enrolments = &self.mount.state(host).await?.enrolments;
                Some(enrolments.finish(&answer, self.mount.now()).map_err(bad_request)?)
            }
        };
        Ok(Asking { name, rule: role.nodes, enrol: role.enrol, proof })
    }

    /// The token of an admitted machine; the receipt is the proof that the admission is on record.
    fn token(
        &self,
        role: &Role,
        role_name: &str,
        admitted: &Admitted,
        receipt: &Receipt,
    ) -> Result<Response, Error> {
        let appraisal = admitted.appraisal();
        let ttl = lifetime(role.token_ttl_seconds, admitted.valid_until(), self.mount.now())?;
        let machine = admitted.machine();
        let decision = receipt.id().to_string();
        // Values with `/`, `+` or `*` would be refused by ACL templates: hex and plain words only.
        let mut claims = vouch::claims(&admitted.subject(&AwsLcRs));
        claims.extend([
            ("roots".to_owned(), appraisal.roots.to_string()),
            (vouch::KEY.to_owned(), admitted.key().thumbprint(&AwsLcRs).to_string()),
            (vouch::AT.to_owned(), appraisal.at.0.to_string()),
            (vouch::UNTIL.to_owned(), admitted.valid_until().0.to_string()),
            (vouch::DECISION.to_owned(), decision.clone()),
        ]);
        claims.extend(admitted.workload().map(metadata::write).unwrap_or_default());
        claims.extend(admitted.protection().as_ref().map(protection::write).unwrap_or_default());
        claims
            .extend(nodes::registered(admitted).map(|name| ("registered_node".to_owned(), name.to_owned())));
        // Where the hardware hides its id (a VLEK), the guest has a name, and the decision where nothing else has one: an
        // entity for each login would fill OpenBao's memory.
        let name = machine.hardware_name(&AwsLcRs).or_else(|| machine.instance_name(&AwsLcRs));
        let name = name.unwrap_or_else(|| AwsLcRs.sha256(&[b"cloudtaser/machine/v1", decision.as_bytes()]));
        // Each workload on a machine has its own entity: what one says of itself is never said of another.
        let name = admitted.workload().map_or(name, |workload| metadata::alias(name, workload)).to_string();
        let short: String = name.chars().take(12).collect();
        let auth = Auth {
            lease: match role.token_type {
                RoleToken::Batch => Lease { ttl, max_ttl: ttl, ..Lease::default() },
                RoleToken::Service => Lease { ttl, renewable: true, ..Lease::default() },
            },
            policies: role.token_policies.clone(),
            metadata: claims.clone(),
            display_name: format!("{role_name}-{short}"),
            alias: Some(Alias { name, metadata: claims, ..Alias::default() }),
            bound_cidrs: role.token_bound_cidrs.clone(),
            token_type: match role.token_type {
                RoleToken::Batch => TokenType::Batch,
                RoleToken::Service => TokenType::Service,
            },
            internal_data: Map::from_iter([
                ("role".to_owned(), Value::from(role_name)),
                ("guest".to_owned(), standing::guest(&admitted.subject(&AwsLcRs)).into()),
            ]),
            no_default_policy: true,
            ..Auth::default()
        };
        let data = Map::from_iter([("decision".to_owned(), Value::String(decision))]);
        Ok(Response::auth(auth).with_data(data))
    }

    /// Prolongs a token, for a machine that has attested again.
    async fn renew(&self, request: Request, host: &Host) -> Result<Response, Error> {
        let denied = |why: &str| Error::PermissionDenied(format!("refused: {why}"));
        let auth = request.auth.ok_or_else(|| Error::BadRequest("renewal without a token".to_owned()))?;
        let word = |name| auth.internal_data.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (role_name, guest) = (word("role"), word("guest"));
        let role = Role::load(host, reply::name(&role_name)?).await?;
        let role = role.ok_or_else(|| denied("the role is gone"))?;
        let entity = host.system().entity(&auth.entity_id).await?;
        let entity = entity.ok_or_else(|| denied("the machine's entity is gone"))?;
        let state = self.mount.state(host).await?;
        let accessor = auth.alias.as_ref().map(|alias| alias.mount_accessor.clone()).unwrap_or_default();
        let renewal = Renewal {
            entity: &entity,
            accessor: &accessor,
            policy: state.policy(&role.policy)?.policy.digest(),
            terms: role.terms(),
            guest: &guest,
            request: format!("renewal of a token as {role_name}"),
        };
        let lease = standing::renew(&self.mount, host, renewal).await?;
        Ok(Response::auth(Auth { lease, ..auth }))
    }
}

/// How long a token lives: as long as its role says, and no longer than the verdict. An admission that
/// ended while it was recorded gives none: to OpenBao a life of zero is the mount's default, which is weeks.
fn lifetime(seconds: u64, until: UnixTime, now: UnixTime) -> Result<Duration, Error> {
    match seconds.min(until.since(now)) {
        0 => Err(Error::PermissionDenied(format!("refused: admission ended at {until}, it is {now}"))),
        left => Ok(Duration::from_secs(left)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admission_that_ended_while_it_was_recorded_gives_no_token() {
        let until = UnixTime(1000);
        assert_eq!(lifetime(600, until, UnixTime(999)), Ok(Duration::from_secs(1)));
        assert_eq!(lifetime(600, until, UnixTime(100)), Ok(Duration::from_mins(10)));
        for late in [1000, 1001] {
            let refused = lifetime(600, until, UnixTime(late));
            assert!(matches!(refused, Err(Error::PermissionDenied(_))), "{refused:?}");
        }
    }
}
