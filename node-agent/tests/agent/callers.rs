//! Callers that may not ask, cannot ask, or ask too much. None of them reaches the hardware.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use attest::{Kem, OfferedKey, Platform};
use protocol::agent::{EvidenceRequest, Failure, MAX_REQUEST, Reply, VERSION, to_frame};

use crate::harness::{Agent, exchange, own_uid, reply, request};

/// A machine that fails each request: whoever reaches it is told `agent.hardware`.
const NO_HARDWARE: &str = "[snp]\npath = \"/sys/kernel/no-such-interface\"\n";

fn failed(reply: Reply) -> Failure {
    match reply {
        Reply::Failed(failure) => failure,
        Reply::Evidence(_) => panic!("there is evidence"),
    }
}

#[test]
fn a_user_who_is_not_on_the_list_is_denied_before_a_word() {
    let agent = Agent::start_for(&format!("[{}]", own_uid() + 1), NO_HARDWARE);
    let message = format!("user {} may not ask for evidence", own_uid());
    let expected = Failure { code: "agent.denied".to_owned(), message };
    assert_eq!(failed(reply(&mut agent.connect())), expected);
    assert_eq!(agent.failure(&request(1, None)), expected);
    let line = format!("uid={} pid={} platform=- outcome=agent.denied", own_uid(), std::process::id());
    agent.journal_with(&line);
}

#[test]
fn a_denied_user_who_is_slow_to_ask_still_reads_why() {
    let agent = Agent::start_for(&format!("[{}]", own_uid() + 1), NO_HARDWARE);
    let mut stream = agent.connect();
    agent.journal_with("outcome=agent.denied");
    stream.write_all(&to_frame(&request(1, None)).unwrap()).unwrap();
    assert_eq!(failed(reply(&mut stream)).code, "agent.denied");
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn another_version_is_named() {
    let agent = Agent::start(NO_HARDWARE);
    let failure = agent.failure(&EvidenceRequest { version: VERSION + 1, ..request(1, None) });
    let expected = Failure {
        code: "agent.version".to_owned(),
        message: "protocol version: expected 2, found 3".to_owned(),
    };
    assert_eq!(failure, expected);
}

#[test]
fn a_key_or_purpose_of_the_wrong_size_is_malformed() {
    let agent = Agent::start(NO_HARDWARE);
    let key = OfferedKey { kem: Kem::X25519, public: vec![7; 31] };
    let failure = agent.failure(&EvidenceRequest { key, ..request(1, None) });
    assert_eq!(
        (&*failure.code, &*failure.message),
        ("agent.malformed", "offered key: expected 32 bytes, found 31")
    );
    let context = "x".repeat(1025);
    let failure = agent.failure(&EvidenceRequest { context, ..request(1, None) });
    let expected = "message too long: at most 1024 bytes, found 1025";
    assert_eq!((&*failure.code, &*failure.message), ("agent.malformed", expected));
}

#[test]
fn a_platform_that_is_not_enabled_is_named() {
    let agent = Agent::start(NO_HARDWARE);
    let failure = agent.failure(&request(1, Some(Platform::Tpm2)));
    let expected = "tpm2 is not enabled on this machine";
    assert_eq!((&*failure.code, &*failure.message), ("agent.platform", expected));
}

#[test]
fn a_frame_that_claims_too_much_is_refused_by_its_header() {
    let agent = Agent::start(NO_HARDWARE);
    let failure = failed(exchange(&mut agent.connect(), &[0xff; 4]));
    let expected = format!("message too long: at most {MAX_REQUEST} bytes, found {}", u32::MAX);
    assert_eq!((&*failure.code, failure.message), ("agent.malformed", expected));
}

#[test]
fn a_request_that_ends_early_is_malformed_wherever_it_ends() {
    let agent = Agent::start(NO_HARDWARE);
    let frame = to_frame(&request(1, None)).unwrap();
    for cut in [0, 1, 3, 4, 5, 40, frame.len() - 1] {
        let mut stream = agent.connect();
        stream.write_all(&frame[..cut]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let failure = failed(reply(&mut stream));
        let expected = ("agent.malformed", "malformed message: the request ends early");
        assert_eq!((&*failure.code, &*failure.message), expected, "{cut}");
    }
}

#[test]
fn a_frame_of_something_else_is_malformed() {
    let agent = Agent::start(NO_HARDWARE);
    let mut frame = to_frame(&request(1, None)).unwrap();
    let length = frame.len();
    frame[3] = frame[3].wrapping_add(1);
    frame.push(0);
    let failure = failed(exchange(&mut agent.connect(), &frame));
    assert_eq!(
        (&*failure.code, &*failure.message),
        ("agent.malformed", "malformed message: bytes follow the end")
    );
    let junk = [&u32::try_from(length).unwrap().to_be_bytes()[..], &vec![0xff; length]].concat();
    assert_eq!(failed(exchange(&mut agent.connect(), &junk)).code, "agent.malformed");
}

#[test]
fn a_request_too_many_of_one_caller_is_told_that_the_agent_is_busy() {
    let agent = Agent::start(&format!("max_connections = 8\n{NO_HARDWARE}"));
    let mut silent = [agent.connect(), agent.connect()];
    let failure = agent.failure(&request(1, None));
    let expected = "too many requests of one caller at once: at most 2";
    assert_eq!((&*failure.code, &*failure.message), ("agent.busy", expected));
    silent[0].shutdown(Shutdown::Write).unwrap();
    assert_eq!(failed(reply(&mut silent[0])).code, "agent.malformed");
    agent.journal_with("outcome=agent.malformed");
    let patience = Instant::now();
    while agent.failure(&request(1, None)).code != "agent.hardware" {
        std::thread::sleep(Duration::from_millis(100));
        assert!(patience.elapsed() < Duration::from_secs(30));
    }
}

#[test]
fn a_caller_who_asks_too_often_is_told_the_pace() {
    let agent = Agent::start(&format!("requests_per_second = 1\nrequests_burst = 3\n{NO_HARDWARE}"));
    let codes: Vec<String> = (0..5).map(|_| agent.failure(&request(1, None)).code).collect();
    let (hardware, rate) = ("agent.hardware", "agent.rate");
    assert!(codes.starts_with(&[hardware; 3].map(str::to_owned)), "{codes:?}");
    assert!(codes[3..].iter().any(|code| code == rate), "{codes:?}");
    let journal = agent.journal_with("outcome=agent.rate");
    assert!(journal.contains("too many requests: at most 3 at once, and 1 a second"), "{journal}");
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(agent.failure(&request(1, None)).code, hardware);
}

#[test]
fn a_flood_is_counted_in_the_journal_and_does_not_fill_it() {
    let agent = Agent::start_for(&format!("[{}]", own_uid() + 1), NO_HARDWARE);
    for _ in 0..2000 {
        drop(agent.connect());
    }
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(failed(reply(&mut agent.connect())).code, "agent.denied");
    let journal = agent.journal_with(" unsaid=");
    let lines = journal.matches("outcome=agent.denied").count();
    assert!((50..200).contains(&lines), "{lines} lines");
}

/// As many silent callers as there are descriptors: each of the others is told, and served when they have gone.
#[test]
fn an_agent_without_descriptors_says_so_and_recovers() {
    let limit = ["prlimit", "--nofile=24:24"];
    let agent = Agent::start_by(
        &limit,
        &format!("[{}]", own_uid()),
        &format!("max_connections = 100\n{NO_HARDWARE}"),
    );
    assert!(agent.journal().contains("the limit of file descriptors is too low for 164 callers at once"));
    let silent: Vec<UnixStream> = (0..25).map(|_| agent.connect()).collect();
    let journal = agent.journal_with("Too many open files");
    assert!(journal.contains("outcome=agent.busy"), "{journal}");
    let failure = failed(reply(&mut agent.connect()));
    assert_eq!((&*failure.code, &*failure.message), ("agent.busy", "the agent has no file descriptors left"));
    drop(silent);
    let patience = Instant::now();
    while agent.failure(&request(1, None)).code != "agent.hardware" {
        std::thread::sleep(Duration::from_millis(100));
        assert!(patience.elapsed() < Duration::from_secs(30), "{}", agent.journal());
    }
}

#[test]
fn a_caller_who_trickles_is_given_up() {
    let agent = Agent::start(NO_HARDWARE);
    let mut stream = agent.connect();
    let frame = to_frame(&request(1, None)).unwrap();
    for byte in frame.iter().take(60) {
        if stream.write_all(&[*byte]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    agent.journal_with("outcome=agent.unheard");
    assert_eq!(hears(&mut stream), 0);
}

/// How many bytes come before the end.
fn hears(stream: &mut UnixStream) -> usize {
    let mut rest = Vec::new();
    // A reset says the same as an end: nothing was answered.
    let _reset = stream.read_to_end(&mut rest);
    rest.len()
}

#[test]
fn the_journal_holds_nothing_of_what_was_asked() {
    let agent = Agent::start(NO_HARDWARE);
    let asked = request(0xab, None);
    agent.failure(&asked);
    agent.failure(&EvidenceRequest { version: 9, ..asked.clone() });
    agent.failure(&EvidenceRequest { context: "purpose ".repeat(200), ..asked });
    let journal = agent.journal_with("outcome=agent.malformed");
    assert!(
        journal.contains("outcome=agent.hardware") && journal.contains("outcome=agent.version"),
        "{journal}"
    );
    for telltale in ["abab", "ABAB", "7777", "\u{ab}", "171, 171", "119, 119", "release/db", "purpose"] {
        assert!(!journal.contains(telltale), "{telltale} in {journal}");
    }
}
