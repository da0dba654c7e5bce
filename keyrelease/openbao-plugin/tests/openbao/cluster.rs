//! Two nodes: what a standby's plugin does with reads and writes.

use serde_json::json;

use crate::server::{Server, eventually};

#[test]
fn a_standby_serves_reads_and_has_its_writes_done_by_the_active_node() {
    let active = Server::start_first();
    let standby = Server::start_joining(&active);
    // Initialisation wrote on the active node, and could not on the standby, which mounted anyway.
    assert_eq!(active.read("notes/whoami").data()["standby"], false);
    // What only the active node may answer it does answer, whoever is asked; the rest everybody answers.
    assert_eq!(standby.read("notes/whoami").data()["standby"], true);
    assert_eq!(standby.read("notes/whoami/active").data()["standby"], false);
    assert_eq!(active.read("notes/whoami/active").data()["standby"], false);
    let invalidated = || standby.read("notes/counters").data()["invalidated"].as_u64().unwrap();
    let before = invalidated();
    let written = standby.write("notes/note/forwarded", &json!({"text": "t"}));
    assert_eq!(written.status, 204, "{written:?}");
    assert_eq!(active.read("notes/note/forwarded").data(), json!({"text": "t"}));
    eventually("replication", || standby.read("notes/note/forwarded").data() == json!({"text": "t"}));
    // The standby's own instance heard of the key.
    eventually("invalidation", || invalidated() > before);
    // A transaction that cannot be begun is forwarded as well.
    standby.read("notes/txn/commit");
    assert_eq!(active.read("notes/note/txn").data(), json!({"by": "transaction"}));
}
