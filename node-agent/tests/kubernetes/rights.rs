//! The agent's rights in the cluster, as the chart gives them: each is needed, and none reaches further.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::OnceLock;

use kubebed::{Client, Cluster, Patch};
use node_agent::kubernetes::{Error, Standing};
use serde_json::{Value, json};

use crate::chart::{golden, one};
use crate::harness::{Machine, NAMESPACE, cluster, eventually, notice};

/// Who the chart's agent is.
const AGENT: &str = "agents-node-agent";
const POLICY: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/agents-node-agent";

/// The cluster with the chart in it.
fn charted() -> Option<&'static Cluster> {
    static CHARTED: OnceLock<()> = OnceLock::new();
    let cluster = cluster()?;
    CHARTED.get_or_init(|| {
        let admin = cluster.admin().unwrap();
        for document in golden("snp") {
            let answer = admin.apply(&document).unwrap();
            assert!(matches!(answer.status, 200 | 201), "{}", answer.body);
        }
        in_force(cluster, &admin);
    });
    Some(cluster)
}

/// A policy takes a moment until it is asked.
fn in_force(cluster: &Cluster, admin: &Client) {
    let agent = Machine::new(cluster, "probe", AGENT);
    agent.register(&json!([]));
    let other = cluster.client(&token(&agent)).unwrap();
    // Another change each time: what changes nothing is let pass.
    let tries = RefCell::new(0..);
    let refused = || {
        let number: u32 = tries.borrow_mut().next().unwrap();
        let change = json!({"metadata": {"labels": {"probe": number.to_string()}}});
        other.patch(&agent.path(), Patch::Merge, &change).unwrap().status == 403
    };
    eventually(|| refused().then_some(()), || admin.get(POLICY).unwrap().body.to_string());
}

fn token(machine: &Machine) -> String {
    std::fs::read_to_string(machine.folder().join("token")).unwrap()
}

#[test]
fn the_policy_is_one_that_the_api_server_can_read() {
    let Some(cluster) = charted() else { return };
    let admin = cluster.admin().unwrap();
    // The type checker runs in the controller manager, which is not here; an expression that does not compile is refused
    // when it is written.
    let mut policy =
        golden("snp").into_iter().find(|one| one["kind"] == "ValidatingAdmissionPolicy").unwrap();
    policy["metadata"]["name"] = "broken".into();
    policy["spec"]["validations"][0]["expression"] = "request.operation = 'UPDATE'".into();
    let answer = admin.apply(&policy).unwrap();
    assert_eq!(answer.status, 422, "{}", answer.body);
    assert_eq!(admin.get(POLICY).unwrap().status, 200);
}

#[test]
fn the_agent_marks_its_own_node() {
    let Some(cluster) = charted() else { return };
    let machine = Machine::new(cluster, "own", AGENT);
    machine.register(&json!([{"key": "cloudtaser.io/not-attested", "effect": "NoSchedule"}]));
    machine.node().post(&notice(Standing::Attested, 1)).unwrap();
    assert_eq!(machine.shown().brief(), ("true", "True", vec![]));
    machine.node().post(&notice(Standing::Refused, 2)).unwrap();
    assert_eq!(machine.shown().brief(), ("false", "False", vec!["cloudtaser.io/not-attested:NoSchedule"]));
}

#[test]
fn another_machines_node_is_out_of_reach() {
    let Some(cluster) = charted() else { return };
    let mine = Machine::new(cluster, "mine", AGENT);
    let mut theirs = Machine::new(cluster, "theirs", AGENT);
    theirs.register(&json!([]));
    theirs.settings.token = mine.settings.token.clone();
    let told = theirs.node().post(&notice(Standing::Attested, 1)).unwrap_err();
    let said =
        denied("theirs", "the node agent may change its own Node only, and its token is of a pod on mine");
    assert_eq!(told, Error::Forbidden { right: "patch nodes/status", said });
    assert_eq!(theirs.shown().brief(), ("none", "none", vec![]));
}

/// A token that somebody asked for without a pod names no machine.
#[test]
fn a_token_of_no_machine_marks_none() {
    let Some(cluster) = charted() else { return };
    let machine = Machine::new(cluster, "loose", AGENT);
    machine.register(&json!([]));
    let asked = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let path = format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{AGENT}/token");
    let answer = machine.admin.create(&path, &asked).unwrap().expect(201).unwrap();
    std::fs::write(&machine.settings.token, answer.body["status"]["token"].as_str().unwrap()).unwrap();
    let told = machine.node().post(&notice(Standing::Refused, 1)).unwrap_err();
    let said =
        denied("loose", "the node agent may change its own Node only, and its token is of a pod on no node");
    assert_eq!(told, Error::Forbidden { right: "patch nodes", said });
}

#[test]
fn what_is_not_ours_in_the_own_node_is_out_of_reach() {
    let Some(cluster) = charted() else { return };
    let machine = Machine::new(cluster, "bounds", AGENT);
    machine.register(&json!([{"key": "example.com/other", "effect": "NoSchedule"}]));
    let agent = cluster.client(&token(&machine)).unwrap();
    let (node, status) = (machine.path(), format!("{}/status", machine.path()));
    let label = "the node agent may change the label cloudtaser.io/attested only, and not remove it";
    let metadata = "the node agent may not change the Node's annotations, finalizers and owners";
    let taint = "the node agent may change the taint cloudtaser.io/not-attested only";
    let spec = "the node agent may not change the Node's spec but for its taint";
    let condition = "the node agent may change the condition cloudtaser.io/Attested only";
    let rest = "the node agent may not change the Node's status but for its condition";
    let ready = json!([{"type": "Ready", "status": "True"}]);
    for (path, change, message) in [
        (&node, json!({"metadata": {"labels": {"zone": "b"}}}), label),
        (&node, json!({"metadata": {"labels": {"zone": null}}}), label),
        (&node, json!({"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}}), label),
        (&status, json!({"metadata": {"labels": {"zone": "b"}}}), label),
        (&node, json!({"metadata": {"annotations": {"a": "b"}}}), metadata),
        (&node, json!({"metadata": {"finalizers": ["example.com/stay"]}}), metadata),
        (&node, json!({"spec": {"taints": null}}), taint),
        (&node, json!({"spec": {"taints": [{"key": "example.com/other", "effect": "NoExecute"}]}}), taint),
        (&node, json!({"spec": {"unschedulable": true}}), spec),
        (&node, json!({"spec": {"providerID": "aws:///x"}}), spec),
        (&status, json!({"status": {"conditions": ready}}), condition),
        (&status, json!({"status": {"capacity": {"cpu": "1000"}}}), rest),
        (&status, json!({"status": {"addresses": [{"type": "InternalIP", "address": "10.1.2.3"}]}}), rest),
        (&status, json!({"status": {"images": [{"names": ["evil"]}]}}), rest),
    ] {
        let answer = agent.patch(path, Patch::Merge, &change).unwrap();
        assert_eq!(answer.status, 403, "{change}: {}", answer.body);
        assert_eq!(answer.message(), denied("bounds", message), "{change}");
    }
    for answer in [
        agent.delete(&node).unwrap(),
        agent.replace(&node, &machine.admin.get(&node).unwrap().body).unwrap(),
        agent.get("/api/v1/nodes").unwrap(),
        agent.get("/api/v1/pods").unwrap(),
        agent.get(&format!("/api/v1/namespaces/{NAMESPACE}/secrets")).unwrap(),
    ] {
        assert_eq!(answer.status, 403, "{}", answer.body);
        assert!(answer.message().contains("cannot"), "RBAC itself says no: {}", answer.message());
    }
}

#[test]
fn others_are_not_held_to_the_agents_policy() {
    let Some(cluster) = charted() else { return };
    let machine = Machine::new(cluster, "free", AGENT);
    machine.register(&json!([]));
    let change = json!({"metadata": {"labels": {"zone": "c"}}, "spec": {"unschedulable": true}});
    machine.admin.patch(&machine.path(), Patch::Merge, &change).unwrap().expect(200).unwrap();
}

/// Without any one of its rules the agent cannot do its work, and says which.
#[test]
fn each_rule_of_the_role_is_needed() {
    let Some(cluster) = charted() else { return };
    let admin = cluster.admin().unwrap();
    let documents = golden("snp");
    let rules = one(&documents, "ClusterRole")["rules"].as_array().unwrap().clone();
    let rights = ["get nodes", "patch nodes", "patch nodes/status"];
    assert_eq!(rules.len(), rights.len());
    for (number, missing) in rights.into_iter().enumerate() {
        let name = format!("without-{number}");
        let mut left = rules.clone();
        left.remove(number);
        let mut documents = golden("snp");
        for document in &mut documents {
            rename(document, &name);
            if document["kind"] == "ClusterRole" {
                document["rules"] = Value::from(left.clone());
            }
            if ["ServiceAccount", "ClusterRole", "ClusterRoleBinding"]
                .contains(&document["kind"].as_str().unwrap())
            {
                let answer = admin.apply(document).unwrap();
                assert!(matches!(answer.status, 200 | 201), "{}", answer.body);
            }
        }
        let machine = Machine::new(cluster, &name, &name);
        machine.register(&json!([]));
        let refused = machine.node().post(&notice(Standing::Refused, 1)).unwrap_err();
        assert!(
            matches!(refused, Error::Forbidden { right, .. } if right == missing),
            "{missing}: {refused}"
        );
        assert!(
            refused.to_string().contains(&format!("system:serviceaccount:{NAMESPACE}:{name}")),
            "{refused}"
        );
    }
}

fn rename(document: &mut Value, name: &str) {
    document["metadata"]["name"] = name.into();
    if document["kind"] == "ClusterRoleBinding" {
        document["roleRef"]["name"] = name.into();
        document["subjects"][0]["name"] = name.into();
    }
}

/// A field that a later Kubernetes adds is one that the policy must speak of.
#[test]
fn the_policy_speaks_of_every_field_of_a_node() {
    let Some(cluster) = charted() else { return };
    let schema = cluster.admin().unwrap().get("/openapi/v2").unwrap().body;
    let documents = golden("snp");
    let policy = one(&documents, "ValidatingAdmissionPolicy")["spec"]["validations"].to_string();
    for (part, definition) in [("spec", "NodeSpec"), ("status", "NodeStatus")] {
        let properties = &schema["definitions"][format!("io.k8s.api.core.v1.{definition}")]["properties"];
        let fields: BTreeSet<&String> = properties.as_object().unwrap().keys().collect();
        assert!(fields.len() > 5, "{fields:?}");
        for field in fields {
            assert!(policy.contains(&format!("object.{part}.?{field}")), "{part}.{field}");
        }
    }
}

/// What the API server says for a policy.
fn denied(node: &str, message: &str) -> String {
    format!(
        "nodes \"{node}\" is forbidden: ValidatingAdmissionPolicy '{AGENT}' with binding '{AGENT}' denied request: \
         {message}"
    )
}
