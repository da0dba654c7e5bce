//! What is refused, by exactly which checks, with a record that replays.

use attest::crypto::AwsLcRs;
use protocol::release::{Base64, open_context};
use simulator::snp::{Chip, Product, ReportBuilder, Tcb, Vendor};

use crate::admission::{anchors, record};
use crate::machine::{Key, Machine, challenge, present};
use crate::server::{Answer, SECRET, Server, barren, now, shared};

/// Asserts a refusal by exactly these checks, that nothing of a secret is in it, and that its record
/// replays offline to the same bytes.
#[track_caller]
fn refused_by(answer: &Answer, ids: &[&str]) {
    refused_on(shared(), answer, ids);
}

/// The same of another server's answer.
#[track_caller]
fn refused_on(server: &Server, answer: &Answer, ids: &[&str]) {
    assert_eq!(answer.failing(), ids, "{answer:?}");
    assert!(!answer.json.to_string().contains(SECRET));
    assert!(answer.json["data"].get("ciphertext").is_none());
    for check in answer.json["data"]["failing"].as_array().unwrap() {
        assert_ne!(check["expected"], "", "{check}");
        assert_ne!(check["found"], "", "{check}");
    }
    let decision = answer.json["data"]["decision"].as_str().unwrap();
    let bundle = record(server, "attest-keys", "record", decision);
    assert!(bundle.replay(&AwsLcRs, &anchors()).unwrap().identical);
    assert!(!bundle.appraisal.admits());
}

#[test]
fn a_debug_guest_is_refused() {
    refused_by(&Machine::spoiled(ReportBuilder::debug).open(shared()), &["snp.policy.debug"]);
}

#[test]
fn another_image_is_refused() {
    let other = Machine::spoiled(|report| report.measurement([1; 48]));
    refused_by(&other.open(shared()), &["snp.measurement"]);
}

#[test]
fn two_faults_are_two_entries() {
    let both = Machine::spoiled(|report| report.measurement([1; 48]).debug());
    refused_by(&both.open(shared()), &["snp.measurement", "snp.policy.debug"]);
}

/// Lessons L1 and L2: an answer counts once.
#[test]
fn l01_a_challenge_that_was_answered_is_refused() {
    let machine = Machine::good();
    let challenge = challenge(shared(), "attest-keys");
    let presentation = machine.answer(&challenge, &open_context("attest-keys", "db"));
    assert_eq!(present(shared(), &presentation).status, 200);
    refused_by(&present(shared(), &presentation), &["challenge.unused"]);
    refused_by(&present(shared(), &presentation), &["challenge.unused"]);
}

/// Lesson L14: the key is part of what the hardware signed.
#[test]
fn l14_a_key_swapped_after_signing_is_refused() {
    let challenge = challenge(shared(), "attest-keys");
    let mut presentation = Machine::good().answer(&challenge, &open_context("attest-keys", "db"));
    presentation.public_key = Base64(Key::x25519().offered.public);
    refused_by(&present(shared(), &presentation), &["challenge.bound"]);
}

#[test]
fn an_answer_to_another_purpose_is_refused() {
    for context in ["attest-keys/release/other", "auth/attest/login/node", "other-keys/release/db"] {
        let challenge = challenge(shared(), "attest-keys");
        let presentation = Machine::good().answer(&challenge, context);
        refused_by(&present(shared(), &presentation), &["challenge.bound"]);
    }
}

#[test]
fn an_old_tcb_is_refused() {
    let old = Tcb { fmc: 0, bootloader: 9, tee: 0, snp: 25, microcode: 255 };
    let chip = Chip::new(7, Product::Genoa).at(now().0).with_tcb(old);
    let lists = vec![chip.crl().der()];
    let answer = Machine { chip, lists, ..Machine::good() }.open(shared());
    refused_by(&answer, &["snp.tcb.reported", "snp.tcb.current", "snp.tcb.committed", "snp.tcb.launch"]);
}

/// Lesson L9: the list is read, and it is read before it ends.
#[test]
fn l09_a_revoked_authority_is_refused() {
    let mut machine = Machine::good();
    machine.lists = vec![machine.chip.crl().revoke(0x02_0002).der()];
    refused_on(barren(), &machine.open(barren()), &["snp.crl.intermediate"]);
}

#[test]
fn l09_a_list_that_ended_is_refused() {
    let mut machine = Machine::good();
    let old = Chip::new(7, Product::Genoa).at(now().0 - 90 * 86_400);
    machine.lists = vec![old.crl().der()];
    refused_on(barren(), &machine.open(barren()), &["snp.crl.current"]);
}

/// Lessons L26 and L27: a root that the caller brings is no root.
#[test]
fn l27_a_report_under_another_root_is_refused_though_the_root_comes_along() {
    let chip = Chip::new(7, Product::Genoa).at(now().0).with_vendor(Vendor::Other);
    let chain = chip.chain();
    for certificates in [
        vec![chain.ark.clone(), chain.ask.clone(), chain.vcek.clone()],
        vec![chain.vcek, chain.ask, chain.ark],
    ] {
        let lists = vec![chip.crl().der()];
        let chip = chip.clone();
        let machine = Machine { chip, lists, certificates: Some(certificates), ..Machine::good() };
        let failing = machine.open(barren()).failing();
        assert!(failing.contains(&"snp.chain.root".to_owned()), "{failing:?}");
        assert!(failing.contains(&"snp.chain.intermediate_signature".to_owned()), "{failing:?}");
    }
}

/// Lesson L8: a VCEK of another TCB of the same chip.
#[test]
fn l08_a_certificate_of_another_tcb_is_refused() {
    let mut machine = Machine::good();
    let chain = machine.chip.chain();
    let newer = machine.chip.clone().with_tcb(Tcb { microcode: 90, ..Product::Genoa.current_tcb() });
    machine.certificates = Some(vec![newer.vcek().der(), chain.ask]);
    refused_on(barren(), &machine.open(barren()), &["snp.vek.tcb", "snp.signature"]);
}
