//! As much of HTTP/1.1 as OpenBao needs, so that no secret touches ordinary memory on its way.
//!
//! A request goes out in pieces, each sealed from where it lies (a token in secret memory stays there); its answer is opened
//! into the caller's [`Buffer`], which is secret memory where secrets are expected. One connection serves the requests of
//! one errand. No redirects, no proxy, no compression; a deadline for the whole exchange, and limits on what is read.
//!
//! Trusted: the server's address and authority. Untrusted: every answer.

mod answer;
mod buffer;
mod line;
mod records;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;

pub use answer::{Answer, Reading};
pub use buffer::{Buffer, MAX_ANSWER};

use crate::openbao::Server;
use crate::tls::tls;
use line::{Line, Place};
use records::Arrived;

/// From the first packet to the last.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a connection is of use after its last answer.
const IDLE: Duration = Duration::from_secs(20);

/// A server, and the connection to it.
pub struct Http {
    place: Box<Place>,
    /// The lines that every request has.
    headers: String,
    line: Mutex<Option<Box<Line>>>,
}

/// What is asked for.
#[derive(Clone, Copy)]
pub struct Request<'r> {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// From the root, with its query; no character in it that ends a line or a word.
    pub path: &'r str,
    /// The token, in secret memory.
    pub token: Option<&'r [u8]>,
    /// The pieces of the JSON that goes along; none: no body.
    pub body: Option<&'r [&'r [u8]]>,
}

impl Http {
    /// `program` says who asks. Nobody is connected to yet.
    pub fn new(server: &Server, program: &str) -> Result<Self, Error> {
        let (secure, authority) = match server.address.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err(Error::Address),
        };
        let (host, port) = split(authority, if secure { 443 } else { 80 })?;
        let name = server.tls_name.as_deref().unwrap_or(&host);
        let tls = if secure {
            let name = ServerName::try_from(name.to_owned()).map_err(|_why| Error::Address)?;
            let config = tls(&server.authority, server.identity.as_ref());
            Some((Arc::new(config.map_err(|error| Error::Authority(error.to_string()))?), name))
        } else {
            None
        };
        // Nothing in these lines ends one: a server may take a lone LF for the end of a line (RFC 9112 §2.2).
        let namespace = server.namespace.as_deref();
        if ![authority, program, namespace.unwrap_or_default()].into_iter().all(is_value) {
            return Err(Error::Address);
        }
        let namespace = namespace.map(|name| format!("X-Vault-Namespace: {name}\r\n"));
        let headers = format!(
            "Host: {authority}\r\nUser-Agent: {program}\r\nAccept: application/json\r\nX-Vault-Request: true\r\n{}",
            namespace.unwrap_or_default()
        );
        Ok(Self { place: Box::new(Place { host, port, tls }), headers, line: Mutex::new(None) })
    }

    /// One question and its answer, whose body is in `buffer`.
    pub fn ask(&self, request: &Request<'_>, buffer: &mut Buffer) -> Result<Answer, Error> {
        let deadline = Instant::now().checked_add(PATIENCE).ok_or(Error::TimedOut)?;
        buffer.clear();
        let mut kept = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let mut line = match kept.take().filter(|line| line.is_good(IDLE)) {
            Some(line) => line,
            None => Box::new(Line::open(&self.place, deadline)?),
        };
        self.send(&mut line, request, deadline)?;
        let answer = receive(&mut line, buffer, deadline)?;
        if answer.kept {
            *kept = Some(line);
        } else {
            line.close(deadline);
        }
        Ok(answer)
    }

    fn send(&self, line: &mut Line, request: &Request<'_>, deadline: Instant) -> Result<(), Error> {
        let Request { method, path, token, body } = *request;
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::Path);
        }
        let body_len = body.into_iter().flatten().fold(0_usize, |sum, piece| sum.saturating_add(piece.len()));
        let mut head = format!("{method} {path} HTTP/1.1\r\n{}", self.headers);
        if body.is_some() {
            head.push_str("Content-Type: application/json\r\nContent-Length: ");
            head.push_str(&body_len.to_string());
            head.push_str("\r\n");
        }
        let mut pieces: Vec<&[u8]> = Vec::new();
        if let Some(token) = token {
            head.push_str("X-Vault-Token: ");
            pieces.extend([head.as_bytes(), token, b"\r\n\r\n"]);
        } else {
            head.push_str("\r\n");
            pieces.push(head.as_bytes());
        }
        pieces.extend(body.into_iter().flatten());
        line.send(&pieces, deadline)
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        let kept = self.line.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(line), Some(deadline)) = (kept, Instant::now().checked_add(Duration::from_millis(100))) {
            line.close(deadline);
        }
    }
}

/// Neither the token nor the body is shown.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {})", self.method, self.path)
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Http({}:{})", self.place.host, self.place.port)
    }
}

fn receive(line: &mut Line, buffer: &mut Buffer, deadline: Instant) -> Result<Answer, Error> {
    let mut reading = Reading::new();
    loop {
        match line.receive(buffer, deadline)? {
            Arrived::Bytes(_) => {
                if let Some(answer) = reading.advance(buffer)? {
                    return Ok(answer);
                }
            }
            Arrived::End => return reading.closed(buffer).ok_or(Error::Closed),
        }
    }
}

/// What may stand behind the name of a header.
fn is_value(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

/// `host`, `host:port`, `[address]`, `[address]:port`.
fn split(authority: &str, default: u16) -> Result<(String, u16), Error> {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => (address, rest.strip_prefix(':')),
        None => authority.rsplit_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map_or(Ok(default), |port| port.parse().map_err(|_why| Error::Address))?;
    if host.is_empty() { Err(Error::Address) } else { Ok((host.to_owned(), port)) }
}

/// Why there is no answer. Never says anything of what was asked or answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An address that names no server.
    #[error("an address that names no server")]
    Address,
    /// The files of authority or identity.
    #[error("{0}")]
    Authority(String),
    /// A path that no request can have.
    #[error("a path with characters that no request can have")]
    Path,
    /// The kernel's answer.
    #[error("io: {0}")]
    Io(#[from] io::Error),
    /// The whole exchange took too long.
    #[error("no whole answer within {} seconds", PATIENCE.as_secs())]
    TimedOut,
    /// The connection ended too early.
    #[error("the connection ended before the answer did")]
    Closed,
    /// rustls' word on the handshake.
    #[error("{0}")]
    Tls(Box<rustls::Error>),
    /// A record that breaks the rules.
    #[error("TLS: {0}")]
    Record(&'static str),
    /// The server ends the connection, for a reason that it names by this number of RFC 8446 §6.2.
    #[error("TLS: the server sent alert {0}")]
    Alert(u8),
    /// Not HTTP/1.1, or in a form that is not accepted.
    #[error("{0}")]
    Malformed(&'static str),
    /// More than anybody asked for.
    #[error("too long: at most {0} bytes")]
    TooLong(usize),
    /// No secret memory for the answer.
    #[error("reading an answer in clear: {0}")]
    Memory(#[from] secretmem::Error),
}

impl Error {
    fn tls(error: rustls::Error) -> Self {
        Self::Tls(Box::new(error))
    }
}
