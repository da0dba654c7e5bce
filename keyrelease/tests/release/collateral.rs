//! The collateral store: filled by what admitted machines bring, by packs and by operators; never by junk, never back.

use attest::Crypto;
use attest::collateral::{Pack, PackSigner};
use attest::crypto::AwsLcRs;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use protocol::release::{Base64, Presentation, open_context};
use serde_json::{Value, json};
use simulator::snp::{Chip, Product, Tcb};

use crate::machine::{Machine, challenge, present};
use crate::platforms::{Peer, td_platform};
use crate::server::{Answer, Server, chip, now};

/// Somebody who puts packs together.
pub(crate) struct Packer(Ed25519KeyPair);

impl Packer {
    pub(crate) fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }

    pub(crate) fn hex(&self) -> String {
        hex::encode(self.0.public_key())
    }

    pub(crate) fn pack(&self, objects: &[Vec<u8>]) -> Vec<u8> {
        let key = PackSigner(self.0.public_key().as_ref().try_into().unwrap());
        let objects = objects.iter().map(|object| (object.clone(), "the simulator".to_owned()));
        let pack = Pack::new(now(), "for a test", objects.collect()).unwrap();
        let signature = self.0.sign(&pack.to_be_signed(&key, &AwsLcRs).unwrap());
        pack.signed(&key, &AwsLcRs, signature.as_ref().to_vec()).unwrap()
    }
}

pub(crate) fn import_pack(server: &Server, pack: Vec<u8>) -> Answer {
    server.write("attest-keys/collateral/import", &json!({ "pack": Base64(pack) }))
}

pub(crate) fn import(server: &Server, objects: &[Vec<u8>]) -> Answer {
    let objects: Vec<Base64> = objects.iter().cloned().map(Base64).collect();
    server.write("attest-keys/collateral/import", &json!({ "objects": objects }))
}

pub(crate) fn status(server: &Server) -> Value {
    server.read("attest-keys/collateral/status").ok().json["data"].clone()
}

fn count(server: &Server, kind: &str) -> u64 {
    status(server)["kinds"][kind]["count"].as_u64().unwrap()
}

pub(crate) fn told(answer: Answer) -> [u64; 3] {
    let data = answer.ok().json["data"].clone();
    ["new", "kept", "refused"].map(|outcome| data[outcome].as_u64().unwrap())
}

/// A machine that brings nothing but its report.
pub(crate) fn bare() -> Machine {
    Machine { lists: vec![], certificates: Some(vec![]), ..Machine::good() }
}

fn of_chip(chip: &Chip) -> Vec<Vec<u8>> {
    vec![chip.vcek().der(), chip.ask().der(), chip.crl().der()]
}

#[test]
fn what_an_admitted_machine_brought_serves_the_next_that_brings_nothing() {
    let server = Server::start();
    let answer = bare().open(&server);
    assert!(answer.status == 400 && answer.errors().contains("missing endorsement"), "{answer:?}");
    assert_eq!(Machine::good().open(&server).status, 200);
    assert_eq!([count(&server, "vek"), count(&server, "issuer"), count(&server, "crl")], [1, 1, 1]);
    assert_eq!(bare().open(&server).status, 200);
    let entries = server.read("attest-keys/collateral/index/vek").ok().json["data"]["entries"].clone();
    assert_eq!(entries[0]["origin"], "client", "{entries}");
    // The auth mount has a store of its own.
    assert_eq!(bare().login(&server).status, 400);
}

#[test]
fn a_td_brings_intels_documents_once() {
    let server = Server::start();
    let td = || Peer::td(|quote| quote);
    let poor = Peer { certificates: vec![], lists: vec![], documents: vec![], ..td() };
    assert!(poor.open_on(&server).errors().contains("missing endorsement"));
    assert_eq!(td().open_on(&server).status, 200);
    assert_eq!(poor.open_on(&server).status, 200);
    for kind in ["issuer", "root-crl", "pck-crl", "tcb-info", "qe-identity"] {
        assert_eq!(count(&server, kind), 1, "{kind}");
    }
}

/// Only vendors' objects, only what the evidence asks for, only of machines that were admitted.
#[test]
fn neither_a_refused_machine_nor_junk_of_an_admitted_one_fills_the_store() {
    let server = Server::start();
    assert_eq!(Machine::spoiled(simulator::snp::ReportBuilder::debug).open(&server).status, 403);
    assert_eq!(count(&server, "vek"), 0);
    let other = Chip::new(8, Product::Genoa).at(now().0);
    let mut heap = Machine::good();
    let chain = heap.chip.chain();
    heap.certificates = Some(vec![chain.vcek, chain.ask, other.vcek().der(), chain.asvk, chain.ark]);
    assert_eq!(heap.open(&server).status, 200);
    assert_eq!([count(&server, "vek"), count(&server, "issuer"), count(&server, "crl")], [1, 1, 1]);
}

fn with_names(machine: &Machine, server: &Server, names: Vec<String>) -> Presentation {
    let challenge = challenge(server, "attest-keys");
    let full = machine.answer(&challenge, &open_context("attest-keys", "db"));
    let (certificates, revocation_lists) = (vec![], vec![]);
    Presentation { certificates, revocation_lists, collateral: names, ..full }
}

#[test]
fn an_unknown_digest_is_asked_for_before_anything_is_judged_and_the_challenge_stays_good() {
    let server = Server::start();
    let machine = Machine::good();
    let full = machine.answer(&challenge(&server, "attest-keys"), &open_context("attest-keys", "db"));
    let digest = |object: &Base64| AwsLcRs.sha256(&[&object.0]).to_string();
    let names: Vec<String> = full.certificates.iter().chain(&full.revocation_lists).map(digest).collect();
    let lean = Presentation {
        certificates: vec![],
        revocation_lists: vec![],
        collateral: names.clone(),
        ..full.clone()
    };
    let answer = present(&server, &lean);
    assert_eq!(answer.status, 400, "{answer:?}");
    assert_eq!(answer.json["data"]["unknown"], json!(names));
    assert_eq!(present(&server, &full).status, 200, "the challenge was not used up");
    assert_eq!(present(&server, &with_names(&machine, &server, names)).status, 200);
    // Hosts hand out the root too; nobody has to bring it.
    let root = std::fs::read(server.dir().join("ark.der")).unwrap();
    let root = AwsLcRs.sha256(&[&root]).to_string();
    assert_eq!(present(&server, &with_names(&machine, &server, vec![root])).status, 200);
    let odd = present(&server, &with_names(&machine, &server, vec!["00".to_owned()]));
    assert!(odd.status == 400 && odd.errors().starts_with("collateral: "), "{odd:?}");
    let heap = present(&server, &with_names(&machine, &server, vec!["00".repeat(32); 17]));
    assert_eq!(heap.errors(), "collateral: at most 16 digests");
}

/// A digest names collateral and nothing else that lies in storage under its digest, such as a policy.
#[test]
fn a_policy_cannot_be_named_by_its_digest() {
    let server = Server::start();
    let machine = Machine::good();
    assert_eq!(machine.open(&server).status, 200);
    let digest =
        server.read("attest-keys/policy/simulated").json["data"]["digest"].as_str().unwrap().to_owned();
    let answer = present(&server, &with_names(&machine, &server, vec![digest.clone()]));
    assert_eq!(answer.json["data"]["unknown"], json!([digest]));
    assert_eq!(server.read(&format!("attest-keys/collateral/object/{digest}")).status, 404);
}

#[test]
fn an_import_is_verified_told_object_by_object_on_record_and_idempotent() {
    let server = Server::start();
    let objects = of_chip(&chip());
    let answer = import(&server, &objects);
    let decision = answer.json["data"]["decision"].as_str().unwrap().to_owned();
    assert_eq!(told(answer), [3, 0, 0]);
    let record = server.read(&format!("attest-keys/record/{decision}")).ok();
    assert!(record.json["data"]["bundle"].is_string(), "{record:?}");
    let again = import(&server, &objects);
    assert_eq!(again.json["data"]["decision"], Value::Null, "nothing changed, nothing is recorded");
    assert_eq!(told(again), [0, 3, 0]);
    assert_eq!(bare().open(&server).status, 200);
    let sha256 = AwsLcRs.sha256(&[&objects[0]]).to_string();
    let object = server.read(&format!("attest-keys/collateral/object/{sha256}")).ok();
    assert_eq!(object.json["data"]["value"], json!(Base64(objects[0].clone())));
}

#[test]
fn one_object_that_no_vendor_signed_spoils_the_import() {
    let server = Server::start();
    let chip = chip();
    let other = chip.clone().with_vendor(simulator::snp::Vendor::Other);
    let junk = [
        (other.crl().der(), "snp.crl.signature"),
        (chip.ark().der(), "roots are pinned and not stored"),
        (chip.vcek().without(simulator::snp::oid::HWID).der(), "no hwID"),
        (b"{}".to_vec(), "expected"),
    ];
    for (object, why) in junk {
        let answer = import(&server, &[chip.ask().der(), chip.crl().der(), object]);
        assert!(answer.status == 400 && answer.errors().contains(why), "{why}: {answer:?}");
        assert!(answer.errors().contains("nothing was stored"));
        assert_eq!(answer.json["data"]["objects"].as_array().unwrap().len(), 1);
    }
    assert_eq!(count(&server, "issuer"), 0);
    // What lacks its issuer, or has ended, is refused by itself.
    let ended = Chip::new(7, Product::Genoa).at(now().0 - 90 * 86_400).crl().der();
    assert_eq!(told(import(&server, &[chip.vcek().der(), ended])), [0, 0, 2]);
}

#[test]
fn newer_replaces_older_and_older_never_newer() {
    let server = Server::start();
    let crl = |before: u64| chip().crl().this_update(now().0 - before).der();
    let (oldest, older, newer) = (crl(3000), crl(2000), crl(1000));
    assert_eq!(told(import(&server, std::slice::from_ref(&older))), [1, 0, 0]);
    assert_eq!(told(import(&server, std::slice::from_ref(&newer))), [1, 0, 0]);
    for old in [&oldest, &older] {
        let answer = import(&server, std::slice::from_ref(old));
        let why = answer.json["data"]["objects"][0]["why"].as_str().unwrap().to_owned();
        assert!(why.starts_with("expected one issued after "), "{why}");
        assert_eq!(told(answer), [0, 0, 1]);
    }
    let info = |edition, before| {
        td_platform()
            .tcb_info()
            .number("/tcbEvaluationDataNumber", edition)
            .issue_date(now().0 - before)
            .json()
    };
    let signer = td_platform().collateral().tcb_signing;
    assert_eq!(told(import(&server, &[signer, info(20, 500)])), [2, 0, 0]);
    let answer = import(&server, &[info(19, 10)]);
    let why = answer.json["data"]["objects"][0]["why"].clone();
    assert_eq!(why, "tcbEvaluationDataNumber: expected at least 20, found 19");
    // A machine that names the older list by its digest is served the newer one.
    let named = AwsLcRs.sha256(&[&older]).to_string();
    assert_eq!(
        present(&server, &{
            let full = Machine::good()
                .answer(&challenge(&server, "attest-keys"), &open_context("attest-keys", "db"));
            Presentation { revocation_lists: vec![], collateral: vec![named], ..full }
        })
        .status,
        200
    );
}

#[test]
fn an_operators_object_is_read_back_withdrawn_and_not_rolled_back_by_that() {
    let server = Server::start();
    let base64 = |der: Vec<u8>| json!({ "value": Base64(der) });
    let (old, new) =
        (chip().crl().this_update(now().0 - 2000).der(), chip().crl().this_update(now().0 - 1000).der());
    server.write("attest-keys/collateral/certificate/ask", &base64(chip().ask().der())).ok();
    server.write("attest-keys/collateral/crl/genoa", &base64(new.clone())).ok();
    let machine =
        || Machine { lists: vec![], certificates: Some(vec![chip().vcek().der()]), ..Machine::good() };
    assert_eq!(machine().open(&server).status, 200);
    assert_eq!(
        server.read("attest-keys/collateral/crl/genoa").json["data"]["value"],
        json!(Base64(new.clone()))
    );
    assert_eq!(server.list("attest-keys/collateral/crl").json["data"]["keys"], json!(["genoa"]));
    server.call("DELETE", "attest-keys/collateral/crl/genoa", None, "root").ok();
    assert!(machine().open(&server).errors().contains("missing endorsement: a revocation list"));
    let answer = server.write("attest-keys/collateral/crl/genoa", &base64(old));
    assert!(answer.status == 400 && answer.errors().contains("expected one issued after"), "{answer:?}");
    server.write("attest-keys/collateral/crl/genoa", &base64(new)).ok();
    assert_eq!(machine().open(&server).status, 200);
    let wrong = server.write("attest-keys/collateral/document/x", &json!({ "value": "{}" }));
    assert_eq!(wrong.status, 400);
    let swapped = server.write("attest-keys/collateral/crl/x", &base64(chip().ask().der()));
    assert_eq!(swapped.errors(), "expected a crl, found a certificate");
}

#[test]
fn where_signers_are_pinned_only_their_packs_are_taken() {
    let server = Server::start();
    let (packer, stranger) = (Packer::new(1), Packer::new(2));
    let objects = of_chip(&chip());
    assert_eq!(
        told(import_pack(&server, stranger.pack(&objects[..2]))),
        [2, 0, 0],
        "no signer is pinned yet"
    );
    let pinned = json!({ "collateral_signers": [packer.hex()] });
    server.write("attest-keys/config/collateral-signers", &pinned).ok();
    let shown =
        server.read("attest-keys/config/collateral-signers").json["data"]["collateral_signers"].clone();
    assert_eq!(shown, pinned["collateral_signers"]);
    let answer = import_pack(&server, stranger.pack(&objects));
    assert!(
        answer.status == 400 && answer.errors().contains("which is not among the trusted ones"),
        "{answer:?}"
    );
    let packs_only = "this mount takes collateral in signed packs only (config/collateral-signers)";
    assert_eq!(import(&server, &objects).errors(), packs_only);
    let single =
        server.write("attest-keys/collateral/crl/x", &json!({ "value": Base64(objects[2].clone()) }));
    assert_eq!(single.errors(), packs_only);
    let mut changed = packer.pack(&objects);
    let last = changed.len() - 1;
    changed[last] ^= 1;
    assert!(import_pack(&server, changed).errors().contains("does not verify"));
    let answer = import_pack(&server, packer.pack(&objects));
    assert!(answer.json["data"]["signer"].is_string(), "{answer:?}");
    assert_eq!(told(answer)[0], 1);
    // An admitted machine still brings its own.
    assert_eq!(Machine::good().open(&server).status, 200);
}

#[test]
fn a_full_store_says_so_and_takes_nothing_of_the_import() {
    let server = Server::start();
    let info = |number: u16| {
        let [high, low] = number.to_be_bytes();
        td_platform().with_fmspc([0, 0, 0, 0, high, low]).tcb_info().json()
    };
    let signer = td_platform().collateral().tcb_signing;
    let first: Vec<Vec<u8>> = (0..255).map(info).chain([signer]).collect();
    assert_eq!(told(import(&server, &first)), [256, 0, 0]);
    let answer = import(&server, &[info(300), info(301)]);
    assert_eq!(answer.errors(), "collateral: at most 256 of kind tcb-info; nothing was stored");
    assert_eq!(count(&server, "tcb-info"), 255);
    assert_eq!(told(import(&server, &[info(300)])), [1, 0, 0]);
    // A release goes on; what the machine brought is not kept.
    assert_eq!(Peer::td(|quote| quote).open_on(&server).status, 200);
    assert_eq!(count(&server, "tcb-info"), 256);
}

#[test]
fn the_status_tells_what_ends_soon_what_is_missing_and_how_the_refresh_went() {
    let server = Server::start();
    let soon = chip().crl().next_update(now().0 + 3600).der();
    import(&server, &[chip().ask().der(), chip().vcek().der(), soon]).ok();
    let found = status(&server);
    assert_eq!(found["expiring"][0]["key"], "ARK-Genoa", "{found}");
    assert_eq!(found["expiring_count"], 1);
    assert!(found["kinds"]["crl"]["seconds_left"].as_u64().unwrap() <= 3600);
    server.write("attest-keys/config/collateral", &json!({ "warn_before_seconds": 60 })).ok();
    assert_eq!(status(&server)["expiring_count"], 0);
    for odd in [json!({ "warn_before_seconds": 0 }), json!({ "warn_before_seconds": 60, "crl_max_age": 1 })] {
        assert_eq!(server.write("attest-keys/config/collateral", &odd).status, 400, "{odd}");
    }
    // A known chip with other firmware asks for a key that nobody has; an unknown chip is nobody's.
    let updated = chip().with_tcb(Tcb { microcode: 99, ..Product::Genoa.current_tcb() });
    for chip in [updated.clone(), Chip::new(99, Product::Genoa).at(now().0)] {
        let machine = Machine { chip, lists: vec![], certificates: Some(vec![]), ..Machine::good() };
        assert_eq!(machine.open(&server).status, 400);
    }
    let td = Peer { lists: vec![], documents: vec![], ..Peer::td(|quote| quote) };
    assert_eq!(td.open_on(&server).status, 400);
    let missing = status(&server)["missing"].clone();
    let missing: Vec<&str> =
        missing.as_array().unwrap().iter().map(|want| want["kind"].as_str().unwrap()).collect();
    assert_eq!(missing, ["vek", "issuer", "root-crl", "pck-crl", "tcb-info", "qe-identity"]);
    let report = json!({ "new": 2, "errors": ["kds: 429"] });
    server.write("attest-keys/collateral/status", &report).ok();
    let told = status(&server)["refresh"].clone();
    assert_eq!((&told["new"], &told["errors"]), (&json!(2), &json!(["kds: 429"])));
    assert!(told["at"].is_string());
}

#[test]
fn the_store_is_closed_without_a_token_and_survives_a_restart_of_the_plugin() {
    let server = Server::start();
    for (method, path) in [
        ("POST", "import"),
        ("GET", "status"),
        ("POST", "status"),
        ("GET", "index/vek"),
        ("GET", "object/00"),
    ] {
        let answer = server.call(method, &format!("attest-keys/collateral/{path}"), Some(&json!({})), "");
        assert_eq!(answer.status, 403, "{method} {path}: {answer:?}");
    }
    import(&server, &of_chip(&chip())).ok();
    for plugin in server.plugins() {
        std::process::Command::new("kill").args(["-9", &plugin]).status().unwrap();
    }
    // The request that finds the plugin gone may fail; a later one starts it again.
    while server.read("attest-keys/collateral/status").status != 200 {
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    assert_eq!(count(&server, "vek"), 1);
    assert_eq!(bare().open(&server).status, 200);
}
