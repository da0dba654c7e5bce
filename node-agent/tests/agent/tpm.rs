//! A real TPM 2.0, in software.

use std::process::Command;
use std::thread;

use attest::crypto::AwsLcRs;
use attest::tpm::{AkOrigin, Name};
use attest::{Claims, OfferedKey, Platform, Stale, TrustAnchors};
use simulator::tpm::Provider;
use simulator::vtpm::{Vtpm, manufacture};
use tempfile::TempDir;

use crate::harness::{Agent, Guest, NOW, PROGRAM, challenge, request, skip, verified, vtpm};

const HANDLE: &str = "0x81010002";

/// The words of the program, and its code.
fn ak(command: &str, tpm: &Vtpm, handle: &str) -> (Option<i32>, String) {
    let output = Command::new(PROGRAM)
        .args(["ak", command, "--tcti", &tpm.tcti(), "--handle", handle])
        .env("TSS2_LOG", "all+none")
        .output()
        .unwrap();
    let said = if output.status.success() { output.stdout } else { output.stderr };
    (output.status.code(), String::from_utf8(said).unwrap().trim_end().to_owned())
}

pub(crate) fn enrolled(tpm: &Vtpm) -> TrustAnchors {
    let (code, name) = ak("create", tpm, HANDLE);
    assert_eq!(code, Some(0), "{name}");
    TrustAnchors::vendor().with_attestation_keys([name.parse::<Name>().unwrap()])
}

pub(crate) fn config(tpm: &Vtpm, more: &str) -> String {
    format!("[tpm]\ntcti = {:?}\nak_handle = {HANDLE}\n{more}", tpm.tcti())
}

#[test]
fn a_key_is_made_once_and_keeps_its_name() {
    let Some(tpm) = vtpm() else { return };
    let (code, name) = ak("create", &tpm, HANDLE);
    assert_eq!(code, Some(0), "{name}");
    assert!(name.starts_with("000b") && name.len() == 68, "{name}");
    assert_eq!(ak("name", &tpm, HANDLE), (Some(0), name.clone()));
    let taken = format!("TPM: handle {HANDLE} is taken, by an object named {name}");
    assert_eq!(ak("create", &tpm, HANDLE), (Some(1), taken));
    let (code, said) = ak("name", &tpm, "0x81010003");
    assert_eq!(code, Some(1));
    assert!(said.starts_with("TPM: no key at handle 0x81010003; `ak create` makes one"), "{said}");
}

#[test]
fn a_quote_verifies_under_the_enrolled_key_and_is_bound_to_the_request() {
    let Some(tpm) = vtpm() else { return };
    let anchors = enrolled(&tpm);
    let agent = Agent::start(&config(&tpm, ""));
    let asked = request(1, None);
    let reply = agent.evidence(&asked);
    assert_eq!(reply.platform, Platform::Tpm2);
    let claims = verified(&reply, &anchors);
    let redeem = |nonce: u8, key: &OfferedKey| {
        let challenge = challenge(&request(nonce, None));
        challenge.redeem(&AwsLcRs, key.clone(), &claims, NOW).map(|attested| attested.key().clone())
    };
    assert_eq!(redeem(1, &asked.key), Ok(asked.key.clone()));
    assert_eq!(redeem(2, &asked.key), Err(Stale::NotBound));
    let other = OfferedKey { public: vec![1; 1216], ..asked.key };
    assert_eq!(redeem(1, &other), Err(Stale::NotBound));
}

#[test]
fn every_pcr_of_every_bank_that_is_asked_for_is_quoted_with_its_value() {
    let Some(tpm) = vtpm() else { return };
    let anchors = enrolled(&tpm);
    let pcrs =
        "pcrs = { sha1 = [23], sha256 = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 23], sha384 = [7, 0] }\n";
    let agent = Agent::start(&config(&tpm, pcrs));
    let claims = verified(&agent.evidence(&request(1, None)), &anchors);
    let Claims::Tpm(claims) = claims.claims() else { panic!("{claims:?}") };
    let quoted: Vec<(String, u32, usize)> =
        claims.pcrs.iter().map(|pcr| (pcr.bank.to_string(), pcr.index, pcr.value.len())).collect();
    let bank = |name: &'static str, length: usize, indices: &'static [u32]| {
        indices.iter().map(move |index| (name.to_owned(), *index, length))
    };
    let expected: Vec<_> = bank("sha1", 20, &[23])
        .chain(bank("sha256", 32, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 23]))
        .chain(bank("sha384", 48, &[0, 7]))
        .collect();
    assert_eq!(quoted, expected);
}

#[test]
fn a_quote_follows_the_pcrs() {
    let Some(tpm) = vtpm() else { return };
    let anchors = enrolled(&tpm);
    let agent = Agent::start(&config(&tpm, "pcrs = { sha256 = [0, 23] }\n"));
    let extend = || {
        let value = format!("23:sha256={}", "5a".repeat(32));
        Command::new("tpm2_pcrextend").arg(value).env("TPM2TOOLS_TCTI", tpm.tcti()).output()
    };
    if extend().is_err() {
        return skip("swtpm", "tpm2_pcrextend is not installed");
    }
    let mut seen = std::collections::BTreeSet::new();
    for nonce in 0..4 {
        let claims = verified(&agent.evidence(&request(nonce, None)), &anchors);
        let Claims::Tpm(claims) = claims.claims() else { panic!("{claims:?}") };
        seen.insert(claims.pcrs.iter().find(|pcr| pcr.index == 23).unwrap().value.clone());
        assert!(extend().unwrap().status.success());
    }
    assert_eq!(seen.len(), 4);
}

#[test]
fn a_machine_with_both_lets_the_caller_choose_and_prefers_what_the_operator_says() {
    let (Some(tpm), Some(guest)) = (vtpm(), Guest::start(|machine| machine)) else { return };
    let anchors = enrolled(&tpm);
    let agent = Agent::start(&format!("prefer = \"tpm2\"\n{}{}", guest.config(), config(&tpm, "")));
    assert_eq!(agent.evidence(&request(1, None)).platform, Platform::Tpm2);
    let snp = agent.evidence(&request(2, Some(Platform::SevSnp)));
    verified(&snp, &guest.anchors());
    verified(&agent.evidence(&request(3, Some(Platform::Tpm2))), &anchors);
}

#[test]
fn many_callers_at_once_get_quotes_of_their_own() {
    let Some(tpm) = vtpm() else { return };
    let anchors = enrolled(&tpm);
    let agent = Agent::start(&config(&tpm, ""));
    thread::scope(|scope| {
        for nonce in 0..8 {
            let (agent, anchors) = (&agent, &anchors);
            scope.spawn(move || {
                let asked = request(nonce, None);
                let claims = verified(&agent.evidence(&asked), anchors);
                challenge(&asked).redeem(&AwsLcRs, asked.key, &claims, NOW).unwrap();
            });
        }
    });
}

#[test]
fn a_tpm_that_is_gone_is_told_and_one_that_comes_back_is_used() {
    let Some(tpm) = vtpm() else { return };
    let agent = Agent::start(&config(&tpm, ""));
    let failure = agent.failure(&request(1, None));
    assert_eq!(failure.code, "agent.hardware");
    assert!(failure.message.starts_with("TPM: no key at handle 0x81010002"), "{failure:?}");
    let anchors = enrolled(&tpm);
    verified(&agent.evidence(&request(1, None)), &anchors);
    drop(tpm);
    let failure = agent.failure(&request(1, None));
    assert_eq!(failure.code, "agent.hardware");
    assert!(failure.message.starts_with("TPM: opening the device"), "{failure:?}");
}

#[test]
fn a_bank_that_is_not_active_is_named() {
    let Some(blank) = vtpm() else { return };
    drop(blank);
    let state = TempDir::new().unwrap();
    // As vendors deliver: SHA-256 and SHA-384 only.
    manufacture(state.path()).unwrap();
    let tpm = Vtpm::start_in(state.path()).unwrap();
    enrolled(&tpm);
    let agent = Agent::start(&config(&tpm, "pcrs = { sha256 = [7], sha512 = [7] }\n"));
    let failure = agent.failure(&request(1, None));
    assert_eq!(failure.code, "agent.hardware");
    assert_eq!(failure.message, "TPM: PCR 7 of bank sha512 cannot be read; is the bank active?");
}

#[test]
fn a_machine_that_may_make_its_key_makes_it_at_the_first_request_and_keeps_it() {
    let Some(tpm) = vtpm() else { return };
    let agent = Agent::start(&format!("[tpm]\ntcti = {:?}\ncreate_ak = true\n", tpm.tcti()));
    agent.evidence(&request(1, None));
    let (code, name) = ak("name", &tpm, HANDLE);
    assert_eq!(code, Some(0), "{name}");
    let anchors = TrustAnchors::vendor().with_attestation_keys([name.parse::<Name>().unwrap()]);
    verified(&agent.evidence(&request(2, None)), &anchors);
}

/// What Compute Engine has: nobody enrols the key, Google vouches for it.
#[test]
fn a_key_that_a_cloud_certified_is_made_by_its_template_and_brings_its_certificate() {
    let Some(tpm) = vtpm() else { return };
    tpm.certify().unwrap();
    let certified = "create_ak = true\nak_certificate = 0x01c10002\nak_template = 0x01c10003\n";
    let agent = Agent::start(&format!("[tpm]\ntcti = {:?}\n{certified}", tpm.tcti()));
    let mut reply = agent.evidence(&request(1, None));
    assert_eq!(reply.certificates.len(), 1);
    let provider = Provider::google();
    reply.certificates.push(provider.intermediate().der().into());
    reply.revocation_lists.push(provider.crl().der().into());
    let anchors = TrustAnchors::insecure_simulated(&[provider.root().der()]).unwrap();
    let verified = verified(&reply, &anchors);
    let Claims::Tpm(claims) = verified.claims() else { panic!("{verified:?}") };
    assert_eq!(claims.ak_origin, AkOrigin::Google);
}

#[test]
fn a_certificate_that_is_not_there_costs_a_remark_and_a_template_the_evidence() {
    let Some(tpm) = vtpm() else { return };
    let anchors = enrolled(&tpm);
    let agent = Agent::start(&config(&tpm, "ak_certificate = 0x01c10002\n"));
    verified(&agent.evidence(&request(1, None)), &anchors);
    agent.journal_with("TPM: NV index 0x01c10002: expected a certificate, DER, found nothing");
    let more = "ak_handle = 0x81010009\ncreate_ak = true\nak_template = 0x01c10003\n";
    let agent = Agent::start(&format!("[tpm]\ntcti = {:?}\n{more}", tpm.tcti()));
    let failure = agent.failure(&request(1, None));
    assert_eq!(failure.message, "TPM: NV index 0x01c10003: expected the template of a key, found nothing");
}
