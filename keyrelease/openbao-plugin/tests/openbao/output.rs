//! What a plugin prints and logs.

use serde_json::json;

use crate::server::shared;

/// go-plugin 1.8 asserts that `@message`, `@level` and `@timestamp` are strings, and panics.
#[test]
fn a_printed_line_of_hostile_json_neither_stops_the_server_nor_poses_as_its_log() {
    let bao = shared();
    assert_eq!(bao.read("notes/misbehave/print").data(), json!({"done": "print"}));
    let lines = bao.logged(r#"{"@message":7,"@level":[],"@timestamp":{}}"#);
    assert!(lines.len() >= 2, "{lines:?}");
    assert_eq!(lines[0]["@level"], "debug");
    assert_eq!(lines[0]["printed_by"], "the plugin or a dependency");
    // The server and the plugin are still there.
    assert_eq!(bao.read("notes/counters").status, 200);
}

#[test]
fn a_log_line_keeps_its_level_fields_and_time() {
    let bao = shared();
    bao.read("notes/misbehave/log");
    let line = &bao.logged("a line")[0];
    assert_eq!(line["@level"], "warn");
    assert_eq!(line["number"], "1");
    assert_eq!(line["text"], r#"{"@message":7}"#);
    // Taken as the plugin's own time, not put into a field of its own by the server.
    assert_eq!(line["timestamp"].as_str().map(str::len), Some("2026-11-21T19:09:48.675Z".len()), "{line}");
}

#[test]
fn a_panic_is_logged_by_its_place_without_its_text() {
    let bao = shared();
    bao.read("notes/misbehave/panic");
    let line = &bao.logged("panic")[0];
    assert!(line.to_string().contains("notes.rs"), "{line}");
    assert!(!bao.log().contains("hunter2"));
}
