//! The register of nodes on three servers: one name, one machine, whichever server is asked and whoever leads.

use std::thread;

use protocol::release::node_login_context;
use serde_json::{Value, json};
use simulator::snp::{Chip, Product};

use crate::cluster::{Cluster, rough};
use crate::machine::{Machine, challenge};
use crate::server::{Answer, Server, now};

fn login(seed: u64, server: &Server, name: &str) -> Answer {
    let chip = Chip::new(seed, Product::Genoa).at(now().0);
    let lists = vec![chip.crl().der()];
    let machine = Machine { chip, lists, ..Machine::good() };
    let challenge = challenge(server, "auth/attest");
    let context = node_login_context("auth/attest", "joined", name);
    let mut body = serde_json::to_value(machine.answer(&challenge, &context)).unwrap();
    body["role"] = Value::from("joined");
    body["node"] = Value::from(name);
    server.call("POST", "auth/attest/login", Some(&body), "")
}

/// Each machine asks one of the servers, all at once; the numbers of those that were admitted.
fn join(cluster: &Cluster, name: &str) -> Vec<u64> {
    let answers: Vec<(u64, Answer)> = thread::scope(|scope| {
        let ask = |(seed, server)| scope.spawn(move || (seed, login(seed, server, name)));
        let asking: Vec<_> = (500..506).zip(cluster.nodes().iter().cycle()).map(ask).collect();
        asking.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (admitted, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|(_, answer)| answer.status == 200);
    for (_, answer) in refused {
        assert_eq!(answer.failing(), ["node.machine"]);
    }
    admitted.into_iter().map(|(seed, _)| seed).collect()
}

#[test]
fn l15_of_machines_that_join_on_three_servers_one_has_the_name_under_the_next_leader_too() {
    let cluster = rough();
    cluster.settle();
    let role = json!({
        "policy": "simulated", "token_policies": ["machine"], "token_ttl_seconds": 600, "nodes": "first-come",
    });
    cluster.node(0).write("auth/attest/role/joined", &role).ok();
    let admitted = join(&cluster, "n1");
    assert_eq!(admitted.len(), 1, "{admitted:?}");
    let leader = cluster.leader();
    cluster.node(leader).write("sys/step-down", &json!({})).ok();
    cluster.settle();
    assert_eq!(join(&cluster, "n1"), admitted);
    // What one server forgets no other remembers.
    cluster.node(cluster.standbys()[0]).delete("auth/attest/node/n1").ok();
    let anew = join(&cluster, "n1");
    assert_eq!(anew.len(), 1, "{anew:?}");
}
