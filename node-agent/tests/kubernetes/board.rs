//! The board: notices that reach the Node sooner or later, whatever happens in between.

use std::time::Duration;

use node_agent::kubernetes::{Board, Standing, State};
use serde_json::json;

use crate::harness::{ACCOUNT, Machine, cluster, eventually, notice, own_cluster, until};

#[test]
fn the_newest_notice_wins() {
    let Some(cluster) = cluster() else { return };
    let machine = Machine::registered(cluster, "newest", &json!([]));
    let board = Board::start(machine.node()).unwrap();
    assert_eq!(board.state(), State::Empty);
    for at in 0..50 {
        board.put(notice(Standing::Attested, at));
    }
    board.put(notice(Standing::Refused, 50));
    until(&board, |state| *state == State::Posted);
    let shown = machine.shown();
    assert_eq!(shown.brief(), ("false", "False", vec!["cloudtaser.io/not-attested:NoSchedule"]));
    assert_eq!(shown.condition["lastHeartbeatTime"], "1970-01-01T00:00:50Z");
}

#[test]
fn a_node_that_registers_late_is_marked_when_it_does() {
    let Some(cluster) = cluster() else { return };
    let machine = Machine::new(cluster, "late", ACCOUNT);
    let board = Board::start(machine.node()).unwrap();
    board.put(notice(Standing::Attested, 1));
    let why = "no Node: nodes \"late\" not found".to_owned();
    until(&board, |state| *state == State::Pending(Some(why.clone())));
    machine.register(&json!([{"key": "cloudtaser.io/not-attested", "effect": "NoExecute"}]));
    until(&board, |state| *state == State::Posted);
    assert_eq!(machine.shown().brief(), ("true", "True", vec![]));
}

#[test]
fn a_node_that_is_made_anew_or_tampered_with_is_put_right() {
    let Some(cluster) = cluster() else { return };
    let mut machine = Machine::registered(cluster, "anew", &json!([]));
    machine.settings.watch = Duration::from_millis(100);
    let board = Board::start(machine.node()).unwrap();
    board.put(notice(Standing::Refused, 1));
    until(&board, |state| *state == State::Posted);
    let closed = ("false", "False", vec!["cloudtaser.io/not-attested:NoSchedule"]);

    machine.admin.delete(&machine.path()).unwrap().expect(200).unwrap();
    machine.register(&json!([]));
    let is_closed = || (machine.shown().brief() == closed).then_some(());
    eventually(is_closed, || format!("{:?}", machine.shown()));

    let opened =
        json!({"metadata": {"labels": {"cloudtaser.io/attested": "true"}}, "spec": {"taints": null}});
    machine.admin.patch(&machine.path(), kubebed::Patch::Merge, &opened).unwrap().expect(200).unwrap();
    eventually(is_closed, || format!("{:?}", machine.shown()));
}

#[test]
fn a_refusal_reaches_an_api_server_that_was_away() {
    let Some(mut cluster) = own_cluster() else { return };
    let machine = Machine::registered(&cluster, "patient", &json!([]));
    let board = Board::start(machine.node()).unwrap();
    board.put(notice(Standing::Attested, 1));
    until(&board, |state| *state == State::Posted);

    cluster.stop();
    board.put(notice(Standing::Refused, 2));
    let State::Pending(Some(why)) = until(&board, |state| matches!(state, State::Pending(Some(_)))) else {
        panic!("another state")
    };
    assert!(why.starts_with("the API server: ") && why.contains("refused"), "{why}");

    cluster.resume().unwrap();
    until(&board, |state| *state == State::Posted);
    assert_eq!(machine.shown().brief(), ("false", "False", vec!["cloudtaser.io/not-attested:NoSchedule"]));
}
