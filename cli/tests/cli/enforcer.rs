//! `cloudtaser enforcer matrix|watch`, against an enforcer that is played.

use std::path::Path;
use std::thread;

use protocol::enforcer::{Ask, Decision, Defence, Event, Matrix, Moment, Said, Severity, Verified};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept, bind, listen, recv,
    send, socket_with,
};

use crate::run::{Ran, cloudtaser};

/// What the command says where an enforcer answers `asked` with these words, and ends the line.
fn told(asked: &Ask, words: Vec<Vec<u8>>, verb: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("enforcer.sock");
    let door = door(&path);
    let asked = asked.clone();
    let enforcer = thread::spawn(move || {
        let line = accept(&door).unwrap();
        let mut packet = vec![0; 65_536];
        let (length, _) = recv(&line, &mut packet[..], RecvFlags::empty()).unwrap();
        assert_eq!(serde_json::from_slice::<Ask>(&packet[..length]).unwrap(), asked);
        for word in words {
            send(&line, &word, SendFlags::NOSIGNAL).unwrap();
        }
    });
    let ran = cloudtaser(&[&["enforcer"], verb, &["--socket", path.to_str().unwrap()]].concat());
    enforcer.join().unwrap();
    ran
}

fn door(path: &Path) -> std::os::fd::OwnedFd {
    let door = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
    bind(&door, &SocketAddrUnix::new(path).unwrap()).unwrap();
    listen(&door, 1).unwrap();
    door
}

fn word(said: &Said) -> Vec<u8> {
    serde_json::to_vec(said).unwrap()
}

fn matrix(verified: Verified) -> Matrix {
    Matrix {
        mode: "enforce".to_owned(),
        kernel: "6.12.95".to_owned(),
        programs: "ab".repeat(32),
        vectors: vec![Defence {
            vector: "environ".to_owned(),
            event: "ENVIRON_READ".to_owned(),
            tier: "lsm".to_owned(),
            mode: "enforce".to_owned(),
            verified,
            why: None,
        }],
    }
}

fn event(number: u64) -> Said {
    Said::Event(Box::new(Event {
        time: Moment(1_795_370_819_000_000_000),
        event: "ENVIRON_READ".to_owned(),
        vector: Some("environ".to_owned()),
        decision: Decision::Denied,
        severity: Severity::High,
        count: number,
        first: None,
        tier: Some("lsm".to_owned()),
        subject: None,
        object: None,
        syscall: None,
        detail: None,
        message: "read it".to_owned(),
    }))
}

#[test]
fn a_matrix_without_a_hole_is_accepted_and_one_with_a_hole_is_not() {
    let ask = Ask::Matrix {};
    let good = told(&ask, vec![word(&Said::Matrix(matrix(Verified::Yes)))], &["matrix"]);
    assert_eq!((good.code, good.err.as_str()), (0, ""));
    assert!(good.out.contains("   environ  ENVIRON_READ  lsm   enforce  yes"), "{}", good.out);
    let bad = told(&ask, vec![word(&Said::Matrix(matrix(Verified::No)))], &["matrix"]);
    assert_eq!(bad.code, 1);
    assert!(bad.out.contains("!  environ  ENVIRON_READ  lsm   enforce  no"), "{}", bad.out);
    let json = told(&ask, vec![word(&Said::Matrix(matrix(Verified::Yes)))], &["matrix", "-o", "json"]);
    assert_eq!(serde_json::from_str::<Matrix>(&json.out).unwrap(), matrix(Verified::Yes));
}

#[test]
fn events_are_lines_as_they_come() {
    let ask = Ask::Watch {};
    let words = || vec![word(&Said::Watching {}), word(&event(1)), word(&event(2)), word(&event(3))];
    let ran = told(&ask, words(), &["watch", "-n", "2"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(
        lines,
        [
            "18:06:59.000  high      ENVIRON_READ        denied   read it",
            "18:06:59.000  high      ENVIRON_READ        denied   x2  read it",
        ]
    );
    let ran = told(&ask, words(), &["watch", "-n", "1", "-o", "json"]);
    let Said::Event(expected) = event(1) else { panic!() };
    assert_eq!(serde_json::from_str::<Event>(&ran.out).unwrap(), *expected);
    let ran = told(&ask, words(), &["watch"]);
    assert_eq!((ran.code, ran.out.lines().count()), (2, 3));
    assert!(ran.err.ends_with("the enforcer has ended (enforcer.watch)\n"), "{}", ran.err);
}

#[test]
fn an_enforcer_that_refuses_or_is_none_is_told() {
    let refused = word(&Said::Refused { why: "expected root, found another user".to_owned() });
    for (ask, verb) in [(Ask::Watch {}, "watch"), (Ask::Matrix {}, "matrix")] {
        let ran = told(&ask, vec![refused.clone()], &[verb]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""));
        assert!(ran.err.contains("expected root, found another user (enforcer."), "{}", ran.err);
        let odd = told(&ask, vec![b"{\"said\":\"done\",\"more\":1}".to_vec()], &[verb]);
        assert!(odd.err.contains("expected a word of the enforcer's"), "{}", odd.err);
        let none = cloudtaser(&["enforcer", verb, "--socket", "/nonexistent/enforcer.sock"]);
        assert_eq!(none.code, 2);
        assert!(none.err.contains("No such file or directory"), "{}", none.err);
    }
}
