//! The server's configuration file: a static seal, the plugin, and everything set up by itself.

use std::path::Path;

use serde_json::{Map, Value, json};

/// Which part a server plays.
pub(crate) enum Node<'a> {
    /// A server by itself, in memory.
    Alone,
    /// The first of a raft cluster.
    First,
    /// Another one of it.
    Joining {
        /// The address of the first.
        first: &'a str,
    },
}

/// A whole configuration file, for a server in `dir`.
pub(crate) fn configuration(node: &Node<'_>, dir: &Path, ports: [u16; 2], digest: &str) -> String {
    let [port, cluster_port] = ports;
    let mut text = format!(
        r#"
        api_addr = "http://127.0.0.1:{port}"
        listener "tcp" {{
          address = "127.0.0.1:{port}"
          cluster_address = "127.0.0.1:{cluster_port}"
          tls_disable = true
        }}
        cluster_addr = "http://127.0.0.1:{cluster_port}"
        {}
        seal "static" {{
          current_key_id = "test"
          current_key = "{STATIC_KEY}"
        }}
        plugin_directory = "{}"
        plugin_auto_register = true
        plugin "secret" "notes" {{
          command = "notes"
          version = "v0.1.0"
          sha256sum = "{digest}"
        }}
        plugin "auth" "notes" {{
          command = "notes"
          version = "v0.1.0"
          args = ["--kind=auth"]
          sha256sum = "{digest}"
        }}
        "#,
        storage(node, dir),
        dir.join("plugins").display()
    );
    if !matches!(node, Node::Joining { .. }) {
        text.push_str(&initialization());
    }
    text
}

fn storage(node: &Node<'_>, dir: &Path) -> String {
    let (name, join) = match node {
        Node::Alone => return "storage \"inmem\" {}".to_owned(),
        Node::First => ("first", String::new()),
        Node::Joining { first } => ("joining", format!("retry_join {{ leader_api_addr = \"{first}\" }}")),
    };
    let path = dir.join("raft");
    std::fs::create_dir(&path).unwrap();
    format!("storage \"raft\" {{\n path = \"{}\"\n node_id = \"{name}\"\n {join}\n}}", path.display())
}

/// Mounts and a user, so that nobody needs a root token or unseal keys.
fn initialization() -> String {
    let mut text = "initialize \"test\" {\n".to_owned();
    let all = r#"path "*" { capabilities = ["create", "read", "update", "patch", "delete", "list", "scan", "sudo"] }"#;
    let notes = r#"path "notes/*" { capabilities = ["create", "read", "update", "delete", "list"] }
        path "notes/alias/hidden" { capabilities = ["deny"] }"#;
    let requests = [
        ("sys/policies/acl/root-like", json!({"policy": all})),
        ("sys/policies/acl/notes", json!({"policy": notes})),
        ("sys/auth/userpass", json!({"type": "userpass"})),
        ("auth/userpass/users/root", json!({"password": "root", "token_policies": "root-like"})),
        ("sys/mounts/notes", json!({"type": "notes", "options": {"colour": "green"}})),
        ("sys/mounts/other", json!({"type": "notes"})),
        ("sys/auth/notes", json!({"type": "notes"})),
    ];
    for (path, data) in requests {
        text.push_str(&request(path, data.as_object().unwrap()));
    }
    text.push_str("}\n");
    text
}

fn request(path: &str, data: &Map<String, Value>) -> String {
    let name = path.replace('/', "-");
    format!(
        "request \"{name}\" {{\n operation = \"update\"\n path = \"{path}\"\n data = {{ {} }}\n}}\n",
        hcl(data)
    )
}

/// An object's inside in HCL, which takes JSON's strings but writes `=`.
fn hcl(object: &Map<String, Value>) -> String {
    let value = |value: &Value| {
        value.as_object().map_or_else(|| value.to_string(), |inner| format!("{{ {} }}", hcl(inner)))
    };
    let lines: Vec<String> =
        object.iter().map(|(name, inner)| format!("{name} = {}", value(inner))).collect();
    lines.join("\n")
}

/// 32 bytes, of no worth.
const STATIC_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
