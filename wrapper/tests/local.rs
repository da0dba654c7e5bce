//! The local socket through the whole wrapper: who gets values, who learns how things stand, and who nothing.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

#[expect(dead_code, reason = "other test programs use the rest")]
mod bench;
#[expect(dead_code, reason = "other test programs use the rest")]
mod stage;
#[expect(dead_code, reason = "other test programs use the rest")]
mod theft;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use bench::{CANARY, installed, skip};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use stage::{Answer, Stage};

static LARGE: [u8; 1_000_000] = [b'x'; 1_000_000];
static LARGE_FIELDS: &[(&str, &[u8])] = &[("password", &LARGE), ("user", b"app")];

/// A directory that everybody can enter.
struct House {
    dir: tempfile::TempDir,
    stage: Stage,
}

impl House {
    fn new(answer: Answer) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir, stage: Stage::new(vec![answer]) }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("local.sock")
    }

    fn wrapper(&self, program: &str, arguments: &[&str]) -> Command {
        let mut wrapper = self.stage.wrapper(program, arguments);
        wrapper.env("CLOUDTASER_SOCKET", self.socket());
        wrapper
    }

    fn output(&self, script: &str) -> Output {
        self.wrapper("sh", &["-c", script]).output().unwrap()
    }

    /// A program that does nothing, once it runs.
    fn running(&self, change: impl FnOnce(&mut Command)) -> Running {
        let mut command = self.wrapper("perl", &["-e", "$| = 1; print \"$$\\n\"; sleep 60"]);
        change(&mut command);
        let mut wrapper = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(wrapper.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Running { wrapper, program: line.trim().parse().unwrap() }
    }

    fn ask(&self, path: &str) -> (u16, String) {
        answer(UnixStream::connect(self.socket()).unwrap(), path)
    }
}

struct Running {
    wrapper: Child,
    program: i32,
}

impl Running {
    fn pid(&self) -> i32 {
        self.wrapper.id().try_into().unwrap()
    }

    fn end(&mut self) {
        kill_process(Pid::from_child(&self.wrapper), Signal::TERM).unwrap();
        self.wrapper.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.wrapper.try_wait().unwrap().is_none() {
            self.end();
        }
    }
}

/// Asks as we would: from outside the program's tree.
fn answer(mut line: impl std::io::Read + std::io::Write, path: &str) -> (u16, String) {
    write!(line, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut text = String::new();
    line.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}

fn curl(test: &str) -> bool {
    if !installed("curl") {
        skip(test, "curl", "not installed");
        return false;
    }
    true
}

const VALUE: &str = "curl -sf --unix-socket $CLOUDTASER_SOCKET http://x/v1/secrets/PGPASSWORD";

#[test]
fn the_program_and_what_it_starts_are_given_values() {
    if !curl("the_program_and_what_it_starts_are_given_values") {
        return;
    }
    let house = House::new(Answer::Release);
    let socket = house.socket().to_str().unwrap().to_owned();
    let url = "http://x/v1/secrets/PGPASSWORD";
    let output = house.wrapper("curl", &["-sf", "--unix-socket", &socket, url]).output().unwrap();
    assert_eq!(text(&output.stdout), CANARY, "{}", text(&output.stderr));
    let names = "curl -sf --unix-socket $CLOUDTASER_SOCKET http://x/v1/secrets";
    let house = House::new(Answer::Release);
    let output = house.output(&format!("{VALUE}; echo; (({VALUE}); echo); {names}"));
    assert_eq!(
        text(&output.stdout),
        format!("{CANARY}\n{CANARY}\n{{\"names\":[\"PGPASSWORD\",\"PGUSER\"]}}")
    );
    assert!(!fs::exists(house.socket()).unwrap(), "a socket that nobody answers any more");
}

#[test]
fn an_abstract_name_is_as_good() {
    if !curl("an_abstract_name_is_as_good") {
        return;
    }
    let house = House::new(Answer::Release);
    let name = format!("cloudtaser-test-{}", std::process::id());
    let script = format!("curl -sf --abstract-unix-socket {name} http://x/v1/secrets/PGPASSWORD");
    let mut wrapper = house.wrapper("sh", &["-c", &script]);
    let output = wrapper.env("CLOUDTASER_SOCKET", format!("@{name}")).output().unwrap();
    assert_eq!(text(&output.stdout), CANARY, "{}", text(&output.stderr));
}

#[test]
fn orphans_of_the_program_are_given_values() {
    if !curl("orphans_of_the_program_are_given_values") {
        return;
    }
    let house = House::new(Answer::Release);
    let out = house.dir.path().join("out");
    let orphan = format!(
        "(setsid sh -c 'while [ $(ps -o ppid= $$) = '$$' ]; do :; done; {VALUE} > {0}.part; mv {0}.part {0}' &)",
        out.display()
    );
    let output =
        house.output(&format!("{orphan}; while ! [ -e {0} ]; do sleep 0.05; done; cat {0}", out.display()));
    assert_eq!(text(&output.stdout), CANARY, "{}", text(&output.stderr));
}

#[test]
fn process_1_takes_strangers_orphans_in_and_gives_them_nothing() {
    const TEST: &str = "process_1_takes_strangers_orphans_in";
    let unshare = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    let possible = Command::new("unshare").args(unshare).arg("true").output();
    if !possible.is_ok_and(|output| output.status.success()) {
        return skip(TEST, "pidns", "no new process namespace here");
    }
    if !curl(TEST) {
        return;
    }
    let house = House::new(Answer::Release);
    let out = house.dir.path().join("out");
    let ask = "curl -s -o /dev/null -w '%{http_code}\\n' --unix-socket $CLOUDTASER_SOCKET http://x/v1/secrets/PGPASSWORD";
    // Whose orphan it is, process 1 cannot tell.
    let orphan = format!(
        "(setsid sh -c 'while [ $(ps -o ppid= $$) != 1 ]; do :; done; {} > {1}.part; mv {1}.part {1}' &)",
        ask.replace('\'', "\""),
        out.display()
    );
    let script =
        format!("{ask}; ({ask}); {orphan}; while ! [ -e {0} ]; do sleep 0.05; done; cat {0}", out.display());
    let wrapper = house.wrapper("sh", &["-c", &script]);
    let mut first = Command::new("unshare");
    first.args(unshare).arg(wrapper.get_program()).args(wrapper.get_args());
    for (name, value) in wrapper.get_envs() {
        match value {
            Some(value) => first.env(name, value),
            None => first.env_remove(name),
        };
    }
    let output = first.output().unwrap();
    assert_eq!(text(&output.stdout), "200\n200\n403", "{}", text(&output.stderr));
}

#[test]
fn root_and_our_user_learn_how_things_stand_and_no_value() {
    let house = House::new(Answer::Release);
    let running = house.running(|_as_it_is| {});
    let (code, body) = house.ask("/v1/secrets/PGPASSWORD");
    assert_eq!(
        (code, body.as_str()),
        (403, r#"{"errors":["values are for the program and for what it has started"]}"#)
    );
    let (code, status) = house.ask("/v1/status");
    assert_eq!(code, 200);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!((&status["pid"], &status["program"]), (&running.pid().into(), &running.program.into()));
    assert_eq!((&status["way"], &status["memory"]), (&"graft".into(), &"memfd_secret".into()));
    assert_eq!((&status["strategy"], &status["served"]["refused"]), (&"restart".into(), &1.into()));
    let (code, metrics) = house.ask("/metrics");
    assert_eq!(code, 200);
    assert!(metrics.contains("\ncloudtaser_wrapper_values_refused_total 1\n"), "{metrics}");
    assert!(!format!("{status}{metrics}").contains(CANARY));
    assert_eq!(house.ask("/v1/secrets").0, 200);
    assert_eq!(house.ask("/").0, 404);
}

#[test]
fn another_user_learns_nothing() {
    if !geteuid().is_root() || !installed("setpriv") || !installed("curl") {
        return skip("another_user_learns_nothing", "root", "only root becomes another user");
    }
    let house = House::new(Answer::Release);
    let _running = house.running(|_as_it_is| {});
    for path in ["v1/secrets/PGPASSWORD", "v1/secrets", "v1/status", "metrics"] {
        let mut curl = Command::new("setpriv");
        curl.args([
            "--reuid",
            "65534",
            "--regid",
            "65534",
            "--clear-groups",
            "curl",
            "-s",
            "-w",
            "%{http_code}",
        ]);
        let output = curl
            .args(["--unix-socket", house.socket().to_str().unwrap(), &format!("http://x/{path}")])
            .output();
        assert!(text(&output.unwrap().stdout).ends_with("403"), "{path}");
    }
}

#[test]
fn a_program_that_has_become_another_user_is_given_values() {
    if !geteuid().is_root() || !installed("setpriv") || !installed("curl") {
        return skip(
            "a_program_that_has_become_another_user_is_given_values",
            "root",
            "only root becomes another user",
        );
    }
    let house = House::new(Answer::Release);
    let script = format!("setpriv --reuid 65534 --regid 65534 --clear-groups {VALUE}");
    assert_eq!(text(&house.output(&script).stdout), CANARY);
}

#[test]
fn a_large_value_arrives_whole() {
    if !curl("a_large_value_arrives_whole") {
        return;
    }
    let house = House::new(Answer::Fields(LARGE_FIELDS));
    let script = format!("{VALUE} | wc -c; {VALUE} --limit-rate 4M | tr -d x | wc -c");
    let mut wrapper = house.wrapper("sh", &["-c", &script]);
    // No variable holds as much; the socket has files too.
    let output = wrapper.env("CLOUDTASER_ENV_MAP", "password=@PGPASSWORD").output().unwrap();
    assert_eq!(text(&output.stdout), "1000000\n0", "{}", text(&output.stderr));
}

#[test]
fn clients_that_say_nothing_keep_nobody_out() {
    if !curl("clients_that_say_nothing_keep_nobody_out") {
        return;
    }
    let house = House::new(Answer::Release);
    let go = house.dir.path().join("go");
    let script = format!("echo; while ! [ -e {} ]; do sleep 0.05; done; exec {VALUE}", go.display());
    let mut wrapper = house.wrapper("sh", &["-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(wrapper.stdout.take().unwrap());
    out.read_line(&mut String::new()).unwrap();
    let silent: Vec<UnixStream> = (0..300).map(|_| UnixStream::connect(house.socket()).unwrap()).collect();
    for mut line in &silent {
        // Those who find no room are sent away.
        line.write_all(b"GET /v1/sta").unwrap_or_default();
    }
    fs::write(go, "").unwrap();
    let mut value = String::new();
    out.read_to_string(&mut value).unwrap();
    assert_eq!(value, CANARY);
    assert!(wrapper.wait().unwrap().success());
}

#[test]
fn what_is_no_request_is_told_so() {
    let house = House::new(Answer::Release);
    let _running = house.running(|_as_it_is| {});
    let said = |request: &[u8]| {
        let mut line = UnixStream::connect(house.socket()).unwrap();
        line.write_all(request).unwrap();
        let mut text = String::new();
        line.read_to_string(&mut text).unwrap();
        text.lines().next().unwrap().to_owned()
    };
    assert_eq!(said(b"\x16\x03\x01 hello\r\n\r\n"), "HTTP/1.1 400 Bad Request");
    assert_eq!(said(b"POST /v1/secrets/PGPASSWORD HTTP/1.1\r\n\r\n"), "HTTP/1.1 405 Method Not Allowed");
    let endless = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(4096 - 19));
    assert_eq!(said(endless.as_bytes()), "HTTP/1.1 431 Request Header Fields Too Large");
    assert_eq!(house.ask("/v1/status").0, 200, "and others are served on");
}

#[test]
fn metrics_over_tcp_are_all_that_is_there() {
    let house = House::new(Answer::Release);
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let _running = house.running(|wrapper| {
        wrapper.env("CLOUDTASER_METRICS_ADDR", address.to_string());
    });
    let ask = |path: &str| answer(TcpStream::connect(address).unwrap(), path);
    let (code, body) = ask("/metrics");
    assert_eq!(code, 200);
    assert!(body.contains("\ncloudtaser_wrapper_running 1\n"), "{body}");
    for path in ["/v1/status", "/v1/secrets", "/v1/secrets/PGPASSWORD", "/"] {
        assert_eq!(ask(path), (404, r#"{"errors":["expected /metrics"]}"#.to_owned()), "{path}");
    }
}

#[test]
fn values_that_were_served_are_not_left_in_memory() {
    if !geteuid().is_root() || !curl("values_that_were_served_are_not_left_in_memory") {
        return;
    }
    let house = House::new(Answer::Release);
    let script = format!("{VALUE} > /dev/null; {VALUE} > /dev/null; echo $PPID; exec sleep 60");
    let mut command = house.wrapper("sh", &["-c", &script]);
    let mut wrapper = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(wrapper.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line.trim(), wrapper.id().to_string());
    let (_, metrics) = house.ask("/metrics");
    assert!(metrics.contains("\ncloudtaser_wrapper_values_served_total 2\n"), "{metrics}");
    assert!(!theft::whole_memory_holds(wrapper.id().try_into().unwrap(), CANARY));
    kill_process(Pid::from_child(&wrapper), Signal::TERM).unwrap();
    wrapper.wait().unwrap();
}

#[test]
fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
    let house = House::new(Answer::Release);
    drop(UnixListener::bind(house.socket()).unwrap());
    assert_eq!(text(&house.output("echo started").stdout), "started");
    let house = House::new(Answer::Release);
    let _theirs = UnixListener::bind(house.socket()).unwrap();
    let output = house.output("echo started");
    assert_eq!(text(&output.stdout), "");
    assert_eq!(output.status.code(), Some(125));
    let expected = format!("listening on {}: Address already in use", house.socket().display());
    assert!(text(&output.stderr).contains(&expected), "{}", text(&output.stderr));
    let house = House::new(Answer::Release);
    fs::write(house.socket(), "precious").unwrap();
    assert_eq!(house.output("echo started").status.code(), Some(125));
    assert_eq!(fs::read_to_string(house.socket()).unwrap(), "precious");
}
