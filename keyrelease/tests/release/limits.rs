//! Callers without a token: one address that asks too much hurts itself.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};

use protocol::release::open_context;
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use serde_json::{Value, json};

use crate::machine::{Machine, challenge};
use crate::server::{Answer, Server};

/// One call from another loopback address.
fn call_from(last: u8, server: &Server, path: &str, body: &Value) -> Answer {
    let to: SocketAddr = server.address().parse().unwrap();
    let fd = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&fd, &SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), 0)).unwrap();
    connect(&fd, &to).unwrap();
    let mut stream = TcpStream::from(fd);
    let body = body.to_string();
    // HTTP 1.0: the answer is not cut into chunks and ends with the connection.
    write!(stream, "POST /v1/{path} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    Answer { status, json: serde_json::from_str(body).unwrap_or(Value::Null) }
}

fn open_from(last: u8, server: &Server, context: &str) -> Answer {
    let presentation = Machine::good().answer(&challenge(server, "attest-keys"), context);
    call_from(last, server, "attest-keys/release/db/open", &serde_json::to_value(presentation).unwrap())
}

#[test]
fn an_address_that_floods_is_told_to_wait_and_an_honest_one_gets_its_secrets_meanwhile() {
    let server = Server::start();
    let limits = json!({ "requests_per_second": 50, "requests_burst": 100 });
    server.write("attest-keys/config/limits", &limits).ok();
    let ended = AtomicBool::new(false);
    let flood = || {
        let mut refused = None;
        while !ended.load(Ordering::Relaxed) {
            let answer = call_from(9, &server, "attest-keys/challenge", &json!({}));
            assert!([200, 429].contains(&answer.status), "{answer:?}");
            refused = refused.or(Some(answer).filter(|answer| answer.status == 429));
        }
        refused
    };
    std::thread::scope(|scope| {
        let floods: Vec<_> = (0..4).map(|_| scope.spawn(flood)).collect();
        for _ in 0..20 {
            let answer = Machine::good().open(&server);
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        ended.store(true, Ordering::Relaxed);
        let refused: Vec<_> = floods.into_iter().filter_map(|flood| flood.join().unwrap()).collect();
        assert!(!refused.is_empty(), "nobody was told to wait");
        for answer in refused {
            let words = "limit requests_per_second: this address may ask 50 times a second: retry after 1 s";
            assert!(answer.errors().contains(words), "{answer:?}");
        }
    });
}

#[test]
fn as_many_refusals_as_the_budget_has_go_on_record_and_admissions_cost_none() {
    let server = Server::start();
    let limits = json!({ "refusals_per_hour": 1, "refusals_burst": 3,
        "refusals_per_hour_in_all": 1, "refusals_burst_in_all": 4 });
    server.write("attest-keys/config/limits", &limits).ok();
    // Not a failure of the machine's own state: those are always remembered, and keep it out.
    let (good, bad) = (&open_context("attest-keys", "db"), "attest-keys/release/other");
    for _ in 0..5 {
        assert_eq!(open_from(9, &server, good).status, 200);
    }
    for _ in 0..3 {
        assert_eq!(open_from(9, &server, bad).failing(), ["challenge.bound"]);
    }
    for _ in 0..3 {
        let answer = open_from(9, &server, bad);
        let words =
            "limit refusals_per_hour: 1 refusals of this address are recorded in an hour: retry after ";
        assert_eq!(answer.status, 429, "{answer:?}");
        assert!(answer.errors().contains(words), "{answer:?}");
        assert!(
            !answer.json.to_string().contains("challenge.bound"),
            "a verdict that is not on record: {answer:?}"
        );
    }
    assert_eq!(open_from(9, &server, good).status, 200, "its admissions go on");
    assert_eq!(open_from(8, &server, bad).failing(), ["challenge.bound"], "another has its own");
    let answer = open_from(8, &server, bad);
    assert!(answer.errors().contains("limit refusals_per_hour_in_all: 1 refusals"), "{answer:?}");
    let records = server.list("attest-keys/record/").json["data"]["keys"].as_array().unwrap().len();
    assert_eq!(records, 6 + 3 + 1);
}

#[test]
fn limits_are_read_back_as_they_are_in_force_and_deleting_them_twice_restores_the_defaults() {
    let server = Server::start();
    let default = server.read("attest-keys/config/limits").ok().json["data"].clone();
    assert_eq!(default["requests_per_second"], 400);
    server.write("attest-keys/config/limits", &json!({ "requests_per_second": 7 })).ok();
    let mut expected = default.clone();
    expected["requests_per_second"] = json!(7);
    assert_eq!(server.read("attest-keys/config/limits").json["data"], expected);
    for (body, words) in [
        (json!({ "requests_burst": 0 }), "requests_burst: expected 1 to 1000000, found 0"),
        (json!({ "off": true }), "unknown field `off`"),
    ] {
        let answer = server.write("attest-keys/config/limits", &body);
        assert_eq!((answer.status, answer.errors().contains(words)), (400, true), "{answer:?}");
    }
    for _ in 0..2 {
        server.call("DELETE", "attest-keys/config/limits", None, "root").ok();
        assert_eq!(server.read("attest-keys/config/limits").json["data"], default);
    }
}
