//! SEV-SNP, through the kernel's interface.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use attest::crypto::AwsLcRs;
use attest::{Claims, OfferedKey, Platform, Stale};
use protocol::agent::to_frame;
use simulator::snp::{Chip, Product};
use simulator::tsm::{Fault, Machine, Mount};
use tempfile::TempDir;

use crate::harness::{Agent, Guest, NOW, PROGRAM, challenge, exchange, request, verified};

#[test]
fn evidence_verifies_and_is_bound_to_nonce_purpose_and_key() {
    let Some(guest) = Guest::start(|machine| machine) else { return };
    let agent = Agent::start(&guest.config());
    let asked = request(1, None);
    let reply = agent.evidence(&asked);
    assert_eq!(reply.platform, Platform::SevSnp);
    let claims = verified(&reply, &guest.anchors());
    let redeem = |challenge: attest::Challenge, key: &OfferedKey| {
        challenge.redeem(&AwsLcRs, key.clone(), &claims, NOW).map(|attested| attested.key().clone())
    };
    assert_eq!(redeem(challenge(&asked), &asked.key), Ok(asked.key.clone()));
    let other_key = OfferedKey { public: vec![0x78; 1216], ..asked.key.clone() };
    assert_eq!(redeem(challenge(&asked), &other_key), Err(Stale::NotBound));
    assert_eq!(redeem(challenge(&request(2, None)), &asked.key), Err(Stale::NotBound));
    let mut other_purpose = challenge(&asked);
    other_purpose.context.push('2');
    assert_eq!(redeem(other_purpose, &asked.key), Err(Stale::NotBound));
    assert_eq!(guest.leftovers(), 0);
}

#[test]
fn the_privilege_level_of_the_configuration_is_reported() {
    let Some(guest) = Guest::start(|machine| machine) else { return };
    let agent = Agent::start(&format!("{}privlevel = 2\n", guest.config()));
    let claims = verified(&agent.evidence(&request(1, None)), &guest.anchors());
    let Claims::Snp(claims) = claims.claims() else { panic!("{claims:?}") };
    assert_eq!(claims.vmpl, 2);
}

#[test]
fn a_privilege_level_below_the_floor_is_told_as_such() {
    let Some(guest) = Guest::start(|machine| machine.privlevel_floor(1)) else { return };
    let agent = Agent::start(&format!("{}privlevel = 0\n", guest.config()));
    let failure = agent.failure(&request(1, None));
    assert_eq!(failure.code, "agent.hardware");
    assert!(failure.message.contains("is privlevel at or above privlevel_floor?"), "{failure:?}");
    assert_eq!(guest.leftovers(), 0);
}

#[test]
fn many_callers_at_once_each_get_their_own_answer() {
    let Some(guest) = Guest::start(|machine| machine) else { return };
    let agent = Agent::start(&guest.config());
    thread::scope(|scope| {
        for nonce in 0..12 {
            let (agent, guest) = (&agent, &guest);
            scope.spawn(move || {
                let asked = request(nonce, Some(Platform::SevSnp));
                let claims = verified(&agent.evidence(&asked), &guest.anchors());
                challenge(&asked).redeem(&AwsLcRs, asked.key, &claims, NOW).unwrap();
            });
        }
    });
    assert_eq!(guest.leftovers(), 0);
}

#[test]
fn a_host_without_a_usable_certificate_table_takes_away_no_evidence() {
    let Some(guest) = Guest::start(|machine| machine.auxblob(&[0x30; 30])) else { return };
    let chain = guest.chip.chain();
    let kept = TempDir::new().unwrap();
    for (name, der) in [("ask", &chain.ask), ("vcek", &chain.vcek)] {
        fs::write(kept.path().join(name), der).unwrap();
    }
    let config = guest.config().replace("endorsements = [", &format!("endorsements = [{:?}, ", kept.path()));
    let agent = Agent::start(&config);
    let claims = verified(&agent.evidence(&request(1, None)), &guest.anchors());
    assert_eq!(claims.platform(), Platform::SevSnp);
    agent.journal_with("the host's certificate table");
}

#[test]
fn a_revocation_list_that_is_replaced_goes_out_with_the_next_evidence() {
    let Some(guest) = Guest::start(|machine| machine) else { return };
    let agent = Agent::start(&guest.config());
    agent.evidence(&request(1, None));
    let newer = guest.chip.crl().revoke(77).der();
    fs::write(guest.crl(), &newer).unwrap();
    let reply = agent.evidence(&request(1, None));
    assert_eq!(reply.revocation_lists.iter().map(|der| der.to_vec()).collect::<Vec<_>>(), [newer]);
}

#[test]
fn what_passes_is_tried_again_until_there_is_a_report() {
    for passing in [Fault::Busy, Fault::Interrupted, Fault::GenerationRace] {
        let Some(guest) = Guest::start(|machine| machine.passing_fault(passing, 3)) else { return };
        let agent = Agent::start(&guest.config());
        let asked = request(1, None);
        let evidence = agent.evidence(&asked);
        assert_eq!(evidence.evidence[0x50..0x90], expected_data(&asked), "{passing:?}");
        assert_eq!(guest.leftovers(), 0, "{passing:?}");
    }
}

/// What the report must be over, by the published definition of the transcript.
fn expected_data(asked: &protocol::agent::EvidenceRequest) -> Vec<u8> {
    let (nonce, context) = (&asked.nonce, &*asked.context);
    attest::Transcript { nonce, context, key: &asked.key }.caller_data(&AwsLcRs, Platform::SevSnp)
}

#[test]
fn what_does_not_pass_is_told_and_leaves_nothing_behind() {
    let lost = "the channel to the firmware is gone until the next boot";
    let late = "the host did not let the firmware answer in time";
    let cases = [
        (Fault::TimedOut, "agent.hardware", late),
        (Fault::GoneAfter(0), "agent.hardware", lost),
        (Fault::NoProvider, "agent.hardware", "no report provider at"),
        (Fault::Busy, "agent.busy", "the host's report buffer is busy"),
        (Fault::GenerationRace, "agent.hardware", "report generation: expected 1, found \"2\""),
    ];
    for (fault, code, message) in cases {
        let Some(guest) = Guest::start(|machine| machine.fault(fault)) else { return };
        let agent = Agent::start(&guest.config());
        let failure = agent.failure(&request(1, None));
        assert_eq!(failure.code, code, "{failure:?}");
        assert!(failure.message.starts_with(message), "{failure:?}");
        agent.journal_with(&format!("outcome={code}"));
        assert_eq!(guest.leftovers(), 0, "{fault:?}");
    }
}

#[test]
fn a_machine_without_the_interface_is_told_as_such() {
    let agent = Agent::start("[snp]\npath = \"/sys/kernel/no-such-interface\"\n");
    let failure = agent.failure(&request(1, None));
    assert_eq!(failure.code, "agent.hardware");
    assert!(
        failure.message.starts_with("no report provider at /sys/kernel/no-such-interface"),
        "{failure:?}"
    );
}

#[test]
fn a_slow_host_holds_up_nobody_but_those_who_wait_for_it() {
    let slow = Fault::Slow(Duration::from_secs(3));
    let Some(guest) = Guest::start(|machine| machine.fault(slow)) else { return };
    let agent = Agent::start(&guest.config());
    let asked = request(1, None);
    thread::scope(|scope| {
        let slow = scope.spawn(|| agent.evidence(&asked));
        thread::sleep(Duration::from_millis(500));
        let failure = agent.failure(&request(2, Some(Platform::Tpm2)));
        assert_eq!((&*failure.code, slow.is_finished()), ("agent.platform", false));
        slow.join().unwrap();
    });
}

#[test]
fn an_agent_that_is_told_to_end_answers_those_inside() {
    let slow = Fault::Slow(Duration::from_secs(3));
    let Some(guest) = Guest::start(|machine| machine.fault(slow)) else { return };
    let mut agent = Agent::start(&guest.config());
    let asked = request(1, None);
    let mut stream = agent.connect();
    thread::scope(|scope| {
        let inside = scope.spawn(|| exchange(&mut stream, &to_frame(&asked).unwrap()));
        thread::sleep(Duration::from_millis(500));
        assert!(!inside.is_finished());
        assert_eq!(agent.terminate().code(), Some(0));
        let reply = inside.join().unwrap();
        assert!(matches!(reply, protocol::agent::Reply::Evidence(_)), "{reply:?}");
    });
    assert!(agent.journal().contains("outcome=evidence"), "{}", agent.journal());
    assert!(!agent.socket().exists());
    assert_eq!(guest.leftovers(), 0);
}

#[test]
fn reports_signed_with_a_vlek_come_with_its_chain() {
    let Some(guest) = Guest::start(|machine| machine) else { return };
    let chip = Chip::new(1, Product::Genoa);
    let folder = TempDir::new().unwrap();
    let mount = Mount::new(Machine::with_vlek(&chip), folder.path()).unwrap();
    let agent =
        Agent::start(&format!("endorsements = [{:?}]\n[snp]\npath = {:?}\n", guest.crl(), mount.path()));
    let asked = request(9, None);
    let claims = verified(&agent.evidence(&asked), &guest.anchors());
    challenge(&asked).redeem(&AwsLcRs, asked.key, &claims, NOW).unwrap();
}

#[test]
fn an_agent_that_is_told_no_path_finds_the_kernels() {
    let Some(guest) = Guest::start(|machine| machine) else { return };
    let agent = Agent::start_inside(&guest, &format!("endorsements = [{:?}]\n[snp]\n", guest.crl()));
    let asked = request(1, None);
    let claims = verified(&agent.evidence(&asked), &guest.anchors());
    challenge(&asked).redeem(&AwsLcRs, asked.key, &claims, NOW).unwrap();
}

#[test]
fn an_operator_gets_evidence_into_a_file_and_the_endorsements_beside_it() {
    let Some(guest) = Guest::start(|machine| machine) else { return };
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let asked = request(0xab, None);
    fs::write(path("agent.toml"), format!("allowed_uids = [0]\n{}", guest.config())).unwrap();
    fs::write(path("key"), &asked.key.public).unwrap();
    let once = |nonce: &str, key: &str| {
        Command::new(PROGRAM)
            .args(["evidence", "--nonce", nonce, "--context", &asked.context])
            .args(["--config".as_ref(), path("agent.toml").as_os_str()])
            .args(["--key-file".as_ref(), path(key).as_os_str()])
            .args(["--output".as_ref(), path("report").as_os_str()])
            .args(["--endorsements".as_ref(), path("endorsements").as_os_str()])
            .output()
            .unwrap()
    };
    assert_eq!(once("abab", "key").status.code(), Some(2));
    assert_eq!(once(&"ab".repeat(32), "agent.toml").status.code(), Some(1));
    assert!(!path("report").exists());
    let output = once(&"ab".repeat(32), "key");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read(path("report")).unwrap()[0x50..0x90], expected_data(&asked));
    // The operator's list, and the host's ARK, ASK and VCEK.
    assert_eq!(fs::read_dir(path("endorsements")).unwrap().count(), 4);
}
