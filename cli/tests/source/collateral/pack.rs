//! Packs: made, looked into, verified, imported, and refused with the reason.

use serde_json::json;
use simulator::snp::Vendor;

use super::{Bench, chip, now, says, status};
use crate::server::Server;

/// Certificates and a list of one chip, in a folder.
fn collected() -> Bench {
    let bench = Bench::new();
    let chain = chip().chain();
    bench.put("fetched/vek/chip.der", &chain.vcek);
    bench.put("fetched/issuer/chain.pem", &super::service::pem(&[chain.ask, chain.ark]));
    bench.put("fetched/crl/list.der", &chip().crl().der());
    bench
}

fn packed() -> Bench {
    let bench = collected();
    let words = ["pack", "fetched", "--key", "packer.pem", "-o", "site.pack", "--note", "for the vault"];
    says(
        bench.run(None, &words),
        0,
        &["SIMULATED ROOTS", "PACKED: 3 objects, signed by ", "left out the root ARK-Genoa"],
    );
    bench
}

#[test]
fn a_pack_says_what_is_in_it_and_verifies_under_the_packers_key_alone() {
    let bench = packed();
    let verify = |words: &[&str]| bench.run(None, &[&["verify", "site.pack"], words].concat());
    says(
        verify(&["--signer", "packer.pub.pem"]),
        0,
        &["SIMULATED ROOTS", "ACCEPTED: 3 objects", "note       for the vault", "ARK-Genoa", "good until "],
    );
    says(verify(&["--signer", "stranger.pub.pem"]), 1, &["REFUSED: ", "not among the trusted ones"]);
    says(
        verify(&["--signer", "packer.pub.pem", "--at", "2099-01-01T00:00:00Z"]),
        1,
        &["REFUSED: 3 objects", "until"],
    );
    says(bench.run(None, &["show", "site.pack"]), 0, &["NOT VERIFIED: 3 objects", "ARK-Genoa"]);
    let mut bytes = std::fs::read(bench.path("site.pack")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    bench.put("site.pack", &bytes);
    says(verify(&["--signer", "packer.pub.pem"]), 1, &["REFUSED: "]);
    bench.put("site.pack", b"not a pack");
    says(verify(&["--signer", "packer.pub.pem"]), 2, &["not a signed collateral pack"]);
    says(bench.run(None, &["show", "site.pack"]), 2, &["not a signed collateral pack"]);
}

#[test]
fn what_no_vendor_signed_is_not_packed_and_no_file_is_overwritten() {
    let bench = packed();
    let pack = ["pack", "fetched", "--key", "packer.pem", "-o"];
    says(bench.run(None, &[&pack[..], &["site.pack"]].concat()), 2, &["site.pack"]);
    bench.put("fetched/crl/other.der", &chip().with_vendor(Vendor::Other).crl().der());
    says(bench.run(None, &[&pack[..], &["b.pack"]].concat()), 1, &["NOT PACKED", "snp.crl.signature"]);
    assert!(!bench.path("b.pack").exists());
    bench.put("fetched/crl/other.der", b"garbage");
    says(
        bench.run(None, &[&pack[..], &["b.pack"]].concat()),
        2,
        &["other.der: expected collateral, found text that is neither PEM nor DER, nor a JSON document"],
    );
}

#[test]
fn an_import_says_what_was_new_kept_or_refused_and_twice_changes_nothing() {
    let bench = packed();
    let server = Server::attesting();
    let pinned = json!({ "collateral_signers": [bench.packer()] });
    server.write("attest-keys/config/collateral-signers", &pinned).ok();
    let import = |file: &str| bench.run(Some(&server), &["import", file]);
    says(import("site.pack"), 0, &["IMPORTED: 3 new, 0 kept, 0 refused", "on record as "]);
    says(import("site.pack"), 0, &["IMPORTED: 0 new, 3 kept, 0 refused"]);
    let older = chip().crl().this_update(now() - 20 * 86_400).der();
    bench.put("old/list.der", &older);
    for (key, file) in [("packer.pem", "old.pack"), ("stranger.pem", "theirs.pack")] {
        let words = ["pack", "old", "fetched/issuer", "--key", key, "-o", file];
        says(bench.run(None, &words), 0, &["PACKED: 2 objects"]);
    }
    says(import("old.pack"), 1, &["0 new, 1 kept, 1 refused", "expected one issued after"]);
    says(import("theirs.pack"), 1, &["REFUSED: ", "not among the trusted ones"]);
    says(import("missing.pack"), 2, &["missing.pack"]);
    assert_eq!(status(&server)["kinds"]["crl"]["count"], 1);
    drop(server);
}
