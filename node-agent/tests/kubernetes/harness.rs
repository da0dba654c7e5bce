//! A cluster for all tests here, a Node for each, and an account that may mark it.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use attest::UnixTime;
use kubebed::{Client, Cluster};
use node_agent::kubernetes::{Board, Node, Notice, Pods, Settings, Standing, State};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The account that the agents of these tests are.
pub(crate) const NAMESPACE: &str = "cloudtaser";
pub(crate) const ACCOUNT: &str = "node-agent";

/// The one cluster of this test binary, or nothing on a machine that proves to have none.
pub(crate) fn cluster() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(|| kubebed::program().map(|program| prepared(&program))).as_ref();
    if cluster.is_none() {
        skip();
    }
    cluster
}

/// A cluster of its own, for a test that stops it.
pub(crate) fn own_cluster() -> Option<Cluster> {
    let cluster = kubebed::program().map(|program| prepared(&program));
    if cluster.is_none() {
        skip();
    }
    cluster
}

fn prepared(program: &Path) -> Cluster {
    let cluster = Cluster::start(program, &[]).unwrap();
    let admin = cluster.admin().unwrap();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    admin.create("/api/v1/namespaces", &namespace).unwrap().expect(201).unwrap();
    account(&admin, ACCOUNT, &[("nodes", &["get", "patch"]), ("nodes/status", &["patch"])]);
    cluster
}

/// An account with these rights.
pub(crate) fn account(admin: &Client, name: &str, rights: &[(&str, &[&str])]) {
    let rules: Vec<Value> = rights
        .iter()
        .map(|(resource, verbs)| json!({"apiGroups": [""], "resources": [resource], "verbs": verbs}))
        .collect();
    let rbac = "rbac.authorization.k8s.io";
    let objects = [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": NAMESPACE}}),
        json!({"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}),
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}],
        }),
    ];
    for object in objects {
        let answer = admin.apply(&object).unwrap();
        assert!(matches!(answer.status, 200 | 201), "{}", answer.body);
    }
}

/// A machine of the cluster, with the agent's files on it.
pub(crate) struct Machine {
    pub(crate) admin: Client,
    pub(crate) settings: Settings,
    folder: TempDir,
}

impl Machine {
    /// One whose Node exists, as the kubelet registers it with `taints`.
    pub(crate) fn registered(cluster: &Cluster, name: &str, taints: &Value) -> Self {
        let machine = Self::new(cluster, name, ACCOUNT);
        machine.register(taints);
        machine
    }

    pub(crate) fn new(cluster: &Cluster, name: &str, account: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, cluster.pod_token(NAMESPACE, account, name).unwrap()).unwrap();
        let settings = settings(cluster.url(), cluster.ca(), token, name);
        Self { admin: cluster.admin().unwrap(), settings, folder }
    }

    pub(crate) fn register(&self, taints: &Value) {
        let node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": self.settings.node, "labels": {"zone": "a"}}, "spec": {"taints": taints},
        });
        self.admin.create("/api/v1/nodes", &node).unwrap().expect(201).unwrap();
    }

    pub(crate) fn path(&self) -> String {
        format!("/api/v1/nodes/{}", self.settings.node)
    }

    pub(crate) fn node(&self) -> Node {
        Node::open(&self.settings).unwrap()
    }

    /// What the Node says.
    pub(crate) fn shown(&self) -> Shown {
        let node = self.admin.get(&self.path()).unwrap().expect(200).unwrap().body;
        let label = node["metadata"]["labels"]["cloudtaser.io/attested"].as_str().map(str::to_owned);
        let taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
        // Kubernetes' own, on each Node that is made: no kubelet will say that it is ready.
        let taints = taints
            .iter()
            .filter(|taint| taint["key"] != "node.kubernetes.io/not-ready")
            .map(|taint| format!("{}:{}", taint["key"].as_str().unwrap(), taint["effect"].as_str().unwrap()));
        let conditions = node["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let ours = conditions.iter().find(|one| one["type"] == "cloudtaser.io/Attested").cloned();
        Shown { label, taints: taints.collect(), condition: ours.unwrap_or_default() }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// A Node as `kubectl describe` would show it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shown {
    pub(crate) label: Option<String>,
    /// `key:effect`, in order.
    pub(crate) taints: Vec<String>,
    pub(crate) condition: Value,
}

impl Shown {
    /// Label, condition's status, and taints.
    pub(crate) fn brief(&self) -> (&str, &str, Vec<&str>) {
        let label = self.label.as_deref().unwrap_or("none");
        let status = self.condition["status"].as_str().unwrap_or("none");
        (label, status, self.taints.iter().map(String::as_str).collect())
    }
}

pub(crate) fn settings(server: &str, authority: &Path, token: PathBuf, node: &str) -> Settings {
    Settings {
        server: server.to_owned(),
        node: node.to_owned(),
        token,
        authority: authority.to_owned(),
        pods: Pods::Stay,
        patience: Duration::from_secs(30),
        watch: Duration::from_mins(5),
    }
}

pub(crate) fn notice(standing: Standing, at: u64) -> Notice {
    let (reason, message) = match standing {
        Standing::Attested => ("EvidenceAccepted", "sev-snp, policy production"),
        Standing::Refused => ("EvidenceRefused", "snp.policy.debug: expected off, found on"),
        Standing::Unknown => ("VerdictExpired", "no verdict since 1970-01-01T00:00:00Z"),
    };
    Notice { standing, reason: reason.to_owned(), message: message.to_owned(), at: UnixTime(at) }
}

/// Waits until the board's newest notice is in that state.
pub(crate) fn until(board: &Board, reached: impl Fn(&State) -> bool) -> State {
    eventually(|| Some(board.state()).filter(&reached), || format!("{:?}", board.state()))
}

pub(crate) fn eventually<T>(look: impl Fn() -> Option<T>, otherwise: impl Fn() -> String) -> T {
    let patience = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(patience.elapsed() < Duration::from_mins(2), "{}", otherwise());
        thread::sleep(Duration::from_millis(20));
    }
}

fn skip() {
    skip_for("kube", "no program kubebed: CLOUDTASER_KUBEBED names none, and it is not on the path");
}

pub(crate) fn skip_for(feature: &str, why: &str) {
    let required = std::env::var("REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|required| required.trim() == feature), "{why}");
    eprintln!("SKIP {}: {why}", thread::current().name().unwrap_or_default());
}
