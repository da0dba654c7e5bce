//! The life of a plugin process, from the first instruction to the last.
//!
//! Order matters: the cookie is checked first (a person may have started us), then the inherited
//! environment is dropped, then the descriptors are taken, and only then are there threads.
//!
//! Trusted: the host. The environment is dropped unread but for the protocol's own variables.

use std::collections::HashMap;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::{Map, Value};
use tokio::runtime::{Builder, Runtime};
use tonic::transport::Server;

use crate::broker::Broker;
use crate::control::Control;
use crate::environment::{self, Environment, Unsuitable};
use crate::life::{self, End, Life, Signals};
use crate::listen::Listener;
use crate::output::{self, Handshake};
use crate::pool::Pool;
use crate::service::Service;
use crate::storage::MAX_MESSAGE;
use crate::tls::{Identity, TlsError};
use crate::wire::health::health_server::HealthServer;
use crate::wire::logical::plugin_version_server::PluginVersionServer;
use crate::wire::multiplexing::plugin_multiplexing_server::PluginMultiplexingServer;
use crate::wire::pb::backend_server::BackendServer;
use crate::wire::plugin::grpc_broker_server::GrpcBrokerServer;
use crate::wire::plugin::grpc_controller_server::GrpcControllerServer;
use crate::wire::plugin::grpc_stdio_server::GrpcStdioServer;
use crate::{Backend, Config, Error, Response, isolate, log};

/// What a plugin is made of.
#[derive(Debug)]
pub struct Plugin<F> {
    version: &'static str,
    factory: F,
    help: Help,
    io_threads: usize,
    blocking_threads: usize,
    blocking_queue: usize,
}

impl<F> Plugin<F> {
    /// A plugin of this `version` (`v1.2.3`, which must equal the registered one), whose `factory`
    /// makes an instance for each mount. The factory has no storage: OpenBao also calls it only
    /// to look at the plugin. Its error is shown to whoever mounts.
    pub fn new(version: &'static str, factory: F) -> Self {
        Self {
            version,
            factory,
            help: Help::default(),
            io_threads: 1,
            blocking_threads: 1,
            blocking_queue: 64,
        }
    }

    /// What `path-help` and OpenBao's API explorer say: a text and an `OpenAPI` document.
    #[must_use]
    pub fn help(self, text: impl Into<String>, openapi: Value) -> Self {
        Self { help: Help { text: text.into(), openapi }, ..self }
    }

    /// Threads that speak with the host. One is fastest on a small machine.
    #[must_use]
    pub fn io_threads(self, io_threads: usize) -> Self {
        Self { io_threads, ..self }
    }

    /// Threads for [`Host::blocking`](crate::Host::blocking), and how many jobs may wait for them.
    #[must_use]
    pub fn blocking(self, threads: usize, queue: usize) -> Self {
        Self { blocking_threads: threads, blocking_queue: queue, ..self }
    }
}

/// The answer to the `help` operation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Help {
    text: String,
    openapi: Value,
}

impl Help {
    /// Only the mount as a whole has help.
    pub(crate) fn at(&self, path: &str) -> Result<Response, Error> {
        if !path.is_empty() {
            return Err(Error::UnsupportedPath);
        }
        Ok(Response::data(Map::from_iter([
            ("help".to_owned(), Value::String(self.text.clone())),
            ("see_also".to_owned(), Value::Null),
            ("openapi".to_owned(), self.openapi.clone()),
        ])))
    }
}

/// Serves the plugin until OpenBao ends it; call it first and last in `main`.
///
/// It starts the program again once, without the environment that was inherited from the server,
/// and takes standard output and error: what is printed there later becomes log lines.
pub fn serve<F, B>(plugin: Plugin<F>) -> ExitCode
where
    F: Fn(Config) -> Result<B, String> + Send + Sync + 'static,
    B: Backend,
{
    match run(plugin) {
        Ok(end) => {
            log::debug("plugin ends", &[("reason", &end)]);
            ExitCode::SUCCESS
        }
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

fn report(error: &ServeError) {
    if log::is_open() {
        return log::error("plugin cannot serve", &[("error", error)]);
    }
    // Nobody to tell if even this fails.
    drop(writeln!(io::stderr(), "{error}"));
}

/// Why a plugin does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum ServeError {
    /// Not a host that we can talk to.
    #[error(transparent)]
    Environment(#[from] Unsuitable),
    /// The program could not start itself anew.
    #[error("starting anew without the inherited environment: {0}")]
    Scrub(io::Error),
    /// No certificate or no TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A descriptor, thread, socket or the parent.
    #[error("setting up: {0}")]
    SetUp(#[from] io::Error),
    /// The server stopped by itself.
    #[error("serving: {0}")]
    Serve(#[from] tonic::transport::Error),
}

fn run<F, B>(plugin: Plugin<F>) -> Result<End, ServeError>
where
    F: Fn(Config) -> Result<B, String> + Send + Sync + 'static,
    B: Backend,
{
    let environment = Environment::parse(&environment::variables())?;
    environment::scrub().map_err(ServeError::Scrub)?;
    let handshake = output::capture()?;
    isolate::log_panics();
    environment::show_name()?;
    let runtime = runtime(plugin.io_threads)?;
    let end = runtime.block_on(live(plugin, environment, handshake));
    // The host's streams never end by themselves, so nothing is waited for.
    runtime.shutdown_background();
    end
}

fn runtime(threads: usize) -> io::Result<Runtime> {
    match threads {
        0 | 1 => Builder::new_current_thread().enable_all().build(),
        threads => Builder::new_multi_thread().worker_threads(threads).enable_all().build(),
    }
}

async fn live<F, B>(
    plugin: Plugin<F>,
    environment: Environment,
    handshake: Handshake,
) -> Result<End, ServeError>
where
    F: Fn(Config) -> Result<B, String> + Send + Sync + 'static,
    B: Backend,
{
    let (life, mut ended) = Life::begin();
    let life = Arc::new(life);
    life::watch_parent(Arc::clone(&life))?;
    let mut signals = Signals::take()?;
    let identity = Identity::draw(environment.host_certificate)?;
    let listener = Listener::bind(environment.socket_dir.as_deref())?;
    handshake.print(&handshake_line(&listener.address, &identity))?;
    let broker = Broker::new(Arc::clone(&life), identity.client);
    let control = Control { life: Arc::clone(&life), version: plugin.version };
    let service = Service {
        factory: plugin.factory,
        help: plugin.help,
        broker: broker.clone(),
        pool: Arc::new(Pool::start(plugin.blocking_threads, plugin.blocking_queue)?),
        instances: Mutex::new(HashMap::new()),
    };
    let backend = BackendServer::new(service)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let server = Server::builder()
        .add_service(backend)
        .add_service(GrpcBrokerServer::new(broker))
        .add_service(GrpcControllerServer::new(control.clone()))
        .add_service(GrpcStdioServer::new(control.clone()))
        .add_service(HealthServer::new(control.clone()))
        .add_service(PluginMultiplexingServer::new(control.clone()))
        .add_service(PluginVersionServer::new(control))
        .serve_with_incoming(listener.incoming(identity.server));
    tokio::select! {
        done = server => done.map(|()| End::HostLeft).map_err(ServeError::from),
        end = ended.recv() => {
            // The answer to the host's shutdown call has to leave first.
            tokio::time::sleep(FAREWELL).await;
            Ok(end.unwrap_or(End::HostLeft))
        }
        end = life.no_host() => Ok(end),
        end = signals.terminated() => Ok(end),
    }
}

/// go-plugin's line: core protocol 1, our protocol 5, where we listen, gRPC, our certificate.
fn handshake_line(address: &str, identity: &Identity) -> String {
    format!("1|5|unix|{address}|grpc|{}\n", STANDARD_NO_PAD.encode(&identity.certificate))
}

/// Well below the two seconds after which the host kills.
const FAREWELL: Duration = Duration::from_millis(20);
