//! A vendor's service that answers as it is told, and remembers what it was asked.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// One answer.
#[derive(Clone)]
pub(crate) enum Reply {
    /// The object.
    Body(Vec<u8>),
    /// The object, with who signed it in this header.
    Chain(Vec<u8>, &'static str, String),
    /// This status, and when to ask again, in seconds.
    Status(u16, Option<u64>),
    /// Bytes without end.
    Endless,
}

/// A service on this machine; its thread ends with the test's process.
pub(crate) struct Service {
    pub(crate) address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    answers: HashMap<String, VecDeque<Reply>>,
    asked: Vec<String>,
}

impl Service {
    pub(crate) fn start() -> Self {
        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", door.local_addr().unwrap());
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || door.incoming().for_each(|line| answer(&line.unwrap(), &shared)));
        Self { address, state }
    }

    /// From now on a path is answered by these, one after the other; by the last one again and again.
    pub(crate) fn says(&self, path: &str, replies: &[Reply]) {
        let mut state = self.state.lock().unwrap();
        state.answers.insert(path.to_owned(), replies.iter().cloned().collect());
    }

    /// What it was asked since it was asked this last.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }
}

fn answer(mut line: &TcpStream, state: &Mutex<State>) {
    let mut head = BufReader::new(line).lines().map_while(Result::ok);
    let Some(first) = head.next() else { return };
    head.take_while(|line| !line.is_empty()).for_each(drop);
    let path = first.split([' ', '?']).nth(1).unwrap_or_default().to_owned();
    let mut state = state.lock().unwrap();
    state.asked.push(path.clone());
    let replies = state.answers.entry(path).or_default();
    let reply = if replies.len() > 1 { replies.pop_front() } else { replies.front().cloned() };
    drop(state);
    let (status, header, body) = match reply {
        None => (404, String::new(), vec![]),
        Some(Reply::Body(body)) => (200, String::new(), body),
        Some(Reply::Chain(body, name, chain)) => (200, format!("{name}: {chain}\r\n"), body),
        Some(Reply::Status(status, after)) => {
            (status, after.map(|after| format!("Retry-After: {after}\r\n")).unwrap_or_default(), vec![])
        }
        Some(Reply::Endless) => {
            let head = b"HTTP/1.1 200 x\r\nconnection: close\r\n\r\n";
            let mut sent = line.write_all(head);
            while sent.is_ok() {
                sent = line.write_all(&[b'0'; 4096]);
            }
            return;
        }
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} x\r\nconnection: close\r\n{header}content-length: {length}\r\n\r\n");
    // Whoever asked may have gone.
    let _gone = line.write_all(&[head.as_bytes(), &body].concat());
}

/// Certificates in PEM.
pub(crate) fn pem(certificates: &[Vec<u8>]) -> Vec<u8> {
    let block = |der: &Vec<u8>| {
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(der))
    };
    certificates.iter().map(block).collect::<String>().into_bytes()
}

/// The same as Intel writes them in a header.
pub(crate) fn escaped(certificates: &[Vec<u8>]) -> String {
    let plain = |byte: u8| {
        let kept = byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        if kept { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    pem(certificates).into_iter().map(plain).collect()
}
