//! The socket that the host dials.
//!
//! An abstract one by default: it has no file to leave behind after a crash. Anyone in the network
//! namespace may dial it, so the peer must be our own user before a byte is read, and must hold the
//! host's key before a request is.
//!
//! Untrusted: whoever connects, until the TLS handshake ends.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener as StdListener};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

use crate::log;

/// A bound socket.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: UnixListener,
    /// As the handshake line names it: a path, or `@name`.
    pub(crate) address: String,
    _file: Option<SocketFile>,
}

impl Listener {
    /// Binds in `dir`, or without a file.
    pub(crate) fn bind(dir: Option<&Path>) -> io::Result<Self> {
        let name = format!("openbao-plugin-{}", random_name()?);
        let (socket, address, file) = match dir {
            None => {
                let socket = StdListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
                (socket, format!("@{name}"), None)
            }
            Some(dir) => {
                let path = dir.join(name);
                (StdListener::bind(&path)?, path.display().to_string(), Some(SocketFile(path)))
            }
        };
        socket.set_nonblocking(true)?;
        Ok(Self { socket: UnixListener::from_std(socket)?, address, _file: file })
    }

    /// Accepts for ever; what comes out of the stream has shown the host's certificate.
    pub(crate) fn incoming(self, tls: Arc<ServerConfig>) -> ReceiverStream<io::Result<Connection>> {
        let (accepted, stream) = channel(1);
        drop(tokio::spawn(self.accept(TlsAcceptor::from(tls), accepted)));
        ReceiverStream::new(stream)
    }

    async fn accept(self, tls: TlsAcceptor, accepted: Sender<io::Result<Connection>>) {
        loop {
            match self.socket.accept().await {
                Ok((socket, _)) => drop(tokio::spawn(handshake(socket, tls.clone(), accepted.clone()))),
                Err(error) => {
                    log::warn("connection not accepted", &[("error", &error)]);
                    // Out of descriptors, most likely: give them time to come back.
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn handshake(socket: UnixStream, tls: TlsAcceptor, accepted: Sender<io::Result<Connection>>) {
    if !own_user(&socket).unwrap_or(false) {
        return log::warn("connection of another user refused", &[]);
    }
    match timeout(HANDSHAKE_TIME, tls.accept(socket)).await {
        Ok(Ok(stream)) => drop(accepted.send(Ok(Connection(stream))).await),
        Ok(Err(error)) => {
            log::warn("connection without the host\'s certificate refused", &[("error", &error)]);
        }
        Err(late) => log::warn("tls handshake not finished in time", &[("error", &late)]),
    }
}

fn own_user(socket: &UnixStream) -> io::Result<bool> {
    Ok(socket.peer_cred()?.uid() == rustix::process::geteuid().as_raw())
}

fn random_name() -> io::Result<String> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_unspecified| io::Error::other("no random bytes"))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// Removes the socket's file in the end.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // The host removes it as well; whoever comes second finds nothing.
        drop(std::fs::remove_file(&self.0));
    }
}

/// A connection whose peer holds the host's key.
#[derive(Debug)]
pub(crate) struct Connection(TlsStream<UnixStream>);

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) -> Self::ConnectInfo {}
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}

/// A host under load may take a while; anyone else shall not hold a descriptor for long.
const HANDSHAKE_TIME: Duration = Duration::from_secs(30);
