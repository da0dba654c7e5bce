//! Whole logs, and each way to spoil one.

use attest::UnixTime;
use attest::crypto::AwsLcRs;
use attest::log::{Audit, DecisionId, Edge, Entry, Fault, Head, Level, Tail, Tampered, Tile};

use crate::shelf::{Server, Shelf, digest, edited, leaf, release, tampered};

#[test]
fn an_honest_log_of_any_size_is_accepted() {
    for size in [0, 1, 2, 255, 256, 257, 600] {
        let server = Server::with(size);
        let entries = server.shelf.audit(&server.head(), &[]).unwrap();
        let indices: Vec<u64> = entries.iter().map(|entry| entry.index).collect();
        assert_eq!(indices, (0..size).collect::<Vec<_>>());
    }
}

#[test]
fn a_log_that_grew_out_of_every_earlier_one_is_accepted() {
    let mut server = Server::new();
    let mut heads = vec![server.head()];
    for number in 0..300 {
        server.log(release(number));
        heads.push(server.head());
    }
    server.commit();
    server.shelf.audit(&server.head(), &heads).unwrap();
}

#[test]
fn an_audit_goes_on_where_the_last_one_ended() {
    let mut server = Server::new();
    for old in [0, 1, 255, 256, 300, 512] {
        while server.head().size < old {
            server.log(release(server.head().size));
        }
        server.commit();
        let head = server.head();
        let mut later = server.clone();
        (old..old + 300).for_each(|number| later.log(release(number)));
        later.commit();
        let seen = later.shelf.run(resumed(&server, &head).unwrap(), &later.head()).unwrap();
        assert_eq!(seen.first().map(|entry| entry.index), Some(old));
        assert_eq!(seen.len(), 300);
    }
}

/// What somebody knows who kept the files of `server`.
fn resumed(server: &Server, head: &Head) -> Result<Audit, Tampered> {
    let tail = server.entries.last().map_or(Tail::EMPTY, |last| Tail::after(&AwsLcRs, last).unwrap());
    let mut read = |tile: Tile| Ok::<_, attest::Malformed>(server.shelf.0[&tile.path()].clone());
    Audit::resumed(&AwsLcRs, head, tail, Edge::load(server.head().size, &mut read).unwrap())
}

#[test]
fn what_was_kept_must_be_what_was_verified() {
    let server = Server::with(300);
    let other = Server::with(299);
    let gap = Tampered::Gap { expected: 300, found: 299 };
    assert_eq!(resumed(&other, &Head { size: 300, ..server.head() }).unwrap_err(), gap);
    let head = Head { root: other.head().root, ..server.head() };
    let root = Tampered::Root { size: 300, expected: head.root, found: server.head().root };
    assert_eq!(resumed(&server, &head).unwrap_err(), root);
}

#[test]
fn an_entry_that_changed_since_the_last_audit_is_found_by_its_hash() {
    let server = Server::with(300);
    let mut entries = server.entries.clone();
    entries[299] = edited(&entries[299], |entry| entry.event.record.0.0[0] ^= 1);
    entries.push(Server::with(301).entries[300].clone());
    let forked = Server::rewritten(&entries);
    let audit = resumed(&server, &server.head()).unwrap();
    let (expected, found) = (leaf(&server.entries[299]), leaf(&entries[299]));
    let fault = tampered(forked.shelf.run(audit, &forked.head()));
    assert_eq!(fault, Tampered::Edited { index: 299, expected, found });
}

/// A log of 300 entries, its second bundle spoilt.
fn spoilt(change: impl FnOnce(&mut Vec<Vec<u8>>)) -> (Server, Tampered) {
    let server = Server::with(300);
    let mut second = server.entries[256..].to_vec();
    change(&mut second);
    let mut shelf = server.shelf.clone();
    shelf.replace("tile/entries/001.p/44", &second);
    let fault = shelf.fault(&server.head());
    (server, fault)
}

#[test]
fn an_entry_that_was_taken_out_leaves_a_gap() {
    let (_, fault) = spoilt(|entries| drop(entries.remove(4)));
    assert_eq!(fault, Tampered::Gap { expected: 260, found: 261 });
    assert_eq!(fault.to_string(), "gap: expected entry 260, found entry 261");
    let (_, fault) = spoilt(|entries| drop(entries.pop()));
    let file = "tile/entries/001.p/44".to_owned();
    assert_eq!(fault, Tampered::Ends { file, expected: 299 });
}

#[test]
fn an_entry_that_was_put_in_is_one_too_many() {
    let (_, fault) = spoilt(|entries| entries.push(entries[0].clone()));
    let file = "tile/entries/001.p/44".to_owned();
    assert_eq!(fault, Tampered::Surplus { file, expected: 44, found: 45 });
}

#[test]
fn two_entries_that_changed_places_are_out_of_order() {
    let (_, fault) = spoilt(|entries| entries.swap(7, 9));
    assert_eq!(fault, Tampered::Reordered { expected: 263, found: 265 });
    let (_, fault) = spoilt(|entries| entries[3] = entries[2].clone());
    assert_eq!(fault, Tampered::Reordered { expected: 259, found: 258 });
}

#[test]
fn an_edited_entry_is_named_wherever_it_stands() {
    for place in [0, 20, 43] {
        let change = |entry: &mut Entry| entry.event.subject.valid_until = Some(UnixTime(0));
        let (server, fault) = spoilt(|entries| entries[place] = edited(&entries[place], change));
        let logged = &server.entries[256 + place];
        let (expected, found) = (leaf(logged), leaf(&edited(logged, change)));
        let index = 256 + u64::try_from(place).unwrap();
        assert_eq!(fault, Tampered::Edited { index, expected, found });
    }
}

#[test]
fn bytes_that_are_no_entry_are_malformed() {
    let (_, fault) = spoilt(|entries| entries[1] = b"nothing".to_vec());
    assert!(matches!(fault, Tampered::Malformed { index: 257, .. }), "{fault}");
    let (_, fault) = spoilt(|entries| entries[1].push(0));
    let expected = "entry 257 is malformed: expected the end of the entry, found 1 more bytes";
    assert_eq!(fault.to_string(), expected);
}

/// A log whose writer was not honest: every entry through `change`, tree and tiles made of what came out.
fn written(change: impl Fn(u64, &mut Entry)) -> (Server, Tampered) {
    let mut tail = Tail::EMPTY;
    let mut server = Server::new();
    for number in 0..10 {
        let (mut entry, honest) = tail.append(&AwsLcRs, release(number)).unwrap();
        change(number, &mut entry);
        let bytes = entry.encode().unwrap();
        if bytes != honest {
            tail = Tail::after(&AwsLcRs, &bytes).unwrap();
        }
        server.push(bytes);
    }
    server.commit();
    let fault = server.shelf.fault(&server.head());
    (server, fault)
}

#[test]
fn an_entry_that_follows_another_breaks_the_chain() {
    let (server, fault) = written(|number, entry| {
        if number == 6 {
            entry.previous = digest(b"another");
        }
    });
    let (expected, found) = (digest(&server.entries[5]), digest(b"another"));
    assert_eq!(fault, Tampered::Chain { index: 6, expected, found });
}

#[test]
fn a_clock_that_goes_back_is_told_from_one_that_is_wrong() {
    let at = |seconds: u64| UnixTime(1_795_284_000 + seconds);
    let (_, fault) = written(|number, entry| {
        if number == 6 {
            entry.clock = at(2);
        }
    });
    assert_eq!(fault, Tampered::ClockBack { index: 6, before: at(5), found: at(2) });
    let (_, fault) = written(|number, entry| {
        if number == 6 {
            entry.clock = at(50);
        }
    });
    assert_eq!(fault, Tampered::Clock { index: 6, expected: at(6), found: at(50) });
}

#[test]
fn the_logs_clock_stands_while_the_servers_clock_is_behind() {
    let mut server = Server::new();
    for second in [100, 90, 95, 101] {
        let mut event = release(second);
        event.at = UnixTime(second);
        server.log(event);
    }
    server.commit();
    let entries = server.shelf.audit(&server.head(), &[]).unwrap();
    assert_eq!(entries.iter().map(|entry| entry.clock.0).collect::<Vec<_>>(), [100, 100, 100, 101]);
}

#[test]
fn one_decision_has_one_entry() {
    let (_, fault) = written(|number, entry| {
        if number == 8 {
            entry.event.decision = release(3).decision;
        }
    });
    let decision: DecisionId = release(3).decision;
    assert_eq!(fault, Tampered::Duplicate { decision, first: 3, second: 8 });
}

/// A log of 600 entries with one byte of one file changed.
fn flipped(path: &str, at: usize) -> (Server, Tampered) {
    let server = Server::with(600);
    let mut shelf = server.shelf.clone();
    shelf.0.get_mut(path).unwrap()[at] ^= 1;
    let fault = shelf.fault(&server.head());
    (server, fault)
}

#[test]
fn a_tile_that_is_not_the_entries_is_named() {
    for path in ["tile/0/000", "tile/0/002.p/88", "tile/1/000.p/2"] {
        let (server, fault) = flipped(path, 40);
        let honest = &server.shelf.0[path];
        let Tampered::Tile { file, expected, found } = &fault else { panic!("{fault:?}") };
        assert_eq!(file, path);
        assert_eq!(expected.0, honest[32..64]);
        assert_ne!(expected, found);
    }
}

#[test]
fn no_byte_of_any_file_can_be_changed_unseen() {
    let server = Server::with(600);
    for (path, bytes) in &server.shelf.0 {
        for at in (0..bytes.len()).step_by(bytes.len() / 7 + 1) {
            let (_, fault) = flipped(path, at);
            assert!(!matches!(fault, Tampered::Root { .. }), "{path} at {at}: {fault}");
        }
    }
}

#[test]
fn a_file_that_is_missing_or_cut_is_named() {
    let server = Server::with(600);
    for path in server.shelf.0.keys() {
        let mut shelf = server.shelf.clone();
        shelf.0.remove(path);
        assert_eq!(shelf.fault(&server.head()), Tampered::Missing { file: path.clone(), size: 600 });
        let mut shelf = server.shelf.clone();
        let cut = shelf.0.get_mut(path).unwrap().pop();
        assert!(cut.is_some());
        assert!(matches!(shelf.fault(&server.head()), Tampered::File { file, .. } if file == *path));
    }
}

#[test]
fn another_log_under_the_same_checkpoint_has_another_root() {
    let (honest, other) = (Server::with(300), {
        let mut entries = Server::with(300).entries;
        entries[299] = edited(&entries[299], |entry| entry.event.record.0.0[0] ^= 1);
        Server::rewritten(&entries)
    });
    let (expected, found) = (honest.head().root, other.head().root);
    assert_eq!(other.shelf.fault(&honest.head()), Tampered::Root { size: 300, expected, found });
}

#[test]
fn a_log_that_shrank_is_found_by_an_older_checkpoint() {
    let (old, new) = (Server::with(300), Server::with(299));
    let fault = tampered(new.shelf.audit(&new.head(), &[old.head()]));
    assert_eq!(fault, Tampered::Shrunken { old: 300, new: 299 });
    assert_eq!(fault.check(), "log.append_only");
}

#[test]
fn a_log_that_was_written_anew_is_a_fork_of_the_old_one() {
    let old = Server::with(100);
    let mut new = Server::new();
    for number in 0..120 {
        let mut event = release(number);
        if number == 50 {
            event.kind = attest::log::Kind::Refusal;
        }
        new.log(event);
    }
    new.commit();
    new.shelf.audit(&new.head(), &[]).unwrap();
    let fault = tampered(new.shelf.audit(&new.head(), &[old.head()]));
    let mut prefix = Edge::default();
    new.entries[..100].iter().for_each(|bytes| {
        prefix.append(&AwsLcRs, attest::log::leaf_hash(&AwsLcRs, bytes));
    });
    let (expected, found) = (old.head().root, prefix.head(&AwsLcRs).root);
    assert_eq!(fault, Tampered::Fork { size: 100, expected, found });
    let sideways = Server::rewritten(&new.entries[..100]);
    assert_eq!(tampered(sideways.shelf.audit(&sideways.head(), &[old.head()])), fault);
}

#[test]
fn an_unreadable_file_is_no_verdict() {
    let head = Server::with(3).head();
    let run = Audit::whole(&[]).run(
        &AwsLcRs,
        &head,
        &mut |tile| if tile.level == Level::Entries { Err("a broken disk") } else { Ok(None) },
        &mut |_| Ok(()),
    );
    assert_eq!(run, Err(Fault::Unreadable("a broken disk")));
}

#[test]
fn the_message_of_every_fault_names_what_was_expected_and_found() {
    let fault = Shelf::default().fault(&Server::with(3).head());
    assert_eq!(fault.to_string(), "expected tile/entries/000.p/3 in a log of 3 entries, found no such file");
    assert!(Tampered::CHECKS.contains(&fault.check()));
    assert!(Tampered::CHECKS.iter().all(|check| attest::catalogue::entry(check).is_some()));
}
