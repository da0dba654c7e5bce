//! A simulated machine that asks a real server for secrets and tokens.

use attest::crypto::AwsLcRs;
use attest::{Kem, OfferedKey, Platform, Transcript};
use protocol::release::{Base64, ChallengeReply, login_context, open_context};
use serde_json::{Value, json};
use simulator::snp::{Chip, Product};

use crate::server::{Answer, Server, since_1970};

/// A guest on one chip.
pub(crate) struct Guest {
    chip: Chip,
    /// What was measured of it.
    measurement: [u8; 48],
}

impl Guest {
    /// On the chip of this number; what it measured is what the policy admits.
    pub(crate) fn on(chip: u64) -> Self {
        Self { chip: simulated(chip), measurement: [0x5a; 48] }
    }

    /// The same, with another measurement.
    pub(crate) fn measuring(chip: u64, measurement: [u8; 48]) -> Self {
        Self { measurement, ..Self::on(chip) }
    }

    fn answer(&self, server: &Server, mount: &str, context: &str) -> Value {
        let drawn = server.call("POST", &format!("{mount}/challenge"), Some(&json!({})), "").ok();
        let challenge: ChallengeReply = serde_json::from_value(drawn.json["data"].clone()).unwrap();
        let nonce = hex::decode(&challenge.nonce).unwrap().try_into().unwrap();
        // Nobody opens what is sealed to it: these tests look at what is on record.
        let key = OfferedKey { kem: Kem::X25519, public: vec![9; 32] };
        let transcript = Transcript { nonce: &nonce, context, key: &key };
        let data = transcript.caller_data(&AwsLcRs, Platform::SevSnp).try_into().unwrap();
        let report = self.chip.report().measurement(self.measurement).report_data(data).sign();
        let chain = self.chip.chain();
        let wire = |items: Vec<Vec<u8>>| items.into_iter().map(Base64).collect::<Vec<_>>();
        json!({
            "challenge": challenge.challenge,
            "platform": Platform::SevSnp,
            "evidence": Base64(report),
            "certificates": wire(vec![chain.vcek, chain.ask]),
            "revocation_lists": wire(vec![self.chip.crl().der()]),
            "kem": key.kem.name(),
            "public_key": Base64(key.public),
        })
    }

    /// Asks for `db` with the evidence in the call.
    pub(crate) fn open(&self, server: &Server) -> Answer {
        let body = self.answer(server, "attest-keys", &open_context("attest-keys", "db"));
        server.call("POST", "attest-keys/release/db/open", Some(&body), "")
    }

    /// The same, but brings nothing beside its report.
    pub(crate) fn open_bare(&self, server: &Server) -> Answer {
        let mut body = self.answer(server, "attest-keys", &open_context("attest-keys", "db"));
        (body["certificates"], body["revocation_lists"]) = (json!([]), json!([]));
        server.call("POST", "attest-keys/release/db/open", Some(&body), "")
    }

    /// Logs in as `node`.
    pub(crate) fn log_in(&self, server: &Server) -> Answer {
        let mut body = self.answer(server, "auth/attest", &login_context("auth/attest", "node"));
        body["role"] = Value::from("node");
        server.call("POST", "auth/attest/login", Some(&body), "")
    }

    /// Logs in; the token.
    #[track_caller]
    pub(crate) fn token(&self, server: &Server) -> String {
        self.log_in(server).ok().json["auth"]["client_token"].as_str().unwrap().to_owned()
    }
}

fn simulated(chip: u64) -> Chip {
    Chip::new(chip, Product::Genoa).at(since_1970().as_secs())
}

impl Server {
    /// The same mounts without a policy or a key.
    pub(crate) fn attest_simulated() -> Self {
        let intel = simulator::tdx::Platform::new(7).collateral().root;
        Self::attest_believing(&[simulated(1).ark().der(), intel])
    }

    /// A development server with both faces of the plugin, which believe the simulator; a key `db`, a role `node`, and
    /// something outside of the plugin that its machines may read.
    pub(crate) fn attesting() -> Self {
        let server = Self::attest_believing(&[simulated(1).ark().der()]);
        let policy = POLICY.replace("VERSION", "1");
        for mount in ["auth/attest", "attest-keys"] {
            server.write(&format!("{mount}/policy/simulated"), &json!({ "policy": policy })).ok();
        }
        let key = json!({ "policy": "simulated", "data": { "password": "x" } });
        server.write("attest-keys/keys/db", &key).ok();
        let acl = r#"path "secret/data/*" { capabilities = ["create", "read", "update"] }"#;
        server.write("sys/policies/acl/machine", &json!({ "policy": acl })).ok();
        server.write("secret/data/x", &json!({ "data": { "a": "b" } })).ok();
        let role = json!({ "policy": "simulated", "token_policies": ["machine"], "token_ttl_seconds": 600 });
        server.write("auth/attest/role/node", &role).ok();
        server
    }
}

const POLICY: &str = include_str!("../../../keyrelease/tests/release/policy.toml");
