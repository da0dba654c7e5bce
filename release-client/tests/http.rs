//! The client of HTTP against servers that speak TLS by rustls, and plain ones that say what they are told.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use release_client::http::{Buffer, Error, Http, MAX_ANSWER, Request};
use release_client::{Authority, Identity, Server};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// What a server does with a connection.
#[derive(Clone, Copy)]
enum Way {
    /// Answers this, in pieces of so many bytes, each a record of its own; then the same to the next request.
    Pieces(&'static str, usize),
    /// Changes its keys between head and body, and wants ours changed.
    NewKeys,
    /// Ends TLS in the middle of a body.
    Truncates,
}

/// An authority, and what it signed.
struct Desk {
    dir: tempfile::TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Desk {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), authority.pem()).unwrap();
        Self { dir, authority }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn signed(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.authority).unwrap(), key)
    }

    fn identity(&self) -> Identity {
        let (certificate, key) = self.signed("client");
        std::fs::write(self.file("client.pem"), certificate.pem()).unwrap();
        std::fs::write(self.file("client.key"), key.serialize_pem()).unwrap();
        Identity { certificate: self.file("client.pem"), key: self.file("client.key") }
    }

    fn config(&self, name: &str, wants_certificates: bool) -> ServerConfig {
        let (certificate, key) = self.signed(name);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = if wants_certificates {
            let mut roots = RootCertStore::empty();
            roots.add(self.authority.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        builder.with_single_cert(vec![certificate.der().clone()], key).unwrap()
    }

    fn server(&self, config: ServerConfig, way: Way) -> Server {
        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("https://{}", door.local_addr().unwrap());
        let config = Arc::new(config);
        thread::spawn(move || {
            for line in door.incoming() {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                serve(BufReader::new(StreamOwned::new(connection, line.unwrap())), way);
            }
        });
        Server::new(address, Authority::File(self.file("ca.pem")))
    }
}

type Tls = BufReader<StreamOwned<ServerConnection, std::net::TcpStream>>;

/// Serves one connection to its end.
fn serve(mut line: Tls, way: Way) {
    while let Some(asked) = request(&mut line) {
        let wire = line.get_mut();
        match way {
            Way::Pieces(answer, size) => {
                let answer = answer.replace("TOKEN", &asked);
                for piece in answer.as_bytes().chunks(size) {
                    wire.write_all(piece).unwrap();
                    wire.flush().unwrap();
                }
            }
            Way::NewKeys => {
                wire.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab").unwrap();
                wire.flush().unwrap();
                wire.conn.refresh_traffic_keys().unwrap();
                wire.write_all(b"cd").unwrap();
                wire.flush().unwrap();
            }
            Way::Truncates => {
                wire.write_all(b"HTTP/1.1 200 OK\r\n\r\nab").unwrap();
                wire.flush().unwrap();
                return;
            }
        }
    }
}

/// The token of a request, which is read whole; none at the end of the connection.
fn request(line: &mut impl BufRead) -> Option<String> {
    let (mut token, mut length) = (String::new(), 0);
    loop {
        let mut header = String::new();
        if line.read_line(&mut header).ok()? == 0 {
            return None;
        }
        match header.trim().split_once(": ") {
            Some(("X-Vault-Token", value)) => value.clone_into(&mut token),
            Some(("Content-Length", value)) => length = value.parse().unwrap(),
            None if header == "\r\n" => break,
            Some(_) | None => {}
        }
    }
    line.read_exact(&mut vec![0; length]).unwrap();
    Some(token)
}

fn plain(answer: Vec<u8>) -> Server {
    let door = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", door.local_addr().unwrap());
    thread::spawn(move || {
        let mut line = BufReader::new(door.accept().unwrap().0);
        request(&mut line);
        line.get_mut().write_all(&answer).unwrap_or_default();
    });
    Server::new(address, Authority::InsecureNobody)
}

const ASKED: Request<'_> =
    Request { method: "POST", path: "/v1/x", token: Some(b"s.token"), body: Some(&[b"{\"a\":", b"1}"]) };

/// The answer's status and body, read into secret memory.
fn ask(http: &Http) -> Result<(u16, String), Error> {
    let mut buffer = Buffer::secret().unwrap();
    let answer = http.ask(&ASKED, &mut buffer)?;
    Ok((answer.status, String::from_utf8(answer.body(&buffer).to_vec()).unwrap()))
}

fn told(server: &Server) -> String {
    match Http::new(server, "test").map(|http| ask(&http)) {
        Ok(Err(error)) | Err(error) => error.to_string(),
        Ok(Ok(answer)) => panic!("{answer:?}"),
    }
}

const WITH_LENGTH: &str = "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\ntoken is TOKEN";
const CHUNKED: &str = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\nTransfer-Encoding: Chunked\r\n\r\n\
    5;x=y\r\ntoken\r\n0d\r\n is TOKEN.\n\r\n0\r\nTrailer: x\r\n\r\n";

#[test]
fn an_answer_is_the_same_however_it_is_cut_in_pieces() {
    let desk = Desk::new();
    for size in [1, 2, 7, 1000] {
        for (answer, status, expected) in
            [(WITH_LENGTH, 200, "token is s.token"), (CHUNKED, 404, "token is s.token.\n")]
        {
            let server = desk.server(desk.config("127.0.0.1", false), Way::Pieces(answer, size));
            let http = Http::new(&server, "test").unwrap();
            for _ in 0..3 {
                assert_eq!(ask(&http).unwrap(), (status, expected.to_owned()), "{size}");
            }
        }
    }
}

#[test]
fn one_connection_serves_several_requests() {
    let desk = Desk::new();
    let door = TcpListener::bind("127.0.0.1:0").unwrap();
    let server =
        Server::new(format!("https://{}", door.local_addr().unwrap()), Authority::File(desk.file("ca.pem")));
    let config = Arc::new(desk.config("127.0.0.1", false));
    let once = thread::spawn(move || {
        let line = door.accept().unwrap().0;
        drop(door);
        let connection = ServerConnection::new(config).unwrap();
        serve(BufReader::new(StreamOwned::new(connection, line)), Way::Pieces(CHUNKED, 1000));
    });
    let http = Http::new(&server, "test").unwrap();
    for _ in 0..3 {
        assert_eq!(ask(&http).unwrap().0, 404);
    }
    drop(http);
    once.join().unwrap();
}

#[test]
fn a_server_may_change_its_keys() {
    let desk = Desk::new();
    let http = Http::new(&desk.server(desk.config("127.0.0.1", false), Way::NewKeys), "test").unwrap();
    for _ in 0..3 {
        assert_eq!(ask(&http).unwrap(), (200, "abcd".to_owned()));
    }
}

#[test]
fn an_end_that_the_server_did_not_announce_is_no_end_of_an_answer() {
    let desk = Desk::new();
    let server = desk.server(desk.config("127.0.0.1", false), Way::Truncates);
    assert_eq!(told(&server), "the connection ended before the answer did");
}

#[test]
fn a_server_under_another_name_or_authority_is_not_asked() {
    let desk = Desk::new();
    let server = desk.server(desk.config("bao.example", false), Way::Pieces(WITH_LENGTH, 1000));
    let other_name = told(&server);
    assert!(other_name.contains("certificate not valid for name \"127.0.0.1\""), "{other_name}");
    let named = Server { tls_name: Some("bao.example".to_owned()), ..server.clone() };
    assert_eq!(ask(&Http::new(&named, "test").unwrap()).unwrap().0, 200);
    let other = Desk::new();
    let authority = Authority::File(other.file("ca.pem"));
    let unknown = Server { authority, ..named };
    assert!(told(&unknown).contains("invalid peer certificate"), "{}", told(&unknown));
    let anybody = Server { authority: Authority::InsecureNobody, ..server };
    assert_eq!(ask(&Http::new(&anybody, "test").unwrap()).unwrap().0, 200);
}

#[test]
fn a_server_that_asks_who_we_are_is_shown_our_certificate() {
    let desk = Desk::new();
    let server = desk.server(desk.config("127.0.0.1", true), Way::Pieces(WITH_LENGTH, 1000));
    // RFC 8446 §6.2: certificate_required.
    assert_eq!(told(&server), "TLS: the server sent alert 116");
    let known = Server { identity: Some(desk.identity()), ..server.clone() };
    assert_eq!(ask(&Http::new(&known, "test").unwrap()).unwrap().0, 200);
    let other = Desk::new();
    let stranger = Server { identity: Some(other.identity()), ..server };
    // decrypt_error: the name of the authority is the same, its signature is not.
    assert_eq!(told(&stranger), "TLS: the server sent alert 51");
}

#[test]
fn a_large_answer_comes_in_many_records() {
    let desk = Desk::new();
    let body = "0123456789abcdef".repeat(40_000);
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let answer: &'static str = answer.leak();
    let server = desk.server(desk.config("127.0.0.1", false), Way::Pieces(answer, 50_000));
    assert_eq!(ask(&Http::new(&server, "test").unwrap()).unwrap(), (200, body));
}

#[test]
fn answers_that_can_be_read_in_two_ways_are_refused() {
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", "an answer with two lengths"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "an answer with two lengths",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na", "a length that is not a number"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "a transfer coding other than chunked",
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "a chunk without a size"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", "a chunk longer than its size"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", "the connection ended before the answer did"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
            "the connection ended before the answer did",
        ),
        ("SSH-2.0-x\r\n", "not an answer of HTTP/1.1"),
        ("", "the connection ended before the answer did"),
    ] {
        assert_eq!(told(&plain(answer.as_bytes().to_vec())), expected, "{answer:?}");
    }
}

#[test]
fn nobody_makes_us_read_without_end() {
    let long = format!("too long: at most {MAX_ANSWER} bytes");
    for (head, tail, expected) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2097153\r\n\r\n", " ", long.as_str()),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n", " ", &long),
        ("HTTP/1.1 200 OK\r\n\r\n", " ", &long),
        ("HTTP/1.1 200 OK\r\nX: ", "x", "a head of more than 16384 bytes"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ", "x", "a trailer without an end"),
    ] {
        let answer = format!("{head}{}", tail.repeat(3 << 20));
        assert_eq!(told(&plain(answer.into_bytes())), expected, "{head:?}");
    }
}

#[test]
fn what_would_break_a_request_is_not_sent() {
    let server = plain(Vec::new());
    let http = Http::new(&server, "test").unwrap();
    let request = Request { path: "/v1/x y", ..ASKED };
    let refused = http.ask(&request, &mut Buffer::ordinary()).unwrap_err();
    assert!(matches!(refused, Error::Path), "{refused}");
    for namespace in ["a\r\nX-Vault-Token: b", "a\nX-Vault-Token: b", "a\n", "a\r"] {
        let namespace = Some(namespace.to_owned());
        let refused = Http::new(&Server { namespace, ..server.clone() }, "test").unwrap_err();
        assert!(matches!(refused, Error::Address), "{refused}");
    }
}

#[test]
fn without_tls_nobody_else_is_asked_whatever_the_address_says() {
    let server = Server::new("http://192.0.2.1:80".to_owned(), Authority::InsecureNobody);
    assert_eq!(told(&server), "io: the name has no address that may be asked");
}

#[test]
fn a_request_is_shown_without_its_token_and_its_body() {
    let request = Request { token: Some(b"canary"), body: Some(&[b"canary"]), ..ASKED };
    assert_eq!(format!("{request:?}"), format!("Request({} {})", request.method, request.path));
}
