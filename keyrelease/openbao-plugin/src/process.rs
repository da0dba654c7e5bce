//! The life of a plugin process, from the first instruction to the last, whatever it serves.
//!
//! Order matters: the cookie is checked first (a person may have started us), then the inherited
//! environment is dropped, then the process leaves no core any more, then the descriptors are taken, and only then are
//! there threads.
//!
//! Trusted: the host. The environment is dropped unread but for the protocol's own variables.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use tokio::runtime::{Builder, Runtime};
use tonic::service::Routes;
use tonic::transport::Server;

use crate::broker::Broker;
use crate::control::Control;
use crate::environment::{self, Environment, Role, Unsuitable};
use crate::life::{self, End, Life, Signals};
use crate::listen::Listener;
use crate::output::{self, Handshake};
use crate::pool::Pool;
use crate::tls::{Identity, TlsError};
use crate::wire::health::health_server::HealthServer;
use crate::wire::logical::plugin_version_server::PluginVersionServer;
use crate::wire::multiplexing::plugin_multiplexing_server::PluginMultiplexingServer;
use crate::wire::plugin::grpc_broker_server::GrpcBrokerServer;
use crate::wire::plugin::grpc_controller_server::GrpcControllerServer;
use crate::wire::plugin::grpc_stdio_server::GrpcStdioServer;
use crate::{isolate, log};

/// A process that is about to serve.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    pub(crate) role: Role,
    pub(crate) version: &'static str,
    pub(crate) io_threads: usize,
    pub(crate) blocking_threads: usize,
    pub(crate) blocking_queue: usize,
}

impl Process {
    /// Serves what `offer` makes, beside what every plugin has, until the end.
    pub(crate) fn serve(self, offer: impl FnOnce(Broker, Arc<Pool>) -> Routes) -> ExitCode {
        match self.run(offer) {
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

    fn run(self, offer: impl FnOnce(Broker, Arc<Pool>) -> Routes) -> Result<End, ServeError> {
        let environment = Environment::parse(self.role, &environment::variables())?;
        environment::scrub().map_err(ServeError::Scrub)?;
        refuse_cores()?;
        let handshake = output::capture()?;
        isolate::log_panics();
        environment::show_name()?;
        let runtime = runtime(self.io_threads)?;
        let end = runtime.block_on(self.live(environment, handshake, offer));
        // The host's streams never end by themselves, so nothing is waited for.
        runtime.shutdown_background();
        end
    }

    async fn live(
        self,
        environment: Environment,
        handshake: Handshake,
        offer: impl FnOnce(Broker, Arc<Pool>) -> Routes,
    ) -> Result<End, ServeError> {
        let (life, mut ended) = Life::begin();
        let life = Arc::new(life);
        life::watch_parent(Arc::clone(&life))?;
        let mut signals = Signals::take()?;
        let identity = Identity::draw(environment.host_certificate)?;
        let listener = Listener::bind(environment.socket_dir.as_deref())?;
        handshake.print(&handshake_line(self.role, &listener.address, &identity))?;
        let broker = Broker::new(Arc::clone(&life), identity.client);
        let control = Control { life: Arc::clone(&life), version: self.version };
        let pool = Arc::new(Pool::start(self.blocking_threads, self.blocking_queue)?);
        let server = Server::builder()
            .add_routes(offer(broker.clone(), pool))
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
}

/// Whatever handlers hold in memory stays there: no core is written, and no other process of our user reads it. A program
/// that starts anew is dumpable again, so this comes after the environment was dropped.
fn refuse_cores() -> io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

fn runtime(threads: usize) -> io::Result<Runtime> {
    match threads {
        0 | 1 => Builder::new_current_thread().enable_all().build(),
        threads => Builder::new_multi_thread().worker_threads(threads).enable_all().build(),
    }
}

/// go-plugin's line: core protocol 1, our own protocol, where we listen, gRPC, our certificate.
fn handshake_line(role: Role, address: &str, identity: &Identity) -> String {
    let (protocol, certificate) = (role.protocol(), STANDARD_NO_PAD.encode(&identity.certificate));
    format!("1|{protocol}|unix|{address}|grpc|{certificate}\n")
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

/// Well below the two seconds after which the host kills.
const FAREWELL: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::dumpable_behavior;

    #[test]
    fn a_process_that_holds_secrets_leaves_no_core() {
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::Dumpable);
        refuse_cores().unwrap();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }
}
