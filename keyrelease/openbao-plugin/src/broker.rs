//! The host's way of offering services back to us: one new socket for each mount.
//!
//! The host announces each socket on a stream (`ConnInfo`), before or after the `Setup` that names
//! its id, listens for five seconds, and accepts one connection. The end of that stream is the end
//! of the host.
//!
//! Trusted: the announcements; they come over the pinned connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_stream::StreamExt as _;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Response, Status, Streaming};

use crate::life::{End, Life};
use crate::wire::plugin::ConnInfo;
use crate::wire::plugin::grpc_broker_server::GrpcBroker;

/// Announced sockets, and those that wait for an announcement.
#[derive(Clone, Debug)]
pub(crate) struct Broker {
    life: Arc<Life>,
    tls: Arc<ClientConfig>,
    slots: Arc<Mutex<HashMap<u32, Slot>>>,
}

#[derive(Debug)]
enum Slot {
    Announced(ConnInfo),
    Awaited(oneshot::Sender<ConnInfo>),
}

impl Broker {
    pub(crate) fn new(life: Arc<Life>, tls: Arc<ClientConfig>) -> Self {
        Self { life, tls, slots: Arc::default() }
    }

    /// Connects to the socket that the host announces, or has announced, as `id`.
    pub(crate) async fn dial(&self, id: u32) -> Result<Channel, DialError> {
        let awaited = self.claim(id);
        let info = timeout(ANNOUNCED_WITHIN, awaited).await;
        let Ok(Ok(info)) = info else {
            self.slots.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            return Err(DialError::NotAnnounced { id });
        };
        if info.network != "unix" {
            return Err(DialError::Network(info.network));
        }
        Ok(connect(info.address, Arc::clone(&self.tls)).await?)
    }

    fn claim(&self, id: u32) -> oneshot::Receiver<ConnInfo> {
        let (sender, receiver) = oneshot::channel();
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        match slots.remove(&id) {
            // The receiver is right here.
            Some(Slot::Announced(info)) => drop(sender.send(info)),
            Some(Slot::Awaited(_)) | None => drop(slots.insert(id, Slot::Awaited(sender))),
        }
        receiver
    }

    fn announce(&self, info: ConnInfo) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        match slots.remove(&info.service_id) {
            // Gone means that the wait was over.
            Some(Slot::Awaited(sender)) => drop(sender.send(info)),
            Some(Slot::Announced(_)) | None => drop(slots.insert(info.service_id, Slot::Announced(info))),
        }
    }
}

/// Why the host's services are out of reach.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum DialError {
    /// No `ConnInfo` came.
    #[error("host did not announce socket {id} within {} s", ANNOUNCED_WITHIN.as_secs())]
    NotAnnounced {
        /// The socket's number.
        id: u32,
    },
    /// Not a Unix socket.
    #[error("host announced a socket on {0:?}, expected \"unix\"")]
    Network(String),
    /// Dialling failed.
    #[error("connection to the host: {0:?}")]
    Connect(#[from] tonic::transport::Error),
}

async fn connect(address: String, tls: Arc<ClientConfig>) -> Result<Channel, tonic::transport::Error> {
    let connector = tower::service_fn(move |_: Uri| {
        let (address, tls) = (address.clone(), TlsConnector::from(Arc::clone(&tls)));
        async move {
            let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
            let socket = UnixStream::connect(address).await?;
            Ok::<_, std::io::Error>(TokioIo::new(tls.connect(name, socket).await?))
        }
    });
    Endpoint::from_static("http://localhost").connect_with_connector(connector).await
}

#[tonic::async_trait]
impl GrpcBroker for Broker {
    type StartStreamStream = tokio_stream::Pending<Result<ConnInfo, Status>>;

    async fn start_stream(
        &self,
        request: Request<Streaming<ConnInfo>>,
    ) -> Result<Response<Self::StartStreamStream>, Status> {
        self.life.host_came();
        let broker = self.clone();
        let mut announced = request.into_inner();
        drop(tokio::spawn(async move {
            while let Some(Ok(info)) = announced.next().await {
                broker.announce(info);
            }
            broker.life.end(End::HostLeft);
        }));
        // Open as long as the host's side is; we announce nothing.
        Ok(Response::new(tokio_stream::pending()))
    }
}

/// The host listens for as long.
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use rustls_pki_types::CertificateDer;

    fn broker() -> Broker {
        let identity = crate::tls::Identity::draw(CertificateDer::from(vec![0])).unwrap();
        Broker::new(Arc::new(Life::begin().0), identity.client)
    }

    fn info(service_id: u32) -> ConnInfo {
        ConnInfo { service_id, network: "unix".into(), address: "/nowhere".into() }
    }

    #[tokio::test]
    async fn an_announcement_may_come_before_or_after_the_setup_that_needs_it() {
        let broker = broker();
        broker.announce(info(1));
        assert_eq!(broker.claim(1).await.unwrap().service_id, 1);
        let awaited = broker.claim(2);
        broker.announce(info(2));
        assert_eq!(awaited.await.unwrap().service_id, 2);
        assert!(broker.slots.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_socket_that_is_never_announced_is_given_up_after_five_seconds() {
        let error = broker().dial(7).await.unwrap_err();
        assert_eq!(error.to_string(), "host did not announce socket 7 within 5 s");
    }
}
