//! The server itself: what a test can rely on.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test that cannot set up its world has failed; a skip says so"
)]

use kubebed::{Cluster, Patch};
use serde_json::json;

#[test]
fn what_was_stored_is_there_when_the_server_is_started_again() {
    let Some(mut cluster) = start("what_was_stored_is_there_when_the_server_is_started_again") else {
        return;
    };
    let admin = cluster.admin().unwrap();
    let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kept"}});
    assert_eq!(admin.apply(&space).unwrap().status, 201);
    let url = cluster.url().to_owned();
    cluster.stop();
    assert!(admin.get("/readyz").is_err(), "it is gone");
    cluster.resume().unwrap();
    assert_eq!(cluster.url(), url);
    admin.get("/api/v1/namespaces/kept").unwrap().expect(200).unwrap();
}

#[test]
fn everyone_is_who_their_token_says_and_may_what_they_were_granted() {
    let Some(cluster) = start("everyone_is_who_their_token_says_and_may_what_they_were_granted") else {
        return;
    };
    let stranger = cluster.client("0123456789abcdef").unwrap();
    assert_eq!(stranger.get("/api/v1/nodes").unwrap().status, 401);

    let admin = cluster.admin().unwrap();
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a", "namespace": "default"}});
    admin.apply(&account).unwrap().expect(201).unwrap();
    let pod = cluster.client(&cluster.pod_token("default", "a", "node-1").unwrap()).unwrap();
    let answer = pod.patch("/api/v1/nodes/n", Patch::Merge, &json!({})).unwrap();
    assert_eq!(answer.status, 403);
    let expected = "nodes \"n\" is forbidden: User \"system:serviceaccount:default:a\" cannot patch resource \"nodes\" in API \
                    group \"\" at the cluster scope";
    assert_eq!(answer.message(), expected);

    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let who = pod
        .create("/apis/authentication.k8s.io/v1/selfsubjectreviews", &review)
        .unwrap()
        .expect(201)
        .unwrap();
    assert_eq!(
        who.body["status"]["userInfo"]["extra"]["authentication.kubernetes.io/node-name"],
        json!(["node-1"])
    );
}

fn start(test: &str) -> Option<Cluster> {
    let Some(program) = kubebed::program() else {
        let required = std::env::var("REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|feature| feature.trim() == "kube"), "no program kubebed");
        eprintln!(
            "SKIP {test}: no program kubebed: CLOUDTASER_KUBEBED names none, and it is not on the path"
        );
        return None;
    };
    Some(Cluster::start(&program, &[]).unwrap())
}
