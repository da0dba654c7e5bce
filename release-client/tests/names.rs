//! Endorsements go by name first, and as bytes when they are asked for.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use protocol::Platform;
use protocol::agent::{EvidenceReply, Reply, to_frame};
use release_client::{Authority, Client, Error, Keys, OpenBaoError, Server};
use serde_json::{Value, json};

/// A server that gives these answers, and the bodies that it was sent.
fn server(answers: Vec<(u16, Value)>) -> (Server, Receiver<Value>) {
    let door = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", door.local_addr().unwrap());
    let (tell, told) = channel();
    thread::spawn(move || {
        for (status, answer) in answers {
            let line = door.accept().unwrap().0;
            let mut reader = BufReader::new(&line);
            let mut length = 0;
            loop {
                let mut header = String::new();
                reader.read_line(&mut header).unwrap();
                if let Some((name, value)) = header.split_once(':')
                    && name.eq_ignore_ascii_case("content-length")
                {
                    length = value.trim().parse().unwrap();
                }
                if header.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            tell.send(serde_json::from_slice(&body).unwrap()).unwrap();
            let answer = answer.to_string();
            let head = format!(
                "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                answer.len()
            );
            (&line).write_all(&[head.as_bytes(), answer.as_bytes()].concat()).unwrap();
        }
    });
    (Server::new(address, Authority::InsecureNobody), told)
}

/// An agent with two certificates and a list.
fn agent(socket: &Path) {
    let door = UnixListener::bind(socket).unwrap();
    thread::spawn(move || {
        let mut line = door.accept().unwrap().0;
        let mut length = [0; 4];
        line.read_exact(&mut length).unwrap();
        line.read_exact(&mut vec![0; u32::from_be_bytes(length).try_into().unwrap()]).unwrap();
        let reply = Reply::Evidence(EvidenceReply {
            platform: Platform::SevSnp,
            evidence: vec![1],
            certificates: vec![b"vcek".to_vec().into(), b"ask".to_vec().into()],
            revocation_lists: vec![b"crl".to_vec().into()],
            documents: vec![],
            pod: None,
        });
        line.write_all(&to_frame(&reply).unwrap()).unwrap();
    });
}

/// One round against these answers: what was sent to be opened, and how it ended.
fn ask(answers: Vec<(u16, Value)>) -> (Vec<Value>, Result<u64, Error>) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent.sock");
    agent(&socket);
    let drawn = json!({ "challenge": "AA==", "nonce": "00".repeat(32), "expires": "2030-01-01T00:00:00Z" });
    let answers = [(200, json!({ "data": drawn }))].into_iter().chain(answers).collect();
    let (server, told) = server(answers);
    let client = Client::new(&server, "attest-keys", &socket, "test").unwrap();
    let keys = Keys::generate(1).unwrap();
    let sealed = client.ask("db", &keys.each().next().unwrap()).map(|sealed| sealed.version);
    drop(client);
    (told.try_iter().skip(1).collect(), sealed)
}

fn lacks(names: &[&str]) -> (u16, Value) {
    (400, json!({ "errors": ["collateral: not in store"], "data": { "unknown": names } }))
}

fn sealed() -> (u16, Value) {
    let sealed = json!({ "decision": "00", "version": 3, "lease_seconds": 1, "enc": "", "ciphertext": "" });
    (200, json!({ "data": sealed }))
}

/// SHA-256 of `vcek`, `ask` and `crl`.
const NAMES: [&str; 3] = [
    "b5f07d6d27726fb09021a27692042dc5f5725fd075b5ff1c02575d5c967c2430",
    "2f2fc7f2e9ce13b09b84f63d54d0b4a59f4dbd46aea41da67023817e2d0c5e59",
    "861aaa0731bdaea1fa598d1750466ef6210c4a1cc1e39d3ea4f3ee4f1bc9e5a2",
];

#[test]
fn a_server_that_has_everything_is_sent_names_alone() {
    let (sent, answer) = ask(vec![sealed()]);
    assert_eq!(answer.unwrap(), 3);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0]["collateral"], json!(NAMES));
    assert_eq!((&sent[0]["certificates"], &sent[0]["revocation_lists"]), (&json!([]), &json!([])));
}

#[test]
fn what_it_asks_for_is_brought_with_the_same_challenge() {
    let (sent, answer) = ask(vec![lacks(&NAMES[..1]), sealed()]);
    assert_eq!(answer.unwrap(), 3);
    assert_eq!(sent[1]["collateral"], json!(NAMES[1..]));
    assert_eq!(sent[1]["certificates"], json!(["dmNlaw=="]));
    assert_eq!((&sent[1]["challenge"], &sent[1]["evidence"]), (&sent[0]["challenge"], &sent[0]["evidence"]));
}

#[test]
fn whoever_asks_again_is_sent_everything_and_not_asked_a_fourth_time() {
    let (sent, answer) = ask(vec![lacks(&NAMES[..1]), lacks(&NAMES[1..2]), lacks(&NAMES)]);
    assert_eq!(sent.len(), 3);
    assert_eq!(sent[2].get("collateral"), None);
    assert_eq!(sent[2]["certificates"].as_array().unwrap().len(), 2);
    let Err(Error::OpenBao(OpenBaoError::Lacks(names))) = answer else { panic!("{answer:?}") };
    assert_eq!(names, NAMES);
}

#[test]
fn another_error_is_not_taken_for_a_question() {
    let (sent, answer) = ask(vec![(400, json!({ "errors": ["challenge expired"] }))]);
    assert_eq!(sent.len(), 1);
    assert_eq!(answer.unwrap_err().to_string(), "OpenBao answered 400: challenge expired");
}
