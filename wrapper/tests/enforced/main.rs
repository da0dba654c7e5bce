//! The wrapper and the enforcer: who asks, who executes itself anew, and what is demanded. The enforcer is played here; the real
//! one is asked by the attack suite, in machines of its own.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a test")]

#[expect(dead_code, reason = "other test programs use the rest")]
#[path = "../bench/mod.rs"]
mod bench;
mod play;
#[expect(dead_code, reason = "other test programs use the rest")]
#[path = "../stage/mod.rs"]
mod stage;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bench::{CANARY, skip};
use play::{Enforcer, Part, matrix};
use protocol::enforcer::Verified;
use protocol::protection::{By, Check, Outcome, Score, Theft};
use stage::{Answer, Stage};

struct House {
    dir: tempfile::TempDir,
    stage: Stage,
}

impl House {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), stage: Stage::new(vec![Answer::Release; 3]) }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("enforcer.sock")
    }

    fn play(&self, part: Part) -> Enforcer {
        Enforcer::play(&self.socket(), part)
    }

    fn wrapper(&self, program: &str, arguments: &[&str]) -> Command {
        let mut wrapper = self.stage.wrapper(program, arguments);
        wrapper.env("CLOUDTASER_ENFORCER_SOCKET", self.socket());
        wrapper
    }

    fn required(&self) -> Output {
        let mut wrapper = self.wrapper("printenv", &["PGPASSWORD"]);
        wrapper.env("CLOUDTASER_ENFORCER", "required").output().unwrap()
    }
}

fn whole() -> Part {
    Part::Whole(matrix("enforce", "lsm", Verified::Yes))
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}

/// What the wrapper told beside its score.
fn told(output: &Output) -> String {
    stage::apart(&said(&output.stderr)).0
}

#[test]
fn the_wrapper_is_tagged_executes_itself_anew_and_goes_on_under_its_own_id() {
    let house = House::new();
    let enforcer = house.play(whole());
    let mut wrapper = house.wrapper("printenv", &["PGPASSWORD"]);
    let wrapper =
        wrapper.env("CLOUDTASER_ENFORCER", "required").stdout(Stdio::piped()).stderr(Stdio::piped());
    let wrapper = wrapper.spawn().unwrap();
    let pid = i32::try_from(wrapper.id()).unwrap();
    let output = wrapper.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), said(&output.stdout)),
        (Some(0), CANARY.to_owned()),
        "{}",
        told(&output)
    );
    let asked = enforcer.asked();
    assert_eq!(asked[..3], [(pid, "confirm"), (pid, "protect"), (pid, "confirm")]);
    assert!(!asked[3..].iter().any(|(_, word)| *word == "protect"), "{asked:?}");
}

#[test]
fn what_may_not_be_sent_is_registered_before_the_program_runs() {
    let house = House::new();
    let enforcer = house.play(whole());
    let output = house.wrapper("printenv", &["PGPASSWORD"]).output().unwrap();
    let needles = enforcer.needles();
    let expected = protocol::enforcer::needles(&[7; 32], CANARY.as_bytes()).unwrap();
    assert!(expected.iter().all(|needle| needles.contains(needle)), "{needles:?}");
    // The user's name is too short to be looked for.
    assert_eq!(needles.len(), expected.len());
    assert!(told(&output).contains("PGUSER is not looked for in what is sent: "), "{}", told(&output));
    let text = serde_json::to_string(&needles).unwrap();
    assert!(!text.contains(CANARY), "{text}");
}

#[test]
fn a_token_of_the_environment_outlives_the_first_life_and_is_taken_in_the_second() {
    let house = House::new();
    let _enforcer = house.play(whole());
    let look = "tr '\\0' '\\n' < /proc/$PPID/environ | grep -c hvs.token-of-ours; printenv VAULT_TOKEN; true";
    let mut wrapper = house.wrapper("sh", &["-c", look]);
    let output = wrapper.env("VAULT_TOKEN", "hvs.token-of-ours").output().unwrap();
    assert_eq!(said(&output.stdout), "0", "{}", told(&output));
}

#[test]
fn a_token_of_the_environment_still_logs_in() {
    const TEST: &str = "a_token_of_the_environment_still_logs_in";
    let Some(bao) = stage::real_openbao(None) else { return skip(TEST, "bao", "no bao here") };
    assert!(bao.run(&["kv", "put", "secret/app", "password=from-bao-by-token"]));
    let house = House::new();
    let enforcer = house.play(whole());
    let mut wrapper = house.wrapper("printenv", &["PGPASSWORD"]);
    wrapper.env("VAULT_ADDR", bao.address()).env("VAULT_AUTH_METHOD", "token").env("VAULT_TOKEN", "root");
    wrapper
        .env("CLOUDTASER_SECRET_PATHS", "secret/data/app")
        .env("CLOUDTASER_ENV_MAP", "password=PGPASSWORD");
    let output = wrapper.output().unwrap();
    assert_eq!(said(&output.stdout), "from-bao-by-token", "{}", told(&output));
    assert_eq!(enforcer.asked()[2].1, "confirm");
}

#[test]
fn what_is_required_and_not_there_ends_it_before_anything_is_fetched() {
    let weak = |mode, tier, verified| Some(Part::Whole(matrix(mode, tier, verified)));
    for (part, why) in [
        (None, "expected an enforcer that protects us, found none: no enforcer"),
        (Some(Part::Refuses), "found none: the enforcer refuses: not today"),
        (weak("detect", "lsm", Verified::Yes), "expected an enforcer in mode enforce, found detect"),
        (
            weak("enforce", "lsm", Verified::No),
            "found proc-mem by lsm and in vain, environ by lsm and in vain",
        ),
        (weak("enforce", "kill", Verified::Untried), "found proc-mem by kill and untried"),
        (weak("enforce", "observe", Verified::Yes), "found proc-mem by observe"),
    ] {
        let house = House::new();
        let _enforcer = part.map(|part| house.play(part));
        let output = house.required();
        assert_eq!((output.status.code(), said(&output.stdout)), (Some(123), String::new()));
        assert!(told(&output).contains(why), "{why}: {}", told(&output));
        assert_eq!(house.stage.challenges(), 0);
    }
}

#[test]
fn where_it_is_not_required_the_program_runs_and_the_score_says_what_is_missing() {
    let house = House::new();
    let _enforcer = house.play(Part::Whole(matrix("detect", "lsm", Verified::Yes)));
    let output = house.wrapper("printenv", &["PGPASSWORD"]).output().unwrap();
    assert_eq!(said(&output.stdout), CANARY);
    let missed = Score::of(&house.stage.reports()[0].measures).missed;
    assert!(!missed.contains(&Check::EbpfAgentConnected));
    assert!(missed.contains(&Check::EbpfEnforceMode) && missed.contains(&Check::EbpfLsmEnforce));
}

#[test]
fn an_enforcer_that_refuses_or_says_nothing_is_told_and_keeps_nobody_from_starting() {
    for (part, why) in [
        (Part::Refuses, "not protected by an enforcer: the enforcer refuses: not today"),
        (Part::Silent, "not protected by an enforcer: the enforcer: timed out"),
    ] {
        let house = House::new();
        let _enforcer = house.play(part);
        let output = house.wrapper("printenv", &["PGPASSWORD"]).output().unwrap();
        assert_eq!(said(&output.stdout), CANARY);
        assert!(told(&output).contains(why), "{}", told(&output));
    }
}

#[test]
fn who_switches_it_off_does_not_ask() {
    let house = House::new();
    let enforcer = house.play(whole());
    let mut wrapper = house.wrapper("printenv", &["PGPASSWORD"]);
    let output = wrapper.env("CLOUDTASER_ENFORCER", "off").output().unwrap();
    assert_eq!((said(&output.stdout), enforcer.asked()), (CANARY.to_owned(), vec![]));
    let output = house.wrapper("true", &[]).env("CLOUDTASER_ENFORCER", "maybe").output().unwrap();
    assert_eq!(output.status.code(), Some(120));
    assert!(
        told(&output).contains("CLOUDTASER_ENFORCER: expected required, auto or off"),
        "{}",
        told(&output)
    );
}

#[test]
fn the_report_says_what_the_enforcer_refuses_to_those_outside() {
    let house = House::new();
    let _enforcer = house.play(whole());
    house.wrapper("true", &[]).output().unwrap();
    let report = &house.stage.reports()[0];
    let missed = Score::of(&report.measures).missed;
    for check in
        [Check::EbpfAgentConnected, Check::EbpfEnforceMode, Check::EbpfLsmEnforce, Check::EbpfKprobes]
    {
        assert!(!missed.contains(&check), "{check}");
    }
    let attack = |theft| report.attacks.iter().find(|attack| attack.theft == theft).unwrap();
    let left_open = attack(Theft::PidfdGetfdLeftOpen);
    if rustix::process::geteuid().is_root() {
        assert_eq!(
            (left_open.outcome, left_open.by),
            (Outcome::Refused, Some(By::Enforcer)),
            "{left_open:?}"
        );
        assert!(left_open.found.starts_with("lsm, tried on a decoy; from inside: "), "{left_open:?}");
    }
    assert_ne!(attack(Theft::ProcMem).by, Some(By::Enforcer), "secret memory refuses this itself");
}

#[test]
fn in_our_place_the_program_is_given_its_values_too() {
    let house = House::new();
    let enforcer = house.play(whole());
    let mut wrapper = house.wrapper("sh", &["-c", "echo $$; exec printenv PGPASSWORD"]);
    wrapper.env("CLOUDTASER_SUPERVISE", "false").env("CLOUDTASER_ENFORCER", "required");
    let wrapper = wrapper.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = wrapper.id();
    let output = wrapper.wait_with_output().unwrap();
    assert_eq!(said(&output.stdout), format!("{pid}\n{CANARY}"), "{}", told(&output));
    assert!(!enforcer.needles().is_empty());
}

/// A program that goes on, its wrapper, and what that says.
struct Running {
    wrapper: Child,
    told: BufReader<std::process::ChildStderr>,
}

impl Running {
    fn start(house: &House, demand: &str) -> Self {
        let mut wrapper = house.wrapper("perl", &["-e", "$| = 1; print \"running\\n\"; sleep 60"]);
        wrapper
            .env("CLOUDTASER_ENFORCER", demand)
            .env("CLOUDTASER_SOCKET", house.dir.path().join("local.sock"));
        let mut wrapper = wrapper.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(wrapper.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "running\n");
        let told = BufReader::new(wrapper.stderr.take().unwrap());
        Self { wrapper, told }
    }

    fn hears(&mut self, word: &str) {
        let start = Instant::now();
        let mut line = String::new();
        while !line.contains(word) {
            line.clear();
            assert!(
                start.elapsed() < Duration::from_mins(1) && self.told.read_line(&mut line).unwrap() > 0,
                "{word}"
            );
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.wrapper.kill().unwrap();
        self.wrapper.wait().unwrap();
    }
}

fn status(house: &House) -> String {
    let mut line = UnixStream::connect(house.dir.path().join("local.sock")).unwrap();
    std::io::Write::write_all(&mut line, b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut text = String::new();
    line.read_to_string(&mut text).unwrap();
    text.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn an_enforcer_that_goes_is_missed_and_asked_again_when_it_is_back() {
    let house = House::new();
    let enforcer = house.play(whole());
    let mut running = Running::start(&house, "required");
    let agent = |status: &str| {
        let status: serde_json::Value = serde_json::from_str(status).unwrap();
        let measures = status["protection"]["report"]["measures"].as_array().unwrap().clone();
        let found = measures.iter().find(|one| one["check"] == "ebpf_agent_connected").unwrap().clone();
        (status["enforcer"].clone(), found["state"].clone())
    };
    assert_eq!(agent(&status(&house)), ("protects".into(), "reached".into()));
    let before = enforcer.asked().len();
    enforcer.end();
    running.hears("ENFORCER_LOST: the enforcer has gone; its hooks go on, the program does too");
    assert_eq!(agent(&status(&house)), ("the enforcer has gone".into(), "missed".into()));
    let _other = enforcer.again(whole());
    running.hears("ENFORCER_BACK");
    assert_eq!(agent(&status(&house)), ("protects".into(), "reached".into()));
    let asked: Vec<&str> = enforcer.asked()[before..].iter().map(|(_, word)| *word).collect();
    assert_eq!(asked, ["confirm", "register"]);
    assert!(running.wrapper.try_wait().unwrap().is_none());
}

#[test]
fn where_it_is_required_an_enforcer_that_comes_back_without_force_ends_the_program() {
    let house = House::new();
    let enforcer = house.play(whole());
    let mut running = Running::start(&house, "required");
    enforcer.end();
    running.hears("ENFORCER_LOST");
    let _other = enforcer.again(Part::Whole(matrix("detect", "lsm", Verified::Yes)));
    running.hears("expected an enforcer in mode enforce, found detect");
    let start = Instant::now();
    let code = loop {
        if let Some(status) = running.wrapper.try_wait().unwrap() {
            break status.code();
        }
        assert!(start.elapsed() < Duration::from_secs(30));
        thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(code, Some(123));
}

/// Numbers of this machine, each with bad arguments, and what the kernel says.
const CALLS: &str = r#"
my %calls = (vmsplice => 278, tee => 276, io_uring_setup => 425, userfaultfd => 323, process_vm_writev => 311, pidfd_getfd => 438, bpf => 321);
for (sort keys %calls) { $! = 0; syscall($calls{$_}, -1, -1, -1, -1, -1); print "$_ ", $! + 0, "\n" }
$! = 0; syscall(101, 0x4206, getppid(), 0, 0); print "seize ", $! + 0, "\n";
"#;

#[test]
#[cfg(target_arch = "x86_64")]
fn the_program_makes_no_call_that_no_hook_sees_unless_it_may() {
    let house = House::new();
    let script = house.dir.path().join("calls.pl");
    fs::write(&script, CALLS).unwrap();
    let run = |filter: &str| {
        let mut wrapper = house.wrapper("perl", &[script.to_str().unwrap()]);
        said(&wrapper.env("CLOUDTASER_PROGRAM_FILTER", filter).output().unwrap().stdout)
    };
    let expected = "bpf 1\nio_uring_setup 38\npidfd_getfd 1\nprocess_vm_writev 1\ntee 38\nuserfaultfd 38\nvmsplice 38\nseize 1";
    assert_eq!(run("true"), expected);
    assert_ne!(run("false"), expected);
}
