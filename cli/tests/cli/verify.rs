//! `attest verify`: each exit code, and what is said with it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use simulator::snp::ReportBuilder;

use crate::document::policy;
use crate::machine::{Machine, NOW, data};
use crate::run::{Ran, cloudtaser, cloudtaser_with};

#[test]
fn a_genuine_machine_that_the_policy_allows_is_accepted() {
    let answer = Machine::new().appraise(&["--nonce", &"07".repeat(32)]).ends(0).json();
    assert_eq!(answer["verdict"], "accepted");
    assert_eq!(answer["roots"], "simulated");
    assert_eq!(answer["platform"], "sev-snp");
    assert_eq!(answer["at"], NOW);
    assert_eq!(answer["judged"], json!(["genuineness", "revocation", "binding", "policy"]));
    assert_eq!(answer["policy"]["name"], "simulated");
    assert_eq!(answer["policy"]["version"], 7);
    assert_eq!(answer["claims"]["measurement"], "5a".repeat(48));
    assert_eq!(answer["claims"]["vek"]["kind"], "vcek");
    assert!(answer.get("error").is_none());
    let checks = answer["checks"].as_array().unwrap();
    assert!(checks.len() > 50);
    for check in checks {
        let mut keys: Vec<&String> = check.as_object().unwrap().keys().collect();
        keys.sort();
        assert_eq!(keys, ["expected", "found", "id", "verdict"]);
        assert_eq!(check["verdict"], "pass", "{check}");
    }
}

#[test]
fn a_verdict_under_simulated_roots_says_so_first_and_last() {
    let machine = Machine::new();
    for more in [vec!["--policy", "policy.toml"], vec![]] {
        let more: Vec<String> = more
            .iter()
            .map(|word| if *word == "policy.toml" { machine.path(word) } else { (*word).to_owned() })
            .collect();
        let ran = machine.verify(&more.iter().map(String::as_str).collect::<Vec<_>>()).ends(0);
        let mark = "SIMULATED ROOTS: no hardware vendor stands behind this verdict";
        assert_eq!((ran.lines()[0], *ran.lines().last().unwrap()), (mark, mark));
    }
}

#[test]
fn without_a_policy_the_answer_says_that_nothing_was_appraised() {
    let ran = Machine::reporting(ReportBuilder::debug).verify(&[]).ends(0);
    assert!(ran.lines()[1].starts_with("ACCEPTED: genuine sev-snp evidence, not appraised"), "{}", ran.out);
    assert!(ran.out.contains("\nnot appraised: without --policy"), "{}", ran.out);
    assert!(ran.out.contains("\nfreshness not judged: "), "{}", ran.out);
    let answer = Machine::new().verify(&["-o", "json"]).ends(0).json();
    assert_eq!((&answer["policy"], &answer["judged"]), (&Value::Null, &json!(["genuineness", "revocation"])));
}

#[test]
fn a_debug_guest_is_refused_by_name() {
    let machine = Machine::reporting(ReportBuilder::debug);
    assert_eq!(machine.appraise(&[]).ends(1).failing(), ["snp.policy.debug"]);
    let text = machine.verify(&["--policy", &machine.path("policy.toml")]).ends(1);
    let check = "fail    snp.policy.debug\n        expected  clear\n        found     set\n";
    assert!(text.out.contains(check), "{}", text.out);
    assert!(text.lines()[1].starts_with("REFUSED: sev-snp evidence, 1 of "), "{}", text.out);
}

#[test]
fn two_faults_are_two_entries() {
    let machine = Machine::reporting(|report| report.debug().vmpl(2));
    let failing = machine.appraise(&["--nonce", "08"]).ends(1).failing();
    assert_eq!(failing, ["snp.vmpl", "snp.policy.debug", "binding.nonce"]);
}

#[test]
fn another_root_is_refused_and_named() {
    let machine = Machine::new();
    let (report, certs) = (machine.path("report.bin"), machine.path("certs"));
    let words = ["attest", "verify", &report, "--endorsements", &certs, "--at", NOW, "-o", "json"];
    let vendor = cloudtaser(&words).ends(1);
    assert_eq!(vendor.json()["roots"], "vendor");
    assert!(vendor.failing().contains(&"snp.chain.intermediate_signature".to_owned()), "{}", vendor.out);
    assert_eq!(vendor.json()["claims"], Value::Null);
    let other =
        cloudtaser(&[&words[..], &["--insecure-trust-root", &machine.path("other-ark.der")]].concat())
            .ends(1);
    assert!(other.failing().contains(&"snp.chain.intermediate_signature".to_owned()), "{}", other.out);
}

#[test]
fn a_policy_that_does_not_name_simulated_roots_refuses_them() {
    let machine = Machine::new();
    let line = "insecure-accept-simulated-roots = false";
    machine.write("policy.toml", policy(&[("insecure-accept-simulated-roots", line)]).as_bytes());
    assert_eq!(machine.appraise(&[]).ends(1).failing(), ["roots.accepted"]);
}

#[test]
fn a_report_that_was_changed_after_signing_is_refused() {
    let machine = Machine::new();
    let mut report = std::fs::read(machine.path("report.bin")).unwrap();
    report[0x90] ^= 1;
    machine.write("report.bin", &report);
    assert_eq!(machine.verify(&["-o", "json"]).ends(1).failing(), ["snp.signature"]);
}

#[test]
fn the_nonce_is_the_beginning_of_the_report_data_and_zeros_follow() {
    let machine = Machine::new();
    let nonce = |hex: &str| machine.verify(&["--nonce", hex, "-o", "json"]);
    nonce(&"07".repeat(32)).ends(0);
    nonce(&hex::encode(data())).ends(0);
    for wrong in ["07".repeat(31), "07".repeat(33), "00".repeat(32), "07".repeat(16)] {
        let ran = nonce(&wrong).ends(1);
        assert_eq!(ran.failing(), ["binding.nonce"]);
        let check = ran.json()["checks"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(check["expected"], format!("{wrong}, then zeros"));
        assert_eq!(check["found"], hex::encode(data()));
    }
}

#[test]
fn report_data_is_compared_whole() {
    let machine = Machine::new();
    let compare = |hex: &str| machine.verify(&["--report-data", hex, "-o", "json"]);
    compare(&hex::encode(data())).ends(0);
    assert_eq!(compare(&"07".repeat(64)).ends(1).failing(), ["binding.report_data"]);
    let short = compare(&"07".repeat(32)).ends(2).json();
    assert_eq!(short["error"]["code"], "option.report_data");
    assert_eq!(short["error"]["message"], "--report-data: expected 64 bytes for sev-snp, found 32");
}

#[test]
fn missing_endorsements_are_no_verdict() {
    let machine = Machine::new();
    machine.remove("certs/vcek.der");
    let answer = machine.appraise(&[]).ends(2).json();
    assert_eq!(
        (&answer["verdict"], &answer["error"]["code"]),
        (&json!("not-judged"), &json!("endorsement.missing"))
    );
    assert_eq!((&answer["checks"], &answer["claims"]), (&json!([]), &Value::Null));
    assert!(answer["error"]["message"].as_str().unwrap().contains("a VCEK certificate for chip "));
    machine.write("certs/vcek.der", &machine.chip.chain().vcek);
    machine.remove("certs/crl.der");
    let text = machine.verify(&[]).ends(2);
    assert_eq!(text.out, "");
    assert_eq!(
        text.err,
        "not judged: missing endorsement: a revocation list of the root (endorsement.missing)\n"
    );
}

#[test]
fn a_waived_revocation_list_is_shown_and_every_policy_refuses_it() {
    let machine = Machine::new();
    machine.remove("certs/crl.der");
    let ran = machine.verify(&["--insecure-no-revocation"]).ends(0);
    assert!(ran.out.contains("\nwaived  snp.crl.current\n"), "{}", ran.out);
    assert!(ran.out.contains("\nrevocation not judged: "), "{}", ran.out);
    assert_eq!(machine.appraise(&["--insecure-no-revocation"]).ends(1).failing(), ["snp.crl.present"]);
}

#[test]
fn a_second_past_the_revocation_list_is_refused() {
    let machine = Machine::new();
    machine.verify_at("2026-12-20T23:59:59Z", &[]).ends(0);
    let ran = machine.verify_at("2026-12-21T00:00:00Z", &["-o", "json"]).ends(1);
    assert_eq!(ran.failing(), ["snp.crl.current"]);
}

#[test]
fn a_revoked_chip_is_refused() {
    let machine = Machine::new();
    machine.write("certs/crl.der", &machine.chip.crl().revoke(0x20002).der());
    assert_eq!(machine.verify(&["-o", "json"]).ends(1).failing(), ["snp.crl.intermediate"]);
}

#[test]
fn an_expired_policy_refuses() {
    let machine = Machine::new();
    machine.write("policy.toml", policy(&[("expires", &format!("expires = {NOW:?}"))]).as_bytes());
    assert_eq!(machine.appraise(&[]).ends(1).failing(), ["policy.current"]);
}

#[test]
fn a_policy_that_is_none_is_no_verdict() {
    let machine = Machine::new();
    let code = |text: &[u8]| {
        machine.write("policy.toml", text);
        machine.appraise(&[]).ends(2).json()["error"]["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(code(b"name = "), "policy.malformed");
    assert_eq!(code(b""), "policy.malformed");
    assert_eq!(code(&[0xff, 0xfe]), "policy.malformed");
    assert_eq!(code(policy(&[("chips", "chip = \"any\"")]).as_bytes()), "policy.malformed");
    assert_eq!(code(policy(&[]).split("[snp]").next().unwrap().as_bytes()), "policy.empty");
    assert_eq!(code(&vec![b'#'; 256 * 1024 + 1]), "input.too_long");
}

#[test]
fn an_absent_or_oversized_file_is_no_verdict() {
    let machine = Machine::new();
    let code = |path: &str| {
        cloudtaser(&["attest", "verify", path, "-o", "json"]).ends(2).json()["error"]["code"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(code(&machine.path("absent")), "input.unreadable");
    assert_eq!(code(machine.dir().to_str().unwrap()), "input.unreadable");
    assert_eq!(code(&machine.write("long", &vec![0; 16 * 1024 * 1024 + 1])), "input.too_long");
    assert_eq!(code("/dev/zero"), "input.too_long");
}

#[test]
fn a_file_that_is_no_endorsement_is_named() {
    let machine = Machine::new();
    machine.write("certs/notes.txt", b"hello");
    machine.write("certs/empty", b"");
    let error = machine.appraise(&[]).ends(2).json()["error"].clone();
    assert_eq!(error["code"], "endorsement.unrecognised");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("notes.txt: ") && message.contains("empty: an empty file"), "{message}");
    for (name, bytes) in [
        ("key.pem", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_vec()),
        ("twice.der", [machine.chip.chain().ask, machine.chip.chain().ark].concat()),
    ] {
        let ran = machine.verify(&["--endorsements", &machine.write(name, &bytes)]).ends(2);
        assert!(ran.err.contains(name), "{}", ran.err);
    }
}

#[test]
fn endorsements_come_as_pem_or_as_a_certificate_table_too() {
    let machine = Machine::new();
    let chain = machine.chip.chain();
    let pem = [
        pem("CERTIFICATE", &chain.ask),
        pem("CERTIFICATE", &chain.vcek),
        pem("X509 CRL", &machine.chip.crl().der()),
    ];
    let pem = machine.write("chain.pem", pem.concat().as_bytes());
    let table = machine.write("auxblob", &machine.chip.cert_table().encode());
    let (report, ark, crl) =
        (machine.path("report.bin"), machine.path("ark.der"), machine.path("certs/crl.der"));
    let verify = |more: &[&str]| -> Ran {
        cloudtaser(
            &[&["attest", "verify", &report, "--insecure-trust-root", &ark, "--at", NOW], more].concat(),
        )
    };
    verify(&["--endorsements", &pem]).ends(0);
    verify(&["--endorsements", &table, &crl]).ends(0);
    verify(&["--endorsements", &table, "--endorsements", &crl]).ends(0);
}

#[test]
fn evidence_comes_from_standard_input_too() {
    let machine = Machine::new();
    let report = std::fs::read(machine.path("report.bin")).unwrap();
    let (certs, ark) = (machine.path("certs"), machine.path("ark.der"));
    let words =
        ["attest", "verify", "--endorsements", &certs, "--insecure-trust-root", &ark, "--at", NOW, "-"];
    cloudtaser_with(&words, &report).ends(0);
}

#[test]
fn misspelt_words_are_no_verdict() {
    for words in [
        &["attest", "verify"][..],
        &["attest", "verify", "x", "--at", "yesterday"],
        &["attest", "verify", "x", "--nonce", "zz"],
        &["attest", "verify", "x", "--nonce", ""],
        &["attest", "verify", "x", "--platform", "tdx"],
        &["attest", "verify", "x", "--enrolled-ak", "000b"],
        &["attest", "vrfy"],
    ] {
        assert!(!cloudtaser(words).ends(2).err.is_empty());
    }
}

#[test]
fn help_and_version_are_answers() {
    assert!(cloudtaser(&["--version"]).ends(0).out.starts_with("cloudtaser 0."));
    let help = cloudtaser(&["attest", "verify", "--help"]).ends(0).out;
    assert!(help.contains("Examples:") && help.contains("Exit codes:"), "{help}");
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}
