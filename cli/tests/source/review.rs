//! What a reviewer would look for in the chart's manifests, in each example.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::chart::{EXAMPLES, documents, one, rendered};

const NAME: &str = "sovereign-openbao";

/// Every pod of a rendering: where it stands, and its specification.
fn pods(documents: &[Value]) -> Vec<(String, Value)> {
    let mut pods = Vec::new();
    for document in documents {
        let name = format!("{} {}", document["kind"], document["metadata"]["name"]);
        match document["kind"].as_str().unwrap() {
            "StatefulSet" => pods.push((name, document["spec"]["template"]["spec"].clone())),
            "CronJob" => {
                pods.push((name, document["spec"]["jobTemplate"]["spec"]["template"]["spec"].clone()));
            }
            _ => {}
        }
    }
    pods
}

fn containers(pod: &Value) -> Vec<Value> {
    let list = |name: &str| pod[name].as_array().cloned().unwrap_or_default();
    [list("initContainers"), list("containers")].concat()
}

fn names(list: &Value) -> BTreeSet<String> {
    let names = list.as_array().into_iter().flatten().map(|one| one["name"].as_str().unwrap().to_owned());
    names.collect()
}

#[test]
fn no_pod_may_do_more_than_it_must() {
    for example in EXAMPLES {
        let Some(text) = rendered("review.pods", example, &[]) else { return };
        let documents = documents(&text);
        for (name, pod) in pods(&documents) {
            assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
            assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
            for shared in ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"] {
                assert_eq!(pod[shared], Value::Null, "{name} {shared}");
            }
            for container in containers(&pod) {
                let allowed = &container["securityContext"];
                let expected = json!({
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": { "drop": ["ALL"] },
                });
                assert_eq!(*allowed, expected, "{name}");
                // Such a pod gets no swap.
                assert_eq!(container["resources"]["requests"], container["resources"]["limits"], "{name}");
            }
        }
    }
}

#[test]
fn every_image_is_pinned_by_its_digest() {
    for example in EXAMPLES {
        let Some(text) = rendered("review.images", example, &[]) else { return };
        let mut images = Vec::new();
        for (_, pod) in pods(&documents(&text)) {
            images.extend(containers(&pod).iter().map(|container| container["image"].clone()));
            let volumes =
                pod["volumes"].as_array().unwrap().iter().filter(|volume| volume["image"].is_object());
            images.extend(volumes.map(|volume| volume["image"]["reference"].clone()));
        }
        assert!(!images.is_empty());
        for image in images {
            let (_, digest) = image.as_str().unwrap().split_once("@sha256:").unwrap();
            assert!(digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()), "{image}");
        }
    }
}

#[test]
fn what_is_mounted_is_there_and_what_is_there_is_mounted() {
    for example in EXAMPLES {
        let Some(text) = rendered("review.volumes", example, &[]) else { return };
        for document in documents(&text) {
            let claims = document["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten();
            let claims: BTreeSet<String> =
                claims.map(|claim| claim["metadata"]["name"].as_str().unwrap().to_owned()).collect();
            for (name, pod) in pods(std::slice::from_ref(&document)) {
                let there: BTreeSet<String> = names(&pod["volumes"]).union(&claims).cloned().collect();
                let mounted = containers(&pod).iter().flat_map(|one| names(&one["volumeMounts"])).collect();
                assert_eq!(there, mounted, "{name} in {example}");
                let host =
                    pod["volumes"].as_array().unwrap().iter().filter(|one| one["hostPath"].is_object());
                let host: Vec<&Value> = host.map(|volume| &volume["name"]).collect();
                let expected: &[&str] =
                    if example == "attestseal" && name.contains("StatefulSet") { &["agent"] } else { &[] };
                assert_eq!(host, expected, "{name} in {example}");
            }
        }
    }
}

#[test]
fn nothing_in_the_chart_is_a_secret_or_a_right() {
    for example in EXAMPLES {
        let Some(text) = rendered("review.rights", example, &[]) else { return };
        let kinds: BTreeSet<String> =
            documents(&text).iter().map(|one| one["kind"].as_str().unwrap().to_owned()).collect();
        let all = [
            "ConfigMap",
            "CronJob",
            "NetworkPolicy",
            "PersistentVolumeClaim",
            "PodDisruptionBudget",
            "Service",
            "ServiceAccount",
            "StatefulSet",
        ];
        let backup = ["CronJob", "PersistentVolumeClaim"];
        let expected = all.iter().filter(|kind| example != "transit" || !backup.contains(kind));
        assert_eq!(kinds, expected.map(|kind| (*kind).to_owned()).collect());
    }
}

#[test]
fn servers_stand_apart_on_attested_nodes_and_one_leaves_at_a_time() {
    let Some(text) = rendered("review.servers", "shamir", &[]) else { return };
    let documents = documents(&text);
    let set = one(&documents, "StatefulSet", NAME);
    let labels = &set["spec"]["selector"]["matchLabels"];
    let affinity = &set["spec"]["template"]["spec"]["affinity"];
    let apart = &affinity["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0];
    assert_eq!(apart["topologyKey"], "kubernetes.io/hostname");
    assert_eq!(apart["labelSelector"]["matchLabels"], *labels);
    let nodes =
        &affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"];
    let attested = json!([{ "key": "cloudtaser.io/attested", "operator": "In", "values": ["true"] }]);
    assert_eq!(nodes[0]["matchExpressions"], attested);
    assert_eq!(set["spec"]["replicas"], 3);
    assert_eq!(set["spec"]["serviceName"], "sovereign-openbao-internal");
    assert_eq!(one(&documents, "Service", "sovereign-openbao-internal")["spec"]["clusterIP"], "None");
    let budget = &one(&documents, "PodDisruptionBudget", NAME)["spec"];
    assert_eq!((&budget["maxUnavailable"], &budget["selector"]["matchLabels"]), (&json!(1), labels));
    for (key, value) in labels.as_object().unwrap() {
        assert_eq!(set["spec"]["template"]["metadata"]["labels"][key], *value);
        assert_eq!(one(&documents, "Service", NAME)["spec"]["selector"][key], *value);
    }
}

#[test]
fn the_network_lets_in_who_is_named_and_nobody_else() {
    let Some(text) = rendered("review.network", "shamir", &[]) else { return };
    let documents = documents(&text);
    let policy = &one(&documents, "NetworkPolicy", NAME)["spec"];
    assert_eq!(
        policy["podSelector"]["matchLabels"],
        one(&documents, "StatefulSet", NAME)["spec"]["selector"]["matchLabels"]
    );
    assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
    let ingress = policy["ingress"].as_array().unwrap();
    let ports: Vec<&Value> = ingress.iter().map(|rule| &rule["ports"]).collect();
    assert_eq!(ports, [&json!([{ "port": 8200 }, { "port": 8201 }]), &json!([{ "port": 8200 }])]);
    let clients = ingress[1]["from"].as_array().unwrap();
    assert_eq!(clients[0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"], "backup");
    assert_eq!(
        clients[1],
        json!({ "namespaceSelector": { "matchLabels": { "cloudtaser.io/secrets": "true" } } })
    );
    assert_eq!(clients.len(), 2);
    // Nobody comes in to the backup, and it goes nowhere but to the servers and to DNS.
    let backup = &one(&documents, "NetworkPolicy", "sovereign-openbao-backup")["spec"];
    assert_eq!((&backup["ingress"], backup["egress"].as_array().unwrap().len()), (&Value::Null, 2));
}

#[test]
fn a_snapshot_in_clear_is_in_memory_only() {
    let Some(text) = rendered("review.backup", "shamir", &[]) else { return };
    let documents = documents(&text);
    let job = one(&documents, "CronJob", "sovereign-openbao-backup");
    let pod = &job["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    let volumes = pod["volumes"].as_array().unwrap();
    let volume = |name: &str| volumes.iter().find(|volume| volume["name"] == name).unwrap();
    assert_eq!(volume("memory")["emptyDir"]["medium"], "Memory");
    assert_eq!(volume("tls")["secret"]["items"], json!([{ "key": "ca.crt", "path": "ca.crt" }]));
    // Who takes the snapshot cannot write where backups are kept; who encrypts it has no token.
    let (snapshot, encrypt) = (&pod["initContainers"][0], &pod["containers"][0]);
    let mounts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(names(&snapshot["volumeMounts"]), mounts(&["identity", "memory", "scripts", "tls"]));
    assert_eq!(names(&encrypt["volumeMounts"]), mounts(&["kept", "memory", "recipients", "scripts"]));
}
