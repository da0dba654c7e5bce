//! OpenBao's plugin protocol in Rust: write a secrets engine or an auth method, and [`serve`] it; or write
//! a [`Seal`], and [`serve_seal`] it.
//!
//! OpenBao starts a plugin as a child process and speaks gRPC with it over a Unix socket, with
//! mutual TLS whose certificates live as long as the process. This crate does that half; a
//! [`Backend`] answers the requests. It knows nothing of what is released or to whom.
//!
//! Trusted: the host, once its certificate is byte for byte the one given at start.
//! Untrusted: everything a caller put into a request, and whatever a dependency prints.
//!
//! ```no_run
//! use openbao_plugin::{Backend, Error, Host, Kind, Operation, Plugin, Request, Response, SpecialPaths, serve};
//! use serde_json::Map;
//! use std::process::ExitCode;
//!
//! struct Greeter;
//!
//! impl Backend for Greeter {
//!     fn kind(&self) -> Kind {
//!         Kind::Secret
//!     }
//!     fn special_paths(&self) -> SpecialPaths {
//!         SpecialPaths { unauthenticated: vec!["hello".into()], ..SpecialPaths::default() }
//!     }
//!     async fn handle(&self, request: Request, host: &Host) -> Result<Option<Response>, Error> {
//!         match (request.operation, request.path.as_str()) {
//!             (Operation::Read, "hello") => {
//!                 let name = host.storage().get("name").await?.unwrap_or_else(|| b"world".to_vec());
//!                 let text = format!("hello, {}", String::from_utf8_lossy(&name));
//!                 Ok(Some(Response::data(Map::from_iter([("text".into(), text.into())]))))
//!             }
//!             (Operation::Update, "hello") => {
//!                 let Some(name) = request.data.get("name").and_then(|name| name.as_str()) else {
//!                     return Err(Error::BadRequest("a name is needed, found none".into()));
//!                 };
//!                 host.storage().put("name", name.into()).await?;
//!                 Ok(None)
//!             }
//!             (_, "hello") => Err(Error::UnsupportedOperation),
//!             _ => Err(Error::UnsupportedPath),
//!         }
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     serve(Plugin::new("v0.1.0", |_config| Ok(Greeter)))
//! }
//! ```

#![forbid(unsafe_code)]

mod backend;
mod broker;
mod control;
mod convert;
mod environment;
mod error;
mod host;
mod isolate;
mod life;
mod listen;
pub mod log;
mod output;
mod pool;
mod process;
mod request;
mod response;
mod seal;
mod seal_service;
mod serve;
mod service;
mod storage;
mod system;
mod tls;
mod transaction;
mod wire;

pub use backend::{Backend, Config, Kind, SpecialPaths, Spelling};
pub use error::{Error, HostError};
pub use host::Host;
pub use pool::Abandoned;
pub use request::{Operation, Request};
pub use response::{Alias, Auth, Body, Lease, Response, Secret, TokenType};
pub use seal::{Blob, Plaintext, Seal, SealError, SealPlugin, serve_seal};
pub use serve::{Plugin, serve};
pub use storage::Storage;
pub use system::{Cluster, Entity, ReplicationState, System};
pub use transaction::Transaction;
