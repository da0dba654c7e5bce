//! Who a caller is: without a token, with one of ours, and in another plugin.

use serde_json::{Value, json};

use crate::server::shared;

fn login(body: &Value) -> Value {
    shared().call("POST", "auth/notes/login", Some(body), "").json()["auth"].clone()
}

#[test]
fn a_login_issues_a_batch_token_with_policies_and_metadata() {
    let auth = login(&json!({"word": "friend"}));
    assert_eq!(auth["token_type"], "batch");
    assert_eq!(auth["policies"], json!(["default", "notes"]));
    assert_eq!(auth["metadata"], json!({"word": "said"}));
    assert_eq!(auth["lease_duration"], 300);
    assert_eq!(auth["renewable"], false);
}

#[test]
fn a_refused_login_says_why_and_issues_nothing() {
    let answer = shared().call("POST", "auth/notes/login", Some(&json!({"word": "foe"})), "");
    assert_eq!((answer.status, answer.errors().as_str()), (403, "this is not the word"));
    assert_eq!(answer.json()["auth"], Value::Null);
}

#[test]
fn what_an_auth_method_attests_reaches_a_secrets_engine_through_the_entity() {
    let auth = login(&json!({"word": "friend"}));
    let who = shared().call("GET", "notes/whoami", None, auth["client_token"].as_str().unwrap()).data();
    assert_eq!(who["aliases"], json!([{"name": "gate", "metadata": {"door": "west"}}]));
    assert_eq!(who["unauthenticated"], false);
    assert_eq!(who["remote_addr"], "127.0.0.1");
    assert_eq!(who["mount_point"], "notes/");
    assert_eq!(who["standby"], false);
    assert_eq!(who["max_lease_ttl"], 32 * 24 * 3600);
    assert_eq!(who["default_lease_ttl"], 32 * 24 * 3600);
}

#[test]
fn an_open_path_is_answered_without_a_token_and_others_are_not() {
    let bao = shared();
    bao.write("notes/open/door", &json!({"text": "ajar"}));
    assert_eq!(bao.call("GET", "notes/open/door", None, "").data(), json!({"text": "ajar"}));
    assert_eq!(bao.call("GET", "notes/note/door", None, "").status, 403);
    assert_eq!(bao.call("POST", "notes/noop/open", Some(&json!({"size": 3})), "").data()["bytes"], "xxx");
}

#[test]
fn a_service_token_is_renewed_by_the_plugins_leave_alone() {
    let bao = shared();
    let renew = |auth: &Value| {
        bao.call("POST", "auth/token/renew-self", Some(&json!({})), auth["client_token"].as_str().unwrap())
    };
    let renewed = renew(&login(&json!({"word": "friend", "type": "service"})));
    assert_eq!(renewed.status, 200, "{renewed:?}");
    let refused = renew(&login(&json!({"word": "friend", "type": "service", "renewals": "never"})));
    assert_ne!(refused.status, 200);
    assert!(refused.errors().contains("permission denied"), "{refused:?}");
}
