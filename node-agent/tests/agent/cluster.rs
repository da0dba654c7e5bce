//! What a machine joins: the registers of its TPM, and the Node of a real API server.

use std::fs;
use std::path::Path;
use std::process::Command;

use attest::cluster_register;
use attest::crypto::{AwsLcRs, Hash};
use kubebed::{Client, Cluster};
use serde_json::{Value, json};
use simulator::snp::{Chip, Product};
use simulator::vtpm::{Vtpm, manufacture};

use crate::harness::{Agent, Guest, PROGRAM, skip, vtpm};
use crate::openbao::{Line, eventually, openbao, status_when, today};

fn is_attested(status: &Value) -> bool {
    status["attested"] == true
}

/// By its manufacturer's certificate, with the cluster's name in PCR 15, which the policy pins.
#[test]
fn a_tpm_enrols_itself_and_belongs_to_one_cluster_until_it_reboots() {
    let (Some(openbao), Some(_)) = (openbao(), vtpm()) else { return };
    let (state, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let made = manufacture(state.path()).unwrap();
    let tpm = Vtpm::start_in(state.path()).unwrap();
    let blue = hex::encode(cluster_register(&AwsLcRs, Hash::Sha256, "blue"));
    openbao.tpm_role("claimed", &POLICY.replace("BLUE", &blue), &fs::read_to_string(&made.root).unwrap());
    let line = Line::to(openbao);
    let config = |cluster: &str| {
        let hardware = format!(
            "endorsements = [{:?}]\n[tpm]\ntcti = {:?}\ncreate_ak = true\nevent_log = {none:?}\n",
            made.issuer,
            tpm.tcti(),
            none = folder.path().join("none"),
        );
        let rest = format!("enrol = true\ncluster_id = {cluster:?}\ninterval = 1");
        hardware + &line.config("n-claimed", "claimed", &rest)
    };
    let mut agent = Agent::start_in(folder.path(), &config("blue"));
    let first = status_when(folder.path(), "an admission", is_attested);
    assert_eq!(first["cluster_id"], "blue");
    let again = |status: &Value| is_attested(status) && status["uptime"]["until"] != first["uptime"]["until"];
    status_when(folder.path(), "another admission", again);
    agent.terminate();
    // Another agent finds the name there, and takes it in no second time: the policy would refuse it.
    let mut agent = Agent::start_in(folder.path(), &config("blue"));
    status_when(folder.path(), "an admission", is_attested);
    agent.terminate();
    let agent = Agent::start_in(folder.path(), &config("green"));
    let lost = status_when(folder.path(), "the claim", |status| status["reason"] == "OtherCluster");
    let message =
        format!("this machine belongs to another cluster until it reboots: PCR 15 holds sha256:{blue}");
    assert_eq!((&lost["message"], &lost["next_try"]), (&json!(message), &Value::Null));
    drop(agent);
}

#[test]
fn what_a_policy_pins_for_a_cluster_is_told_beforehand() {
    let output = Command::new(PROGRAM).args(["cluster", "blue"]).output().unwrap();
    let value = |bank| hex::encode(cluster_register(&AwsLcRs, bank, "blue"));
    let (short, long) = (value(Hash::Sha256), value(Hash::Sha384));
    let expected =
        format!("PCR 15 sha256 {short}\nPCR 15 sha384 {long}\nRTMR 3 sha384 {long}\nPCR 16 sha384 {long}\n");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    // TPM 2.0 Part 1, clause 17.2, by hand: SHA-256 of 32 zero bytes and SHA-256 of the name.
    assert_eq!(short, "cda73c4eb6cc54d02e57ada5ab56bce2d52620a701ee3908de4e942e0d969664");
}

/// The label, the condition and the taint say what OpenBao said, long before the next evidence is due.
#[test]
fn the_node_says_what_openbao_said_of_its_machine() {
    let chip = Chip::new(110, Product::Genoa).at(today().0);
    let (Some(openbao), Some(guest)) = (openbao(), Guest::on(chip, |machine| machine)) else { return };
    let Some(program) = kubebed::program() else { return skip("kube", "kubebed is not built") };
    let cluster = Cluster::start(&program, &[]).unwrap();
    let admin = cluster.admin().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let kubernetes = node(&cluster, &admin, folder.path());
    openbao.role("labelled", 600);
    let guard = folder.path().join("enforcer.sock");
    let rest = format!("interval = 86400\nwatch = [{guard:?}]");
    let config = guest.config() + &Line::to(openbao).config("n1", "labelled", &rest) + &kubernetes;
    let mut agent = Agent::start(&config);
    eventually("the label after an admission", || {
        marks(&admin) == ("true".to_owned(), "True".to_owned(), false)
    });
    let first = heartbeat(&admin);
    fs::write(&guard, "started").unwrap();
    eventually("a later heartbeat after another admission", || heartbeat(&admin) > first);
    openbao.revoke("policy=labelled@1");
    fs::remove_file(&guard).unwrap();
    eventually("the label after a refusal", || {
        marks(&admin) == ("false".to_owned(), "False".to_owned(), true)
    });
    agent.terminate();
}

/// A Node of the name `n1`, which joins with the taint, and the section for an agent that may mark it.
fn node(cluster: &Cluster, admin: &Client, folder: &Path) -> String {
    let rbac = "rbac.authorization.k8s.io";
    let rules = json!([
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "patch"]},
        {"apiGroups": [""], "resources": ["nodes/status"], "verbs": ["patch"]},
    ]);
    for object in [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "cloudtaser"}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "agent", "namespace": "cloudtaser"}}),
        json!({"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole", "metadata": {"name": "agent"}, "rules": rules}),
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": "agent"},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "agent"},
            "subjects": [{"kind": "ServiceAccount", "name": "agent", "namespace": "cloudtaser"}],
        }),
        json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"},
            "spec": {"taints": [{"key": "cloudtaser.io/not-attested", "effect": "NoSchedule"}]},
        }),
    ] {
        let answer = admin.apply(&object).unwrap();
        assert!(matches!(answer.status, 200 | 201), "{}", answer.body);
    }
    let token = folder.join("token");
    fs::write(&token, cluster.pod_token("cloudtaser", "agent", "n1").unwrap()).unwrap();
    let (url, ca) = (cluster.url(), cluster.ca());
    format!("[kubernetes]\nnode = \"n1\"\nserver = {url:?}\ntoken = {token:?}\nca_file = {ca:?}\n")
}

/// When the condition was last found to hold.
fn heartbeat(admin: &Client) -> String {
    let node = admin.get("/api/v1/nodes/n1").unwrap().body;
    let conditions = node.pointer("/status/conditions").and_then(Value::as_array).unwrap();
    let condition = conditions.iter().find(|condition| condition["type"] == "cloudtaser.io/Attested");
    condition.unwrap()["lastHeartbeatTime"].as_str().unwrap().to_owned()
}

/// The label, the condition's status, and whether the taint is there.
fn marks(admin: &Client) -> (String, String, bool) {
    let node = admin.get("/api/v1/nodes/n1").unwrap().body;
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let all = |path: &str| node.pointer(path).and_then(Value::as_array).cloned().unwrap_or_default();
    let conditions = all("/status/conditions");
    let condition = conditions.iter().find(|condition| condition["type"] == "cloudtaser.io/Attested");
    let is_tainted = all("/spec/taints").iter().any(|taint| taint["key"] == "cloudtaser.io/not-attested");
    let label = node.pointer("/metadata/labels/cloudtaser.io~1attested");
    (text(label), text(condition.and_then(|condition| condition.get("status"))), is_tainted)
}

const POLICY: &str = r#"
name = "claimed"
version = 1
expires = "2048-01-01T00:00:00Z"
insecure-accept-simulated-roots = true

[freshness]
verdict_seconds = 300
collateral_days = 400

[[reference]]
id = "blue"
value = "BLUE"
provenance = "the cluster's name, and nothing else"

[tpm]
ak = { any_of = ["enrolled"] }
ak_revocation_list = "any"
attestation_keys = "any"
signature_hash = { any_of = ["sha256"] }
banks = { any_of = ["sha256"] }
required = [15]
pcrs = [{ bank = "sha256", index = 15, any_of = ["blue"] }]
clock_safe = "any"
firmware_version = "any"
"#;
