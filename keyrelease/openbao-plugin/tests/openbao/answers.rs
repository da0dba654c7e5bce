//! What a caller gets for what a handler returns.

use serde_json::{Value, json};

use crate::server::{Answer, shared};

#[test]
fn a_note_is_written_read_listed_and_deleted() {
    let bao = shared();
    assert_eq!(bao.write("notes/note/first", &json!({"text": "hello"})).status, 204);
    assert_eq!(bao.read("notes/note/first").data(), json!({"text": "hello"}));
    assert!(bao.list("notes/note/").data()["keys"].as_array().unwrap().contains(&json!("first")));
    assert_eq!(bao.delete("notes/note/first").status, 204);
    assert_eq!(bao.read("notes/note/first").status, 404);
}

#[test]
fn each_error_has_its_status_and_its_words() {
    let cases = [
        ("bad-request", 400, "because"),
        ("refused", 400, "because"),
        ("denied", 403, "because"),
        ("operation", 405, "1 error occurred:\n\t* unsupported operation\n\n"),
        ("path", 404, "1 error occurred:\n\t* unsupported path\n\n"),
        ("coded", 429, "1 error occurred:\n\t* because\n\n"),
        ("internal", 500, "1 error occurred:\n\t* because\n\n"),
    ];
    let found: Vec<(&str, u16, String)> = cases
        .iter()
        .map(|(name, ..)| (*name, shared().read(&format!("notes/error/{name}"))))
        .map(|(name, answer)| (name, answer.status, answer.errors()))
        .collect();
    let expected: Vec<(&str, u16, String)> =
        cases.iter().map(|(name, status, text)| (*name, *status, (*text).to_owned())).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_structured_reason_comes_beside_the_words() {
    let answer = shared().read("notes/error/refused");
    assert_eq!(answer.data(), json!({"check": "snp.policy.debug"}), "{answer:?}");
}

#[test]
fn coded_errors_keep_the_statuses_from_401_to_507() {
    let statuses = [401, 409, 412, 428, 502, 503, 507];
    let found = statuses.map(|status| shared().read(&format!("notes/error/coded?status={status}")).status);
    assert_eq!(found, statuses);
}

#[test]
fn read_only_makes_the_server_look_for_the_active_node() {
    // There is none here; that it looked shows that the text came through unchanged.
    let answer = shared().read("notes/error/read-only");
    assert_eq!(answer.status, 500, "{answer:?}");
    assert!(answer.errors().contains("not configured for highly-available mode"), "{answer:?}");
}

#[test]
fn a_raw_body_keeps_its_status_type_and_bytes() {
    let Answer { status, content_type, text } = shared().read("notes/raw");
    assert_eq!((status, content_type.as_str(), text.as_str()), (418, "text/x-tea", "short and stout"));
}

#[test]
fn a_wrapped_answer_is_opened_once() {
    let bao = shared();
    let wrapped = bao.read("notes/wrapped").json();
    let token = wrapped["wrap_info"]["token"].as_str().unwrap();
    assert_eq!(bao.call("POST", "sys/wrapping/unwrap", None, token).data(), json!({"in": "here"}));
    assert_eq!(bao.call("POST", "sys/wrapping/unwrap", None, token).status, 400);
}

#[test]
fn a_lease_is_given_out_renewed_and_revoked_with_its_issue_time() {
    let bao = shared();
    let lease = bao.read("notes/lease").json();
    let id = lease["lease_id"].as_str().unwrap();
    assert_eq!((&lease["lease_duration"], &lease["data"]), (&json!(60), &json!({"user": "u"})));
    assert_eq!(bao.write("sys/leases/renew", &json!({"lease_id": id})).status, 200);
    assert_eq!(bao.write("sys/leases/revoke", &json!({"lease_id": id, "sync": true})).status, 204);
    assert_eq!(bao.logged("lease revoked")[0]["number"], r#"{"number":7}"#);
}

#[test]
fn a_call_of_six_megabytes_gets_an_answer_of_eight() {
    let body = json!({"size": 8 << 20, "evidence": "e".repeat(6 << 20)});
    let answer = shared().write("notes/noop", &body);
    assert_eq!(answer.data()["bytes"].as_str().map(str::len), Some(8 << 20), "{}", answer.errors());
}

#[test]
fn a_value_larger_than_four_megabytes_is_stored_and_read() {
    let bao = shared();
    bao.write("other/note/large", &json!({"text": "t".repeat(700_000)}));
    assert_eq!(bao.read("other/note/large").data()["text"].as_str().map(str::len), Some(700_000));
}

#[test]
fn help_carries_an_openapi_document() {
    let bao = shared();
    let help = bao.read("notes/?help=1").json();
    assert_eq!(help["help"], "Keeps notes.", "{help}");
    assert_eq!(help["openapi"]["info"]["title"], "notes", "{help}");
    let whole = bao.read("sys/internal/specs/openapi").json();
    assert_eq!(whole["paths"]["/notes/note/{name}"]["get"]["summary"], "Read a note.");
}

#[test]
fn a_body_that_is_no_object_never_reaches_a_handler() {
    assert_eq!(shared().write("notes/note/array", &json!([1, 2])).status, 400);
    assert_eq!(shared().read("notes/note/array").status, 404);
}

#[test]
fn policies_and_handler_see_one_spelling_of_a_path() {
    let bao = shared();
    let login = bao.call("POST", "auth/notes/login", Some(&json!({"word": "friend"})), "").json();
    let token = login["auth"]["client_token"].as_str().unwrap();
    let read = |path: &str| bao.call("GET", path, None, token).status;
    bao.write("notes/alias/hidden", &json!({"text": "t"}));
    bao.write("notes/alias/shown", &json!({"text": "t"}));
    assert_eq!(read("notes/alias/SHOWN"), 200);
    assert_eq!(read("notes/alias/hidden"), 403);
    assert_eq!(read("notes/alias/HIDDEN"), 403);
    let refused = bao.read("notes/note/FIRST");
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.errors().contains("must be in lower case"), "{refused:?}");
}

#[test]
fn a_creation_and_an_overwrite_reach_the_handler_as_the_same_operation() {
    let bao = shared();
    for _ in 0..2 {
        assert_eq!(bao.write("notes/whoami", &json!({"text": "t"})).data()["operation"], "Update");
    }
    assert_eq!(bao.read("notes/whoami").data()["operation"], "Read");
}

#[test]
fn a_mount_gets_its_options_and_a_factorys_refusal_is_shown() {
    let bao = shared();
    assert_eq!(bao.read("notes/counters").data()["options"]["colour"], "green");
    let refused =
        bao.write("sys/mounts/refused", &json!({"type": "notes", "options": {"refuse": "no room"}}));
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.errors().contains("no room"), "{refused:?}");
}

#[test]
fn the_hosts_tick_arrives() {
    let bao = shared();
    assert_eq!(bao.write("sys/mounts/ticking", &json!({"type": "notes"})).status, 204);
    // Besides once a minute, the host ticks a mount that is being removed.
    assert_eq!(bao.delete("sys/mounts/ticking").status, 204);
    assert_ne!(bao.logged("tick"), Vec::<Value>::new());
    assert_ne!(bao.logged("notes put away"), Vec::<Value>::new());
}
