//! Tokens that are made here, good and forged, against issuers as an operator writes them.

use attest::workload::{Found, Presented};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::issuer::{BadIssuer, Entry};
use super::keys::BadKeySet;
use super::*;
use tokens::Signer;

#[path = "../../tests/release/tokens.rs"]
mod tokens;

const AUDIENCE: &str = "https://bao.example";
const CLUSTER: &str = "https://cluster.example";

/// A good token of a pod, with one claim changed.
fn changed(signer: &Signer, claim: &str, value: Value) -> Bearer {
    let mut claims = pod();
    claims[claim] = value;
    signer.token(&signer.header(), &claims)
}

/// What Kubernetes writes.
fn pod() -> Value {
    json!({
        "iss": CLUSTER, "aud": [AUDIENCE], "sub": "system:serviceaccount:prod:app",
        "exp": 2000, "iat": 1000, "nbf": 1000, "jti": "x",
        "kubernetes.io": {
            "namespace": "prod", "serviceaccount": { "name": "app", "uid": "1" },
            "pod": { "name": "app-1", "uid": "7f1c" }, "node": { "name": "node-1", "uid": "2" },
        },
    })
}

fn entry(kind: &str, issuer: &str, keys: &[Value]) -> Value {
    json!({ "issuer": issuer, "audiences": [AUDIENCE], "jwks": { "keys": keys }, "kind": kind })
}

fn issuer(entry: Value) -> Result<Issuer, BadIssuer> {
    serde_json::from_value::<Entry>(entry).unwrap().try_into()
}

fn issuers(entries: impl IntoIterator<Item = Value>) -> Issuers {
    let named = entries.into_iter().enumerate().map(|(at, one)| (at.to_string(), Ok(issuer(one).unwrap())));
    Issuers(named.collect())
}

fn cluster(signer: &Signer) -> Issuers {
    issuers([entry("kubernetes", CLUSTER, &[signer.jwk("k1")])])
}

#[track_caller]
fn genuine(presented: Presented) -> Workload {
    match presented.found {
        Found::Genuine(workload) => *workload,
        Found::Refused(why) => panic!("{why}"),
    }
}

#[track_caller]
fn refused(presented: Presented) -> String {
    match presented.found {
        Found::Refused(why) => why,
        Found::Genuine(workload) => panic!("{workload}"),
    }
}

#[test]
fn a_pods_token_of_every_algorithm_names_the_pod() {
    for signer in Signer::all() {
        let token = signer.token(&signer.header(), &pod());
        let presented = cluster(&signer).judge(&token);
        assert_eq!(presented.token, AwsLcRs.sha256(&[token.0.as_bytes()]));
        let workload = genuine(presented);
        let named = [&workload.namespace, &workload.service_account, &workload.pod, &workload.node];
        assert_eq!(named.map(Option::as_deref), [Some("prod"), Some("app"), Some("7f1c"), Some("node-1")]);
        assert_eq!((workload.from.0, workload.until.0), (1000, 2000));
    }
}

#[test]
fn claims_of_others_are_refused_by_name() {
    let signer = Signer::p256();
    let issuers = cluster(&signer);
    for (claim, value, why) in [
        ("aud", json!("https://other.example"), "aud: expected https://bao.example and nobody else"),
        (
            "aud",
            json!([AUDIENCE, "https://other.example"]),
            "aud: expected https://bao.example and nobody else",
        ),
        ("aud", json!([]), "aud: expected https://bao.example and nobody else"),
        ("iss", json!("https://other.example"), "iss: expected an issuer of config/workload-issuers"),
        ("iss", json!(null), "iss: expected an issuer of config/workload-issuers"),
        (
            "sub",
            json!("system:serviceaccount:prod:root"),
            "sub: expected the service account of kubernetes.io",
        ),
        ("kubernetes.io", json!(null), "kubernetes.io: expected a token that is bound to a pod"),
        ("exp", json!(null), "claims: not the JSON of a token's"),
        ("exp", json!("2000"), "claims: not the JSON of a token's"),
        ("exp", json!(-1), "claims: not the JSON of a token's"),
    ] {
        let found = refused(issuers.judge(&changed(&signer, claim, value)));
        assert!(found.starts_with(why), "{claim}: {found}");
    }
    let mut unbound = pod();
    unbound["kubernetes.io"]["pod"] = Value::Null;
    let found = refused(issuers.judge(&signer.token(&signer.header(), &unbound)));
    assert_eq!(found, "kubernetes.io: expected a token that is bound to a pod, found none");
}

#[test]
fn a_header_cannot_choose_what_it_is_verified_by() {
    let [rsa, p256, ..] = Signer::all();
    let keys = [rsa.jwk("k1"), p256.jwk("k2")];
    let issuers = issuers([entry("kubernetes", CLUSTER, &keys)]);
    let Signer::Rsa(pair) = &rsa else { panic!("expected the first signer to be RSA, found another") };
    let der = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
    // The public key as the secret of an HMAC.
    let signed = |header: Value| {
        let text = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}", text(&header), text(&pod()))
    };
    let hs256 = signed(json!({ "alg": "HS256", "kid": "k1" }));
    let secret = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, der.as_ref());
    let tag = aws_lc_rs::hmac::sign(&secret, hs256.as_bytes());
    let hs256 = format!("{hs256}.{}", URL_SAFE_NO_PAD.encode(tag));
    assert_eq!(
        refused(issuers.judge(&Bearer(hs256))),
        r#"alg: expected RS256, which is the key's, found "HS256""#
    );
    for alg in ["none", "None", "NONE"] {
        let none = Bearer(format!("{}.", signed(json!({ "alg": alg, "kid": "k1" }))));
        let why = format!("alg: expected RS256, which is the key's, found {alg:?}");
        assert_eq!(refused(issuers.judge(&none)), why);
    }
    for (header, why) in [
        (json!({ "alg": "RS256", "kid": "k2" }), r#"alg: expected ES256, which is the key's, found "RS256""#),
        (json!({ "alg": "RS512", "kid": "k1" }), r#"alg: expected RS256, which is the key's, found "RS512""#),
        (json!({ "alg": "ES256", "kid": "k1" }), r#"alg: expected RS256, which is the key's, found "ES256""#),
        (json!({ "alg": "RS256", "kid": "k3" }), r#"kid: expected a key of the issuer's set, found "k3""#),
        (json!({ "alg": "RS256" }), "kid: expected the id of a key, found none"),
        (
            json!({ "alg": "RS256", "kid": "k1", "crit": ["b64"] }),
            "crit: expected no extensions that must be understood, found some",
        ),
        (json!({ "alg": "RS256", "kid": "k1", "typ": "at+jwt" }), "typ: expected JWT, found another type"),
    ] {
        assert_eq!(refused(issuers.judge(&rsa.token(&header, &pod()))), why, "{header}");
    }
    // The right name for a key of the set, and another key's signature.
    let confused = p256.token(&json!({ "alg": "ES256", "kid": "k2" }), &pod());
    genuine(issuers.judge(&confused));
    let stranger = Signer::p256().token(&json!({ "alg": "ES256", "kid": "k2" }), &pod());
    assert_eq!(refused(issuers.judge(&stranger)), r#"signature does not verify with key "k2""#);
}

#[test]
fn one_changed_character_is_one_too_many() {
    let signer = Signer::p256();
    let issuers = cluster(&signer);
    let token = signer.token(&signer.header(), &pod()).0;
    for at in 0..token.len() {
        let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
        let changed = format!("{}{other}{}", &token[..at], &token[at + 1..]);
        refused(issuers.judge(&Bearer(changed)));
        refused(issuers.judge(&Bearer(token[..at].to_owned())));
    }
    for odd in [
        format!("{token}="),
        format!("{token}."),
        format!(" {token}"),
        token.replace('.', ".."),
        String::new(),
    ] {
        assert_eq!(refused(issuers.judge(&Bearer(odd))), "expected a token of three base64url parts");
    }
    let long = Bearer("a".repeat(Bearer::MAX + 1));
    assert_eq!(refused(issuers.judge(&long)), "at most 16384 bytes, found 16385");
}

#[test]
fn a_claim_that_stands_twice_is_refused() {
    let signer = Signer::p256();
    let text = pod().to_string().replacen('{', r#"{"sub":"system:serviceaccount:prod:root","#, 1);
    let message =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(signer.header().to_string()), URL_SAFE_NO_PAD.encode(text));
    let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signer.sign(message.as_bytes())));
    assert!(refused(cluster(&signer).judge(&Bearer(token))).starts_with("claims: not the JSON"));
}

#[test]
fn a_jwt_svid_names_a_workload_of_its_trust_domain_alone() {
    let signer = Signer::p256();
    let issuers = issuers([entry("spiffe", "spiffe://example.org", &[signer.jwk("k1")])]);
    let svid = |sub: &str| {
        signer.token(&signer.header(), &json!({ "sub": sub, "aud": [AUDIENCE], "exp": 2000, "iat": 1000 }))
    };
    let workload = genuine(issuers.judge(&svid("spiffe://example.org/ns/prod/sa/app")));
    assert_eq!(workload.spiffe_id.as_deref(), Some("spiffe://example.org/ns/prod/sa/app"));
    assert_eq!(workload.issuer, "spiffe://example.org");
    for sub in [
        "spiffe://example.organic/app",
        "spiffe://example.org",
        "spiffe://example.org/a/../b",
        "spiffe://example.org//a",
    ] {
        let found = refused(issuers.judge(&svid(sub)));
        assert!(found.starts_with("iss: expected an issuer of config/workload-issuers"), "{found}");
    }
}

/// Google's Confidential Space.
#[test]
fn an_image_digest_is_read_where_the_entry_says() {
    let signer = Signer::p256();
    let mut space = entry("oidc", "https://confidentialcomputing.googleapis.com", &[signer.jwk("k1")]);
    space["image_digest_claim"] = json!("/submods/container/image_digest");
    let issuers = issuers([space]);
    let token = |digest: Value| {
        let claims = json!({
            "iss": "https://confidentialcomputing.googleapis.com", "aud": AUDIENCE, "exp": 2000, "iat": 1000,
            "sub": "https://www.googleapis.com/compute/v1/projects/p/zones/z/instances/i",
            "submods": { "container": { "image_digest": digest } },
        });
        signer.token(&signer.header(), &claims)
    };
    let digest = format!("sha256:{}", "0a".repeat(32));
    assert_eq!(genuine(issuers.judge(&token(json!(digest)))).image_digest, Some(digest));
    assert_eq!(genuine(issuers.judge(&token(Value::Null))).image_digest.as_deref(), None);
    for odd in [json!("latest"), json!(5), json!("sha256:0a")] {
        assert!(refused(issuers.judge(&token(odd))).starts_with("image digest: expected"));
    }
}

#[test]
fn a_token_that_two_entries_are_for_is_refused() {
    let signer = Signer::p256();
    let oidc = entry("oidc", CLUSTER, &[signer.jwk("k1")]);
    let issuers = issuers([entry("kubernetes", CLUSTER, &[signer.jwk("k1")]), oidc]);
    let found = refused(issuers.judge(&signer.token(&signer.header(), &pod())));
    assert!(found.starts_with("iss: two entries"), "{found}");
}

#[test]
fn an_entry_that_no_longer_parses_refuses_its_tokens_and_nobody_elses() {
    let signer = Signer::p256();
    let Issuers(mut named) = cluster(&signer);
    named.insert("old".to_owned(), Err("jwks: damaged".to_owned()));
    let issuers = Issuers(named);
    genuine(issuers.judge(&signer.token(&signer.header(), &pod())));
    let found = refused(issuers.judge(&changed(&signer, "iss", json!("https://old.example"))));
    assert_eq!(found, "config/workload-issuers/old: jwks: damaged");
}

#[test]
fn a_key_set_with_a_key_that_is_no_public_one_is_refused_whole() {
    let good = Signer::p256().jwk("k1");
    let keys = |keys: &[Value]| issuer(entry("kubernetes", CLUSTER, keys)).unwrap_err();
    let key = |json: Value, why: &'static str| {
        assert_eq!(keys(&[good.clone(), json]), BadIssuer::Keys(BadKeySet::Key { id: "k2".to_owned(), why }));
    };
    let secret = "a secret, which everybody who verifies could sign with";
    key(json!({ "kty": "oct", "k": "AAAA", "kid": "k2", "alg": "HS256" }), secret);
    let mut private = good.clone();
    private["kid"] = json!("k2");
    private["d"] = json!("AAAA");
    key(private, "a private key, which whoever reads this could sign with");
    let other = "expected kty RSA, EC (P-256, P-384) or OKP (Ed25519)";
    key(json!({ "kty": "EC", "crv": "secp256k1", "kid": "k2" }), other);
    key(
        json!({ "kty": "RSA", "kid": "k2", "n": "AQAB", "e": "AQAB" }),
        "expected n of 2048 to 8192 bits, and e",
    );
    let mut wrong = good.clone();
    wrong["kid"] = json!("k2");
    wrong["alg"] = json!("HS256");
    key(wrong, "alg is none of RS256, RS384, RS512, ES256, ES384, EdDSA that fits the key");
    assert_eq!(keys(&[good.clone(), good.clone()]), BadIssuer::Keys(BadKeySet::Twice("k1".to_owned())));
    assert_eq!(keys(&[]), BadIssuer::Keys(BadKeySet::Number(0)));
    let many: Vec<Value> = (0..17).map(|at| Signer::p256().jwk(&at.to_string())).collect();
    assert_eq!(keys(&many), BadIssuer::Keys(BadKeySet::Number(17)));
    let mut nameless = good;
    nameless["kid"] = Value::Null;
    assert_eq!(keys(&[nameless]), BadIssuer::Keys(BadKeySet::NoId));
}

#[test]
fn an_entry_that_could_be_read_in_two_ways_is_refused() {
    let key = Signer::p256().jwk("k1");
    for (field, value, error) in [
        ("audiences", json!([]), BadIssuer::Audiences),
        ("audiences", json!([""]), BadIssuer::Audiences),
        ("issuer", json!(""), BadIssuer::Name),
        ("issuer", json!("https://a b"), BadIssuer::Name),
        ("image_digest_claim", json!("submods.container"), BadIssuer::Pointer),
    ] {
        let mut entry = entry("kubernetes", CLUSTER, std::slice::from_ref(&key));
        entry[field] = value;
        assert_eq!(issuer(entry).unwrap_err(), error, "{field}");
    }
    for domain in ["https://example.org", "spiffe://", "spiffe://example.org/", "spiffe://Example.org"] {
        let found = issuer(entry("spiffe", domain, std::slice::from_ref(&key))).unwrap_err();
        assert_eq!(found, BadIssuer::Name, "{domain}");
    }
    let text = json!({ "keys": [key] }).to_string();
    let mut as_text = entry("kubernetes", CLUSTER, &[]);
    as_text["jwks"] = json!(text);
    issuer(as_text).unwrap();
}
