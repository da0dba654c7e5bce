//! One connection: TCP, and TLS over it.
//!
//! The handshake is rustls'; what follows it goes through [`Records`]. Everything ends at a deadline, which is that of the
//! whole exchange. Only ciphertext touches the buffers of this module.
//!
//! Untrusted: whoever answers, until the handshake is done.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, InsufficientSizeError};

use super::Error;
use super::buffer::Buffer;
use super::records::{self, Arrived, HEADER, Records};

/// Of several addresses none may take all the time.
const ADDRESS: Duration = Duration::from_secs(5);
/// What is read at once where there are no records.
const PIECE: usize = 1024;

/// Where a server is, and how it is known.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Line {
    stream: TcpStream,
    records: Option<Records>,
    /// What has come and was not read yet: ciphertext, or nothing.
    arrived: Vec<u8>,
    last: Instant,
}

impl Line {
    pub(super) fn open(place: &Place, deadline: Instant) -> Result<Self, Error> {
        let stream = connect(place, deadline)?;
        // A request is one write; there is nothing to wait for.
        stream.set_nodelay(true)?;
        let mut line = Self { stream, records: None, arrived: Vec::new(), last: Instant::now() };
        if let Some((config, name)) = &place.tls {
            let connection =
                UnbufferedClientConnection::new(Arc::clone(config), name.clone()).map_err(Error::tls)?;
            line.shake_hands(connection, deadline)?;
        }
        Ok(line)
    }

    /// Whether another request can be made on it: the peer has not said anything since, not even goodbye.
    pub(super) fn is_good(&self, idle: Duration) -> bool {
        let silent = self.stream.set_nonblocking(true).is_ok()
            && matches!(self.stream.peek(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        self.last.elapsed() < idle
            && self.arrived.is_empty()
            && silent
            && self.stream.set_nonblocking(false).is_ok()
    }

    /// Sends the pieces one after the other, each from where it lies.
    pub(super) fn send(&mut self, pieces: &[&[u8]], deadline: Instant) -> Result<(), Error> {
        let Some(records) = &mut self.records else {
            return pieces.iter().try_for_each(|piece| write(&mut self.stream, piece, deadline));
        };
        let mut sealed = Vec::new();
        for piece in pieces {
            records.seal(piece, &mut sealed)?;
        }
        write(&mut self.stream, &sealed, deadline)
    }

    /// Reads into the end of `buffer`: at least a byte, or the end.
    pub(super) fn receive(&mut self, buffer: &mut Buffer, deadline: Instant) -> Result<Arrived, Error> {
        self.last = Instant::now();
        if self.records.is_none() {
            let read = read(&mut self.stream, buffer.room(PIECE)?, deadline)?;
            buffer.keep(read);
            return Ok(if read == 0 { Arrived::End } else { Arrived::Bytes(read) });
        }
        loop {
            let record = self.record(deadline)?;
            let Some(records) = &mut self.records else { return Err(Error::Record("no keys")) };
            let opened = records.open(self.arrived.get(..record).unwrap_or_default(), buffer)?;
            self.arrived.drain(..record);
            if opened != Arrived::Bytes(0) {
                return Ok(opened);
            }
        }
    }

    /// Says goodbye where that is the custom. Nobody waits for an answer.
    pub(super) fn close(mut self, deadline: Instant) {
        let Some(records) = &mut self.records else { return };
        let mut sealed = Vec::new();
        if records.close(&mut sealed).is_ok() {
            write(&mut self.stream, &sealed, deadline).unwrap_or_default();
        }
    }

    /// Has a whole record arrive; its length.
    fn record(&mut self, deadline: Instant) -> Result<usize, Error> {
        self.arrive(HEADER, deadline)?;
        let header = self.arrived.first_chunk::<HEADER>().copied().unwrap_or_default();
        let len = records::length(header)?;
        self.arrive(len, deadline)?;
        Ok(len)
    }

    fn arrive(&mut self, len: usize, deadline: Instant) -> Result<(), Error> {
        while self.arrived.len() < len {
            if self.more(deadline)? == 0 {
                return Err(Error::Closed);
            }
        }
        Ok(())
    }

    fn more(&mut self, deadline: Instant) -> Result<usize, Error> {
        let start = self.arrived.len();
        self.arrived.resize(start.saturating_add(MOST_AT_ONCE), 0);
        let read = read(&mut self.stream, self.arrived.get_mut(start..).unwrap_or_default(), deadline);
        self.arrived.truncate(start.saturating_add(*read.as_ref().unwrap_or(&0)));
        read
    }

    fn shake_hands(
        &mut self,
        mut connection: UnbufferedClientConnection,
        deadline: Instant,
    ) -> Result<(), Error> {
        let mut outgoing = Vec::new();
        loop {
            let status = connection.process_tls_records(&mut self.arrived);
            let discard = status.discard;
            let next = match status.state {
                Ok(state) => step(state, &mut outgoing)?,
                Err(error) => {
                    // The peer may know why; it is told what rustls has to say, if anything.
                    self.complain(&mut connection, deadline);
                    return Err(Error::tls(error));
                }
            };
            self.arrived.drain(..discard.min(self.arrived.len()));
            match next {
                Next::Again => {}
                Next::Send => write(&mut self.stream, &std::mem::take(&mut outgoing), deadline)?,
                Next::Read => {
                    if self.more(deadline)? == 0 {
                        return Err(Error::Closed);
                    }
                }
                Next::Done => break,
                Next::Ended => return Err(Error::Closed),
            }
        }
        let (secrets, kernel) = connection.dangerous_into_kernel_connection().map_err(Error::tls)?;
        self.records = Some(Records::new(secrets, kernel)?);
        Ok(())
    }

    fn complain(&mut self, connection: &mut UnbufferedClientConnection, deadline: Instant) {
        let mut outgoing = Vec::new();
        if let Ok(ConnectionState::EncodeTlsData(mut data)) = connection.process_tls_records(&mut []).state
            && encode(&mut data, &mut outgoing).is_ok()
        {
            write(&mut self.stream, &outgoing, deadline).unwrap_or_default();
        }
    }
}

/// A flight of certificates fits, mostly; and one record.
const MOST_AT_ONCE: usize = 8 * 1024;

/// What a handshake needs next.
enum Next {
    Again,
    Send,
    Read,
    Done,
    Ended,
}

fn step(
    state: ConnectionState<'_, '_, rustls::client::ClientConnectionData>,
    outgoing: &mut Vec<u8>,
) -> Result<Next, Error> {
    match state {
        ConnectionState::EncodeTlsData(mut data) => encode(&mut data, outgoing).map(|()| Next::Again),
        ConnectionState::TransmitTlsData(data) => {
            data.done();
            Ok(Next::Send)
        }
        ConnectionState::BlockedHandshake => Ok(Next::Read),
        ConnectionState::WriteTraffic(_) => Ok(Next::Done),
        // Before we have said anything there is nothing to answer.
        ConnectionState::ReadTraffic(_) | ConnectionState::ReadEarlyData(_) => {
            Err(Error::Record("an answer before the question"))
        }
        ConnectionState::PeerClosed | ConnectionState::Closed => Ok(Next::Ended),
        _ => Err(Error::Record("an unknown state of the handshake")),
    }
}

fn encode(
    data: &mut EncodeTlsData<'_, rustls::client::ClientConnectionData>,
    outgoing: &mut Vec<u8>,
) -> Result<(), Error> {
    let start = outgoing.len();
    let mut more = 0;
    loop {
        outgoing.resize(start.saturating_add(more), 0);
        match data.encode(outgoing.get_mut(start..).unwrap_or_default()) {
            Ok(written) => {
                outgoing.truncate(start.saturating_add(written));
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) if more == 0 => {
                more = required_size;
            }
            Err(EncodeError::InsufficientSize(_) | EncodeError::AlreadyEncoded) => {
                return Err(Error::Record("a handshake message that cannot be encoded"));
            }
        }
    }
}

fn connect(place: &Place, deadline: Instant) -> Result<TcpStream, Error> {
    let found = (place.host.as_str(), place.port).to_socket_addrs()?;
    // Without TLS a name is no promise: where there is no /etc/hosts, the network says where `localhost` is.
    let addresses: Vec<SocketAddr> =
        found.filter(|address| place.tls.is_some() || address.ip().is_loopback()).collect();
    let last = addresses.len().saturating_sub(1);
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address that may be asked");
    for (number, address) in addresses.iter().enumerate() {
        let left = left(deadline)?;
        let patience = if number == last { left } else { left.min(ADDRESS) };
        match TcpStream::connect_timeout(address, patience) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(Error::Io(failed))
}

fn left(deadline: Instant) -> Result<Duration, Error> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(Error::TimedOut) } else { Ok(left) }
}

fn read(stream: &mut TcpStream, place: &mut [u8], deadline: Instant) -> Result<usize, Error> {
    loop {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(place) {
            Err(error) if again(&error) => {}
            read => return Ok(read?),
        }
    }
}

fn write(stream: &mut TcpStream, mut bytes: &[u8], deadline: Instant) -> Result<(), Error> {
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(left(deadline)?))?;
        match stream.write(bytes) {
            Err(error) if again(&error) => {}
            Ok(0) => return Err(Error::Closed),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) => return Err(Error::Io(error)),
        }
    }
    Ok(())
}

/// Interrupted, or a time-out: the deadline decides.
fn again(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
