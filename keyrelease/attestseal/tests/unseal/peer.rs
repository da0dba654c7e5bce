//! The peer: an OpenBao with the releasing plugin, a policy, and a key for us.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;

use crate::bao::{Bao, free_port};
use crate::machine::{chip, policy};
use crate::programs::program;

/// A peer that keeps the key `unseal` under the policy `simulated`.
pub(crate) struct Peer {
    pub(crate) bao: Bao,
    tls_port: u16,
}

impl Peer {
    pub(crate) fn start() -> Self {
        let bao = Bao::new(&program(PLUGIN));
        let mut peer = Self { bao, tls_port: free_port() };
        peer.write_certificates();
        fs::write(peer.bao.dir.path().join("ark.der"), chip().ark().der()).unwrap();
        peer.resume();
        peer.bao.initialise();
        peer.set_up();
        peer
    }

    /// Starts it again; it unseals itself.
    pub(crate) fn resume(&mut self) {
        let dir = self.bao.dir.path().display();
        let rest = format!(
            r#"
            listener "tcp" {{
              address = "127.0.0.1:{}"
              cluster_address = "127.0.0.1:{}"
              tls_cert_file = "{dir}/tls.pem"
              tls_key_file = "{dir}/tls.key"
            }}
            seal "static" {{
              current_key_id = "test"
              current_key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
            }}
            "#,
            self.tls_port,
            free_port()
        );
        self.bao.launch(&rest);
        self.bao.wait_for_answer();
    }

    fn set_up(&self) {
        let root = self.bao.dir.path().join("ark.der").display().to_string();
        let args = json!(["--kind=secrets", format!("--insecure-trust-root={root}")]);
        let body = json!({ "sha256": self.bao.digest(PLUGIN), "command": PLUGIN, "args": args });
        self.bao.write("sys/plugins/catalog/secret/attest", &body).ok();
        self.bao.write("sys/mounts/attest-keys", &json!({ "type": "attest" })).ok();
        self.bao.write("attest-keys/policy/simulated", &json!({ "policy": policy(1) })).ok();
        self.rotate();
    }

    /// Draws a further key.
    pub(crate) fn rotate(&self) {
        self.bao.write("attest-keys/keys/unseal/rotate", &json!({ "policy": "simulated" })).ok();
    }

    /// From here on its policy admits another image only.
    pub(crate) fn narrow(&self) {
        let other = policy(2).replace(&"5a".repeat(48), &"11".repeat(48));
        self.bao.write("attest-keys/policy/simulated", &json!({ "policy": other })).ok();
    }

    /// Bars all machines with the image that was good so far.
    pub(crate) fn revoke(&self) {
        let body = json!({ "selector": Self::image(), "reason": "ticket 7" });
        self.bao.write("attest-keys/revoke", &body).ok();
    }

    pub(crate) fn reinstate(&self) {
        let body = json!({ "selector": Self::image(), "cause": "revoked", "reason": "ticket 8" });
        self.bao.write("attest-keys/reinstate", &body).ok();
    }

    fn image() -> String {
        format!("measurement={}", "5a".repeat(48))
    }

    /// Somebody has looked at the machine that failed.
    pub(crate) fn forgive(&self) {
        let failures = self.bao.call("LIST", "attest-keys/failure", &json!(null)).unwrap().ok();
        let body =
            json!({ "selector": failures.json["data"]["keys"][0], "cause": "failed", "reason": "seen" });
        self.bao.write("attest-keys/reinstate", &body).ok();
    }

    pub(crate) fn address(&self) -> String {
        format!("https://127.0.0.1:{}", self.tls_port)
    }

    /// The certificate of the authority that vouches for it.
    pub(crate) fn authority(&self) -> PathBuf {
        self.bao.dir.path().join("ca.pem")
    }

    fn write_certificates(&self) {
        let dir = self.bao.dir.path();
        let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_certificate = ca.self_signed(&ca_key).unwrap();
        let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = own.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
        fs::write(dir.join("ca.pem"), ca_certificate.pem()).unwrap();
        fs::write(dir.join("tls.pem"), certificate.pem()).unwrap();
        fs::write(dir.join("tls.key"), key.serialize_pem()).unwrap();
    }
}

const PLUGIN: &str = "openbao-plugin-attest";
