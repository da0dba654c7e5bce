//! `cloudtaser node detect`.

use std::process::Command;

use crate::install;

/// The program from a folder in which there is this agent, or none.
fn detect(agent: Option<&str>) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("cloudtaser");
    install::cloudtaser(&program);
    if let Some(script) = agent {
        install::script(&folder.path().join("cloudtaser-node-agent"), &format!("#!/bin/sh\n{script}\n"));
    }
    let told = Command::new(&program).args(["node", "detect"]).env("PATH", folder.path()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (told.status.code(), text(told.stdout), text(told.stderr))
}

#[test]
fn the_agents_answer_is_passed_on() {
    let found = detect(Some("echo \"$@\""));
    assert_eq!(found, (Some(0), "detect --output text\n".to_owned(), String::new()));
    let none = detect(Some("echo nothing; exit 1"));
    assert_eq!(none, (Some(1), "nothing\n".to_owned(), String::new()));
}

#[test]
fn without_an_answer_there_is_no_verdict() {
    let (code, output, complaint) = detect(None);
    assert_eq!((code, output.as_str()), (Some(2), ""));
    let expected = "not judged: cloudtaser-node-agent: No such file or directory (os error 2); \
                    is the node agent installed? (node.agent)\n";
    assert_eq!(complaint, expected);
    let (code, _, complaint) = detect(Some("echo broken >&2; exit 2"));
    assert_eq!((code, complaint.as_str()), (Some(2), "not judged: broken (node.agent)\n"));
}
