//! A small plugin: notes in a mount's storage, and paths that misbehave in every way that a plugin
//! can, for the tests and benchmarks of this crate.
//!
//! `notes` serves a secrets engine, `notes --kind=auth` an auth method whose `login` issues a token
//! for anyone who says the word.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "operations of later servers are refused like those that make no sense here"
)]
#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the paths that misbehave are what the tests call"
)]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openbao_plugin::{
    Alias, Auth, Backend, Config, Error, Host, Kind, Lease, Operation, Plugin, Request, Response, Secret,
    SpecialPaths, Spelling, TokenType, log, serve,
};
use serde_json::{Map, Value, json};

fn main() -> ExitCode {
    let kind =
        if std::env::args().any(|argument| argument == "--kind=auth") { Kind::Auth } else { Kind::Secret };
    let plugin = Plugin::new("v0.1.0", move |config: Config| match config.options.get("refuse") {
        Some(reason) => Err(reason.clone()),
        None => Ok(Notes { kind, options: config.options, ..Notes::default() }),
    });
    serve(plugin.help("Keeps notes.", openapi()).blocking(1, 1))
}

/// One mount.
#[derive(Debug)]
struct Notes {
    kind: Kind,
    options: BTreeMap<String, String>,
    started: AtomicU64,
    working: Arc<AtomicU64>,
    dropped: AtomicU64,
    ticks: AtomicU64,
    invalidated: AtomicU64,
}

impl Default for Notes {
    fn default() -> Self {
        Self {
            kind: Kind::Secret,
            options: BTreeMap::new(),
            started: AtomicU64::new(0),
            working: Arc::default(),
            dropped: AtomicU64::new(0),
            ticks: AtomicU64::new(0),
            invalidated: AtomicU64::new(0),
        }
    }
}

impl Backend for Notes {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn special_paths(&self) -> SpecialPaths {
        let unauthenticated = ["login", "open/*", "noop/open"].map(str::to_owned).to_vec();
        SpecialPaths { unauthenticated, root: vec!["sudo".to_owned()], ..SpecialPaths::default() }
    }

    fn needs_active_node(&self, request: &Request) -> bool {
        request.path.starts_with("whoami/active")
    }

    /// Paths are lower case. Below `alias/` other spellings are turned into it; elsewhere refused.
    fn spelling(&self, path: &str) -> Result<Spelling, Error> {
        let lower = path.to_ascii_lowercase();
        match path.strip_prefix("alias/") {
            _ if lower == path => Ok(Spelling::Canonical),
            Some(_) => Ok(Spelling::Instead(lower)),
            None => Err(Error::BadRequest(format!("path {path:?} must be in lower case"))),
        }
    }

    async fn initialize(&self, host: &Host) -> Result<(), Error> {
        match host.storage().put("initialized", b"yes".to_vec()).await.map_err(Error::from) {
            // A standby's storage; the active node has done it.
            Ok(()) | Err(Error::ReadOnly) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn tick(&self, _host: &Host) -> Result<(), Error> {
        log::debug("tick", &[("ticks", &self.ticks.fetch_add(1, Ordering::Relaxed))]);
        Ok(())
    }

    async fn invalidate(&self, _key: &str) {
        self.invalidated.fetch_add(1, Ordering::Relaxed);
    }

    async fn handle(&self, request: Request, host: &Host) -> Result<Option<Response>, Error> {
        let (first, rest) = request.path.split_once('/').unwrap_or((&request.path, ""));
        match first {
            "note" | "alias" | "open" => note(&request, host).await,
            "login" if self.kind == Kind::Auth => login(&request),
            "store" => store(&request, host).await,
            "noop" => Ok(Some(noop(&request))),
            "whoami" => whoami(&request, host).await,
            "error" => Err(refusal(rest, &request)),
            "txn" => transaction(rest, host).await,
            "lease" => Ok(lease(&request)),
            "raw" => Ok(Some(Response::raw(418, "text/x-tea", b"short and stout".to_vec()))),
            "wrapped" => {
                Ok(Some(Response::data(fields(json!({"in": "here"}))).wrapped(Duration::from_mins(1))))
            }
            "counters" => Ok(Some(Response::data(self.counters()))),
            "slow" => self.slow(host, rest).await,
            "misbehave" => misbehave(rest, host).await,
            _ => Err(Error::UnsupportedPath),
        }
    }

    async fn cleanup(&self) {
        log::info("notes put away", &[]);
    }
}

impl Notes {
    fn counters(&self) -> Map<String, Value> {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        fields(json!({
            "started": count(&self.started),
            "working": count(&self.working),
            "dropped": count(&self.dropped),
            "ticks": count(&self.ticks),
            "invalidated": count(&self.invalidated),
            "options": self.options,
            "environment": std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect::<Vec<_>>(),
            "pid": std::process::id(),
        }))
    }

    /// Waits without work (`slow/wait`) or with it, on the pool (`slow/work`).
    async fn slow(&self, host: &Host, how: &str) -> Result<Option<Response>, Error> {
        self.started.fetch_add(1, Ordering::Relaxed);
        let _counted = CountDrop(&self.dropped);
        if how == "wait" {
            tokio::time::sleep(Duration::from_secs(5)).await;
            return Ok(None);
        }
        let working = Arc::clone(&self.working);
        host.blocking(move |abandoned| {
            working.fetch_add(1, Ordering::Relaxed);
            for _ in 0..200 {
                if abandoned.now() {
                    log::info("work abandoned", &[]);
                    return;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        })
        .await?;
        Ok(Some(Response::data(fields(json!({"worked": true})))))
    }
}

struct CountDrop<'a>(&'a AtomicU64);

impl Drop for CountDrop<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Notes as they are: read, write, delete, list.
async fn note(request: &Request, host: &Host) -> Result<Option<Response>, Error> {
    let path = request.path.as_str();
    match request.operation {
        Operation::Read => {
            let Some(bytes) = host.storage().get(path).await? else { return Ok(None) };
            let data = serde_json::from_slice(&bytes).map_err(|error| Error::Internal(error.to_string()))?;
            Ok(Some(Response::data(data)))
        }
        Operation::Update => {
            let bytes = Value::Object(request.data.clone()).to_string().into_bytes();
            host.storage().put(path, bytes).await?;
            Ok(None)
        }
        Operation::Delete => {
            host.storage().delete(path).await?;
            Ok(None)
        }
        Operation::List => list(request, host).await,
        _ => Err(Error::UnsupportedOperation),
    }
}

async fn list(request: &Request, host: &Host) -> Result<Option<Response>, Error> {
    let limit = request.data.get("limit").map_or(0, number);
    let keys = match u16::try_from(limit) {
        Ok(limit @ 1..) => host.storage().list_page(&request.path, text(request, "after"), limit).await?,
        Ok(0) | Err(_) => host.storage().list(&request.path).await?,
    };
    Ok(Some(Response::keys(keys)))
}

/// Takes a body, stores nothing, answers `size` bytes: the least that a plugin can do.
fn noop(request: &Request) -> Response {
    let size = usize::try_from(request.data.get("size").map_or(0, number)).unwrap_or(0);
    Response::data(fields(json!({"bytes": "x".repeat(size)})))
}

/// Takes a body and stores `size` bytes under its own path: OpenBao lets writers of one key wait for each other.
async fn store(request: &Request, host: &Host) -> Result<Option<Response>, Error> {
    let size = usize::try_from(request.data.get("size").map_or(0, number)).unwrap_or(0);
    host.storage().put(&request.path, vec![b'x'; size]).await?;
    Ok(Some(noop(request)))
}

fn login(request: &Request) -> Result<Option<Response>, Error> {
    match request.operation {
        Operation::Renew => renewed(request),
        Operation::ResolveRole => Ok(Some(Response::data(fields(json!({"role": "anyone"}))))),
        _ if text(request, "word") == "friend" => Ok(Some(Response::auth(token(request)))),
        _ => Err(Error::PermissionDenied("this is not the word".to_owned())),
    }
}

fn token(request: &Request) -> Auth {
    let token_type = if text(request, "type") == "service" { TokenType::Service } else { TokenType::Batch };
    Auth {
        policies: vec!["notes".to_owned()],
        alias: Some(Alias {
            name: "gate".to_owned(),
            metadata: BTreeMap::from([("door".to_owned(), "west".to_owned())]),
            ..Alias::default()
        }),
        metadata: BTreeMap::from([("word".to_owned(), "said".to_owned())]),
        lease: Lease {
            ttl: Duration::from_mins(5),
            renewable: token_type == TokenType::Service,
            ..Lease::default()
        },
        internal_data: fields(json!({"renewals": text(request, "renewals")})),
        token_type,
        ..Auth::default()
    }
}

fn renewed(request: &Request) -> Result<Option<Response>, Error> {
    let auth = request.auth.clone().ok_or_else(|| Error::BadRequest("no token to renew".to_owned()))?;
    if auth.internal_data.get("renewals") == Some(&Value::from("never")) {
        return Err(Error::PermissionDenied("not renewed".to_owned()));
    }
    Ok(Some(Response::auth(auth)))
}

/// Leases: given out, renewed, revoked.
fn lease(request: &Request) -> Option<Response> {
    let ttl = Duration::from_mins(1);
    let lease = Lease { ttl, max_ttl: ttl.saturating_mul(2), renewable: true, ..Lease::default() };
    match (request.operation, &request.secret) {
        (Operation::Revoke, Some(secret)) => {
            log::info("lease revoked", &[("number", &Value::Object(secret.internal_data.clone()))]);
            None
        }
        (Operation::Renew, Some(secret)) => {
            Some(Response::default().with_secret(Secret { lease, ..secret.clone() }))
        }
        _ => {
            let secret = Secret { lease, internal_data: fields(json!({"number": 7})) };
            Some(Response::data(fields(json!({"user": "u"}))).with_secret(secret))
        }
    }
}

async fn whoami(request: &Request, host: &Host) -> Result<Option<Response>, Error> {
    let entity = match request.entity_id.as_str() {
        "" => None,
        id => host.system().entity(id).await?,
    };
    let aliases = entity.map(|entity| entity.aliases).unwrap_or_default();
    let cluster = host.system().cluster().await?;
    let standby = host.system().replication_state().await?.is_standby();
    Ok(Some(Response::data(fields(json!({
        "aliases": aliases.iter().map(|alias| json!({"name": alias.name, "metadata": alias.metadata})).collect::<Vec<_>>(),
        "display_name": request.display_name,
        "operation": format!("{:?}", request.operation),
        "unauthenticated": request.unauthenticated,
        "remote_addr": request.remote_addr,
        "mount_point": request.mount_point,
        "cluster": cluster.name,
        "standby": standby,
        "max_lease_ttl": host.system().max_lease_ttl().await?.as_secs(),
        "default_lease_ttl": host.system().default_lease_ttl().await?.as_secs(),
    })))))
}

async fn transaction(how: &str, host: &Host) -> Result<Option<Response>, Error> {
    let transaction = host.transaction().await?;
    transaction.get("note/txn").await?;
    transaction.put("note/txn", br#"{"by":"transaction"}"#.to_vec()).await?;
    match how {
        "commit" => transaction.commit().await?,
        "rollback" => transaction.rollback().await?,
        "together" => {
            let text = || Some(br#"{"by":"both"}"#.to_vec());
            let both = ["note/one", "note/two"].map(|key| (key.to_owned(), text()));
            transaction.write(both.into_iter().chain([("note/txn".to_owned(), None)]).collect()).await?;
            transaction.commit().await?;
        }
        "late" => {
            let late = (*transaction).clone();
            transaction.rollback().await?;
            late.put("note/late", b"{}".to_vec()).await?;
        }
        "conflict" => {
            host.storage().put("note/txn", b"{}".to_vec()).await?;
            transaction.commit().await?;
        }
        _ => drop(transaction),
    }
    Ok(None)
}

/// Every row of the table from errors to HTTP.
fn refusal(name: &str, request: &Request) -> Error {
    let message = || "because".to_owned();
    match name {
        "bad-request" => Error::BadRequest(message()),
        "refused" => {
            Error::Refused { message: message(), data: fields(json!({"check": "snp.policy.debug"})) }
        }
        "denied" => Error::PermissionDenied(message()),
        "operation" => Error::UnsupportedOperation,
        "coded" => {
            let status = request.data.get("status").map_or(429, number);
            Error::Coded { status: u16::try_from(status).unwrap_or(429), message: message() }
        }
        "internal" => Error::Internal(message()),
        "read-only" => Error::ReadOnly,
        _ => Error::UnsupportedPath,
    }
}

/// What a plugin must not do.
async fn misbehave(how: &str, host: &Host) -> Result<Option<Response>, Error> {
    match how {
        "panic" => panic!("with the secret hunter2 in it"),
        "panic-in-pool" => host.blocking(|_| panic!("on another thread")).await?,
        "abort" => std::process::abort(),
        "print" => {
            println!(r#"{{"@message":7,"@level":[],"@timestamp":{{}}}}"#);
            eprintln!(r#"{{"@message":7,"@level":[],"@timestamp":{{}}}}"#);
            eprintln!("{}", "long ".repeat(40_000));
        }
        "log" => log::warn("a line", &[("number", &1), ("text", &"{\"@message\":7}")]),
        _ => return Err(Error::UnsupportedPath),
    }
    Ok(Some(Response::data(fields(json!({"done": how})))))
}

fn openapi() -> Value {
    json!({
        "openapi": "3.0.2",
        "info": {"title": "notes", "version": "v0.1.0"},
        "paths": {"/note/{name}": {"description": "One note.", "get": {"summary": "Read a note."}}},
    })
}

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        other => Map::from_iter([("value".to_owned(), other)]),
    }
}

fn text<'a>(request: &'a Request, name: &str) -> &'a str {
    request.data.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A number as JSON or, in a query, as text.
fn number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(0)
}
