//! Refreshes from services that answer well, badly, late or never.

use simulator::snp::Vendor;
use simulator::tdx::Ca;

use super::service::{Reply, Service, escaped, pem};
use super::{Bench, chip, import, intel, now, says, status};
use crate::guest::Guest;
use crate::server::Server;
use crate::told::Told;

const CHAIN: &str = "/vcek/v1/Genoa/cert_chain";
const LIST: &str = "/vcek/v1/Genoa/crl";

/// A service that has AMD's authority and list of one line.
fn amd() -> Service {
    let service = Service::start();
    let chain = chip().chain();
    service.says(CHAIN, &[Reply::Body(pem(&[chain.ask, chain.ark]))]);
    service.says(LIST, &[Reply::Body(chip().crl().der())]);
    service
}

fn refresh(bench: &Bench, server: &Server, service: &Service, words: &[&str]) -> Told {
    let source = format!("kds={}", service.address);
    let head = ["refresh", "--source", &source, "--source-ca", "ca.pem", "--patience", "20s"];
    bench.run(Some(server), &[&head[..], words].concat())
}

#[test]
fn what_vendors_serve_is_verified_imported_and_told() {
    let (bench, server, service) = (Bench::new(), Server::attest_simulated(), amd());
    let (ours, all) = (intel(), intel().collateral());
    let chain = |signer: &Vec<u8>| escaped(&[signer.clone(), all.root.clone()]);
    let with = |body: &Vec<u8>, name, signer| [Reply::Chain(body.clone(), name, chain(signer))];
    let tdx = "/tdx/certification/v4";
    service.says(&format!("{tdx}/tcb"), &with(&all.tcb_info, "TCB-Info-Issuer-Chain", &all.tcb_signing));
    let identity = with(&all.qe_identity, "SGX-Enclave-Identity-Issuer-Chain", &all.tcb_signing);
    service.says(&format!("{tdx}/qe/identity"), &identity);
    service.says("/IntelSGXRootCA.der", &[Reply::Body(all.root_crl.clone())]);
    // Platform and processor differ in the query alone, and are asked for in this order.
    let processor = ours.with_ca(Ca::Processor);
    let [first] = with(&all.pck_crl, "SGX-PCK-CRL-Issuer-Chain", &all.ca);
    let [second] = with(&processor.pck_crl().der(), "SGX-PCK-CRL-Issuer-Chain", &processor.ca().der());
    service.says("/sgx/certification/v4/pckcrl", &[first, second]);
    let pcs = format!("pcs={}", service.address);
    let words = ["--source", &pcs, "--line", "genoa", "--fmspc", "b0c06f000000", "--save", "saved"];
    says(
        refresh(&bench, &server, &service, &words),
        0,
        &["REFRESHED: 7 asked for, 10 fetched, 10 new, 0 kept"],
    );
    let found = status(&server);
    for kind in ["issuer", "crl", "root-crl", "pck-crl", "tcb-info", "qe-identity"] {
        assert_ne!(found["kinds"][kind]["count"], 0, "{kind}: {found}");
    }
    assert_eq!(found["refresh"]["new"], 10);
    // What was saved is a mirror: another site is served from it.
    let other = Server::attest_simulated();
    let words = ["--source", "mirror=saved", "--line", "genoa", "--fmspc", "b0c06f000000"];
    let head = ["refresh", "--source-ca", "ca.pem"];
    let words = [&head[..], &words].concat();
    says(bench.run(Some(&other), &words), 0, &["REFRESHED: 10 asked for, 10 fetched, 10 new, 0 kept"]);
}

#[test]
fn a_service_that_asks_for_patience_is_given_it_once_for_all() {
    let (bench, server, service) = (Bench::new(), Server::attest_simulated(), amd());
    let list = Reply::Body(chip().crl().der());
    service.says(LIST, &[Reply::Status(429, Some(1)), Reply::Status(503, Some(1)), list]);
    says(refresh(&bench, &server, &service, &["--line", "genoa"]), 0, &["2 new"]);
    assert_eq!(service.asked(), [CHAIN, LIST, LIST, LIST]);
    // Too long a wait is not waited, and the host is left alone for the rest of the round.
    let server = Server::attest_simulated();
    service.says(CHAIN, &[Reply::Status(429, Some(3600))]);
    let words =
        ["answered 429; to wait 3", "is too long for this round", "NOT ALL REFRESHED: 2 asked for, 0"];
    says(refresh(&bench, &server, &service, &["--line", "genoa"]), 1, &words);
    assert_eq!(service.asked(), [CHAIN]);
}

#[test]
fn what_is_garbage_forged_endless_or_not_there_is_told_and_nothing_of_it_stored() {
    let (bench, server, service) = (Bench::new(), Server::attest_simulated(), amd());
    let forged = chip().with_vendor(Vendor::Other).crl().der();
    let cases = [
        (Reply::Body(b"<html>".to_vec()), "crl ARK-Genoa: "),
        (Reply::Body(vec![]), "crl ARK-Genoa: "),
        (Reply::Body(forged), "snp.crl.signature"),
        (Reply::Body(chip().ask().der()), "the source answered with SEV-Genoa"),
        (Reply::Endless, "answered more than 1048576 bytes"),
        (Reply::Status(404, None), "kds: it has none"),
        (Reply::Status(302, None), "answered 302"),
    ];
    for (reply, words) in cases {
        service.says(LIST, &[reply]);
        says(refresh(&bench, &server, &service, &["--line", "genoa"]), 1, &["NOT ALL REFRESHED", words]);
        let found = status(&server);
        assert_eq!(found["kinds"]["crl"]["count"], 0, "{found}");
        assert!(found["refresh"]["errors"][0].as_str().unwrap().contains(words), "{found}");
    }
}

#[test]
fn a_service_that_goes_back_in_time_changes_nothing() {
    let (bench, server, service) = (Bench::new(), Server::attest_simulated(), amd());
    let list = |age: u64| chip().crl().this_update(now() - age).der();
    // Old enough to be asked for again.
    import(&server, &[chip().ask().der(), list(2 * 86_400)]);
    service.says(LIST, &[Reply::Body(list(3 * 86_400))]);
    says(refresh(&bench, &server, &service, &[]), 1, &["0 new", "expected one issued after"]);
    service.says(LIST, &[Reply::Body(list(86_400))]);
    says(refresh(&bench, &server, &service, &[]), 0, &["1 asked for, 1 fetched, 1 new, 0 kept"]);
    assert_eq!(status(&server)["refresh"]["errors"], serde_json::json!([]));
}

#[test]
fn sources_go_away_and_come_back_and_the_machine_that_waited_is_released_to() {
    let (bench, server, service) = (Bench::new(), Server::attesting(), amd());
    import(&server, &[chip().vcek().der(), chip().ask().der()]);
    let guest = Guest::on(1);
    let missing = |answer: crate::server::Answer| {
        assert_eq!(answer.status, 400, "{answer:?}");
        let words = answer.json["errors"].to_string();
        assert!(words.contains("missing endorsement: a revocation list"), "{words}");
    };
    missing(guest.open_bare(&server));
    service.says(LIST, &[Reply::Status(503, Some(900))]);
    let words = ["NOT ALL REFRESHED: 1 asked for, 0 fetched", "crl ARK-Genoa: kds: answered 503"];
    says(refresh(&bench, &server, &service, &[]), 1, &words);
    missing(guest.open_bare(&server));
    service.says(LIST, &[Reply::Status(429, Some(1)), Reply::Body(chip().crl().der())]);
    says(refresh(&bench, &server, &service, &[]), 0, &["REFRESHED: 1 asked for, 1 fetched, 1 new, 0 kept"]);
    guest.open_bare(&server).ok();
    assert_eq!(status(&server)["missing"], serde_json::json!([]));
}

#[test]
fn a_source_that_cannot_be_trusted_is_not_asked() {
    let (bench, server) = (Bench::new(), Server::attest_simulated());
    let refused =
        |source: &str| bench.run(Some(&server), &["refresh", "--source", source, "--source-ca", "ca.pem"]);
    says(refused("kds=http://kds.example"), 2, &["expected https", "--insecure-http allows it"]);
    says(refused("mirror=/nowhere"), 2, &["--source mirror=/nowhere: expected a directory, found none"]);
    says(refused("ftp=x"), 2, &["expected kds=URL, pcs=URL, pccs=URL or mirror=DIR|URL"]);
    let status = ["refresh", "--status", "none.json"];
    says(bench.run(None, &status), 2, &["--save"]);
}
