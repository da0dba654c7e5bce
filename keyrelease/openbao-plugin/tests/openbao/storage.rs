//! Storage: pages, transactions, and walls between mounts.

use serde_json::json;

use crate::server::{Server, shared};

#[test]
fn two_mounts_in_one_process_do_not_see_each_others_notes() {
    let bao = shared();
    bao.write("notes/note/mine", &json!({"text": "t"}));
    assert_eq!(bao.read("other/note/mine").status, 404);
    let process = |mount: &str| bao.read(&format!("{mount}/counters")).data()["pid"].clone();
    assert_eq!(process("notes"), process("other"));
}

#[test]
fn a_transaction_is_real_only_once_it_is_committed() {
    // Its own server: the three ways write the same key.
    let bao = Server::start();
    assert_eq!(bao.read("notes/txn/rollback").status, 404);
    assert_eq!(bao.read("notes/note/txn").status, 404);
    assert_eq!(bao.read("notes/txn/drop").status, 404);
    assert_eq!(bao.read("notes/note/txn").status, 404);
    assert_eq!(bao.read("notes/txn/commit").status, 404);
    assert_eq!(bao.read("notes/note/txn").data(), json!({"by": "transaction"}));
}

#[test]
fn a_list_comes_in_pages() {
    let bao = shared();
    for name in ["a", "b", "c"] {
        bao.write(&format!("other/note/pages/{name}"), &json!({"text": name}));
    }
    let page = |query: &str| bao.list(&format!("other/note/pages/?{query}")).data()["keys"].clone();
    assert_eq!(page(""), json!(["a", "b", "c"]));
    assert_eq!(page("limit=2"), json!(["a", "b"]));
    assert_eq!(page("limit=2&after=b"), json!(["c"]));
}

#[test]
fn a_transaction_that_another_writer_overtook_is_refused_whole() {
    let bao = Server::start_first();
    let refused = bao.read("notes/txn/conflict");
    assert_eq!(refused.status, 409, "{refused:?}");
    assert_eq!(bao.read("notes/note/txn").data(), json!({}));
}
