//! A node's configuration file, as an operator would write it: raft, a static seal, both builds of the plugin by
//! their digests, the later one added afterwards.

use std::fs;
use std::path::Path;

use attest::Crypto;
use attest::crypto::AwsLcRs;
use serde_json::json;

use crate::cluster::{NODES, others};

/// Where a node is found.
#[derive(Clone, Copy)]
pub(crate) struct Ports {
    /// Its API.
    pub(crate) api: u16,
    /// Where it listens for the others.
    pub(crate) inside: u16,
    /// Where the others think that it listens.
    pub(crate) door: u16,
}

/// The two builds of the plugin: the one under test, and the same under a later number.
pub(crate) const OLD: &str = concat!("v", env!("CARGO_PKG_VERSION"));
pub(crate) const NEW: &str = "v0.1.9";

/// Installs both builds and the root that they are to believe; the stanzas of each.
pub(crate) fn install(dir: &Path) -> [String; 2] {
    let plugins = dir.join("plugins");
    fs::create_dir(&plugins).unwrap();
    let root = dir.join("ark.der");
    fs::write(&root, crate::server::chip().ark().der()).unwrap();
    let old = fs::read(env!("CARGO_BIN_EXE_openbao-plugin-attest")).unwrap();
    let new = renumbered(&old);
    [(OLD, old), (NEW, new)].map(|(version, program)| {
        let command = format!("openbao-plugin-attest-{version}");
        let file = plugins.join(&command);
        fs::write(&file, &program).unwrap();
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let digest = AwsLcRs.sha256(&[&program]);
        let stanza = |catalogue: &str, kind: &str| {
            format!(
                r#"
                plugin "{catalogue}" "attest-{kind}" {{
                  command = "{command}"
                  version = "{version}"
                  args = ["--kind={kind}", "--insecure-trust-root={}"]
                  sha256sum = "{digest}"
                }}"#,
                root.display()
            )
        };
        stanza("auth", "auth") + &stanza("secret", "secrets")
    })
}

/// The program under another number: what it tells OpenBao, and what its records say judged.
fn renumbered(program: &[u8]) -> Vec<u8> {
    let mut program = program.to_vec();
    let pairs =
        [OLD, NEW].map(|version| [version.to_owned(), version.replace('v', "openbao-plugin-attest ")]);
    let [old, new] = pairs;
    for (old, new) in old.iter().zip(&new) {
        assert_eq!(old.len(), new.len());
        let found: Vec<usize> =
            (0..program.len() - old.len()).filter(|at| program[*at..].starts_with(old.as_bytes())).collect();
        assert!(!found.is_empty(), "the program does not say {old:?}");
        for at in found {
            program[at..at + new.len()].copy_from_slice(new.as_bytes());
        }
    }
    program
}

/// The file of one node.
pub(crate) fn configuration(dir: &Path, node: usize, ports: &[Ports; NODES], plugins: &str) -> String {
    let Ports { api, inside, door } = ports[node];
    // The first one makes the cluster, and finds it by its own memory later on.
    let joins = others(node).map(|other| {
        format!("retry_join {{ leader_api_addr = \"http://127.0.0.1:{}\" }}\n", ports[other].api)
    });
    let joins = if node == 0 { String::new() } else { joins.concat() };
    let initialization = if node == 0 { initialization() } else { String::new() };
    format!(
        r#"
        api_addr = "http://127.0.0.1:{api}"
        cluster_addr = "http://127.0.0.1:{door}"
        listener "tcp" {{
          address = "127.0.0.1:{api}"
          cluster_address = "127.0.0.1:{inside}"
          tls_disable = true
        }}
        storage "raft" {{
          path = "{}"
          node_id = "node{node}"
          performance_multiplier = 1
          autopilot_update_interval = "200ms"
          autopilot_reconcile_interval = "200ms"
          {joins}
        }}
        seal "static" {{
          current_key_id = "test"
          current_key = "{STATIC_KEY}"
        }}
        plugin_directory = "{}"
        plugin_auto_register = true
        {initialization}
        {plugins}
        "#,
        dir.join(node.to_string()).join("raft").display(),
        dir.join("plugins").display()
    )
}

/// A user who may do everything, so that nobody needs a root token or unseal keys.
fn initialization() -> String {
    let all = r#"path "*" { capabilities = ["create", "read", "update", "patch", "delete", "list", "scan", "sudo"] }"#;
    let requests = [
        ("sys/policies/acl/everything", format!("policy = {}", json!(all))),
        ("sys/auth/userpass", r#"type = "userpass""#.to_owned()),
        ("auth/userpass/users/root", "password = \"root\"\n token_policies = \"everything\"".to_owned()),
    ];
    let requests = requests.map(|(path, data)| {
        let name = path.replace('/', "-");
        format!(
            "request \"{name}\" {{\n operation = \"update\"\n path = \"{path}\"\n data = {{\n {data}\n }}\n }}\n"
        )
    });
    format!("initialize \"test\" {{\n{}}}\n", requests.concat())
}

/// 32 bytes, of no worth.
const STATIC_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
