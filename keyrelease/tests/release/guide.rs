//! The guide to workloads and workflows: every command of it, in its order, by a shell.

use std::path::PathBuf;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use protocol::release::{Base64, Sealed};
use serde_json::{Value, json};

use crate::machine::{Machine, sealed};
use crate::server::{SECRET, Server, bao, policy};
use crate::tokens::Signer;
use crate::workflows::inline;
use crate::workload::Cluster;

const GUIDE: &str = include_str!("../../../docs/workflows.md");
const SHIPPED: [(&str, &str); 3] = [
    ("attest-decrypt.hcl", include_str!("../../workflows/attest-decrypt.hcl")),
    ("attest-read.hcl", include_str!("../../workflows/attest-read.hcl")),
    ("attest-certificate.hcl", include_str!("../../workflows/attest-certificate.hcl")),
];

fn blocks(language: &str) -> Vec<&'static str> {
    let opened = GUIDE.split("```").skip(1).step_by(2);
    opened.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n')).collect()
}

/// What the guide takes for granted: a policy `prod` with its grants, a secret, Transit and KV; and the folder to work in.
struct Desk {
    cluster: Cluster,
    dir: PathBuf,
}

impl Desk {
    fn new() -> Self {
        let server = Server::start_with("allow_unauthenticated_workflows = true\n");
        let [grants] = blocks("toml").try_into().unwrap();
        let prod = format!("{}\n{grants}", policy(1).replace("\"simulated\"", "\"prod\""));
        for mount in ["auth/attest", "attest-keys"] {
            server.write(&format!("{mount}/policy/prod"), &json!({ "policy": prod })).ok();
        }
        let fields = json!({ "policy": "prod", "data": { "password": SECRET } });
        server.write("attest-keys/keys/db", &fields).ok();
        server.write("sys/mounts/transit", &json!({ "type": "transit" })).ok();
        server.write("transit/keys/db", &json!({})).ok();
        server.write("secret/data/db", &json!({ "data": { "password": SECRET } })).ok();
        let dir = server.dir().join("guide");
        std::fs::create_dir(&dir).unwrap();
        if bao().is_absolute() {
            std::os::unix::fs::symlink(bao(), dir.join("bao")).unwrap();
        }
        let desk = Self { cluster: Cluster { signer: Signer::p256(), server }, dir };
        for (name, text) in SHIPPED {
            desk.file(name, text);
        }
        desk
    }

    fn file(&self, name: &str, text: &str) {
        std::fs::write(self.dir.join(name), text).unwrap();
    }

    /// Runs a block; the JSON that it printed.
    fn run(&self, block: &str) -> Vec<Value> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let said = Command::new("sh")
            .args(["-euc", block])
            .current_dir(&self.dir)
            .env("PATH", format!("{}:{}", self.dir.display(), path.display()))
            .env("BAO_ADDR", format!("http://{}", self.cluster.server.address()))
            .env("BAO_TOKEN", "root")
            .env("HOME", &self.dir)
            .env("NO_PROXY", "127.0.0.1")
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{block}\n{words}");
        let text = String::from_utf8(said.stdout).unwrap();
        // Words come first, if any do.
        let json = text.char_indices().find(|(at, c)| *c == '{' && (*at == 0 || text[..*at].ends_with('\n')));
        let json = json.map_or("", |(at, _)| &text[at..]);
        serde_json::Deserializer::from_str(json).into_iter().map(Result::unwrap).collect()
    }

    /// A login of the granted pod, with what a workflow needs beside it.
    fn ask(&self, machine: &Machine, mut beside: Value) -> String {
        let mut login = self.cluster.login_body(machine, Some(&self.cluster.token("app")));
        login["refusal"] = json!("text");
        beside["login"] = login;
        beside.to_string()
    }

    fn headers(&self, machine: &Machine) -> String {
        let login = self.cluster.login_body(machine, Some(&self.cluster.token("app")));
        let lines: Vec<String> = inline(&login).map(|(name, value)| format!("{name}: {value}")).collect();
        lines.join("\n")
    }
}

fn open(machine: &Machine, answer: &Value, field: &str) -> Option<String> {
    let sealed: Sealed = serde_json::from_value(answer["data"].clone()).unwrap();
    machine.key.field(&sealed, field)
}

#[test]
fn the_guide_to_workflows_does_what_it_says() {
    let (desk, machine) = (Desk::new(), Machine::good());
    let [issuers, setup, ask, certificate, beside] = blocks("sh").try_into().unwrap();
    let [cluster] = blocks("json").try_into().unwrap();
    let mut cluster: Value = serde_json::from_str(cluster).unwrap();
    cluster["jwks"] = json!({ "keys": [desk.cluster.signer.jwk("k1")] });
    desk.file("cluster.json", &cluster.to_string());
    desk.run(issuers);
    sealed(&desk.cluster.open(&machine, &desk.cluster.token("app")));
    let other = desk.cluster.open(&machine, &desk.cluster.token("web"));
    assert_eq!(other.failing(), ["policy.grant"]);

    desk.run(setup);
    let plaintext = json!({ "plaintext": STANDARD.encode(SECRET) });
    let encrypted = desk.cluster.server.write("transit/encrypt/db", &plaintext).ok();
    let input = json!({ "key": "db", "ciphertext": encrypted.json["data"]["ciphertext"] });
    desk.file("decrypt.json", &desk.ask(&machine, input));
    desk.file("read.json", &desk.ask(&machine, json!({ "secret": "db" })));
    let [decrypted, read] = desk.run(ask).try_into().unwrap();
    assert_eq!(open(&machine, &decrypted, "plaintext").as_deref(), Some(SECRET));
    assert_eq!(open(&machine, &read, "password").as_deref(), Some(SECRET));

    desk.file("certificate.json", &desk.ask(&machine, json!({ "common_name": "node-1" })));
    let [issued] = desk.run(certificate).try_into().unwrap();
    assert!(open(&machine, &issued, "certificate").unwrap().starts_with("-----BEGIN CERTIFICATE-----"));

    desk.file("inline.headers", &desk.headers(&machine));
    desk.file("inline-release.headers", &desk.headers(&machine));
    let offered = &machine.key.offered;
    let recipient = json!({ "kem": offered.kem.name(), "public_key": Base64(offered.public.clone()) });
    desk.file("recipient.json", &recipient.to_string());
    let [in_clear, released] = desk.run(beside).try_into().unwrap();
    assert_eq!(in_clear["data"]["data"]["password"], SECRET);
    assert_eq!(open(&machine, &released, "password").as_deref(), Some(SECRET), "{released}");
}
