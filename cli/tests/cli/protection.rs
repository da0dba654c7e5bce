//! `cloudtaser protection`, against a wrapper that is played.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::thread;

use protocol::protection::{Assessment, Attack, By, Check, Measured, Outcome, Report, State, Theft};

use crate::run::{Ran, cloudtaser};

/// What the command says where a wrapper answers this.
fn asked(answer: String, words: &[&str]) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wrapper.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let wrapper = thread::spawn(move || {
        let (mut line, _) = listener.accept().unwrap();
        let head = BufReader::new(&line).lines().map(Result::unwrap).take_while(|field| !field.is_empty());
        assert_eq!(head.collect::<Vec<_>>().first().unwrap(), "GET /v1/status HTTP/1.1");
        line.write_all(answer.as_bytes()).unwrap();
    });
    let ran = cloudtaser(&[&["protection", "--socket", path.to_str().unwrap()], words].concat());
    wrapper.join().unwrap();
    ran
}

fn status() -> String {
    let measure = |check: Check| {
        let state = if check == Check::GuardPages { State::Missed } else { State::Reached };
        Measured { check, state, found: "as found".to_owned() }
    };
    let theft = Attack {
        theft: Theft::ProcessVmReadv,
        outcome: Outcome::Refused,
        by: Some(By::Kernel),
        found: "EFAULT".to_owned(),
    };
    let report = Report {
        version: Report::VERSION,
        program: "cloudtaser-wrapper 0.1.0".to_owned(),
        attacker: "uid 0".to_owned(),
        attacks: vec![theft],
        measures: Check::ALL.into_iter().filter(|check| !check.is_attested()).map(measure).collect(),
    };
    let body = serde_json::json!({ "pid": 1, "protection": Assessment::from(&report) });
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{body}")
}

#[test]
fn a_wrappers_own_word_is_a_table_for_people_and_json_for_programs() {
    let ran = asked(status(), &[]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    for words in [
        "Protection, by the wrapper's own word",
        "130 of 135",
        "reached (15): as found",
        "MISSED (5): as found",
        "refused by the kernel: EFAULT",
    ] {
        assert!(ran.out.contains(words), "{words} in {}", ran.out);
    }
    let ran = asked(status(), &["--output", "json"]);
    let told: Assessment = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((told.score.points, told.score.missed), (130, vec![Check::GuardPages]));
}

#[test]
fn without_a_wrapper_that_answers_there_is_nothing_to_show() {
    let ran = cloudtaser(&["protection", "--socket", "/nowhere/wrapper.sock"]);
    let expected =
        "not judged: /nowhere/wrapper.sock: No such file or directory (os error 2) (wrapper.status)\n";
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (2, "", expected));
    let ran = asked("HTTP/1.1 403 Forbidden\r\n\r\n".to_owned(), &[]);
    assert!(ran.err.contains("expected HTTP 200, found 403"), "{}", ran.err);
    let ran = asked("HTTP/1.1 200 OK\r\n\r\n{\"protection\":null}".to_owned(), &[]);
    assert!(ran.err.contains("the wrapper has measured nothing"), "{}", ran.err);
}
