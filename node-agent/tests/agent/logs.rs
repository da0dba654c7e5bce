//! Logs beside a quote: they go along when a verifier can use them, and never cost the quote.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use attest::crypto::AwsLcRs;
use attest::{Answer, Claims, Evidence, Platform, TrustAnchors};
use node_agent::config::parse_tcti;
use node_agent::registers::Register as _;
use node_agent::vtpm::pcr;
use protocol::agent::EvidenceReply;
use simulator::tpm::{EventLog, FileList};
use simulator::vtpm::Vtpm;
use tempfile::TempDir;

use crate::harness::{Agent, request, verified, vtpm};
use crate::tpm::{config, enrolled};

/// A machine that booted and measured, with its logs in files.
pub(crate) struct Booted {
    pub(crate) tpm: Vtpm,
    pub(crate) anchors: TrustAnchors,
    folder: TempDir,
}

impl Booted {
    pub(crate) fn new(files: &FileList) -> Option<Self> {
        let tpm = vtpm()?;
        let tcti = parse_tcti(&tpm.tcti()).unwrap();
        let log = EventLog::production("ro quiet");
        for (register, content) in log.measured() {
            pcr(&tcti, register).extend(content).unwrap();
        }
        for content in files.measured() {
            pcr(&tcti, 10).extend(&content).unwrap();
        }
        let anchors = enrolled(&tpm);
        let booted = Self { tpm, anchors, folder: TempDir::new().unwrap() };
        fs::write(booted.event_log(), log.encode()).unwrap();
        fs::write(booted.ima_log(), files.encode()).unwrap();
        Some(booted)
    }

    pub(crate) fn event_log(&self) -> PathBuf {
        self.folder.path().join("binary_bios_measurements")
    }

    fn ima_log(&self) -> PathBuf {
        self.folder.path().join("binary_runtime_measurements")
    }

    fn agent(&self, banks: &str) -> Agent {
        self.agent_with(&self.event_log(), &self.ima_log(), banks)
    }

    fn agent_with(&self, event_log: &Path, ima_log: &Path, banks: &str) -> Agent {
        let logs = format!("event_log = {event_log:?}\nima_log = {ima_log:?}\npcrs = {{ {banks} }}\n");
        Agent::start(&config(&self.tpm, &logs))
    }

    /// Whether a boot and files are proved by it.
    fn told(&self, reply: &EvidenceReply) -> (bool, Option<usize>) {
        let verified = verified(reply, &self.anchors);
        let Claims::Tpm(claims) = verified.claims() else { panic!("{verified:?}") };
        (claims.boot.is_some(), claims.files.as_ref().map(|files| files.later))
    }
}

fn files() -> FileList {
    FileList::default().file("/sbin/init").file("/bin/sh")
}

const BANK: &str = "sha256 = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14, 15]";

#[test]
fn logs_go_with_the_quote_and_replay_to_it() {
    let Some(booted) = Booted::new(&files()) else { return };
    let agent = booted.agent(BANK);
    let reply = agent.evidence(&request(1, None));
    assert_eq!(booted.told(&reply), (true, Some(0)));
    let Ok(Evidence::Tpm(quote)) = Evidence::parse(Platform::Tpm2, &reply.evidence) else { panic!() };
    assert!(quote.own_bytes().len() < reply.evidence.len());
    let line = agent.journal_with("outcome=evidence");
    assert!(!line.contains("not sent"), "{line}");
}

/// The kernel appends to its list before it extends, and the agent reads it behind the quote.
#[test]
fn a_list_that_grew_behind_the_quote_is_sent_as_it_is() {
    let Some(booted) = Booted::new(&files()) else { return };
    fs::write(booted.ima_log(), files().file("/usr/bin/late").encode()).unwrap();
    assert_eq!(booted.told(&booted.agent(BANK).evidence(&request(1, None))), (true, Some(1)));
}

/// What the agent does not judge, the verifier refuses: a list from which an entry was taken.
#[test]
fn a_list_from_which_the_end_was_taken_is_refused_by_name() {
    let Some(booted) = Booted::new(&files()) else { return };
    fs::write(booted.ima_log(), FileList::default().file("/sbin/init").encode()).unwrap();
    assert_eq!(refused(&booted, &booted.agent(BANK).evidence(&request(1, None))), ["tpm.ima.replay"]);
}

#[test]
fn a_log_of_another_boot_is_refused_by_name() {
    let Some(booted) = Booted::new(&files()) else { return };
    fs::write(booted.event_log(), EventLog::production("ro quiet init=/bin/sh").encode()).unwrap();
    assert_eq!(refused(&booted, &booted.agent(BANK).evidence(&request(1, None))), ["tpm.log.replay"]);
}

pub(crate) fn refused(booted: &Booted, reply: &EvidenceReply) -> Vec<String> {
    let evidence = Evidence::parse(reply.platform, &reply.evidence).unwrap();
    let endorsements = attest::Endorsements::default();
    let (waived, now) = (attest::Revocation::Required, crate::harness::NOW);
    let prepared = endorsements.prepare(&AwsLcRs, &evidence, &booted.anchors, waived, now).unwrap();
    match evidence.verify(&AwsLcRs, &prepared, now) {
        Err(attest::Unverified::Rejected(rejected)) => {
            let failed = rejected.checks().iter().filter(|check| check.verdict == Answer::Fail);
            failed.map(|check| check.id.clone()).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// Asks for evidence, which comes without logs, and gives the line of the journal.
fn without_logs(booted: &Booted, agent: &Agent) -> String {
    let reply = agent.evidence(&request(1, None));
    assert_eq!(booted.told(&reply), (false, None));
    agent.journal_with("not sent")
}

#[test]
fn a_log_that_is_cut_short_stays_behind_with_a_remark() {
    let Some(booted) = Booted::new(&files()) else { return };
    for path in [booted.event_log(), booted.ima_log()] {
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    }
    let journal = without_logs(&booted, &booted.agent(BANK));
    for what in ["event log not sent: ", "IMA list not sent: "] {
        assert!(journal.contains(what), "{journal}");
    }
    assert!(journal.contains("measurements: truncated"), "{journal}");
}

#[test]
fn a_log_of_four_gibibytes_stays_behind_with_a_remark() {
    let Some(booted) = Booted::new(&files()) else { return };
    for path in [booted.event_log(), booted.ima_log()] {
        File::create(&path).unwrap().set_len(4 << 30).unwrap();
    }
    let journal = without_logs(&booted, &booted.agent(BANK));
    for what in
        ["bios_measurements: expected at most 327680 bytes, found more", "runtime_measurements: expected"]
    {
        assert!(journal.contains(what), "{journal}");
    }
}

#[test]
fn logs_that_cannot_be_read_stay_behind_with_a_remark() {
    let Some(booted) = Booted::new(&files()) else { return };
    fs::write(booted.ima_log(), b"").unwrap();
    let agent = booted.agent_with(booted.folder.path(), &booted.ima_log(), BANK);
    let journal = without_logs(&booted, &agent);
    assert!(journal.contains("Is a directory (os error 21)"), "{journal}");
    assert!(journal.contains("binary_runtime_measurements: empty"), "{journal}");
    let absent = booted.folder.path().join("absent");
    let journal = without_logs(&booted, &booted.agent_with(&absent, &absent, BANK));
    assert!(journal.contains("absent: No such file or directory (os error 2)"), "{journal}");
}

#[test]
fn a_log_without_a_digest_of_a_quoted_bank_stays_behind_with_a_remark() {
    let Some(booted) = Booted::new(&files()) else { return };
    fs::remove_file(booted.ima_log()).unwrap();
    let journal = without_logs(&booted, &booted.agent("sha384 = [0, 7, 10]"));
    let expected = "binary_bios_measurements: it has digests of sha256, and the quote values of sha384";
    assert!(journal.contains(expected), "{journal}");
}

#[test]
fn an_ima_list_without_pcr_10_is_a_problem_at_the_start() {
    let Some(tpm) = vtpm() else { return };
    let folder = TempDir::new().unwrap();
    let rest = config(&tpm, "ima_log = \"/list\"\nevent_log = \"log\"\npcrs = { sha256 = [7] }\n");
    let (code, said) = Agent::fail(folder.path(), "[0]", &rest);
    assert_eq!(code, Some(2));
    assert!(said.contains("tpm.ima_log: PCR 10, by which a list is judged, is not in tpm.pcrs"), "{said}");
    assert!(said.contains("tpm.event_log: expected an absolute path or none, found log"), "{said}");
}
