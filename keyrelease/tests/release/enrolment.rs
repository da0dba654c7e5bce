//! TPMs that nobody compared: enrolled by their manufacturer's certificate, known from then on by their node's name.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use attest::crypto::{AwsLcRs, Hash};
use attest::tpm::assemble;
use attest::{Platform, Transcript};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use protocol::enrol::{EnrolAnswer, EnrolReply, EnrolRequest};
use protocol::release::{Base64, node_login_context};
use serde_json::{Value, json};
use simulator::vtpm::{Endorsement, Vtpm, manufacture};
use tempfile::TempDir;

use crate::admission::{anchors, record};
use crate::governance::{alice, bob, document, refused, try_propose};
use crate::machine::{Key, challenge};
use crate::server::{Answer, Server, now};

/// A machine with a TPM that a manufacturer certified.
struct Machine {
    vtpm: Option<Vtpm>,
    folder: TempDir,
    made: Endorsement,
}

impl Machine {
    /// Starts one, or says why this test is skipped.
    fn start(test: &str) -> Option<Self> {
        for program in ["swtpm", "swtpm_setup", "swtpm_localca", "tpm2_activatecredential"] {
            if Command::new(program).arg("--version").output().is_err() {
                let required = std::env::var_os("REQUIRE").unwrap_or_default();
                let required = required.to_string_lossy().split(',').any(|word| word.trim() == "swtpm");
                assert!(!required, "REQUIRE=swtpm, and {program} is not installed");
                println!("SKIP {test}: {program} is not installed");
                return None;
            }
        }
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("state")).unwrap();
        let made = manufacture(&folder.path().join("state")).unwrap();
        let mut machine = Self { vtpm: None, folder, made };
        machine.boot();
        machine.key("ak", "0x81010100");
        Some(machine)
    }

    /// A restart: the TPM has the same keys and counts one reset more.
    fn boot(&mut self) {
        self.vtpm = None;
        self.vtpm = Some(Vtpm::start_in(&self.path("state")).unwrap());
        // What a firmware does first.
        self.run("tpm2_pcrextend", &[&format!("0:sha256={}", "17".repeat(32))]);
    }

    /// Makes an attestation key and keeps it in the TPM.
    fn key(&self, name: &str, handle: &str) {
        let (context, public) = (format!("{name}.ctx"), format!("{name}.pub"));
        let made = ["-C", EK, "-c", &context, "-G", "ecc", "-g", "sha256", "-s", "ecdsa", "-u", &public];
        self.run("tpm2_createak", &[&made[..], &["-f", "tss"]].concat());
        self.run("tpm2_flushcontext", &["-t"]);
        self.run("tpm2_evictcontrol", &["-c", &context, handle]);
        std::fs::write(self.path(&format!("{name}.handle")), handle).unwrap();
        self.run("tpm2_flushcontext", &["-t"]);
    }

    fn handle(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{name}.handle"))).unwrap()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let output = self.command(program, arguments).output().unwrap();
        assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        let tcti = self.vtpm.as_ref().unwrap().tcti();
        command.args(arguments).current_dir(self.folder.path()).env("TPM2TOOLS_TCTI", tcti);
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Runs something that the policy does not allow.
    fn extend_23(&self) {
        self.run("tpm2_pcrextend", &[&format!("23:sha256={}", "01".repeat(32))]);
    }

    /// What this machine says to enrol its key of this name.
    fn request(&self, ak: &str) -> EnrolRequest {
        EnrolRequest {
            ek_certificate: Base64(std::fs::read(&self.made.ek_rsa2048).unwrap()),
            chain: vec![Base64(der(&self.made.issuer))],
            ek_public: None,
            ak_public: Base64(self.read(&format!("{ak}.pub"))[2..].to_vec()),
        }
    }

    fn begin(&self, server: &Server, ak: &str) -> EnrolReply {
        begun(&begin(server, &self.request(ak)))
    }

    /// What the TPM opens, if it does.
    fn opens(&self, ak: &str, reply: &EnrolReply) -> Option<Vec<u8>> {
        let head = [0xba, 0xdc, 0xc0, 0xde, 0, 0, 0, 1];
        let blob = [&head[..], &reply.id_object.0, &reply.encrypted_secret.0].concat();
        std::fs::write(self.path("credential"), blob).unwrap();
        self.run("tpm2_startauthsession", &["--policy-session", "-S", "session"]);
        self.run("tpm2_policysecret", &["-S", "session", "-c", "e"]);
        let handle = self.handle(ak);
        let asked = ["-c", &handle, "-C", EK, "-i", "credential", "-o", "opened", "-P", "session:session"];
        let opened = self.command("tpm2_activatecredential", &asked).output().unwrap();
        self.run("tpm2_flushcontext", &["session"]);
        opened.status.success().then(|| self.read("opened"))
    }

    /// The whole enrolment of a key.
    fn enrol(&self, server: &Server, ak: &str) -> EnrolAnswer {
        let reply = self.begin(server, ak);
        EnrolAnswer { token: reply.enrolment.clone(), answer: Base64(self.opens(ak, &reply).unwrap()) }
    }

    /// Logs in in this name, with a quote of the key of this name.
    fn login(&self, server: &Server, ak: &str, name: &str, enrolment: Option<&EnrolAnswer>) -> Answer {
        let challenge = challenge(server, "auth/attest");
        let nonce: [u8; 32] = hex::decode(&challenge.nonce).unwrap().try_into().unwrap();
        let (context, key) = (node_login_context("auth/attest", "tpm", name), Key::x25519());
        let transcript = Transcript { nonce: &nonce, context: &context, key: &key.offered };
        let data = hex::encode(transcript.caller_data(&AwsLcRs, Platform::Tpm2));
        let mut body = json!({
            "role": "tpm",
            "node": name,
            "challenge": challenge.challenge,
            "platform": Platform::Tpm2,
            "evidence": Base64(self.quote(ak, &data)),
            "kem": key.offered.kem.name(),
            "public_key": Base64(key.offered.public.clone()),
        });
        if let Some(enrolment) = enrolment {
            body["enrolment"] = serde_json::to_value(enrolment).unwrap();
        }
        server.call("POST", "auth/attest/login", Some(&body), "")
    }

    fn quote(&self, ak: &str, data: &str) -> Vec<u8> {
        let handle = self.handle(ak);
        let asked = ["-c", &handle, "-l", "sha256:0,23", "-q", data, "-g", "sha256", "--scheme", "ecdsa"];
        self.run("tpm2_quote", &[&asked[..], &["-m", "quote.msg", "-s", "quote.sig"]].concat());
        self.run("tpm2_pcrread", &["sha256:0,23", "-F", "values", "-o", "pcrs"]);
        let values = self.read("pcrs");
        let values = values.chunks(32).zip([0, 23]);
        let values: Vec<_> = values.map(|(value, index)| (Hash::Sha256, index, value.to_vec())).collect();
        let public = self.read(&format!("{ak}.pub"))[2..].to_vec();
        assemble(&self.read("quote.msg"), &self.read("quote.sig"), &public, &values)
    }

    /// The manufacturer's root.
    fn root(&self) -> String {
        std::fs::read_to_string(&self.made.root).unwrap()
    }
}

fn begin(server: &Server, request: &EnrolRequest) -> Answer {
    server.call("POST", "auth/attest/enrol", Some(&serde_json::to_value(request).unwrap()), "")
}

fn begun(answer: &Answer) -> EnrolReply {
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_value(answer.json["data"].clone()).unwrap()
}

fn der(pem: &Path) -> Vec<u8> {
    let text = std::fs::read_to_string(pem).unwrap();
    let begin = text.find("-----BEGIN CERTIFICATE-----").unwrap();
    let lines = text[begin..].lines().skip(1).take_while(|line| !line.starts_with("-----"));
    STANDARD.decode(lines.collect::<String>()).unwrap()
}

/// A server with a role for TPMs that join, and no manufacturer.
fn fresh() -> Server {
    let server = Server::start();
    server
        .write("auth/attest/config/limits", &json!({ "refusals_burst": 1000, "refusals_burst_in_all": 1000 }))
        .ok();
    server.write("auth/attest/policy/tpm", &json!({ "policy": POLICY })).ok();
    server.write("auth/attest/role/tpm", &role()).ok();
    server
}

fn role() -> Value {
    json!({
        "policy": "tpm", "token_policies": ["machine"], "token_ttl_seconds": 600,
        "nodes": "first-come", "enrol": "manufacturer",
    })
}

fn believe(server: &Server, name: &str, pem: &str) {
    server.write(&format!("auth/attest/collateral/tpm-manufacturer/{name}"), &json!({ "value": pem })).ok();
}

fn replays(server: &Server, answer: &Answer) {
    let decision = answer.json["data"]["decision"].as_str().unwrap();
    let bundle = record(server, "auth/attest", "verdict", decision);
    assert!(bundle.replay(&AwsLcRs, &anchors()).unwrap().identical);
}

#[test]
fn a_tpm_joins_by_its_manufacturers_word_and_is_known_after_a_reboot() {
    let Some(mut machine) =
        Machine::start("a_tpm_joins_by_its_manufacturers_word_and_is_known_after_a_reboot")
    else {
        return;
    };
    let server = fresh();
    // Nobody is believed until somebody says so.
    let nobody = begin(&server, &machine.request("ak"));
    assert_eq!((nobody.status, nobody.errors().contains("no path")), (403, true), "{nobody:?}");
    believe(&server, "swtpm", &machine.root());
    let twice = json!({ "value": machine.root() });
    let twice = server.write("auth/attest/collateral/tpm-manufacturer/again", &twice);
    assert_eq!(twice.errors(), "tpm-manufacturer: a root of this text is in \"swtpm\" already");
    assert_eq!(machine.login(&server, "ak", "t1", None).failing(), ["tpm.ak.enrolled"]);
    let enrolment = machine.enrol(&server, "ak");
    let joined = machine.login(&server, "ak", "t1", Some(&enrolment)).ok();
    replays(&server, &joined);
    let shown = server.read("auth/attest/node/t1").ok().json["data"].clone();
    assert_eq!(
        (&shown["ids"]["platform"], &shown["clock"]["resets"].is_u64()),
        (&json!("tpm2"), &true),
        "{shown}"
    );
    assert_eq!(shown["ids"]["ek"].as_str().unwrap().len(), 64);
    machine.login(&server, "ak", "t1", None).ok();
    machine.boot();
    let again = machine.login(&server, "ak", "t1", None).ok();
    replays(&server, &again);
    assert_eq!(again.json["auth"]["metadata"]["node"], joined.json["auth"]["metadata"]["node"]);
    // Another key of the same TPM is another key until the TPM proves that it has it; then it is the same machine.
    machine.key("second", "0x81010101");
    assert_eq!(machine.login(&server, "second", "t1", None).failing(), ["tpm.ak.enrolled"]);
    let renewed = machine.enrol(&server, "second");
    // An attack: what one key proved is brought with another.
    assert_eq!(machine.login(&server, "second", "t1", Some(&enrolment)).failing(), ["tpm.ak.enrolled"]);
    let changed = machine.login(&server, "second", "t1", Some(&renewed)).ok();
    assert_eq!(changed.json["auth"]["metadata"]["node"], joined.json["auth"]["metadata"]["node"]);
    assert_eq!(machine.login(&server, "ak", "t1", None).failing(), ["tpm.ak.enrolled"]);
    // One TPM, one name: with any of its keys.
    let other_name = machine.login(&server, "second", "t2", Some(&renewed));
    assert_eq!(other_name.failing(), ["node.machine"]);
    replays(&server, &other_name);
    // The register that forgot it asks for the proof again, and a manufacturer that is taken off takes its keys along.
    server.call("DELETE", "auth/attest/node/t1", None, "root");
    assert_eq!(machine.login(&server, "second", "t1", None).failing(), ["tpm.ak.enrolled"]);
    machine.login(&server, "second", "t1", Some(&renewed)).ok();
    server.call("DELETE", "auth/attest/collateral/tpm-manufacturer/swtpm", None, "root");
    assert_eq!(machine.login(&server, "second", "t1", None).failing(), ["tpm.ak.enrolled"]);
}

#[test]
fn l15_another_tpm_does_not_take_a_nodes_name_whatever_it_presents() {
    let test = "l15_another_tpm_does_not_take_a_nodes_name_whatever_it_presents";
    let (Some(genuine), Some(thief)) = (Machine::start(test), Machine::start(test)) else { return };
    let server = fresh();
    believe(&server, "one", &genuine.root());
    let unknown = begin(&server, &thief.request("ak"));
    assert_eq!(unknown.status, 403, "{unknown:?}");
    assert!(unknown.errors().contains("tpm.ek.chain: expected"), "{unknown:?}");
    believe(&server, "two", &thief.root());
    genuine.login(&server, "ak", "t1", Some(&genuine.enrol(&server, "ak"))).ok();
    // Under its own endorsement key.
    let own = thief.enrol(&server, "ak");
    let refused = thief.login(&server, "ak", "t1", Some(&own));
    assert_eq!(refused.failing(), ["node.machine"]);
    replays(&server, &refused);
    // With the certificate of the genuine one: its TPM does not open what was sealed to another.
    let request = EnrolRequest { ak_public: thief.request("ak").ak_public, ..genuine.request("ak") };
    let reply = begun(&begin(&server, &request));
    assert_eq!(thief.opens("ak", &reply), None);
    let guessed = EnrolAnswer { token: reply.enrolment.clone(), answer: Base64(vec![0; 32]) };
    let refused = thief.login(&server, "ak", "t1", Some(&guessed));
    assert_eq!(refused.status, 400);
    assert!(
        refused.errors().contains("the answer is not what was sealed to the endorsement key"),
        "{refused:?}"
    );
    // And the genuine one does not open it for a key that it does not have.
    assert_eq!(genuine.opens("ak", &reply), None);
    thief.login(&server, "ak", "t2", Some(&own)).ok();
    genuine.login(&server, "ak", "t1", None).ok();
}

/// An attack: the TPM's state, copied before, runs elsewhere.
#[test]
fn a_tpm_whose_state_was_set_back_is_refused_and_bars_nobody() {
    let test = "a_tpm_whose_state_was_set_back_is_refused_and_bars_nobody";
    let Some(mut machine) = Machine::start(test) else { return };
    let server = fresh();
    believe(&server, "swtpm", &machine.root());
    machine.login(&server, "ak", "t1", Some(&machine.enrol(&server, "ak"))).ok();
    machine.vtpm = None;
    let (state, copy) = (machine.path("state/tpm2-00.permall"), machine.path("copy"));
    std::fs::copy(&state, &copy).unwrap();
    machine.boot();
    machine.boot();
    machine.login(&server, "ak", "t1", None).ok();
    machine.vtpm = None;
    let genuine = machine.path("genuine");
    std::fs::copy(&state, &genuine).unwrap();
    std::fs::copy(&copy, &state).unwrap();
    machine.boot();
    for _ in 0..2 {
        let refused = machine.login(&server, "ak", "t1", None);
        assert_eq!(refused.failing(), ["node.boot"]);
        replays(&server, &refused);
    }
    // Nor in a state that the policy does not allow, in the node's name or in another.
    machine.extend_23();
    assert_eq!(machine.login(&server, "ak", "t1", None).failing(), ["node.boot", "tpm.pcr.sha256.23"]);
    assert_eq!(machine.login(&server, "ak", "t2", None).failing(), ["node.machine", "tpm.pcr.sha256.23"]);
    assert_eq!(server.list("auth/attest/failure").status, 404);
    machine.vtpm = None;
    std::fs::copy(&genuine, &state).unwrap();
    machine.boot();
    machine.login(&server, "ak", "t1", None).ok();
}

/// A machine that failed does not become another by making itself a new key.
#[test]
fn l17_a_failure_stays_with_the_tpm_whatever_key_it_enrols() {
    let test = "l17_a_failure_stays_with_the_tpm_whatever_key_it_enrols";
    let Some(machine) = Machine::start(test) else { return };
    let server = fresh();
    believe(&server, "swtpm", &machine.root());
    let first = machine.enrol(&server, "ak");
    machine.extend_23();
    assert_eq!(machine.login(&server, "ak", "t1", Some(&first)).failing(), ["tpm.pcr.sha256.23"]);
    machine.run("tpm2_pcrreset", &["23"]);
    assert_eq!(machine.login(&server, "ak", "t1", Some(&first)).failing(), ["standing.failed"]);
    machine.key("second", "0x81010101");
    let second = machine.enrol(&server, "second");
    assert_eq!(machine.login(&server, "second", "t2", Some(&second)).failing(), ["standing.failed"]);
}

#[test]
fn what_is_no_enrolment_is_not_begun() {
    static SERVER: OnceLock<Server> = OnceLock::new();
    let server = SERVER.get_or_init(fresh);
    let call = |body: &Value| server.call("POST", "auth/attest/enrol", Some(body), "");
    for (body, words) in [
        (json!({}), "missing field `ek_certificate`"),
        (json!({ "ek_certificate": "AA==", "ak_public": "AA==" }), "endorsement key"),
        (json!({ "ek_certificate": "AA==", "ek_public": "AA==", "ak_public": "AA==" }), "enrol: "),
        (json!({ "ek_certificate": "AA==", "ak_public": "AA==", "ek": 1 }), "unknown field `ek`"),
        (
            json!({ "ek_certificate": "AA==", "ak_public": "AA==", "chain": vec!["AA=="; 5] }),
            "at most 4 certificates",
        ),
        (
            json!({ "ek_certificate": STANDARD.encode(vec![0; 33_000]), "ak_public": "AA==" }),
            "32768 bytes in all",
        ),
    ] {
        let answer = call(&body);
        assert_eq!((answer.status, answer.errors().contains(words)), (400, true), "{words}: {answer:?}");
    }
    // A role that takes no enrolment, and one that could not remember it.
    let stray = json!({
        "role": "node", "enrolment": { "token": "", "answer": "" }, "challenge": "", "platform": "tpm2",
        "evidence": "", "kem": "x25519", "public_key": STANDARD.encode([1; 32]),
    });
    let refused = server.call("POST", "auth/attest/login", Some(&stray), "");
    assert_eq!(refused.errors(), "enrolment: the role takes none (enrol = none)");
    let mut role = role();
    role["nodes"] = Value::from("any");
    let refused = server.write("auth/attest/role/x", &role);
    assert_eq!(refused.errors(), "enrol: manufacturer goes with nodes registered or first-come, found any");
    for value in ["", "no PEM", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"] {
        let refused = server.write("auth/attest/collateral/tpm-manufacturer/x", &json!({ "value": value }));
        assert!(refused.errors().starts_with("tpm-manufacturer: expected 1 to 16 PEM blocks"), "{refused:?}");
    }
    let elsewhere = server.write("attest-keys/collateral/tpm-manufacturer/x", &json!({ "value": "" }));
    assert_eq!(elsewhere.errors(), "kind: only an auth mount enrols TPMs");
}

/// Whoever names a manufacturer believes every TPM that it ever made: where several rule, they approve it.
#[test]
fn where_several_rule_a_manufacturer_is_believed_by_proposal_alone() {
    let test = "where_several_rule_a_manufacturer_is_believed_by_proposal_alone";
    let Some(machine) = Machine::start(test) else { return };
    let server = fresh();
    server.write("auth/attest/config/approvers", &document(2, &[&alice(), &bob()])).ok();
    let path = "auth/attest/collateral/tpm-manufacturer/swtpm";
    refused(&server.write(path, &json!({ "value": machine.root() })), "this mount has approvers");
    let propose = |content: &str| {
        let (kind, name, expires) = ("tpm-manufacturer", "swtpm", now().plus(3600));
        let body =
            json!({ "kind": kind, "name": name, "content": content, "expires": expires, "reason": "a test" });
        server.write("auth/attest/proposal", &body)
    };
    refused(&propose("no PEM"), "tpm-manufacturer: expected 1 to 16 PEM blocks");
    let shown = propose(&machine.root()).ok().json["data"].clone();
    let proposal: attest::governance::Proposal = serde_json::from_value(shown["proposal"].clone()).unwrap();
    for person in [alice(), bob()] {
        assert_eq!(begin(&server, &machine.request("ak")).status, 403);
        let signature = person.sign(&proposal.to_be_signed(person.name));
        let path = format!("auth/attest/proposal/{}/approve", shown["id"].as_str().unwrap());
        server.write(&path, &json!({ "approver": person.name, "signature": signature })).ok();
    }
    machine.login(&server, "ak", "t1", Some(&machine.enrol(&server, "ak"))).ok();
    assert_eq!(server.read(path).ok().json["data"]["value"], machine.root());
    refused(
        &try_propose(&server, "tpm-manufacturer", "swtpm", &machine.root()),
        "only an auth mount enrols TPMs",
    );
}

const EK: &str = "0x81010001";

const POLICY: &str = r#"
name = "tpm"
version = 1
expires = "2048-01-01T00:00:00Z"
insecure-accept-simulated-roots = true

[freshness]
verdict_seconds = 300
collateral_days = 400

[[reference]]
id = "nothing"
value = "0000000000000000000000000000000000000000000000000000000000000000"
provenance = "the register's reset value"

[tpm]
ak = { any_of = ["enrolled"] }
ak_revocation_list = "any"
attestation_keys = "any"
signature_hash = { any_of = ["sha256"] }
banks = { any_of = ["sha256"] }
required = [0]
pcrs = [{ bank = "sha256", index = 23, any_of = ["nothing"] }]
clock_safe = "any"
firmware_version = "any"
"#;
