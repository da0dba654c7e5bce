//! An API server that answers as none should.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use node_agent::kubernetes::{Error, Node, Standing};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;
use tempfile::TempDir;

use crate::harness::{notice, settings};

/// A server under an authority of its own that answers every request alike.
struct Stranger {
    address: SocketAddr,
    folder: TempDir,
}

impl Stranger {
    fn start(answer: impl Into<Vec<u8>>) -> Self {
        let folder = TempDir::new().unwrap();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        fs::write(folder.path().join("ca.crt"), made.cert.pem()).unwrap();
        fs::write(folder.path().join("token"), "very-secret-token").unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let (listener, answer) = (TcpListener::bind("127.0.0.1:0").unwrap(), answer.into());
        let address = listener.local_addr().unwrap();
        thread::spawn(move || serve(&listener, &Arc::new(tls), &answer));
        Self { address, folder }
    }

    fn says(status: &str, body: &str) -> Self {
        let length = body.len();
        Self::start(format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn error(&self) -> Error {
        let server = format!("https://{}", self.address);
        let mut settings = settings(&server, &self.file("ca.crt"), self.file("token"), "n");
        settings.patience = Duration::from_secs(2);
        let error = Node::open(&settings).unwrap().post(&notice(Standing::Refused, 1)).unwrap_err();
        let told = format!("{error} {error:?} {settings:?}");
        assert!(!told.contains("very-secret-token"), "{told}");
        error
    }
}

/// Requests have small bodies or none: what was read in one go is one request.
fn serve(listener: &TcpListener, tls: &Arc<ServerConfig>, answer: &[u8]) {
    for stream in listener.incoming() {
        let connection = ServerConnection::new(Arc::clone(tls)).unwrap();
        let mut stream = StreamOwned::new(connection, stream.unwrap());
        let answer = answer.to_vec();
        thread::spawn(move || {
            let mut request = [0; 16 * 1024];
            while stream.read(&mut request).is_ok_and(|count| count > 0) {
                if stream.write_all(&answer).is_err() || stream.flush().is_err() {
                    break;
                }
            }
        });
    }
}

#[test]
fn an_answer_that_is_no_node_changes_nothing_and_is_told() {
    for (body, why) in [
        ("<html>", "expected value at line 1 column 1"),
        ("{}", "missing field `metadata` at line 1 column 2"),
        (
            r#"{"metadata":{"resourceVersion":7}}"#,
            "invalid type: integer `7`, expected a string at line 1 column 32",
        ),
    ] {
        assert_eq!(Stranger::says("200 OK", body).error(), Error::Malformed(why.to_owned()));
    }
    let nested = format!("{{\"metadata\":{}", "[".repeat(100_000));
    assert!(matches!(Stranger::says("200 OK", &nested).error(), Error::Malformed(_)));
}

#[test]
fn an_answer_without_an_end_is_given_up() {
    let endless = format!("HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n{}", " ".repeat(5_000_000));
    assert_eq!(Stranger::start(endless).error(), Error::TooLong { limit: 4 * 1024 * 1024 });
    let silent = Stranger::start("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{").error();
    assert!(matches!(&silent, Error::Unreachable(why) if why.contains("timeout")), "{silent}");
}

#[test]
fn a_server_in_trouble_is_quoted() {
    let error = Stranger::says("503 Service Unavailable", r#"{"message":"etcd is\naway"}"#).error();
    assert_eq!(error.to_string(), "the API server answered 503 to get nodes: etcd is?away");
    let error = Stranger::says("302 Found\r\nLocation: https://example.com/", "").error();
    assert_eq!(error.to_string(), "the API server answered 302 to get nodes: no reason given");
    assert_eq!(Stranger::says("401 Unauthorized", "{}").error(), Error::Unauthenticated);
}

/// One that says that all was done, and does nothing.
#[test]
fn a_node_that_does_not_change_is_not_changed_for_ever() {
    let node = json!({"metadata": {"resourceVersion": "1"}}).to_string();
    assert_eq!(Stranger::says("200 OK", &node).error(), Error::Unsettled { steps: 12 });
}

#[test]
fn a_server_under_another_authority_gets_no_token() {
    let (here, elsewhere) = (Stranger::says("200 OK", "{}"), Stranger::says("200 OK", "{}"));
    fs::copy(elsewhere.file("ca.crt"), here.file("ca.crt")).unwrap();
    let error = here.error();
    assert!(matches!(&error, Error::Unreachable(why) if why.contains("certificate")), "{error}");
    fs::write(here.file("ca.crt"), "").unwrap();
    let settings = settings("https://127.0.0.1:1", &here.file("ca.crt"), here.file("token"), "n");
    let expected = format!("{}: no certificate in it", here.file("ca.crt").display());
    assert_eq!(Node::open(&settings).unwrap_err(), Error::Credentials(expected));
}

#[test]
fn a_machine_without_a_network_says_so() {
    let here = Stranger::says("200 OK", "{}");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let settings = settings(&format!("https://{closed}"), &here.file("ca.crt"), here.file("token"), "n");
    let error = Node::open(&settings).unwrap().post(&notice(Standing::Attested, 1)).unwrap_err();
    assert!(matches!(&error, Error::Unreachable(why) if why.contains("refused")), "{error}");
}
