//! The least of an HTTP/1.1 client: one kept connection, one request at a time, whole answers.
//!
//! The load generator shares the machine with what it measures, so it does little: a request is bytes that
//! were made beforehand, and of an answer only status and length are looked at.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// A connection.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

/// An answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// How an answer's body ends.
enum Framing {
    Length(usize),
    Chunks,
}

/// A whole request, as it goes over the wire; an empty token is none.
pub(crate) fn request(method: &str, path: &str, body: Option<&Value>, token: &str) -> Vec<u8> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let token = if token.is_empty() { String::new() } else { format!("X-Vault-Token: {token}\r\n") };
    let length = body.len();
    format!("{method} /v1/{path} HTTP/1.1\r\nHost: b\r\n{token}Content-Length: {length}\r\n\r\n{body}").into()
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_mins(1)))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    pub(crate) fn send(&mut self, request: &[u8]) -> std::io::Result<Reply> {
        self.stream.get_mut().write_all(request)?;
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.unwrap_or_else(|| panic!("not an HTTP answer: {line:?}"));
        let mut framing = Framing::Length(0);
        loop {
            let header = self.line()?.to_ascii_lowercase();
            match header.split_once(": ") {
                None => break,
                Some(("content-length", length)) => framing = Framing::Length(length.parse().unwrap()),
                Some(("transfer-encoding", "chunked")) => framing = Framing::Chunks,
                Some(_) => {}
            }
        }
        let mut body = Vec::new();
        match framing {
            Framing::Length(length) => self.take(length, &mut body)?,
            Framing::Chunks => while self.chunk(&mut body)? {},
        }
        Ok(Reply { status, body })
    }

    fn chunk(&mut self, body: &mut Vec<u8>) -> std::io::Result<bool> {
        let length = usize::from_str_radix(&self.line()?, 16).unwrap();
        self.take(length, body)?;
        self.line()?;
        Ok(length > 0)
    }

    fn take(&mut self, length: usize, body: &mut Vec<u8>) -> std::io::Result<()> {
        let from = body.len();
        body.resize(from + length, 0);
        self.stream.read_exact(&mut body[from..])
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        line.truncate(line.trim_end().len());
        Ok(line)
    }
}
