//! The socket file, and the start and end of the agent.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;

use tempfile::TempDir;

use crate::harness::{Agent, PROGRAM, request};

const NO_HARDWARE: &str = "[snp]\npath = \"/sys/kernel/no-such-interface\"\n";

#[test]
fn a_socket_has_its_mode_and_goes_with_its_agent() {
    let mut agent = Agent::start(&format!("socket_mode = 0o640\n{NO_HARDWARE}"));
    assert_eq!(fs::metadata(agent.socket()).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(agent.terminate().code(), Some(0));
    assert!(!agent.socket().exists());
    assert!(UnixStream::connect(agent.socket()).is_err());
}

#[test]
fn a_killed_agents_socket_is_replaced_and_a_living_ones_is_not() {
    let mut first = Agent::start(NO_HARDWARE);
    let directory = first.directory().to_owned();
    let uids = "[0]";
    let (code, said) = Agent::fail(&directory, uids, NO_HARDWARE);
    assert_eq!(code, Some(1));
    assert_eq!(said.trim_end(), format!("{}: somebody listens there already", first.socket().display()));
    assert_eq!(first.failure(&request(1, None)).code, "agent.hardware");
    first.kill();
    assert!(first.socket().exists());
    let again = Agent::start_in(&directory, NO_HARDWARE);
    assert_eq!(again.failure(&request(1, None)).code, "agent.hardware");
}

#[test]
fn a_strangers_socket_or_file_is_left_alone() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("agent.sock");
    let stranger = UnixListener::bind(&path).unwrap();
    let (code, said) = Agent::fail(directory.path(), "[0]", NO_HARDWARE);
    assert_eq!((code, said.contains("somebody listens there already")), (Some(1), true), "{said}");
    UnixStream::connect(&path).unwrap();
    drop(stranger);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "precious").unwrap();
    let (code, said) = Agent::fail(directory.path(), "[0]", NO_HARDWARE);
    assert_eq!((code, said.contains("found another kind of file")), (Some(1), true), "{said}");
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[test]
fn a_configuration_with_problems_is_told_whole_with_code_2() {
    let directory = TempDir::new().unwrap();
    let rest = "prefer = \"tdx\"\n[snp]\nprivlevel = 9\n[facts]\nenforcer_within = 3601\n";
    let (code, said) = Agent::fail(directory.path(), "[]", rest);
    assert_eq!(code, Some(2));
    let expected = "4 problem(s) in the configuration\n  snp.privlevel: expected 0 to 3, found 9\n  \
                    facts.enforcer_within: expected at most 3600 seconds, found 3601\n  \
                    allowed_uids: empty, so nobody could ask for evidence\n  \
                    prefer: tdx is not enabled\n";
    assert_eq!(said, expected);
    assert!(!directory.path().join("agent.sock").exists());
}

#[test]
fn an_endorsement_that_is_none_stops_the_start() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("agent.toml");
    let (code, said) =
        Agent::fail(directory.path(), "[0]", &format!("endorsements = [{file:?}]\n{NO_HARDWARE}"));
    assert_eq!(code, Some(1));
    assert!(said.contains("expected X.509 certificates or revocation lists"), "{said}");
}

#[test]
fn a_command_line_that_makes_no_sense_ends_with_code_2() {
    let output = Command::new(PROGRAM).args(["ak", "name", "--handle", "0x01000000"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("expected 0x81000000 to 0x81ffffff, found 0x1000000"), "{said}");
    let output = Command::new(PROGRAM).arg("--help").output().unwrap();
    assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(0), false));
}
