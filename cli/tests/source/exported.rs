//! `evidence log export|verify|recall` and `evidence verify` on the log of a real server.

use std::fs;

use serde_json::json;
use tempfile::TempDir;

use crate::guest::Guest;
use crate::server::Server;
use crate::standing::{run, says};

fn key(server: &Server, mount: &str) -> String {
    let answer = server.read(&format!("{mount}/log/key")).ok();
    answer.json["data"]["verifier_key"].as_str().unwrap().to_owned()
}

#[test]
fn the_log_of_a_real_server_is_followed_verified_and_recalled_and_an_edit_is_found() {
    let (server, dir) = (Server::attesting(), TempDir::new().unwrap());
    let folder = dir.path().join("log").display().to_string();
    let key = key(&server, "attest-keys");
    let export = ["evidence", "log", "export", &folder, "--key", &key];
    says(run(&server, "root", &export), 0, &["ACCEPTED: nothing was logged yet"]);
    let decision = Guest::on(1).open(&server).ok().json["data"]["decision"].as_str().unwrap().to_owned();
    assert_eq!(Guest::measuring(1, [7; 48]).open(&server).status, 403);
    says(
        run(&server, "root", &export),
        0,
        &["ACCEPTED: 2 entries of openbao/", "2 of them new, 0 of these without"],
    );
    Guest::on(2).open(&server).ok();
    let revocation =
        server.write("attest-keys/revoke", &json!({ "selector": "platform=tdx", "reason": "x" })).ok();
    says(
        run(&server, "root", &export),
        0,
        &["ACCEPTED: 4 entries of openbao/", "2 of them new, 0 of these without"],
    );
    let verify = ["evidence", "log", "verify", &folder, "--key", &key];
    says(run(&server, "", &verify), 0, &["4 as logged"]);
    let recall = ["evidence", "log", "recall", &folder, "product-line=Genoa", "--key", &key];
    says(run(&server, "", &recall), 0, &["2 releases of 1 secrets to 2 machines"]);
    let record = format!("{folder}/records/{decision}.cbor");
    let public = server.read("attest-keys/config/verifier-key").ok();
    let signer = dir.path().join("verifier.hex").display().to_string();
    fs::write(&signer, public.json["data"]["public_key"].as_str().unwrap()).unwrap();
    let root = server.dir.path().join("root0.der").display().to_string();
    let audit = ["evidence", "verify", &record, "--verifier-key", &signer, "--log-key", &key];
    says(
        run(&server, "", &[&audit[..], &["--insecure-trust-root", &root]].concat()),
        0,
        &["SIMULATED ROOTS"],
    );
    let revocation = revocation.json["data"]["decision"].as_str().unwrap();
    let revocation = format!("{folder}/records/{revocation}.cbor");
    let other = ["evidence", "verify", &revocation, "--verifier-key", &signer];
    says(
        run(&server, "", &other),
        2,
        &[
            "not judged: a record of a revocation, not of a decision to replay: `evidence log verify` holds it",
        ],
    );
    // Another mount's key does not speak for this log.
    let other = self::key(&server, "auth/attest");
    let foreign = ["evidence", "log", "verify", &folder, "--key", &other];
    assert_ne!(run(&server, "", &foreign).code, 0);
    let held = fs::read(&record).unwrap();
    fs::write(&record, fs::read(&record).unwrap().iter().rev().copied().collect::<Vec<_>>()).unwrap();
    says(run(&server, "", &verify), 1, &["the record of entry 0 is another file"]);
    fs::write(&record, held).unwrap();
    says(run(&server, "", &verify), 0, &[]);
    let entries = dir.path().join("log/tile/entries/000.p/4");
    let mut bytes = fs::read(&entries).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&entries, bytes).unwrap();
    assert_eq!(run(&server, "", &verify).code, 1);
}
