//! A metadata service on loopback, as far as a confidential machine asks it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::Fault;

/// What the service knows.
#[derive(Clone, Debug)]
pub(super) enum Answers {
    /// Of the chip under an SNP machine, PEM.
    Certificates { vcek: String, chain: String },
    /// Of a TDX machine.
    Quote(Vec<u8>),
}

/// A service that runs until it is dropped.
#[derive(Debug)]
pub(super) struct Metadata {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    answers: Answers,
    fault: Fault,
    over: AtomicBool,
    questions: AtomicUsize,
}

impl Metadata {
    pub(super) fn start(answers: Answers, fault: Fault) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let (over, questions) = (AtomicBool::new(false), AtomicUsize::new(0));
        let shared = Arc::new(Shared { answers, fault, over, questions });
        let serving = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.over.load(Ordering::SeqCst) {
                    break;
                }
                let asked = Arc::clone(&serving);
                // A caller that hangs up early is no concern of a service.
                drop(thread::spawn(move || stream.and_then(|stream| asked.serve(stream))));
            }
        });
        Ok(Self { address, shared, thread: Some(thread) })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn questions(&self) -> usize {
        self.shared.questions.load(Ordering::SeqCst)
    }
}

impl Drop for Metadata {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // The listener wakes up for one more caller.
        drop(TcpStream::connect(self.address));
        drop(self.thread.take().map(JoinHandle::join));
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let question = Question::read(&stream)?;
        self.questions.fetch_add(1, Ordering::SeqCst);
        match self.fault {
            Fault::Silent => {
                while !self.over.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(20));
                }
                Ok(())
            }
            Fault::NotJson => answer(&mut stream, "200 OK", "<html>"),
            Fault::Busy => answer(&mut stream, "429 Too Many Requests", "{}"),
            Fault::Moved => stream.write_all(
                b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            ),
            Fault::Endless => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n")?;
                loop {
                    stream.write_all(&[b' '; 4096])?;
                }
            }
            Fault::Healthy | Fault::NoReport | Fault::BrokenReport | Fault::OtherKey | Fault::OtherChip => {
                let (status, body) = self.answer(&question);
                answer(&mut stream, status, &body)
            }
        }
    }

    fn answer(&self, question: &Question) -> (&'static str, String) {
        if !question.metadata {
            return (
                "400 Bad Request",
                r#"{"error":"Bad request. Required metadata header not specified"}"#.to_owned(),
            );
        }
        match (&self.answers, question.line.as_str()) {
            (Answers::Certificates { vcek, chain }, "GET /metadata/THIM/amd/certification HTTP/1.1") => {
                let (vcek, chain) = (vcek.replace('\n', "\\n"), chain.replace('\n', "\\n"));
                let rest = r#""tcbm":"DB18000000000004","cacheControl":"86400""#;
                ("200 OK", format!(r#"{{"vcekCert":"{vcek}","certificateChain":"{chain}",{rest}}}"#))
            }
            (Answers::Quote(quote), "POST /acc/tdquote HTTP/1.1")
                if question.body.starts_with(b"{\"report\":\"") =>
            {
                ("200 OK", format!(r#"{{"quote":"{}"}}"#, BASE64_URL_SAFE_NO_PAD.encode(quote)))
            }
            _ => ("404 Not Found", r#"{"error":"Not found"}"#.to_owned()),
        }
    }
}

/// One request.
#[derive(Debug)]
struct Question {
    line: String,
    metadata: bool,
    body: Vec<u8>,
}

impl Question {
    fn read(stream: &TcpStream) -> io::Result<Self> {
        let mut lines = BufReader::new(stream.take(64 * 1024));
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
                break;
            }
            head.push(line.trim_end().to_owned());
        }
        let header = |name: &str| {
            let found = head.iter().filter_map(|line| line.split_once(':'));
            found.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
        };
        let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let metadata = header("metadata") == Some("true");
        let mut body = Vec::new();
        lines.take(length).read_to_end(&mut body)?;
        Ok(Self { line: head.first().cloned().unwrap_or_default(), metadata, body })
    }
}

fn answer(stream: &mut TcpStream, status: &str, body: &str) -> io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n");
    stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes())
}
