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

#[test]
fn what_a_transaction_writes_together_is_real_together() {
    let bao = Server::start();
    assert_eq!(bao.read("notes/txn/commit").status, 404);
    assert_eq!(bao.read("notes/txn/together").status, 404);
    for key in ["one", "two"] {
        assert_eq!(bao.read(&format!("notes/note/{key}")).data(), json!({"by": "both"}));
    }
    assert_eq!(bao.read("notes/note/txn").status, 404);
}

/// The host takes a write of a transaction that it does not know for one outside of any transaction.
#[test]
fn a_write_that_comes_after_the_end_of_its_transaction_is_not_made() {
    let bao = Server::start();
    let refused = bao.read("notes/txn/late");
    assert_eq!(refused.status, 500, "{refused:?}");
    assert!(format!("{refused:?}").contains("storage put: the transaction has ended"), "{refused:?}");
    assert_eq!(bao.read("notes/note/late").status, 404);
}
