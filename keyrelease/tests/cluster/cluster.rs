//! Three nodes of OpenBao on raft, with both faces of the plugin, and what can befall them.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::configuration::{NEW, OLD, Ports, configuration, install};
use crate::keeper::{self, Keeper};
use crate::links::Links;
use crate::server::{SECRET, Server, policy};

pub(crate) const NODES: usize = 3;

/// A running cluster.
pub(crate) struct Cluster {
    dir: PathBuf,
    /// How the new build is registered.
    new_build: String,
    keeper: Mutex<Keeper>,
    links: Arc<Links>,
    nodes: [Server; NODES],
}

/// The cluster of the tests that break nothing.
pub(crate) fn calm() -> &'static Cluster {
    static CALM: OnceLock<Cluster> = OnceLock::new();
    CALM.get_or_init(Cluster::start)
}

/// The cluster of the tests that break it, one at a time; whole again when it is handed over.
pub(crate) fn rough() -> MutexGuard<'static, Cluster> {
    static ROUGH: OnceLock<Mutex<Cluster>> = OnceLock::new();
    let rough = ROUGH.get_or_init(|| Mutex::new(Cluster::start()));
    let cluster = rough.lock().unwrap_or_else(PoisonError::into_inner);
    cluster.repair();
    cluster.settle();
    cluster
}

impl Cluster {
    /// Starts three nodes that believe the simulator, with one key `db` guarded by the policy `simulated`.
    pub(crate) fn start() -> Self {
        let dir = TempDir::new().unwrap().keep();
        let [old_build, new_build] = install(&dir);
        let links = Arc::new(Links::default());
        let ports = std::array::from_fn(|node| {
            let [api, inside] = [free_port(), free_port()];
            let door = links.open_door(node, SocketAddr::from(([127, 0, 0, 1], inside)));
            Ports { api, inside, door }
        });
        for node in 0..NODES {
            std::fs::create_dir_all(dir.join(node.to_string()).join("raft")).unwrap();
            let text = configuration(&dir, node, &ports, &old_build);
            std::fs::write(dir.join(node.to_string()).join("bao.hcl"), text).unwrap();
        }
        let keeper = Mutex::new(Keeper::new(&dir));
        let mut cluster =
            Self { dir, new_build, keeper, links, nodes: ports.map(|ports| Server::new(ports.api)) };
        for node in 0..NODES {
            cluster.revive(node);
        }
        let token = cluster.log_in();
        cluster.nodes = cluster.nodes.map(|node| node.with_token(&token));
        cluster.furnish();
        cluster.settle();
        cluster
    }

    pub(crate) fn node(&self, node: usize) -> &Server {
        &self.nodes[node]
    }

    pub(crate) fn nodes(&self) -> &[Server; NODES] {
        &self.nodes
    }

    /// The active node, once there is one.
    pub(crate) fn leader(&self) -> usize {
        self.leader_among(&[0, 1, 2])
    }

    /// The node of these that says it is active, once one does.
    pub(crate) fn leader_among(&self, nodes: &[usize]) -> usize {
        let mut found = None;
        self.eventually("a leader", || {
            found = nodes.iter().copied().find(|node| self.leads(*node));
            found.is_some()
        });
        found.unwrap()
    }

    /// The nodes that are not active.
    pub(crate) fn standbys(&self) -> [usize; 2] {
        others(self.leader())
    }

    /// Kills a node as a power cut would.
    pub(crate) fn kill(&self, node: usize) {
        self.keeper.lock().unwrap().kill(node);
    }

    /// Starts a node that was killed.
    pub(crate) fn revive(&self, node: usize) {
        let process = self.keeper.lock().unwrap().start(node);
        self.links.know(node, process);
    }

    /// Cuts a node off from the others; its API stays reachable.
    pub(crate) fn cut(&self, node: usize) {
        self.links.cut(node);
    }

    /// Ends the cut.
    pub(crate) fn heal(&self, node: usize) {
        self.links.heal(node);
    }

    /// Undoes what a test that failed left behind.
    fn repair(&self) {
        for node in 0..NODES {
            self.heal(node);
            let health = self.nodes[node].hurried().try_read("sys/health?standbyok=true");
            if !health.is_ok_and(|health| health.status == 200) {
                self.kill(node);
                self.revive(node);
            }
        }
    }

    /// Kills the plugins of a node.
    pub(crate) fn kill_plugins(&self, node: usize) {
        let plugins = keeper::children(self.links.process(node));
        assert!(!plugins.is_empty(), "node {node} has no plugins");
        for plugin in plugins {
            keeper::signal("KILL", plugin);
        }
    }

    /// Registers the new build on every node, beside the old one, while the servers run.
    pub(crate) fn register_new_build(&self) {
        for node in 0..NODES {
            let file = self.dir.join(node.to_string()).join("bao.hcl");
            let text = std::fs::read_to_string(&file).unwrap();
            if !text.contains(&self.new_build) {
                std::fs::write(&file, text + &self.new_build).unwrap();
                keeper::signal("HUP", self.links.process(node));
            }
        }
        let catalogue = "sys/plugins/catalog/secret/attest-secrets";
        let registered = format!("{catalogue}?version={NEW}");
        let leader = &self.nodes[self.leader()];
        self.eventually("the new build in the catalogue", || leader.read(&registered).status == 200);
    }

    /// Has a mount run another build of the plugin, on every node.
    pub(crate) fn upgrade(&self, mount: &str, version: &str) {
        let leader = &self.nodes[self.leader()];
        leader.write(&format!("sys/mounts/{mount}/tune"), &json!({ "plugin_version": version })).ok();
        // A reload is of one node alone, unless it is said to be of all.
        let reload = json!({ "mounts": [format!("{mount}/")], "scope": "global" });
        leader.write("sys/plugins/reload/backend", &reload).ok();
        let kind = if mount.starts_with("auth/") { "--kind=auth" } else { "--kind=secrets" };
        let ends = format!("-{version}");
        self.eventually("the new build on every node", || {
            (0..NODES).all(|node| {
                let programs = keeper::programs(self.links.process(node), kind);
                programs.len() == 1 && programs[0].ends_with(&ends)
            })
        });
    }

    /// Waits until all nodes are unsealed, have a vote and follow one leader.
    pub(crate) fn settle(&self) {
        self.eventually("a whole cluster", || {
            let leaders: Vec<Value> = self.nodes.iter().map(leader_according_to).collect();
            let agreed = leaders.iter().all(|leader| leader.is_string() && *leader == leaders[0]);
            agreed && self.nodes.iter().all(serves) && self.is_redundant()
        });
    }

    /// Waits until `done`, for a minute: machines that test are busy.
    pub(crate) fn eventually(&self, what: &str, mut done: impl FnMut() -> bool) {
        let began = Instant::now();
        while !done() {
            assert!(
                began.elapsed() < Duration::from_mins(1),
                "{what}: not in a minute\n{}",
                self.last_words()
            );
            std::thread::sleep(Duration::from_millis(25));
        }
    }

    fn leads(&self, node: usize) -> bool {
        let answer = self.nodes[node].try_read("sys/leader");
        answer.is_ok_and(|answer| answer.json["is_self"] == true)
    }

    /// Whether one node may fail: all have a vote, and keep up.
    fn is_redundant(&self) -> bool {
        let state = self.nodes[0].try_read("sys/storage/raft/autopilot/state");
        state.is_ok_and(|state| state.json["data"]["failure_tolerance"] == 1)
    }

    fn log_in(&self) -> String {
        let mut token = Value::Null;
        let password = json!({ "password": "root" });
        self.eventually("a login", || {
            assert!(keeper::lives(self.links.process(0)), "node 0 ended\n{}", self.last_words());
            let answer = self.nodes[0].try_write("auth/userpass/login/root", &password);
            token = answer.map_or(Value::Null, |mut answer| answer.json["auth"]["client_token"].take());
            token.is_string()
        });
        token.as_str().unwrap().to_owned()
    }

    fn furnish(&self) {
        let first = &self.nodes[0];
        let autopilot = json!({ "server_stabilization_time": "1s" });
        first.write("sys/storage/raft/autopilot/configuration", &autopilot).ok();
        furnish(first);
    }

    /// All that the servers and their plugins logged.
    pub(crate) fn logs(&self) -> String {
        let log = |node: usize| std::fs::read_to_string(self.dir.join(node.to_string()).join("bao.log"));
        (0..NODES).map(|node| log(node).unwrap()).collect()
    }

    fn last_words(&self) -> String {
        let logs = (0..NODES).map(|node| {
            let log =
                std::fs::read_to_string(self.dir.join(node.to_string()).join("bao.log")).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(15).collect();
            format!("node {node}:\n{}\n", last.into_iter().rev().collect::<Vec<_>>().join("\n"))
        });
        logs.collect()
    }
}

/// Mounts both faces of the plugin, with one policy, one role, one key.
pub(crate) fn furnish(server: &Server) {
    let acl = r#"path "attest-keys/release/*" { capabilities = ["update"] }"#;
    server.write("sys/policies/acl/machine", &json!({ "policy": acl })).ok();
    let mount = |kind: &str| json!({ "type": format!("attest-{kind}"), "config": { "plugin_version": OLD } });
    server.write("sys/auth/attest", &mount("auth")).ok();
    server.write("sys/mounts/attest-keys", &mount("secrets")).ok();
    for mount in ["auth/attest", "attest-keys"] {
        server.write(&format!("{mount}/policy/simulated"), &json!({ "policy": policy(1) })).ok();
        // All machines have one address, and one of them is to be refused all the time.
        let limits = json!({ "refusals_burst": 100_000, "refusals_burst_in_all": 100_000 });
        server.write(&format!("{mount}/config/limits"), &limits).ok();
    }
    let fields = json!({ "username": "app", "password": SECRET });
    server.write("attest-keys/keys/db", &json!({ "policy": "simulated", "data": fields })).ok();
    let role = json!({ "policy": "simulated", "token_policies": ["machine"], "token_ttl_seconds": 600 });
    server.write("auth/attest/role/node", &role).ok();
    let mounts = server.read("sys/auth").ok();
    let accessor = &mounts.json["data"]["attest/"]["accessor"];
    server.write("attest-keys/config/auth", &json!({ "accessor": accessor })).ok();
}

/// The two other nodes.
pub(crate) fn others(node: usize) -> [usize; 2] {
    [(node + 1) % NODES, (node + 2) % NODES]
}

fn leader_according_to(server: &Server) -> Value {
    let answer = server.try_read("sys/leader");
    answer.map_or(Value::Null, |mut answer| answer.json["leader_address"].take())
}

/// Whether a node answers for both mounts.
fn serves(server: &Server) -> bool {
    ["attest-keys", "auth/attest"].iter().all(|mount| {
        let answer = server.try_read(&format!("{mount}/config/verifier-key"));
        answer.is_ok_and(|answer| answer.status == 200)
    })
}

/// A port that no outgoing connection takes while its node is dead: below the ones that the kernel gives away.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 4000).unwrap();
    loop {
        let port = 26_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 6000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
