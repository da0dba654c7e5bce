//! The service that answers for all mounts: finds the instance, asks it, and isolates its panics.
//!
//! Each call names its mount by `multiplex_id`. During a reload the old and the new instance of one
//! mount live side by side under different ids.
//!
//! Trusted: the host. Untrusted: the caller's words inside a request, and the backend's temper.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tonic::metadata::MetadataMap;
use tonic::{Request as Call, Response as Answer, Status};

use crate::broker::Broker;
use crate::isolate::isolated;
use crate::pool::Pool;
use crate::serve::Help;
use crate::wire::pb;
use crate::{Backend, Config, Error, Host, Kind, Operation, ReplicationState, Response, convert, log};

/// All instances in this process.
pub(crate) struct Service<F, B> {
    pub(crate) factory: F,
    pub(crate) help: Help,
    pub(crate) broker: Broker,
    pub(crate) pool: Arc<Pool>,
    pub(crate) instances: Mutex<HashMap<String, Arc<Instance<B>>>>,
}

/// One mount.
#[derive(Debug)]
pub(crate) struct Instance<B> {
    backend: B,
    host: Host,
    /// Whether the node was a standby when the mount was made here.
    standby: AtomicBool,
}

impl<F, B> Service<F, B>
where
    F: Fn(Config) -> Result<B, String> + Send + Sync + 'static,
    B: Backend,
{
    fn instance(&self, metadata: &MetadataMap) -> Result<Arc<Instance<B>>, Status> {
        let id = multiplex_id(metadata)?;
        let instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        instances.get(id).cloned().ok_or_else(|| Status::not_found(format!("no instance {id:?}")))
    }

    async fn set_up(&self, id: String, args: pb::SetupArgs) -> Result<(), String> {
        let config = Config { options: args.config.into_iter().collect(), mount_uuid: args.backend_uuid };
        let backend = isolated(async { (self.factory)(config).map_err(Error::Internal) }).await;
        let backend = backend.map_err(|error| error.to_string())?;
        let channel = self.broker.dial(args.broker_id).await.map_err(|error| error.to_string())?;
        let host = Host::new(channel, Arc::clone(&self.pool));
        let instance = Arc::new(Instance { backend, host, standby: AtomicBool::new(false) });
        drop(self.instances.lock().unwrap_or_else(PoisonError::into_inner).insert(id, instance));
        Ok(())
    }
}

impl<B: Backend> Instance<B> {
    async fn respond(&self, request: pb::Request) -> Result<Option<Response>, Error> {
        let Self { backend, host, .. } = self;
        let operation = match request.operation.as_str() {
            "rollback" => return backend.tick(host).await.map(|()| None),
            "read" => Operation::Read,
            "list" => Operation::List,
            "scan" => Operation::Scan,
            "create" | "update" => Operation::Update,
            "patch" => Operation::Patch,
            "delete" => Operation::Delete,
            "renew" => Operation::Renew,
            "revoke" => Operation::Revoke,
            "resolve-role" => Operation::ResolveRole,
            "alias-lookahead" => Operation::AliasLookahead,
            // A later server's internal question is not for a handler to guess at.
            _ => return Err(Error::UnsupportedOperation),
        };
        let request = convert::request(request, operation)?;
        if backend.needs_active_node(&request) && self.is_standby().await? {
            return Err(Error::ReadOnly);
        }
        backend.handle(request, host).await
    }

    async fn initialize(&self) -> Result<(), Error> {
        let state = self.host.system().replication_state().await;
        self.standby.store(state.is_ok_and(ReplicationState::is_standby), Ordering::Relaxed);
        self.backend.initialize(&self.host).await
    }

    /// Whether the node is a standby. One that becomes active makes its mounts anew, and so does one that ceases to
    /// be; who was a standby asks all the same, because a node that refers callers to itself answers nobody.
    async fn is_standby(&self) -> Result<bool, Error> {
        if !self.standby.load(Ordering::Relaxed) {
            return Ok(false);
        }
        Ok(self.host.system().replication_state().await?.is_standby())
    }
}

#[tonic::async_trait]
impl<F, B> pb::backend_server::Backend for Service<F, B>
where
    F: Fn(Config) -> Result<B, String> + Send + Sync + 'static,
    B: Backend,
{
    async fn handle_request(
        &self,
        call: Call<pb::HandleRequestArgs>,
    ) -> Result<Answer<pb::HandleRequestReply>, Status> {
        let instance = self.instance(call.metadata())?;
        let request = call.into_inner().request.ok_or_else(|| Status::invalid_argument("no request"))?;
        if request.operation == "resolve-path" {
            let spelling = isolated(async { instance.backend.spelling(&request.path) }).await;
            return Ok(Answer::new(convert::respelled(spelling)));
        }
        let result = if request.operation == "help" {
            isolated(async { self.help.at(&request.path).map(Some) }).await
        } else if is_finished(&request) {
            let work = tokio::spawn(async move { isolated(instance.respond(request)).await });
            work.await.map_err(|why| status(&Error::Internal(why.to_string())))?
        } else {
            isolated(instance.respond(request)).await
        };
        Ok(Answer::new(convert::reply(result, log::now())))
    }

    async fn special_paths(&self, call: Call<pb::Empty>) -> Result<Answer<pb::SpecialPathsReply>, Status> {
        let instance = self.instance(call.metadata())?;
        let special = isolated(async { Ok(instance.backend.special_paths()) }).await;
        let special = special.map_err(|error| status(&error))?;
        let paths = pb::Paths {
            root: special.root,
            unauthenticated: special.unauthenticated,
            local_storage: special.local_storage,
            ..pb::Paths::default()
        };
        Ok(Answer::new(pb::SpecialPathsReply { paths: Some(paths) }))
    }

    // "No check": every write then arrives as an update, and needs the update capability.
    async fn handle_existence_check(
        &self,
        _call: Call<pb::HandleExistenceCheckArgs>,
    ) -> Result<Answer<pb::HandleExistenceCheckReply>, Status> {
        Ok(Answer::new(pb::HandleExistenceCheckReply::default()))
    }

    async fn cleanup(&self, call: Call<pb::Empty>) -> Result<Answer<pb::Empty>, Status> {
        let id = multiplex_id(call.metadata())?;
        let removed = self.instances.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        if let Some(instance) = removed {
            // The mount is gone either way; a panic is in the log.
            drop(finished(async { instance.backend.cleanup().await }).await);
        }
        Ok(Answer::new(pb::Empty {}))
    }

    async fn invalidate_key(&self, call: Call<pb::InvalidateKeyArgs>) -> Result<Answer<pb::Empty>, Status> {
        let instance = self.instance(call.metadata())?;
        let key = call.into_inner().key;
        let done = finished(async { instance.backend.invalidate(&key).await }).await;
        done.map_err(|error| status(&error))?;
        Ok(Answer::new(pb::Empty {}))
    }

    async fn setup(&self, call: Call<pb::SetupArgs>) -> Result<Answer<pb::SetupReply>, Status> {
        let id = multiplex_id(call.metadata())?.to_owned();
        let err = self.set_up(id, call.into_inner()).await.err().unwrap_or_default();
        Ok(Answer::new(pb::SetupReply { err }))
    }

    async fn initialize(
        &self,
        call: Call<pb::InitializeArgs>,
    ) -> Result<Answer<pb::InitializeReply>, Status> {
        let instance = self.instance(call.metadata())?;
        let result = isolated(instance.initialize()).await;
        Ok(Answer::new(pb::InitializeReply { err: result.err().as_ref().map(convert::proto_error) }))
    }

    async fn r#type(&self, call: Call<pb::Empty>) -> Result<Answer<pb::TypeReply>, Status> {
        let instance = self.instance(call.metadata())?;
        let kind = isolated(async { Ok(instance.backend.kind()) }).await;
        let r#type = match kind.map_err(|error| status(&error))? {
            Kind::Secret => 1,
            Kind::Auth => 2,
        };
        Ok(Answer::new(pb::TypeReply { r#type }))
    }
}

/// Whether a request is finished although its caller has gone away: a write that is made halfway, or made and not
/// noticed in the backend's own memory, is worse than one that nobody waits for. Callers without a token decide that for
/// themselves, and work for them ends when they leave.
fn is_finished(request: &pb::Request) -> bool {
    let writes = ["create", "update", "patch", "delete", "renew", "revoke", "rollback"];
    !request.unauthenticated && writes.contains(&request.operation.as_str())
}

/// Isolates what cannot fail otherwise.
async fn finished(work: impl Future<Output = ()>) -> Result<(), Error> {
    isolated(async {
        work.await;
        Ok(())
    })
    .await
}

/// Which instance a call is for; a host that does not multiplex names none and has one.
fn multiplex_id(metadata: &MetadataMap) -> Result<&str, Status> {
    metadata
        .get("multiplex_id")
        .map_or(Ok(""), |id| id.to_str())
        .map_err(|_not_ascii| Status::invalid_argument("multiplex_id is not text"))
}

fn status(error: &Error) -> Status {
    Status::internal(error.to_string())
}
