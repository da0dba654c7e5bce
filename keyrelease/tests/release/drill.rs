//! The drill: no vendor can be reached, machines bring nothing, and releases go on until collateral is too old; then
//! they are refused with the reason, and a pack brings them back.
//!
//! No clock is faked: lists and documents are made so that they grow too old while the test waits.

use std::time::Duration;

use serde_json::json;
use simulator::snp::{Chip, CrlBuilder};

use crate::collateral::{Packer, bare, import_pack, status, told};
use crate::platforms::{Peer, td_platform};
use crate::server::{Answer, Server, chip, now, policy};

const DAY: u64 = 86_400;

/// Has releases go on with what is in store, waits until `id` refuses, and has a pack bring them back.
fn drill(server: &Server, packer: &Packer, first: &[Vec<u8>], then: impl Fn() -> Vec<u8>, id: &str) {
    import_pack(server, packer.pack(first)).ok();
    assert_eq!(bare().open(server).status, 200, "{id}: releases go on");
    assert_eq!(first_refusal(|| bare().open(server)).failing(), [id]);
    assert_eq!(told(import_pack(server, packer.pack(&[then()]))), [1, 0, 0]);
    assert_eq!(bare().open(server).status, 200, "{id}: the pack brings them back");
}

/// Asks until it is refused. What ends between the verdict and the sealing is told in other words.
fn first_refusal(open: impl Fn() -> Answer) -> Answer {
    loop {
        let answer = open();
        if answer.status == 403 {
            return answer;
        }
        assert!(answer.status == 200 || answer.errors().contains("before anything was sealed"), "{answer:?}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn server_with(freshness: &str) -> (Server, Packer) {
    let (server, packer) = (Server::start(), Packer::new(7));
    let strict = policy(2).replace("collateral_days = 30", freshness);
    assert!(strict.contains(freshness));
    server.write("attest-keys/policy/simulated", &json!({ "policy": strict })).ok();
    let pinned = json!({ "collateral_signers": [packer.hex()] });
    server.write("attest-keys/config/collateral-signers", &pinned).ok();
    (server, packer)
}

fn with_list(list: &CrlBuilder) -> Vec<Vec<u8>> {
    let chip: Chip = chip();
    vec![chip.vcek().der(), chip.ask().der(), list.der()]
}

#[test]
fn releases_go_on_without_sources_until_the_lists_max_age_and_a_pack_brings_them_back() {
    let (server, packer) = server_with("collateral_days = 30\ncrl_days = 1");
    let list = chip().crl().this_update(now().0 - DAY + SOON);
    drill(
        &server,
        &packer,
        &with_list(&list),
        || chip().crl().this_update(now().0 - 60).der(),
        "snp.crl.age",
    );
    // What ended is not brought back by rolling back.
    let before = chip().crl().this_update(now().0 - DAY + SOON - 100).der();
    assert_eq!(told(import_pack(&server, packer.pack(&[before]))), [0, 0, 1]);
    assert_eq!(bare().open(&server).status, 200);
}

#[test]
fn releases_go_on_without_sources_until_the_lists_next_update_and_a_pack_brings_them_back() {
    let (server, packer) = server_with("collateral_days = 30");
    let list = chip().crl().next_update(now().0 + SOON);
    drill(
        &server,
        &packer,
        &with_list(&list),
        || chip().crl().this_update(now().0 - 60).der(),
        "snp.crl.current",
    );
    let found = status(&server);
    assert_eq!(found["kinds"]["crl"]["ended"], 0, "{found}");
}

#[test]
fn tds_are_released_to_without_sources_until_intels_word_is_too_old() {
    let (server, packer) = (Server::start(), Packer::new(7));
    let intel = td_platform();
    let issued = now().0 - DAY + SOON;
    let collateral = intel.collateral();
    let td = Peer { certificates: vec![], lists: vec![], documents: vec![], ..Peer::td(|quote| quote) };
    let first = [
        collateral.tcb_signing,
        collateral.root_crl,
        collateral.pck_crl,
        collateral.ca,
        intel.tcb_info().next_update(now().0 + SOON).issue_date(issued).json(),
        collateral.qe_identity,
    ];
    import_pack(&server, packer.pack(&first)).ok();
    assert_eq!(td.open_on(&server).status, 200);
    assert_eq!(first_refusal(|| td.open_on(&server)).failing(), ["tdx.tcb_info.current"]);
    let newer = intel.tcb_info().issue_date(now().0 - 60).json();
    assert_eq!(told(import_pack(&server, packer.pack(&[newer]))), [1, 0, 0]);
    assert_eq!(td.open_on(&server).status, 200);
}

/// Seconds until what is short-lived here ends: enough for the first release on a busy machine.
const SOON: u64 = 25;
