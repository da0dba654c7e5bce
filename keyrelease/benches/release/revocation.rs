//! A machine with many leases is revoked: when is the last of them closed?
//!
//! Closed is a lease that is not prolonged any more: that is so from the entry of the revocation on, for all of them at
//! once. The leases themselves are OpenBao's, and gone when its operator revokes them by their prefix.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::request;
use crate::machine::{Machine, Purpose};
use crate::server::Server;

/// When what was over, in milliseconds since the revocation was asked for.
pub(crate) struct Revocation {
    leases: usize,
    /// The last lease was refused to be prolonged.
    pub(crate) refused: f64,
    /// The revocation was answered, with its report.
    pub(crate) reported: f64,
    /// And how long OpenBao took to revoke the leases.
    pub(crate) gone: f64,
}

/// Gives so many leases to one machine, and revokes it.
pub(crate) fn measure(server: &Server, machine: &Machine, leases: usize) -> Revocation {
    let last = give(server, machine, leases);
    let selector = json!({ "selector": "platform=sev-snp" });
    let report = server.call("POST", "attest-keys/recall", Some(&selector), server.token());
    let hardware = report["data"]["recipients"][0]["hardware"].as_str().unwrap();
    let order = json!({ "selector": format!("hardware={hardware}"), "reason": "bench" });
    let renewal = request("POST", "sys/leases/renew", Some(&json!({ "lease_id": last })), server.token());
    let mut client = server.connect();
    assert_eq!(client.send(&renewal).unwrap().status, 200, "not revoked yet");
    let begun = Instant::now();
    let (refused, reported) = thread::scope(|scope| {
        let renewing = scope.spawn(move || {
            while client.send(&renewal).unwrap().status == 200 {
                assert!(begun.elapsed() < Duration::from_mins(1), "the revocation never comes");
            }
            milliseconds(begun)
        });
        server.call("POST", "attest-keys/revoke", Some(&order), server.token());
        let reported = milliseconds(begun);
        (renewing.join().unwrap(), reported)
    });
    let begun = Instant::now();
    let all = "sys/leases/revoke-prefix/attest-keys/release/leased";
    server.call("POST", all, Some(&json!({ "sync": true })), server.token());
    Revocation { leases, refused, reported, gone: milliseconds(begun) }
}

/// The id of the last.
fn give(server: &Server, machine: &Machine, leases: usize) -> String {
    let login = machine.presentation(server, Purpose::Login);
    let login = server.call("POST", "auth/attest/login", Some(&login), "");
    let token = login["auth"]["client_token"].as_str().unwrap();
    let ask = request("POST", "attest-keys/release/leased", Some(&machine.recipient()), token);
    let some = |count: usize| {
        let mut client = server.connect();
        let mut last = String::new();
        for _ in 0..count {
            let reply = client.send(&ask).unwrap();
            assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
            let answer: Value = serde_json::from_slice(&reply.body).unwrap();
            answer["lease_id"].as_str().unwrap().clone_into(&mut last);
        }
        last
    };
    thread::scope(|scope| {
        let giving: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let some = &some;
                scope.spawn(move || some((leases + client) / CLIENTS))
            })
            .collect();
        giving.into_iter().map(|client| client.join().unwrap()).next_back().unwrap()
    })
}

impl Revocation {
    pub(crate) fn sentence(&self) -> String {
        let Self { leases, refused, reported, gone } = self;
        format!(
            "revocation of {leases} leases: the last refused after {refused:.0} ms, reported after {reported:.0} ms; \
             gone {gone:.0} ms after they were revoked by prefix"
        )
    }
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

const CLIENTS: usize = 16;
