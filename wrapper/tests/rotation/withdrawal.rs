//! OpenBao takes something back, or falls silent: what becomes of the program.

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use crate::openbao::{OpenBao, Wrapper, eventually};
use crate::stage::{Answer, Stage};

/// Writes that it was started, and lives.
const LIVES: [&str; 3] = ["sh", "-c", "printenv PASSWORD >> $SEEN; exec sleep 1000"];
const WITHDRAWN: Option<i32> = Some(124);

fn state(wrapper: &Wrapper) -> Option<char> {
    wrapper.states().iter().find(|(name, _)| name == "sleep").map(|(_, state)| *state)
}

#[test]
fn a_program_whose_secret_was_deleted_is_ended() {
    let Some(bao) = OpenBao::start("a_program_whose_secret_was_deleted") else { return };
    let mut wrapper = bao.wrapper("root", &[], &LIVES);
    wrapper.sees(&["one"]);
    bao.run(&["kv", "delete", "secret/app"]);
    let (code, said) = wrapper.ends();
    assert_eq!(code, WITHDRAWN, "{said}");
    assert!(
        said.contains("OpenBao has withdrawn what the program was given; the program is ended"),
        "{said}"
    );
}

#[test]
fn a_program_whose_token_was_revoked_is_ended() {
    let Some(bao) = OpenBao::start("a_program_whose_token_was_revoked") else { return };
    let token = bao.token();
    let mut wrapper = bao.wrapper(&token, &[], &LIVES);
    wrapper.sees(&["one"]);
    bao.run(&["token", "revoke", &token]);
    let (code, said) = wrapper.ends();
    assert_eq!(code, WITHDRAWN, "{said}");
    assert!(!said.contains(&token), "{said}");
}

#[test]
fn a_token_is_renewed_as_long_as_that_is_possible_and_ends_the_program_with_it() {
    let Some(bao) = OpenBao::start("a_token_is_renewed") else { return };
    let token = bao.token_of(&["-ttl=6s", "-explicit-max-ttl=20s"]);
    let mut wrapper = bao.wrapper(&token, &[], &LIVES);
    wrapper.sees(&["one"]);
    // Beyond its first end.
    sleep(Duration::from_secs(9));
    bao.put("two");
    wrapper.sees(&["one", "two"]);
    let (code, said) = wrapper.ends();
    assert_eq!(code, WITHDRAWN, "{said}");
    assert!(said.contains("OpenBao has withdrawn what the program was given"), "{said}");
}

#[test]
fn a_program_that_is_to_be_frozen_stands_still_until_openbao_confirms_again() {
    let Some(bao) = OpenBao::start("a_program_that_is_to_be_frozen") else { return };
    let variables = [("CLOUDTASER_ON_WITHDRAWAL", "freeze"), ("CLOUDTASER_ROTATION_STRATEGY", "sighup")];
    let text = "trap 'echo hup >> $SEEN' HUP; printenv PASSWORD >> $SEEN; while :; do sleep 0.1; done";
    let wrapper = bao.wrapper("root", &variables, &["sh", "-c", text]);
    wrapper.sees(&["one"]);
    bao.run(&["kv", "delete", "secret/app"]);
    wrapper.says("the program stands still until OpenBao confirms everything");
    // The fetchers are ours, and run.
    let stands = || {
        wrapper
            .states()
            .iter()
            .filter(|(name, _)| name == "sh" || name == "sleep")
            .all(|(_, s)| matches!(s, 'T' | 't'))
    };
    eventually("the program stands still", stands);
    bao.put("two");
    wrapper.sees(&["one", "hup"]);
    wrapper.says("OpenBao confirms everything again; the program goes on");
}

/// Whoever shares its user may send it SIGCONT. It does not get far.
#[test]
fn a_frozen_program_that_others_let_go_on_is_frozen_again() {
    let Some(bao) = OpenBao::start("a_frozen_program_that_others_let_go_on") else { return };
    let text = "open F, '>>', $ENV{SEEN}; syswrite F, \"$$\\n\"; sleep 1 while 1";
    let wrapper = bao.wrapper("root", &[("CLOUDTASER_ON_WITHDRAWAL", "freeze")], &["perl", "-e", text]);
    let keeper = wrapper.child.id().to_string();
    let stands = || wrapper.states().iter().all(|(name, state)| name != "perl" || *state == 'T');
    eventually("the program runs", || wrapper.states().iter().any(|(name, _)| name == "perl"));
    bao.run(&["kv", "delete", "secret/app"]);
    wrapper.says("the program stands still until OpenBao confirms everything");
    eventually("the program stands still", stands);
    eventually("somebody lets it go on", || {
        assert!(
            Command::new("pkill").args(["-CONT", "-x", "-P", &keeper, "perl"]).status().unwrap().success()
        );
        !stands()
    });
    eventually("it stands still again", stands);
}

#[test]
fn a_program_lives_through_a_sealed_openbao_and_hears_of_what_changed_meanwhile() {
    let Some(bao) = OpenBao::start("a_program_lives_through_a_sealed_openbao") else { return };
    let wrapper = bao.wrapper("root", &[], &LIVES);
    wrapper.sees(&["one"]);
    bao.seal();
    wrapper.says("OpenBao does not answer; the program goes on");
    bao.unseal();
    wrapper.says("OpenBao answers again");
    bao.put("two");
    wrapper.sees(&["one", "two"]);
}

#[test]
fn values_that_became_too_old_end_the_program() {
    let Some(mut bao) = OpenBao::start("values_that_became_too_old") else { return };
    let mut wrapper = bao.wrapper("root", &[("CLOUDTASER_MAX_STALE", "4")], &LIVES);
    wrapper.sees(&["one"]);
    bao.stop();
    let (code, said) = wrapper.ends();
    assert_eq!(code, WITHDRAWN, "{said}");
    let expected = "OpenBao's last word on secret/data/app is older than CLOUDTASER_MAX_STALE allows";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn a_release_that_is_refused_at_the_next_attestation_ends_the_program() {
    let stage = Stage::new(vec![Answer::Release, Answer::Release, Answer::Unavailable, Answer::Refuse]);
    // A release lasts a minute; OpenBao is to confirm it more often.
    let mut wrapper = stage.wrapper("sleep", &["1000"]);
    let output = wrapper.env("CLOUDTASER_MAX_STALE", "12").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), WITHDRAWN, "{said}");
    assert!(said.contains("  snp.policy.debug: expected off, found on"), "{said}");
    assert!(said.contains("OpenBao has withdrawn what the program was given"), "{said}");
    assert!(!said.contains("started anew"), "{said}");
    assert_eq!(stage.challenges(), 4);
}

fn pki(bao: &OpenBao, ttl: &str) {
    bao.run(&["secrets", "enable", "pki"]);
    bao.run(&["write", "pki/root/generate/internal", "common_name=root.example", "ttl=24h"]);
    let ttl = format!("ttl={ttl}");
    let role = ["write", "pki/roles/web", "allow_any_name=true", &ttl, "generate_lease=true", "key_type=ec"];
    bao.run(&role);
}

const CERTIFICATE: [(&str, &str); 3] = [
    ("CLOUDTASER_SECRET_PATHS", "pki/issue/web?common_name=a.example"),
    ("CLOUDTASER_ENV_MAP", "serial_number=PASSWORD"),
    ("CLOUDTASER_REFRESH", "0"),
];

#[test]
fn a_certificate_is_replaced_before_it_ends() {
    let Some(bao) = OpenBao::start("a_certificate_is_replaced") else { return };
    pki(&bao, "6s");
    let wrapper = bao.wrapper("root", &CERTIFICATE, &LIVES);
    eventually("three certificates", || wrapper.seen().len() >= 3);
    let mut serials = wrapper.seen();
    serials.sort();
    serials.dedup();
    assert_eq!(serials.len(), wrapper.seen().len());
    assert!(!wrapper.said().contains("has ended"), "{}", wrapper.said());
}

#[test]
fn a_lease_that_nobody_can_replace_ends_the_program_with_it() {
    let Some(mut bao) = OpenBao::start("a_lease_that_nobody_can_replace") else { return };
    pki(&bao, "8s");
    let mut wrapper = bao.wrapper("root", &CERTIFICATE, &LIVES);
    eventually("a certificate", || wrapper.seen().len() == 1);
    bao.stop();
    let (code, said) = wrapper.ends();
    assert_eq!(code, WITHDRAWN, "{said}");
    assert!(said.contains("the time of pki/issue/web has ended; the program is ended"), "{said}");
}

#[test]
fn a_program_lives_on_in_its_grace() {
    let Some(mut bao) = OpenBao::start("a_program_lives_on_in_its_grace") else { return };
    pki(&bao, "4s");
    let variables: Vec<_> = CERTIFICATE.into_iter().chain([("CLOUDTASER_OFFLINE_GRACE", "3600")]).collect();
    let mut wrapper = bao.wrapper("root", &variables, &LIVES);
    eventually("a certificate", || !wrapper.seen().is_empty());
    bao.stop();
    wrapper.says("OpenBao does not answer; the program may go on for 360");
    // The lease ends meanwhile.
    sleep(Duration::from_secs(5));
    assert!(wrapper.child.try_wait().unwrap().is_none(), "{}", wrapper.said());
    assert_eq!(state(&wrapper), Some('S'));
}
