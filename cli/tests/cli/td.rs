//! `attest verify` and `attest inspect` of TD quotes: with Intel's collateral, without it, with padding.

use serde_json::json;
use simulator::tdx::{Body, Platform, QuoteBuilder};
use tempfile::TempDir;

use crate::machine::NOW;
use crate::run::{Ran, cloudtaser};

/// A TD's quote, the collateral that it is judged by, and a policy that allows it.
struct Td {
    dir: TempDir,
}

impl Td {
    fn quoting(change: impl FnOnce(QuoteBuilder) -> QuoteBuilder) -> Self {
        let platform = Platform::new(1);
        let found = platform.collateral();
        let td = Self { dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir(td.dir.path().join("collateral")).unwrap();
        let quote = change(platform.quote().body(Body::Td15).report_data([7; 64])).sign();
        let files: [(&str, &[u8]); 8] = [
            ("quote.bin", &quote),
            ("root.der", &found.root),
            ("policy.toml", include_bytes!("../../../attest/benches/td/policy.toml")),
            ("collateral/signer.der", &found.tcb_signing),
            ("collateral/root.crl", &found.root_crl),
            ("collateral/pck.crl", &found.pck_crl),
            ("collateral/tcb.json", &found.tcb_info),
            ("collateral/qe.json", &found.qe_identity),
        ];
        for (name, bytes) in files {
            std::fs::write(td.dir.path().join(name), bytes).unwrap();
        }
        td
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn verify(&self, more: &[&str]) -> Ran {
        let (quote, root) = (self.path("quote.bin"), self.path("root.der"));
        let words = ["attest", "verify", &quote, "--insecure-trust-root", &root, "--at", NOW];
        cloudtaser(&[&words[..], more].concat())
    }

    fn with_collateral(&self, more: &[&str]) -> Ran {
        let (collateral, policy) = (self.path("collateral"), self.path("policy.toml"));
        let words = ["--endorsements", &collateral, "--policy", &policy, "-o", "json"];
        self.verify(&[&words[..], more].concat())
    }
}

#[test]
fn a_td_with_collateral_that_the_policy_allows_is_accepted() {
    let answer = Td::quoting(|quote| quote).with_collateral(&["--nonce", &"07".repeat(64)]).ends(0).json();
    assert_eq!((&answer["verdict"], &answer["platform"]), (&json!("accepted"), &json!("tdx")));
    assert_eq!(answer["judged"], json!(["genuineness", "revocation", "binding", "policy"]));
    assert_eq!(answer["claims"]["platform"]["tcb"]["status"], "UpToDate");
    assert_eq!(answer["claims"]["report"]["mrtd"], "7d".repeat(48));
}

#[test]
fn a_debug_td_is_refused_by_name() {
    let debug = Td::quoting(QuoteBuilder::debug);
    assert_eq!(debug.with_collateral(&[]).ends(1).failing(), ["tdx.attributes.debug"]);
}

#[test]
fn without_collateral_what_the_quote_brings_is_checked_and_what_is_missing_is_named() {
    let td = Td::quoting(|quote| quote);
    let answer = td.verify(&["-o", "json"]).ends(2).json();
    assert_eq!(
        (&answer["verdict"], &answer["error"]["code"]),
        (&json!("not-judged"), &json!("endorsement.missing"))
    );
    let ids: Vec<&str> =
        answer["checks"].as_array().unwrap().iter().map(|check| check["id"].as_str().unwrap()).collect();
    for id in ["tdx.quote.signature", "tdx.qe.signature", "tdx.qe.key", "tdx.chain.pck_signature"] {
        assert!(ids.contains(&id), "{id} is not in {ids:?}");
    }
    assert_eq!((&answer["judged"], &answer["claims"]), (&json!(["genuineness"]), &json!(null)));
    let text = td.verify(&[]).ends(2);
    assert!(text.lines()[1].starts_with("NOT JUDGED: "), "{}", text.out);
    for missing in [
        "TCB info of TDX for FMSPC b0c06f000000",
        "QE identity",
        "Intel SGX TCB Signing",
        "Intel SGX Root CA",
    ] {
        assert!(text.out.contains(missing), "{missing}: {}", text.out);
    }
}

#[test]
fn without_collateral_a_forged_quote_and_a_debug_td_are_refused_all_the_same() {
    let forged = Td::quoting(|quote| quote.qe_auth(b"another"));
    std::fs::write(forged.path("quote.bin"), {
        let mut quote = std::fs::read(forged.path("quote.bin")).unwrap();
        quote[200] ^= 1;
        quote
    })
    .unwrap();
    assert_eq!(forged.verify(&["-o", "json"]).ends(1).failing(), ["tdx.quote.signature"]);
    let debug = Td::quoting(QuoteBuilder::debug);
    let policy = debug.path("policy.toml");
    let refused = debug.verify(&["--policy", &policy, "-o", "json"]).ends(1);
    assert_eq!(refused.failing(), ["tdx.attributes.debug"]);
}

#[test]
fn padding_after_a_quote_is_cut_off_and_said() {
    let padded = Td::quoting(|quote| quote.trailing(&[0; 70]));
    let text = padded.verify(&["--endorsements", &padded.path("collateral")]).ends(0);
    assert!(text.out.contains("cut: 70 bytes after the quote were left out"), "{}", text.out);
    let shown = cloudtaser(&["attest", "inspect", &padded.path("quote.bin")]).ends(0);
    assert!(shown.out.contains("cut: 70 bytes"), "{}", shown.out);
}

#[test]
fn inspect_shows_the_td_its_platform_and_the_documents() {
    let td = Td::quoting(|quote| quote.body(Body::Td15Ex));
    let quote = cloudtaser(&["attest", "inspect", &td.path("quote.bin")]).ends(0);
    for shown in ["TDX 1.5-ex, 885 bytes", "bit 28 SEPT_VE_DISABLE", "service TDs now", "b0c06f000000"] {
        assert!(quote.out.contains(shown), "{shown}: {}", quote.out);
    }
    let info = cloudtaser(&["attest", "inspect", &td.path("collateral/tcb.json")]).ends(0);
    assert!(info.out.contains("tcbEvaluationDataNumber  20"), "{}", info.out);
}
