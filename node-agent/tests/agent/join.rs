//! Joining, proving it again and again, and being refused: with a real OpenBao and its plugin.

use std::fs;
use std::process::Command;

use protocol::release::node_login_context;
use serde_json::{Value, json};
use simulator::snp::{Chip, Product};

use crate::harness::{Agent, Guest, PROGRAM, request};
use crate::openbao::{Line, eventually, openbao, status, status_verb, status_when, today};

/// A guest of today on the chip of this number, which no other test has.
fn guest(seed: u64) -> Option<Guest> {
    Guest::on(Chip::new(seed, Product::Genoa).at(today().0), |machine| machine)
}

fn is_attested(status: &Value) -> bool {
    status["attested"] == true
}

fn is_refused(status: &Value) -> bool {
    status["reason"] == "Refused"
}

/// So far off that nothing here waits for it.
const NEVER: &str = "interval = 86400";
const SOON: &str = "interval = 1";

#[test]
fn a_machine_joins_goes_on_proving_it_and_leaves_no_token_behind() {
    let (Some(openbao), Some(guest)) = (openbao(), guest(101)) else { return };
    openbao.role("joins", 600);
    let line = Line::to(openbao);
    let mut agent = Agent::start(&(guest.config() + &line.config("n-joins", "joins", SOON)));
    let first = status_when(agent.directory(), "an admission", is_attested);
    assert_eq!(
        (&first["node"], &first["role"], &first["reason"]),
        (&json!("n-joins"), &json!("joins"), &json!("Attested"))
    );
    let later = status_when(agent.directory(), "another admission", |status| {
        status["uptime"]["until"] != first["uptime"]["until"]
    });
    assert_eq!(later["uptime"]["since"], first["uptime"]["since"], "once attested, attested since then");
    assert_eq!(openbao.tokens("joins"), 1, "a new token takes the place of the one before");
    let (code, told) = status_verb(agent.directory());
    assert_eq!(
        (code, &told["status"]["attested"], &told["worth"]),
        (Some(0), &json!(true), &json!("current"))
    );
    assert!(agent.terminate().success());
    assert_eq!(openbao.tokens("joins"), 0);
    let last = status(agent.directory()).unwrap();
    assert_eq!((&last["attested"], &last["reason"]), (&json!(false), &json!("AgentStopped")));
    let (code, told) = status_verb(agent.directory());
    assert_eq!((code, &told["worth"]), (Some(1), &json!("orphaned")));
    assert!(!agent.journal().contains("s."), "a token in the journal");
}

/// Lesson L17: failure is sticky.
#[test]
fn l17_a_machine_that_openbao_refused_stays_refused_until_openbao_admits_it() {
    let (Some(openbao), Some(guest)) = (openbao(), guest(102)) else { return };
    openbao.role("sticky", 600);
    let (line, folder) = (Line::to(openbao), tempfile::tempdir().unwrap());
    let config = guest.config() + &line.config("n-sticky", "sticky", SOON);
    let mut agent = Agent::start_in(folder.path(), &config);
    status_when(folder.path(), "an admission", is_attested);
    openbao.revoke("policy=sticky@1");
    let refused = status_when(folder.path(), "a refusal", is_refused);
    assert_eq!(refused["refusal"]["checks"], json!(["standing.revoked"]));
    assert_eq!((&refused["attested"], &refused["until"]), (&json!(false), &Value::Null));
    eventually("the end of the token", || openbao.tokens("sticky") == 0);
    // Neither silence nor a new agent makes it well.
    line.cut();
    agent.journal_with("OpenBao did not judge this machine");
    assert!(is_refused(&status(folder.path()).unwrap()));
    let in_order: fn(&mut Agent) = |agent| assert!(agent.terminate().success());
    for end in [Agent::kill, in_order] {
        end(&mut agent);
        line.mend();
        agent = Agent::start_in(folder.path(), &config);
        let again =
            status_when(folder.path(), "the new agent", |status| status["uptime"]["boot"].is_string());
        assert!(is_refused(&again), "{again}");
        assert_eq!(again["uptime"]["since"], refused["uptime"]["since"]);
    }
    openbao.reinstate("policy=sticky@1", "revoked");
    status_when(folder.path(), "an admission", is_attested);
    assert!(agent.terminate().success());
    let journal = agent.journal();
    let first = journal.lines().find(|line| line.starts_with("member: ")).unwrap();
    assert!(
        first.starts_with("member: not attested: Refused: OpenBao refused this machine: standing.revoked"),
        "{first}"
    );
}

#[test]
fn a_policy_that_changes_refuses_and_its_next_edition_heals() {
    let (Some(openbao), Some(guest)) = (openbao(), guest(103)) else { return };
    openbao.role("edition", 600);
    let line = Line::to(openbao);
    let agent = Agent::start(&(guest.config() + &line.config("n-edition", "edition", SOON)));
    status_when(agent.directory(), "an admission", is_attested);
    openbao.policy("edition", 2, |text| text.replace("5a5a5a5a", "5b5b5b5b"));
    let refused = status_when(agent.directory(), "a refusal", is_refused);
    assert_eq!(refused["refusal"]["checks"], json!(["snp.measurement"]));
    openbao.policy("edition", 3, |text| text);
    status_when(agent.directory(), "an admission", is_attested);
}

/// What was said holds while nobody can be asked, until its end and no longer.
#[test]
fn a_verdict_outlives_a_silent_openbao_but_not_itself() {
    let (Some(openbao), Some(guest)) = (openbao(), guest(104)) else { return };
    openbao.role("silent", 8);
    let line = Line::to(openbao);
    let agent = Agent::start(&(guest.config() + &line.config("n-silent", "silent", SOON)));
    status_when(agent.directory(), "an admission", is_attested);
    line.cut();
    agent.journal_with("OpenBao did not judge this machine");
    let held = status(agent.directory()).unwrap();
    assert!(is_attested(&held), "{held}");
    let ended = status_when(agent.directory(), "its end", |status| status["attested"] == false);
    assert!(["VerdictEnded", "Unanswered"].contains(&ended["reason"].as_str().unwrap()), "{ended}");
    line.mend();
    status_when(agent.directory(), "an admission", is_attested);
}

#[test]
fn a_guard_that_restarts_is_answered_with_evidence_long_before_it_is_due() {
    let (Some(openbao), Some(guest)) = (openbao(), guest(105)) else { return };
    openbao.role("watched", 600);
    let (line, folder) = (Line::to(openbao), tempfile::tempdir().unwrap());
    let guard = folder.path().join("enforcer.sock");
    fs::write(&guard, "first").unwrap();
    let rest = format!("{NEVER}\nwatch = [{guard:?}]");
    let agent = Agent::start(&(guest.config() + &line.config("n-watched", "watched", &rest)));
    status_when(agent.directory(), "an admission", is_attested);
    openbao.revoke("policy=watched@1");
    fs::write(folder.path().join("new"), "second").unwrap();
    fs::rename(folder.path().join("new"), &guard).unwrap();
    let refused = status_when(agent.directory(), "a refusal", is_refused);
    assert_eq!(refused["refusal"]["checks"], json!(["standing.revoked"]));
    agent.journal_with("enforcer.sock came, went or was replaced");
}

#[test]
fn an_operator_joins_once_and_is_told_every_failing_check() {
    let (Some(openbao), Some(guest)) = (openbao(), guest(106)) else { return };
    openbao.role("once", 600);
    let (line, folder) = (Line::to(openbao), tempfile::tempdir().unwrap());
    let file = folder.path().join("agent.toml");
    let socket = format!("socket = {:?}\nallowed_uids = [0]\n", folder.path().join("agent.sock"));
    fs::write(&file, socket + &guest.config() + &line.config("n-once", "once", NEVER)).unwrap();
    let once = || Command::new(PROGRAM).args(["join", "--once", "--config"]).arg(&file).output().unwrap();
    let admitted = once();
    let told = String::from_utf8(admitted.stdout).unwrap();
    assert!(admitted.status.success() && told.starts_with("admitted for "), "{told}");
    assert_eq!(openbao.tokens("once"), 0, "the token is not kept");
    openbao.policy("once", 2, |text| {
        text.replace("5a5a5a5a", "5b5b5b5b").replace("vmpl = { any_of = [0] }", "vmpl = { any_of = [3] }")
    });
    let refused = once();
    let told = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    for check in ["snp.vmpl: expected ", "snp.measurement: expected "] {
        assert!(told.contains(check), "{told}");
    }
}

#[test]
fn a_machine_that_cannot_join_says_why_and_serves_its_callers() {
    let Some(guest) = guest(107) else { return };
    let join = "[openbao]\naddress = \"http://127.0.0.1:1\"\n[join]\nnode = \"n\"\nrole = \"node\"\nwatch = [\"/nonexistent/x\"]\n";
    let agent = Agent::start(&(guest.config() + join));
    agent.journal_with("member: not started: watching /nonexistent: ENOENT");
    agent.evidence(&request(1, None));
}

/// An attack: a caller who may ask for evidence asks for what would make it the node.
#[test]
fn l31_a_caller_cannot_have_the_nodes_login_signed() {
    let Some(guest) = guest(108) else { return };
    let agent = Agent::start(&guest.config());
    let mut asked = request(1, None);
    asked.context = node_login_context("auth/attest", "node", "n1");
    let failure = agent.failure(&asked);
    assert_eq!(
        (&*failure.code, &*failure.message),
        ("agent.denied", "a node's login is for the agent itself to ask")
    );
}
