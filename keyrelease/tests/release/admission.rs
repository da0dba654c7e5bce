//! What an admitted machine gets, and what an auditor can read about it.

use attest::crypto::{AwsLcRs, RustCrypto};
use attest::log::{Kind, NotLogged, NoteKey};
use attest::{Bundle, Crypto, TrustAnchors};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::machine::{Key, Machine, challenge, present, sealed};
use crate::server::{SECRET, Server, chip, shared};
use protocol::release::open_context;

/// The record of a decision, opened under the mount's key.
pub(crate) fn record(server: &Server, mount: &str, kind: &str, decision: &str) -> Bundle {
    let answer = server.read(&format!("{mount}/{kind}/{decision}")).ok();
    let file = STANDARD.decode(answer.json["data"]["bundle"].as_str().unwrap()).unwrap();
    Bundle::open(&file, &[server.verifier_key(mount)], &AwsLcRs).unwrap()
}

pub(crate) fn anchors() -> TrustAnchors {
    TrustAnchors::insecure_simulated(&[chip().ark().der()]).unwrap()
}

#[test]
fn a_machine_that_proves_what_it_runs_opens_the_secret_with_its_own_key_alone() {
    for key in [Key::x_wing(), Key::x25519()] {
        let machine = Machine { key, ..Machine::good() };
        let sealed = sealed(&machine.open(shared()));
        assert_eq!(machine.key.field(&sealed, "password").as_deref(), Some(SECRET));
        assert_eq!(machine.key.field(&sealed, "username").as_deref(), Some("app"));
        assert!((295..=300).contains(&sealed.lease_seconds), "{}", sealed.lease_seconds);
        assert_eq!(Key::x_wing().field(&sealed, "password"), None);
        assert_eq!(Key::x25519().field(&sealed, "password"), None);
    }
}

#[test]
fn a_sealed_secret_does_not_open_under_another_decision_version_or_lease() {
    let machine = Machine::good();
    let good = sealed(&machine.open(shared()));
    for spoil in [
        |sealed: &mut protocol::release::Sealed| sealed.decision = hex::encode([0; 32]),
        |sealed: &mut protocol::release::Sealed| sealed.version += 1,
        |sealed: &mut protocol::release::Sealed| sealed.lease_seconds += 1,
        |sealed: &mut protocol::release::Sealed| sealed.ciphertext.0[0] ^= 1,
    ] {
        let mut spoiled = good.clone();
        spoil(&mut spoiled);
        assert_eq!(machine.key.field(&spoiled, "password"), None);
    }
}

#[test]
fn the_record_of_a_release_replays_offline_to_the_same_bytes_under_both_providers() {
    let machine = Machine::good();
    let decision = sealed(&machine.open(shared())).decision;
    let bundle = record(shared(), "attest-keys", "record", &decision);
    assert!(bundle.appraisal.admits());
    assert!(bundle.request.starts_with("release of "), "{}", bundle.request);
    // As a word: a salted name of 64 hex digits often has these two somewhere.
    assert!(bundle.request.split(' ').all(|word| word != "db"), "names are salted: {}", bundle.request);
    let providers: [&dyn Crypto; 2] = [&AwsLcRs, &RustCrypto];
    for crypto in providers {
        assert!(bundle.replay(crypto, &anchors()).unwrap().identical);
    }
    let by_vendor = bundle.replay(&AwsLcRs, &TrustAnchors::vendor()).unwrap();
    assert!(!by_vendor.identical && !by_vendor.appraisal.admits(), "simulated silicon is not AMD's");
}

#[test]
fn a_record_moved_past_the_revocation_lists_next_update_no_longer_admits() {
    let decision = sealed(&Machine::good().open(shared())).decision;
    let bundle = record(shared(), "attest-keys", "record", &decision);
    let later = bundle.appraisal.at.plus(31 * 86_400);
    let replay = bundle.replay_at(&AwsLcRs, &anchors(), later).unwrap();
    let failing: Vec<&str> = replay.appraisal.failing().map(|check| check.id.as_str()).collect();
    assert_eq!(failing, ["snp.crl.current"]);
}

/// The challenge's nonce is the decision's name: of many answers at the same time one counts.
#[test]
fn of_eight_answers_to_one_challenge_at_the_same_time_exactly_one_is_honoured() {
    let server = shared();
    let machine = Machine::good();
    let challenge = challenge(server, "attest-keys");
    let presentation = machine.answer(&challenge, &open_context("attest-keys", "db"));
    let answers: Vec<_> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..8).map(|_| scope.spawn(|| present(server, &presentation))).collect();
        asking.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let released = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(released, 1, "{answers:?}");
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(refused.failing(), ["challenge.unused"]);
    }
}

/// Lesson L29: who asks without a token leaves nothing behind.
#[test]
fn l29_a_flood_of_challenges_costs_no_storage() {
    let server = Server::start();
    let before = server.list("attest-keys/record/").json["data"]["keys"].clone();
    let first = challenge(&server, "attest-keys");
    for _ in 0..200 {
        assert_ne!(challenge(&server, "attest-keys").nonce, first.nonce);
    }
    assert_eq!(server.list("attest-keys/record/").json["data"]["keys"], before);
    let presentation = Machine::good().answer(&first, &open_context("attest-keys", "db"));
    assert_eq!(present(&server, &presentation).status, 200, "the first challenge is still good");
}

/// The verified chain is kept between requests; what the record says must not depend on when it was verified.
#[test]
fn a_later_release_under_a_kept_chain_replays_to_the_same_bytes() {
    let machine = Machine::good();
    sealed(&machine.open(shared()));
    std::thread::sleep(std::time::Duration::from_millis(2100));
    let decision = sealed(&machine.open(shared())).decision;
    let bundle = record(shared(), "attest-keys", "record", &decision);
    assert!(bundle.replay(&AwsLcRs, &anchors()).unwrap().identical);
}

#[test]
fn a_record_comes_with_its_place_in_the_log_and_no_other_records() {
    let server = Server::start();
    let read = |decision: &str| {
        let answer = server.read(&format!("attest-keys/record/{decision}")).ok();
        let file = STANDARD.decode(answer.json["data"]["bundle"].as_str().unwrap()).unwrap();
        attest::File::parse(&file).unwrap()
    };
    let decisions: Vec<String> = (0..3).map(|_| sealed(&Machine::good().open(&server)).decision).collect();
    let key = server.read("attest-keys/log/key").ok().json["data"]["verifier_key"].clone();
    let key = NoteKey::parse(&AwsLcRs, key.as_str().unwrap()).unwrap();
    let files: Vec<attest::File> = decisions.iter().map(|decision| read(decision)).collect();
    for ((place, file), decision) in (0..).zip(&files).zip(&decisions) {
        let entry = file.position.as_ref().unwrap().holds(&AwsLcRs, &file.record, &key).unwrap();
        assert_eq!((entry.index, entry.event.kind), (place, Kind::Admission));
        assert_eq!(entry.event.decision.0.to_string(), *decision);
    }
    let swapped = files[0].position.as_ref().unwrap().holds(&AwsLcRs, &files[1].record, &key);
    assert!(matches!(swapped, Err(NotLogged::Record { .. })), "{swapped:?}");
    let mut forged = files[2].position.clone().unwrap();
    forged.proof[0].0[0] ^= 1;
    let forged = forged.holds(&AwsLcRs, &files[2].record, &key);
    assert!(matches!(forged, Err(NotLogged::Proof(_))), "{forged:?}");
}
