//! One notice, one Node of a real cluster.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use kubebed::Patch;
use node_agent::kubernetes::{Error, Node, Pods, Standing};
use serde_json::json;

use crate::harness::{ACCOUNT, Machine, NAMESPACE, account, cluster, notice};

#[test]
fn a_machine_that_joins_opens_and_one_that_is_refused_closes() {
    let Some(cluster) = cluster() else { return };
    let at_boot = json!([
        {"key": "cloudtaser.io/not-attested", "effect": "NoSchedule"},
        {"key": "example.com/gpu", "value": "yes", "effect": "PreferNoSchedule"},
    ]);
    let machine = Machine::registered(cluster, "joins", &at_boot);

    machine.node().post(&notice(Standing::Refused, 100)).unwrap();
    let mine = "cloudtaser.io/not-attested:NoSchedule";
    let others = "example.com/gpu:PreferNoSchedule";
    assert_eq!(machine.shown().brief(), ("false", "False", vec![mine, others]));

    machine.node().post(&notice(Standing::Attested, 160)).unwrap();
    assert_eq!(machine.shown().brief(), ("true", "True", vec![others]));
    let condition = machine.shown().condition;
    assert_eq!(condition["reason"], "EvidenceAccepted");
    assert_eq!(condition["message"], "sev-snp, policy production");
    assert_eq!(condition["lastTransitionTime"], "1970-01-01T00:02:40Z");

    machine.node().post(&notice(Standing::Attested, 220)).unwrap();
    let condition = machine.shown().condition;
    assert_eq!(condition["lastTransitionTime"], "1970-01-01T00:02:40Z", "it has been attested since then");
    assert_eq!(condition["lastHeartbeatTime"], "1970-01-01T00:03:40Z");

    machine.node().post(&notice(Standing::Unknown, 280)).unwrap();
    assert_eq!(machine.shown().brief(), ("false", "Unknown", vec![others, mine]));

    let node = machine.admin.get(&machine.path()).unwrap().body;
    assert_eq!(node["metadata"]["labels"]["zone"], "a");
    let taints = node["spec"]["taints"].as_array().unwrap();
    assert!(taints.iter().any(|taint| taint["value"] == "yes"), "{taints:?}");
}

#[test]
fn pods_have_to_leave_only_where_the_operator_says_so() {
    let Some(cluster) = cluster() else { return };
    let mut machine = Machine::registered(cluster, "evicts", &json!([]));
    machine.settings.pods = Pods::Leave;
    machine.node().post(&notice(Standing::Refused, 1)).unwrap();
    let taint = |effect| format!("cloudtaser.io/not-attested:{effect}");
    assert_eq!(machine.shown().taints, [taint("NoSchedule"), taint("NoExecute")]);
    machine.settings.pods = Pods::Stay;
    machine.node().post(&notice(Standing::Refused, 2)).unwrap();
    assert_eq!(machine.shown().taints, [taint("NoSchedule")]);
}

#[test]
fn a_node_that_says_so_already_is_not_written_again() {
    let Some(cluster) = cluster() else { return };
    let machine = Machine::registered(cluster, "settled", &json!([]));
    let version = || machine.admin.get(&machine.path()).unwrap().body["metadata"]["resourceVersion"].clone();
    machine.node().post(&notice(Standing::Attested, 1)).unwrap();
    let before = version();
    machine.node().post(&notice(Standing::Attested, 1)).unwrap();
    assert_eq!(version(), before);
}

#[test]
fn taints_that_others_write_at_the_same_time_survive() {
    let Some(cluster) = cluster() else { return };
    let machine = Machine::registered(cluster, "busy", &json!([]));
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            let mut written = 0;
            while !over.load(Ordering::Relaxed) {
                written += u32::from(add_taint(&machine, written));
                thread::sleep(Duration::from_millis(3));
            }
            written
        });
        for round in 0..20 {
            let standing = if round % 2 == 0 { Standing::Refused } else { Standing::Attested };
            machine.node().post(&notice(standing, round)).unwrap();
        }
        machine.node().post(&notice(Standing::Refused, 20)).unwrap();
        over.store(true, Ordering::Relaxed);
        let written = other.join().unwrap();
        let shown = machine.shown();
        let theirs = shown.taints.iter().filter(|taint| taint.starts_with("example.com/")).count();
        assert_eq!(theirs, usize::try_from(written).unwrap());
        assert!(written > 0 && shown.taints.contains(&"cloudtaser.io/not-attested:NoSchedule".to_owned()));
    });
}

/// What `kubectl taint` does: reads, adds one, and writes if nobody else has meanwhile.
fn add_taint(machine: &Machine, number: u32) -> bool {
    let node = machine.admin.get(&machine.path()).unwrap().body;
    let mut taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
    taints.push(json!({"key": format!("example.com/{number}"), "effect": "NoSchedule"}));
    let change = json!({
        "metadata": {"resourceVersion": node["metadata"]["resourceVersion"]}, "spec": {"taints": taints},
    });
    match machine.admin.patch(&machine.path(), Patch::Merge, &change).unwrap().status {
        200 => true,
        409 => false,
        other => panic!("{other}"),
    }
}

#[test]
fn a_failure_in_the_middle_leaves_the_machine_closed() {
    let Some(cluster) = cluster() else { return };
    let admin = cluster.admin().unwrap();
    account(&admin, "no-status", &[("nodes", &["get", "patch"])]);
    let machine = Machine::new(cluster, "half", "no-status");
    machine.register(&json!([]));
    let error = machine.node().post(&notice(Standing::Refused, 1)).unwrap_err();
    assert!(matches!(error, Error::Forbidden { right: "patch nodes/status", .. }), "{error}");
    assert_eq!(
        machine.shown().brief(),
        ("false", "none", vec!["cloudtaser.io/not-attested:NoSchedule"]),
        "closed first"
    );

    let error = machine.node().post(&notice(Standing::Attested, 2)).unwrap_err();
    assert!(matches!(error, Error::Forbidden { right: "patch nodes/status", .. }), "{error}");
    assert_eq!(
        machine.shown().brief(),
        ("false", "none", vec!["cloudtaser.io/not-attested:NoSchedule"]),
        "opened last"
    );
}

#[test]
fn an_account_without_rights_is_told_which_one_is_missing() {
    let Some(cluster) = cluster() else { return };
    let admin = cluster.admin().unwrap();
    account(&admin, "nobody", &[]);
    account(&admin, "reader", &[("nodes", &["get"])]);
    for (name, right, verb) in [("nobody", "get nodes", "get"), ("reader", "patch nodes", "patch")] {
        let machine = Machine::new(cluster, &format!("of-{name}"), name);
        machine.register(&json!([]));
        let told = machine.node().post(&notice(Standing::Refused, 1)).unwrap_err().to_string();
        let expected = format!(
            "expected the right to {right}: nodes \"of-{name}\" is forbidden: User \
             \"system:serviceaccount:{NAMESPACE}:{name}\" cannot {verb} resource \"nodes\" in API group \"\" at the \
             cluster scope"
        );
        assert_eq!(told, expected);
    }
}

#[test]
fn a_node_that_is_not_there_yet_is_said_to_be_missing() {
    let Some(cluster) = cluster() else { return };
    let machine = Machine::new(cluster, "absent", ACCOUNT);
    let error = machine.node().post(&notice(Standing::Refused, 1)).unwrap_err();
    assert_eq!(error, Error::NoNode("nodes \"absent\" not found".to_owned()));
}

#[test]
fn a_token_is_read_again_for_each_notice() {
    let Some(cluster) = cluster() else { return };
    let machine = Machine::registered(cluster, "rotates", &json!([]));
    let node = machine.node();
    node.post(&notice(Standing::Refused, 1)).unwrap();

    // With the pod goes its token.
    let pod = format!("/api/v1/namespaces/{NAMESPACE}/pods/{ACCOUNT}-rotates");

    machine.admin.delete(&format!("{pod}?gracePeriodSeconds=0")).unwrap().expect(200).unwrap();
    crate::harness::eventually(
        || (node.post(&notice(Standing::Attested, 2)) == Err(Error::Unauthenticated)).then_some(()),
        || "the token of a pod that is gone is still good".to_owned(),
    );
    let token = cluster.pod_token(NAMESPACE, ACCOUNT, "rotates").unwrap();
    std::fs::write(machine.folder().join("token"), token).unwrap();
    node.post(&notice(Standing::Attested, 3)).unwrap();
    assert_eq!(machine.shown().label.as_deref(), Some("true"));
}

#[test]
fn a_missing_token_is_found_at_the_start() {
    let Some(cluster) = cluster() else { return };
    let machine = Machine::new(cluster, "tokenless", ACCOUNT);
    std::fs::remove_file(machine.folder().join("token")).unwrap();
    let told = Node::open(&machine.settings).unwrap_err().to_string();
    let token = machine.folder().join("token");
    let expected = format!("for the API server: {}: No such file or directory (os error 2)", token.display());
    assert_eq!(told, expected);
}
