//! What survives a panic, an abort, a killed plugin, a killed server, a seal and a flood.

use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::server::{Server, eventually, lives, shared, signal};

fn process(bao: &Server) -> u32 {
    u32::try_from(bao.read("notes/counters").data()["pid"].as_u64().unwrap()).unwrap()
}

#[test]
fn a_panic_fails_one_request_and_the_process_lives_on() {
    let bao = shared();
    let before = process(bao);
    for path in ["notes/misbehave/panic", "notes/misbehave/panic-in-pool"] {
        let answer = bao.read(path);
        assert_eq!((answer.status, answer.errors().contains("internal error")), (500, true), "{answer:?}");
    }
    assert_eq!(process(bao), before);
}

#[test]
fn an_aborted_or_killed_plugin_is_started_again_with_its_notes() {
    let bao = Server::start();
    bao.write("notes/note/kept", &json!({"text": "t"}));
    let first = process(&bao);
    assert_eq!(bao.read("notes/misbehave/abort").status, 500);
    eventually("a new process", || bao.read("notes/note/kept").status == 200);
    let second = process(&bao);
    assert_ne!(first, second);
    signal("KILL", second);
    eventually("a new process", || bao.read("notes/note/kept").status == 200);
    assert_ne!(process(&bao), second);
}

#[test]
fn an_operators_ctrl_c_does_not_stop_a_plugin_but_sigterm_does() {
    let bao = Server::start();
    let before = process(&bao);
    signal("INT", before);
    assert_eq!(process(&bao), before);
    signal("TERM", before);
    eventually("the plugin's end", || !lives(before));
    eventually("a new process", || bao.read("notes/counters").status == 200);
}

#[test]
fn plugins_end_when_their_server_is_killed() {
    let bao = Server::start();
    let plugins = bao.plugins();
    assert_eq!(plugins.len(), 2, "{plugins:?}");
    bao.kill();
    eventually("the plugins' end", || plugins.iter().all(|plugin| !lives(*plugin)));
}

#[test]
fn a_sealed_server_shuts_its_plugins_down_in_order() {
    let bao = Server::start();
    let plugins = bao.plugins();
    assert_eq!(bao.call("PUT", "sys/seal", None, bao.token()).status, 204);
    eventually("the plugins' end", || plugins.iter().all(|plugin| !lives(*plugin)));
    let log = bao.log();
    assert!(!log.contains("failed to exit gracefully"), "a plugin had to be killed");
    assert!(log.contains("host asked for shutdown"), "no plugin was asked");
    assert_ne!(bao.logged("notes put away").len(), 0);
}

#[test]
fn a_callers_leaving_ends_what_it_asked_for() {
    let bao = shared();
    let left = |what: &str| bao.read("other/counters").data()[what].as_u64().unwrap();
    bao.ask_and_leave("other/slow/wait", Duration::from_millis(300));
    eventually("the end of the wait", || left("started") >= 1 && left("dropped") == left("started"));
    bao.ask_and_leave("other/slow/work", Duration::from_millis(300));
    assert_ne!(bao.logged("work abandoned").len(), 0);
}

#[test]
fn a_full_queue_is_a_503_and_the_io_thread_stays_free() {
    // One job works, one waits, and of three one is refused.
    let bao = Server::start();
    let mut statuses: Vec<u16> = thread::scope(|scope| {
        let call = || scope.spawn(|| bao.read("notes/slow/work").status);
        let first = call();
        eventually("the first job", || bao.read("notes/counters").data()["working"] == 1);
        [first, call(), call()].map(|call| call.join().unwrap()).into()
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 503]);
}

#[test]
fn a_reload_makes_a_new_instance_and_keeps_the_notes() {
    let bao = Server::start();
    bao.write("notes/note/kept", &json!({"text": "t"}));
    bao.write("other/note/kept", &json!({"text": "t"}));
    bao.ask_and_leave("notes/slow/wait", Duration::from_millis(200));
    assert_eq!(bao.read("notes/counters").data()["started"], 1);
    let answer = bao.write("sys/plugins/reload/backend", &json!({"mounts": ["notes/"]}));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(bao.read("notes/counters").data()["started"], 0);
    assert_eq!(bao.read("notes/note/kept").status, 200);
    assert_eq!(bao.read("other/note/kept").status, 200);
}
