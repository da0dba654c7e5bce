//! Workloads: a token beside the evidence, both bound to one key, and what a policy grants to whom.

use attest::crypto::AwsLcRs;
use attest::workload::Found;
use attest::{Crypto, Digest};
use protocol::agent::stamped;
use protocol::release::{Bearer, Presentation, Sealed, login_context, open_context, purpose};
use serde_json::{Value, json};

use crate::admission::{anchors, record};
use crate::machine::{Machine, challenge, present, sealed};
use crate::server::{Answer, SECRET, Server, now, policy, shared};
use crate::token::trusting;
use crate::tokens::Signer;

pub(crate) const CLUSTER: &str = "https://cluster.example";
const AUDIENCE: &str = "https://bao.example";
/// The pod of [`Cluster::claims`].
const POD: &str = "7f1c";

/// A cluster whose tokens both mounts of a server believe.
pub(crate) struct Cluster {
    pub(crate) signer: Signer,
    pub(crate) server: Server,
}

/// Stores the policy with these grants in both mounts.
pub(crate) fn grants(server: &Server, version: u64, grants: &str) {
    let text = format!("{}\n{grants}", policy(version));
    for mount in ["auth/attest", "attest-keys"] {
        server.write(&format!("{mount}/policy/simulated"), &json!({ "policy": text })).ok();
    }
}

impl Cluster {
    fn with(signer: Signer) -> Self {
        let server = trusting();
        let jwks = json!({ "keys": [signer.jwk("k1")] }).to_string();
        let entry = json!({ "issuer": CLUSTER, "audiences": [AUDIENCE], "jwks": jwks, "kind": "kubernetes" });
        for mount in ["auth/attest", "attest-keys"] {
            server.write(&format!("{mount}/config/workload-issuers/cluster"), &entry).ok();
        }
        grants(
            &server,
            2,
            r#"
            [[grant]]
            paths = { any_of = ["attest-keys/release/db"] }
            namespace = { any_of = ["prod"] }
            service_account = { any_of = ["app"] }
            [[grant]]
            paths = { any_of = ["auth/attest/login/*"] }"#,
        );
        Self { signer, server }
    }

    pub(crate) fn start() -> Self {
        let [_, signer, ..] = Signer::all();
        Self::with(signer)
    }

    pub(crate) fn claims(account: &str) -> Value {
        let (now, end) = (now(), now().plus(100));
        json!({
            "iss": CLUSTER, "aud": [AUDIENCE], "sub": format!("system:serviceaccount:prod:{account}"),
            "exp": end.0, "iat": now.0, "nbf": now.0,
            "kubernetes.io": {
                "namespace": "prod", "serviceaccount": { "name": account, "uid": "1" },
                "pod": { "name": "pod-1", "uid": POD }, "node": { "name": "node-1", "uid": "2" },
            },
        })
    }

    pub(crate) fn token(&self, account: &str) -> Bearer {
        self.signed(&Self::claims(account))
    }

    /// A token of this pod.
    pub(crate) fn token_in(&self, account: &str, pod: &str) -> Bearer {
        let mut claims = Self::claims(account);
        claims["kubernetes.io"]["pod"]["uid"] = json!(pod);
        self.signed(&claims)
    }

    fn signed(&self, claims: &Value) -> Bearer {
        self.signer.token(&self.signer.header(), claims)
    }

    /// Asks for `db` with a token that the hardware signed, from the token's own pod.
    pub(crate) fn open(&self, machine: &Machine, token: &Bearer) -> Answer {
        self.open_with(machine, Some(digest(token)), Some(token))
    }

    fn open_with(&self, machine: &Machine, signed: Option<Digest<32>>, token: Option<&Bearer>) -> Answer {
        self.open_in(Some(POD), machine, signed, token)
    }

    /// Asks for `db` from a pod that the agent knows, or from none.
    fn open_in(
        &self,
        pod: Option<&str>,
        machine: &Machine,
        signed: Option<Digest<32>>,
        token: Option<&Bearer>,
    ) -> Answer {
        let pod = pod.map(|uid| uid.parse().unwrap());
        let challenge = challenge(&self.server, "attest-keys");
        let context = stamped(&purpose(&open_context("attest-keys", "db"), signed), pod.as_ref());
        let presentation = with_token(machine.answer(&challenge, &context), signed, token);
        present(&self.server, &Presentation { pod, ..presentation })
    }

    fn login(&self, machine: &Machine, token: Option<&Bearer>) -> Answer {
        self.server.call("POST", "auth/attest/login", Some(&self.login_body(machine, token)), "")
    }

    /// The body of a login as `node`.
    pub(crate) fn login_body(&self, machine: &Machine, token: Option<&Bearer>) -> Value {
        let challenge = challenge(&self.server, "auth/attest");
        let signed = token.map(digest);
        let pod = token.map(|_| POD.parse().unwrap());
        let context = stamped(&purpose(&login_context("auth/attest", "node"), signed), pod.as_ref());
        let presentation = with_token(machine.answer(&challenge, &context), signed, token);
        let mut body = serde_json::to_value(Presentation { pod, ..presentation }).unwrap();
        body["role"] = Value::from("node");
        body
    }

    fn release(&self, machine: &Machine, login: &Answer) -> Answer {
        let offered = &machine.key.offered;
        let public = protocol::release::Base64(offered.public.clone());
        let body = json!({ "kem": offered.kem.name(), "public_key": public });
        let token = login.json["auth"]["client_token"].as_str().unwrap();
        self.server.call("POST", "attest-keys/release/db", Some(&body), token)
    }
}

fn with_token(
    presentation: Presentation,
    signed: Option<Digest<32>>,
    token: Option<&Bearer>,
) -> Presentation {
    Presentation { workload_digest: signed, workload_token: token.cloned(), ..presentation }
}

fn digest(token: &Bearer) -> Digest<32> {
    AwsLcRs.sha256(&[token.0.as_bytes()])
}

/// What a refusal says was found under the only check that fails beside the grant.
#[track_caller]
pub(crate) fn found(answer: &Answer, id: &str) -> String {
    assert_eq!(answer.failing(), [id, "policy.grant"], "{answer:?}");
    answer.json["data"]["failing"][0]["found"].as_str().unwrap().to_owned()
}

#[test]
fn a_granted_pod_on_a_good_machine_gets_the_secret_and_is_on_record_without_its_token() {
    for signer in Signer::all() {
        let cluster = Cluster::with(signer);
        let (machine, token) = (Machine::good(), cluster.token("app"));
        let sealed: Sealed = sealed(&cluster.open(&machine, &token));
        assert_eq!(machine.key.field(&sealed, "password").as_deref(), Some(SECRET));
        assert!(sealed.lease_seconds <= 100, "no longer than the token: {}", sealed.lease_seconds);
        let bundle = record(&cluster.server, "attest-keys", "record", &sealed.decision);
        let workload = bundle.standing.as_ref().unwrap().workload.as_ref().unwrap();
        assert_eq!(workload.token, digest(&token));
        let Found::Genuine(named) = &workload.found else { panic!("{workload:?}") };
        assert_eq!(named.pod.as_deref(), Some(POD));
        assert!(bundle.replay(&AwsLcRs, &anchors()).unwrap().identical);
        let raw = cluster.server.read(&format!("attest-keys/record/{}", sealed.decision)).ok();
        let file = raw.json["data"]["bundle"].as_str().unwrap();
        let file = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, file).unwrap();
        let signature = token.0.rsplit('.').next().unwrap().as_bytes();
        assert!(!file.windows(signature.len()).any(|part| part == signature), "a token is a credential");
        let later = bundle.replay_at(&AwsLcRs, &anchors(), bundle.appraisal.at.plus(101)).unwrap().appraisal;
        let failing: Vec<&str> = later.failing().map(|check| check.id.as_str()).collect();
        assert_eq!(failing, ["workload.current", "policy.grant"], "{later:?}");
    }
}

#[test]
fn a_pod_that_no_grant_names_gets_nothing_on_the_same_machine() {
    let cluster = Cluster::start();
    let answer = cluster.open(&Machine::good(), &cluster.token("web"));
    assert_eq!(answer.failing(), ["policy.grant"]);
    let found = answer.json["data"]["failing"][0]["found"].as_str().unwrap();
    assert!(found.contains("service account web, pod 7f1c"), "{found}");
    // Nor does a machine without any workload.
    assert_eq!(Machine::good().open(&cluster.server).failing(), ["policy.grant"]);
}

#[test]
fn a_token_that_this_machine_did_not_sign_is_refused() {
    let cluster = Cluster::start();
    let (mine, theirs) = (cluster.token("web"), cluster.token("app"));
    let machine = Machine::good();
    // Another pod's token, beside an answer that was signed for none, or for mine.
    let answer = cluster.open_with(&machine, None, Some(&theirs));
    assert_eq!(found(&answer, "workload.bound"), format!("{}, unsigned", digest(&theirs)));
    let answer = cluster.open_with(&machine, Some(digest(&mine)), Some(&theirs));
    assert_eq!(found(&answer, "workload.bound"), format!("token {}", digest(&theirs)));
    // It was signed, and taken away.
    let answer = cluster.open_with(&machine, Some(digest(&mine)), None);
    assert_eq!(found(&answer, "workload.bound"), "no token");
    // The digest of the stolen token, over an answer whose hardware signed another purpose.
    let challenge = challenge(&cluster.server, "attest-keys");
    let honest = machine.answer(&challenge, &open_context("attest-keys", "db"));
    let forged = with_token(honest, Some(digest(&theirs)), Some(&theirs));
    assert_eq!(present(&cluster.server, &forged).failing(), ["challenge.bound"]);
}

/// A token is a credential, and can be stolen: from the thief's pod it is worth nothing.
#[test]
fn a_token_in_another_pod_than_its_own_is_refused_and_the_refusal_replays() {
    let cluster = Cluster::start();
    let (machine, token) = (Machine::good(), cluster.token("app"));
    let ask = |pod| cluster.open_in(pod, &machine, Some(digest(&token)), Some(&token));
    sealed(&ask(Some(POD)));
    for (pod, why) in [(Some("8a2d"), "pod 8a2d"), (None, "no pod that an agent stamped")] {
        let answer = ask(pod);
        assert_eq!(found(&answer, "workload.pod"), why);
        let id = answer.json["data"]["decision"].as_str().unwrap();
        let bundle = record(&cluster.server, "attest-keys", "record", id);
        assert!(bundle.replay(&AwsLcRs, &anchors()).unwrap().identical);
        let failing: Vec<_> = bundle.appraisal.failing().map(|check| check.expected.as_str()).collect();
        assert_eq!(failing[0], "pod 7f1c, whose token it is, in the purpose");
    }
    // The pod in the request, over an answer whose hardware signed another purpose.
    let challenge = challenge(&cluster.server, "attest-keys");
    let context = purpose(&open_context("attest-keys", "db"), Some(digest(&token)));
    let thief = stamped(&context, Some(&"8a2d".parse().unwrap()));
    let forged = with_token(machine.answer(&challenge, &thief), Some(digest(&token)), Some(&token));
    let forged = Presentation { pod: Some(POD.parse().unwrap()), ..forged };
    assert_eq!(present(&cluster.server, &forged).failing(), ["challenge.bound"]);
}

/// Where no agent can know the pod: in an enclave, or on a node whose agent does not stamp.
#[test]
fn an_operator_may_believe_an_issuers_tokens_about_their_pod() {
    let cluster = Cluster::start();
    let (machine, token) = (Machine::good(), cluster.token("app"));
    let path = "attest-keys/config/workload-issuers/cluster";
    let entry = cluster.server.read(path).ok().json["data"].clone();
    assert_eq!(entry["pod"], "attested", "unless it says otherwise");
    let mut written = entry.clone();
    written["pod"] = json!("believed");
    let answer = cluster.server.write(path, &written);
    assert!(answer.errors().contains("expected `attested` or `claimed`"), "{answer:?}");
    written["pod"] = json!("claimed");
    cluster.server.write(path, &written).ok();
    let ask = |pod| cluster.open_in(pod, &machine, Some(digest(&token)), Some(&token));
    sealed(&ask(None));
    sealed(&ask(Some(POD)));
    assert_eq!(found(&ask(Some("8a2d")), "workload.pod"), "pod 8a2d");
}

#[test]
fn a_token_that_is_not_good_is_refused_with_its_reason_on_record() {
    let [rsa, p256, ..] = Signer::all();
    let cluster = Cluster::with(rsa);
    let machine = Machine::good();
    let changed = |claim: &str, value: Value| {
        let mut claims = Cluster::claims("app");
        claims[claim] = value;
        cluster.signed(&claims)
    };
    let header = |alg: &str, kid: &str| json!({ "alg": alg, "kid": kid });
    let claims = Cluster::claims("app");
    let unsigned = cluster.signer.token(&header("none", "k1"), &claims).0;
    let unsigned = Bearer(format!("{}.", unsigned.rsplit_once('.').unwrap().0));
    for (token, why) in [
        (
            changed("aud", json!("https://other.example")),
            "aud: expected https://bao.example and nobody else, found https://other.example",
        ),
        (
            changed("iss", json!("https://other.example")),
            r#"iss: expected an issuer of config/workload-issuers, found "https://other.example""#,
        ),
        (unsigned, r#"alg: expected RS256, which is the key's, found "none""#),
        (
            cluster.signer.token(&header("HS256", "k1"), &claims),
            r#"alg: expected RS256, which is the key's, found "HS256""#,
        ),
        (
            cluster.signer.token(&header("RS256", "k2"), &claims),
            r#"kid: expected a key of the issuer's set, found "k2""#,
        ),
        (
            p256.token(&header("ES256", "k1"), &claims),
            r#"alg: expected RS256, which is the key's, found "ES256""#,
        ),
        (Bearer("not a token".to_owned()), "expected a token of three base64url parts"),
    ] {
        assert_eq!(found(&cluster.open(&machine, &token), "workload.token"), why);
    }
    let expired = cluster.open(&machine, &changed("exp", json!(now().0.saturating_sub(1))));
    assert!(found(&expired, "workload.current").contains(" until "), "{expired:?}");
    let id = expired.json["data"]["decision"].as_str().unwrap();
    assert!(!record(&cluster.server, "attest-keys", "record", id).appraisal.admits());
    let early = cluster.open(&machine, &changed("nbf", json!(now().plus(600).0)));
    found(&early, "workload.current");
}

#[test]
fn the_workload_that_logged_in_is_the_one_whom_a_token_releases_to() {
    let cluster = Cluster::start();
    let machine = Machine::good();
    let login = cluster.login(&machine, Some(&cluster.token("app")));
    let metadata = &login.json["auth"]["metadata"];
    assert_eq!(metadata["workload_namespace"], "prod", "{login:?}");
    assert_eq!(metadata["workload_service_account"], "app");
    assert!(
        login.json["auth"]["lease_duration"].as_u64().unwrap() <= 100,
        "no longer than the workload's token"
    );
    sealed(&cluster.release(&machine, &login));
    let web = cluster.login(&machine, Some(&cluster.token("web")));
    let refused = cluster.release(&machine, &web);
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(refused.errors().contains("policy.grant: expected a verified workload with"), "{refused:?}");
    assert!(refused.errors().contains("service account web"), "{refused:?}");
}

/// Of one entity there is one alias a mount: what a second workload's login writes there would be said of the first.
#[test]
fn two_workloads_on_one_machine_are_told_apart_and_one_that_comes_again_is_known() {
    let cluster = Cluster::start();
    let (one, other) = (Machine::good(), Machine::good());
    let app = cluster.login(&one, Some(&cluster.token("app")));
    let web = cluster.login(&other, Some(&cluster.token("web")));
    let alone = cluster.login(&other, None);
    let entity = |login: &Answer| login.json["auth"]["entity_id"].as_str().unwrap().to_owned();
    let entities = [&app, &web, &alone].map(entity);
    assert!(entities[0] != entities[1] && entities[1] != entities[2] && entities[0] != entities[2]);
    // Neither is worse off for the other's login, nor better.
    sealed(&cluster.release(&one, &app));
    let refused = cluster.release(&other, &web);
    assert!(refused.errors().contains("service account web"), "{refused:?}");
    assert_eq!(entity(&cluster.login(&one, Some(&cluster.token("app")))), entities[0]);
}

#[test]
fn a_login_without_a_workload_after_one_with_it_names_nobody() {
    let cluster = Cluster::start();
    let machine = Machine::good();
    sealed(&cluster.release(&machine, &cluster.login(&machine, Some(&cluster.token("app")))));
    let refused = cluster.release(&machine, &cluster.login(&machine, None));
    assert!(refused.errors().contains("no verified workload"), "{refused:?}");
}

#[test]
fn issuers_are_for_those_who_have_sudo_and_a_bad_one_is_not_stored() {
    let server = shared();
    let path = "attest-keys/config/workload-issuers/x";
    let acl = r#"path "attest-keys/*" { capabilities = ["create", "read", "update", "delete", "list"] }"#;
    server.write("sys/policies/acl/no-sudo", &json!({ "policy": acl })).ok();
    let made = server.write("auth/token/create", &json!({ "policies": ["no-sudo"] })).ok();
    let token = made.json["auth"]["client_token"].as_str().unwrap();
    let [_, signer, ..] = Signer::all();
    let keys = |key: Value| json!({ "keys": [key] });
    let entry = json!({ "issuer": "https://x.example", "audiences": ["a"], "jwks": keys(signer.jwk("k")), "kind": "oidc" });
    assert_eq!(server.call("POST", path, Some(&entry), token).status, 403);
    for (field, value, why) in [
        ("jwks", keys(json!({ "kty": "oct", "kid": "k", "k": "AAAA" })), "everybody who verifies could sign"),
        ("kind", json!("github"), "unknown variant"),
        ("skip_signature", json!(true), "unknown field"),
    ] {
        let mut bad = entry.clone();
        bad[field] = value;
        let answer = server.write(path, &bad);
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.errors().contains(why), "{answer:?}");
        assert_eq!(server.read(path).status, 404);
    }
    server.write(path, &entry).ok();
    assert_eq!(server.read(path).json["data"]["issuer"], "https://x.example");
    let twice = server.write("attest-keys/config/workload-issuers/y", &entry);
    assert!(twice.errors().contains("config/workload-issuers/x is for it already"), "{twice:?}");
    assert_eq!(server.list("attest-keys/config/workload-issuers/").json["data"]["keys"], json!(["x"]));
    server.call("DELETE", path, None, "root").ok();
    assert_eq!(server.read(path).status, 404);
}
