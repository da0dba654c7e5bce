//! Registering: what is checked when, and what a mount says then.

use serde_json::json;

use crate::server::{Server, shared};

fn register(bao: &Server, name: &str, version: &str, digest: &str) -> (u16, String) {
    let plugin = json!({"command": "notes", "version": version, "sha256": digest});
    let answer = bao.write(&format!("sys/plugins/catalog/secret/{name}"), &plugin);
    (answer.status, answer.errors())
}

#[test]
fn a_plugin_with_another_digest_is_registered_but_does_not_mount() {
    let bao = shared();
    assert_eq!(register(bao, "forged", "v0.1.0", &"00".repeat(32)), (204, String::new()));
    let mounted = bao.write("sys/mounts/forged", &json!({"type": "forged"}));
    assert_eq!(mounted.status, 400, "{mounted:?}");
    assert!(mounted.errors().contains("checksum"), "{mounted:?}");
}

#[test]
fn a_version_other_than_the_registered_one_is_refused() {
    let bao = shared();
    let (status, errors) = register(bao, "newer", "v9.9.9", &bao.plugin_digest());
    assert_eq!(status, 400, "{errors}");
    assert!(errors.contains("version mismatch"), "{errors}");
}

#[test]
fn the_inherited_credentials_of_the_server_are_gone_from_the_plugin() {
    let bao = shared();
    let counters = bao.read("notes/counters").data();
    let names = counters["environment"].to_string();
    let environ = match std::fs::read_to_string(format!("/proc/{}/environ", counters["pid"])) {
        // Only root reads it: the process is not dumpable.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => String::new(),
        read => read.unwrap(),
    };
    for name in ["BAO_TOKEN", "AWS_SECRET_ACCESS_KEY", "HOME", "PATH"] {
        assert!(!names.contains(&format!("{name:?}")), "{name} in {names}");
        assert!(!environ.contains(&format!("{name}=")), "{name} in /proc");
    }
    assert!(!environ.contains("an-inherited-credential"));
}
