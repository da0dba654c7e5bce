//! What the system says of itself is measured before it is quoted, and told by the log that goes with the quote.

use std::fs;
use std::path::Path;

use attest::Claims;
use attest::crypto::{AwsLcRs, Crypto as _};
use attest::eventlog::{Facts, State};
use protocol::agent::EvidenceReply;
use simulator::tpm::FileList;
use tempfile::TempDir;

use crate::harness::{Agent, request, verified};
use crate::logs::{Booted, refused};
use crate::tpm::config;

/// An agent that measures the facts of this machine, and a program among them.
fn agent(booted: &Booted, scratch: &Path) -> Agent {
    let log = format!("event_log = {:?}\npcrs = {{ sha256 = [0, 4, 7] }}\n", booted.event_log());
    let [folder, enforcer, wrapper] = ["facts", "enforcer.pid", "wrapper"].map(|name| scratch.join(name));
    let facts = format!(
        "[facts]\nfolder = {folder:?}\nenforcer = {enforcer:?}\n[facts.files]\nwrapper = {wrapper:?}\n"
    );
    Agent::start(&format!("{}{facts}", config(&booted.tpm, &log)))
}

fn told(booted: &Booted, reply: &EvidenceReply) -> Vec<Facts> {
    let verified = verified(reply, &booted.anchors);
    let Claims::Tpm(claims) = verified.claims() else { panic!("{verified:?}") };
    claims.boot.as_ref().unwrap().facts.clone()
}

fn digest(content: &[u8]) -> String {
    format!("sha256:{}", AwsLcRs.sha256(&[content]))
}

#[test]
fn facts_are_in_the_first_evidence_and_every_change_stays_on_record() {
    let Some(booted) = Booted::new(&FileList::default()) else { return };
    let scratch = TempDir::new().unwrap();
    fs::write(scratch.path().join("wrapper"), "genuine").unwrap();
    let first = agent(&booted, scratch.path());
    let facts = told(&booted, &first.evidence(&request(1, None)));
    let [only] = &facts[..] else { panic!("{facts:?}") };
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(only.get("kernel.release"), Some(release.trim()));
    assert_eq!(only.get("file.wrapper"), Some(digest(b"genuine").as_str()));
    assert_eq!(only.get("enforcer"), Some("none"));
    assert!(first.journal().contains("facts: measured into PCR 14"), "{}", first.journal());
    drop(first);

    // An agent that starts again has nothing new to say.
    let again = agent(&booted, scratch.path());
    assert_eq!(told(&booted, &again.evidence(&request(2, None))), facts);
    assert!(!again.journal().contains("measured into"), "{}", again.journal());
    drop(again);

    fs::write(scratch.path().join("wrapper"), "replaced").unwrap();
    let changed = agent(&booted, scratch.path());
    let texts = told(&booted, &changed.evidence(&request(3, None)));
    let wrappers: Vec<_> = texts.iter().filter_map(|facts| facts.get("file.wrapper")).collect();
    assert_eq!(wrappers, [digest(b"genuine"), digest(b"replaced")]);
}

/// Root takes back what was said: the register still knows.
#[test]
fn facts_that_were_taken_out_of_the_log_are_missed() {
    let Some(booted) = Booted::new(&FileList::default()) else { return };
    let scratch = TempDir::new().unwrap();
    for (number, program) in [(1, "genuine"), (2, "replaced")] {
        fs::write(scratch.path().join("wrapper"), program).unwrap();
        told(&booted, &agent(&booted, scratch.path()).evidence(&request(number, None)));
    }
    let agent = agent(&booted, scratch.path());
    let mut kept: Vec<_> = fs::read_dir(scratch.path().join("facts/pcr14")).unwrap().collect();
    assert_eq!(kept.len(), 2);
    fs::remove_file(kept.remove(0).unwrap().path()).unwrap();
    assert_eq!(refused(&booted, &agent.evidence(&request(3, None))), ["tpm.log.replay"]);
    // All of it: the log tells nothing of the register, which a rule about facts refuses (`tpm.boot.facts`).
    fs::remove_dir_all(scratch.path().join("facts")).unwrap();
    let evidence = agent.evidence(&request(4, None));
    assert_eq!(told(&booted, &evidence), []);
    let verified = verified(&evidence, &booted.anchors);
    let Claims::Tpm(claims) = verified.claims() else { panic!("{verified:?}") };
    let registers = &claims.boot.as_ref().unwrap().registers;
    assert!(registers.iter().any(|one| one.index == 14 && one.state == State::Silent), "{registers:?}");
}
