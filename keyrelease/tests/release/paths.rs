//! What OpenBao tells of the plugin's paths, and that it is true.

use serde_json::{Value, json};

use crate::server::{Server, policy, shared};

/// Each path of the plugin's two mounts in the document that OpenBao serves, with its methods.
fn served() -> Vec<(String, Value)> {
    let document = shared().read("sys/internal/specs/openapi").json;
    let paths = document["paths"].as_object().unwrap().clone();
    let ours = paths.into_iter().map(|(path, item)| (path.trim_start_matches('/').to_owned(), item));
    ours.filter(|(path, _)| path.starts_with("attest-keys/") || path.starts_with("auth/attest/")).collect()
}

/// A path with something in the place of each part that varies.
fn concrete(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        "{kind}" => "crl",
        "{tile}" => "0/000",
        part if part.starts_with('{') => "nothing",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

#[test]
fn every_path_that_openbao_documents_is_routed_and_has_help() {
    let server = Server::start();
    let documented = served();
    assert!(documented.len() >= 30, "{documented:?}");
    for (path, item) in documented {
        let at = concrete(&path);
        let help = server.read(&format!("{at}?help=1"));
        let text = help.json["help"].as_str().unwrap_or_else(|| panic!("{path}: {help:?}")).to_owned();
        assert!(text.contains("OPERATIONS") && text.contains("Who may call it"), "{path}: {text}");
        for method in ["get", "post", "delete"] {
            let called = if item[method]["parameters"][0]["name"] == "list" { "list" } else { method };
            let answer = server.call(&called.to_uppercase(), &at, Some(&json!({})), "root");
            let is_there = item.get(method).is_some();
            // A list's path ends in a slash; to write there is to write nothing's name.
            let nameless = answer.errors().contains("cannot write to a path ending in '/'");
            let missing = answer.status == 405 || answer.errors().contains("unsupported") || nameless;
            assert_eq!(missing, !is_there, "{called} {at}: {answer:?}");
        }
    }
}

#[test]
fn what_is_in_no_table_is_not_there() {
    for path in ["attest-keys/nothing", "attest-keys/release/db/open/more", "auth/attest/config/nothing"] {
        let answer = shared().read(path);
        assert_eq!((answer.status, answer.errors().contains("unsupported path")), (404, true), "{answer:?}");
        assert!(shared().read(&format!("{path}?help=1")).json["help"].is_null(), "{path}");
    }
}

#[test]
fn the_document_says_what_needs_no_token_and_what_a_body_has() {
    let served = served();
    let item =
        |path: &str| &served.iter().find(|(known, _)| known == path).unwrap_or_else(|| panic!("{path}")).1;
    let open: Vec<&str> = served
        .iter()
        .filter(|(_, item)| item["x-vault-unauthenticated"] == true)
        .map(|(path, _)| path.as_str())
        .collect();
    let expected = [
        "attest-keys/challenge",
        "attest-keys/release/{key}/open",
        "auth/attest/challenge",
        "auth/attest/enrol",
        "auth/attest/login",
    ];
    assert_eq!(open, expected);
    assert_eq!(item("attest-keys/config/auth")["x-vault-sudo"], true);
    let body = &item("auth/attest/login")["post"]["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(body["properties"]["evidence"]["format"], "byte", "{body}");
    assert!(body["required"].as_array().unwrap().contains(&json!("role")), "{body}");
    assert_eq!(item("attest-keys/keys/{key}")["parameters"][0]["name"], "key");
}

/// As `vault_generic_endpoint` of the Terraform provider does: write, read, compare, write again, delete, delete again.
#[test]
fn what_was_applied_reads_back_and_applies_again_without_a_change() {
    let server = Server::start();
    let role = json!({ "policy": "simulated", "token_policies": ["a"], "token_ttl_seconds": 60,
        "token_bound_cidrs": ["10.0.0.0/8"] });
    let limits = server.read("attest-keys/config/limits").json["data"].clone();
    let accessor = json!({ "accessor": "auth_attest_1234" });
    let third = json!({ "policy": policy(3) });
    for (path, body, has_delete) in [
        ("auth/attest/role/terraform", &role, true),
        ("attest-keys/config/limits", &limits, true),
        ("attest-keys/config/auth", &accessor, false),
        ("attest-keys/policy/simulated", &third, false),
    ] {
        let mut states = Vec::new();
        for _ in 0..2 {
            server.write(path, body).ok();
            let read = server.read(path).ok().json["data"].clone();
            for (field, value) in body.as_object().unwrap() {
                assert_eq!(&read[field], value, "{path} {field}");
            }
            states.push(read);
        }
        assert_eq!(states[0], states[1], "{path}");
        for _ in 0..if has_delete { 2 } else { 0 } {
            assert_eq!(server.call("DELETE", path, None, "root").status, 204, "{path}");
        }
    }
    assert_eq!(server.read("auth/attest/role/terraform").status, 404);
    for name in ["c", "a", "b"] {
        server.write(&format!("auth/attest/role/{name}"), &role).ok();
    }
    assert_eq!(server.list("auth/attest/role/").json["data"]["keys"], json!(["a", "b", "c", "node"]));
}
