//! The enforcer's socket, asked by real processes; what the kernel's side would do is played.
#![expect(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "a test")]

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::{self, BufRead as _, Write as _};
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use enforcer::events::event::notice;
use enforcer::socket::{Door, Inside, Needles, News, Server, Tagger};
use enforcer_abi::{Tag, role};
use protocol::enforcer::{Event, Matrix, Moment, Needle, Severity};
use rustix::event::{PollFd, Timespec, poll};
use serde_json::{Value, json};

/// What the kernel's side remembers.
#[derive(Default)]
struct Kernel {
    tags: BTreeMap<u32, Tag>,
    /// What programs in the kernel see; none: there are none.
    inside: Option<Inside>,
    /// Each look finds that the process has executed once more.
    executes: bool,
    registered: Vec<(u64, [u8; 32], Vec<Needle>)>,
    forgotten: Vec<u64>,
    /// What groups of an enforcer before this one registered under.
    kept: BTreeMap<u64, [u8; 32]>,
}

#[derive(Clone, Default)]
struct Played(Arc<Mutex<Kernel>>);

fn pid_of(process: BorrowedFd<'_>) -> u32 {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", process.as_raw_fd())).unwrap();
    info.lines().find_map(|line| line.strip_prefix("Pid:")).unwrap().trim().parse().unwrap()
}

impl Tagger for Played {
    fn tag(&self, process: BorrowedFd<'_>, tag: Tag) -> io::Result<()> {
        self.0.lock().unwrap().tags.insert(pid_of(process), tag);
        Ok(())
    }

    fn tag_of(&self, process: BorrowedFd<'_>) -> io::Result<Tag> {
        Ok(self.0.lock().unwrap().tags.get(&pid_of(process)).copied().unwrap_or_default())
    }

    fn lives(&self, group: u64) -> io::Result<bool> {
        let kernel = self.0.lock().unwrap();
        let mut of = kernel.tags.iter().filter(|(_, tag)| tag.group == group);
        Ok(of.any(|(pid, _)| fs::exists(format!("/proc/{pid}")).unwrap()))
    }

    fn look(&self, _pid: u32) -> io::Result<Option<Inside>> {
        let mut kernel = self.0.lock().unwrap();
        let executes = u32::from(kernel.executes);
        if let Some(inside) = &mut kernel.inside {
            inside.executed += executes;
        }
        Ok(kernel.inside)
    }
}

impl Needles for Played {
    fn register(&mut self, group: u64, key: &[u8; 32], needles: &[Needle]) -> Result<(), String> {
        self.0.lock().unwrap().registered.push((group, *key, needles.to_vec()));
        Ok(())
    }

    fn registered(&self) -> Vec<u64> {
        self.0.lock().unwrap().kept.keys().copied().collect()
    }

    fn key(&self, group: u64) -> Option<[u8; 32]> {
        self.0.lock().unwrap().kept.get(&group).copied()
    }

    fn forget(&mut self, group: u64) {
        self.0.lock().unwrap().kept.remove(&group);
        self.0.lock().unwrap().forgotten.push(group);
    }
}

/// A server in a thread of its own.
struct House {
    dir: tempfile::TempDir,
    played: Played,
    news: Arc<Mutex<Vec<News>>>,
    events: Arc<Mutex<VecDeque<Event>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

fn matrix() -> Matrix {
    let (kernel, programs) = ("6.12.0".to_owned(), "ab".repeat(32));
    Matrix { mode: "enforce".to_owned(), kernel, programs, vectors: vec![] }
}

impl House {
    fn new(kernel: Kernel) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let played = Played(Arc::new(Mutex::new(kernel)));
        let mut server = Server::new(Door::open(&dir.path().join("socket")).unwrap(), played.clone());
        let news: Arc<Mutex<Vec<News>>> = Arc::default();
        let events: Arc<Mutex<VecDeque<Event>>> = Arc::default();
        let over = Arc::new(AtomicBool::new(false));
        let (heard, to_tell, ends) = (Arc::clone(&news), Arc::clone(&events), Arc::clone(&over));
        let thread = thread::spawn(move || {
            while !ends.load(Ordering::SeqCst) {
                let fds = server.fds();
                let mut fds: Vec<_> =
                    fds.into_iter().map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags)).collect();
                let tick = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
                poll(&mut fds, Some(&tick)).unwrap();
                drop(fds);
                heard.lock().unwrap().extend(server.ready(&matrix(), Instant::now()));
                let watched = server.is_watched();
                let mut events = to_tell.lock().unwrap();
                while let Some(event) = watched.then(|| events.pop_front()).flatten() {
                    server.publish(&event);
                }
            }
        });
        Self { dir, played, news, events, over, thread: Some(thread) }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    /// What a process of one thread, written in Python, prints: a JSON document in each line.
    fn ask(&self, script: &str) -> Vec<Value> {
        let mut python = Command::new("python3");
        let script = format!("{PRELUDE}\n{script}");
        python.arg("-c").arg(&script).arg(self.socket()).arg(&script);
        let output = python.stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "{:?}", output.status);
        let lines = String::from_utf8(output.stdout).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn tags(&self) -> Vec<Tag> {
        self.played.0.lock().unwrap().tags.values().copied().collect()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// `say` asks over a line and prints the answer; `anew` executes the script again with one more argument.
const PRELUDE: &str = r#"
import ctypes, json, os, socket, sys, threading, time
def line():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.settimeout(20); s.connect(sys.argv[1]); return s
def ask(s, **words):
    s.send(json.dumps(words).encode()); return s.recv(65536).decode()
def say(s, **words): print(ask(s, **words), flush=True)
def anew(): os.execv(sys.executable, ["python3", "-c", sys.argv[2], sys.argv[1], sys.argv[2], "anew"])
is_anew = len(sys.argv) > 3
"#;

const HAND_SHAKE: &str = r#"
if not is_anew:
    s = line(); say(s, ask="confirm"); say(s, ask="protect"); anew()
s = line(); say(s, ask="confirm")
"#;

fn refused(why: &str) -> Value {
    json!({"said": "refused", "why": why})
}

#[test]
fn a_process_is_tagged_executes_itself_anew_and_is_clear() {
    let inside = Some(Inside { executed: 1, exe: (8, 5), ..Inside::default() });
    let house = House::new(Kernel { inside, executes: true, ..Kernel::default() });
    let said = house.ask(HAND_SHAKE);
    assert_eq!(said[..2], [json!({"said": "unprotected"}), json!({"said": "tagged"})]);
    assert_eq!((&said[2]["said"], &said[2]["matrix"]["mode"]), (&"clear".into(), &"enforce".into()));
    let looked = ["tag", "threads", "tracer", "executed-anew", "program", "supervisor", "descriptors"];
    assert_eq!(said[2]["looked"], json!(looked));
    assert_eq!(said[2]["key"].as_str().unwrap().len(), 64);
    let [tag] = house.tags()[..] else { panic!("{:?}", house.tags()) };
    assert_eq!(tag.roles, role::PROTECTED);
    let news = house.news.lock().unwrap();
    let [News::Protected { pid, group }, News::Confirmed { pid: same, .. }, ..] = news[..] else {
        panic!("{news:?}")
    };
    assert_eq!((group, pid), (tag.group, same));
}

#[test]
fn each_has_a_group_and_a_key_of_its_own() {
    let house = House::new(Kernel::default());
    let keys = [(); 2].map(|()| house.ask(HAND_SHAKE)[2]["key"].clone());
    assert_ne!(keys[0], keys[1]);
    let tags = house.tags();
    assert_eq!(tags.len(), 2);
    assert_ne!(tags[0].group, tags[1].group);
}

#[test]
fn where_the_kernel_sees_nothing_it_is_not_said_that_it_was_looked() {
    let house = House::new(Kernel::default());
    assert_eq!(house.ask(HAND_SHAKE)[2]["looked"], json!(["tag", "threads", "tracer"]));
}

#[test]
fn a_line_from_before_the_tag_is_good_for_nothing_more() {
    let house = House::new(Kernel::default());
    let said = house
        .ask("s = line(); say(s, ask='protect'); say(s, ask='confirm'); say(s, ask='register', needles=[])");
    assert_eq!(said[1], json!({"said": "unprotected"}));
    let why = "expected a protected process, found one that is not, or was not when it came";
    assert_eq!(said[2], refused(why));
}

#[test]
fn who_has_threads_or_a_tracer_already_is_not_tagged() {
    let house = House::new(Kernel::default());
    let threaded = "threading.Thread(target=lambda: time.sleep(0.5)).start(); say(line(), ask='protect')";
    assert_eq!(house.ask(threaded), [refused("expected one thread, found 2")]);
    // PTRACE_TRACEME: its parent, this test, traces it.
    let traced = "ctypes.CDLL(None).ptrace(0, 0, 0, 0); say(line(), ask='protect')";
    let own = std::process::id();
    let said = house.ask(traced);
    let why = said[0]["why"].as_str().unwrap();
    assert!(why.starts_with("expected no tracer, found process "), "{why} ({own})");
    assert_eq!(house.tags(), []);
}

#[test]
fn nobody_is_tagged_twice() {
    let house = House::new(Kernel::default());
    let again = "s = line(); say(s, ask='protect'); say(s, ask='protect'); say(line(), ask='protect')";
    let said = house.ask(again);
    let why = refused("expected a process without a tag, found one that has one");
    assert_eq!(said[1..], [why.clone(), why]);
}

#[test]
fn who_did_not_execute_itself_anew_or_has_company_is_not_clear() {
    let still = Inside { executed: 1, exe: (8, 5), ..Inside::default() };
    let not_anew = "say(line(), ask='protect'); say(line(), ask='confirm')";
    for (inside, executes, why) in [
        (still, false, "expected that it executed itself anew after it was tagged, found that it did not"),
        (
            Inside { supervised: true, ..still },
            true,
            "expected that nobody supervises its system calls, found a seccomp listener",
        ),
        (
            Inside { foreign: Some(77), ..still },
            true,
            "expected that nobody holds its files of procfs, found process 77",
        ),
    ] {
        let house = House::new(Kernel { inside: Some(inside), executes, ..Kernel::default() });
        assert_eq!(house.ask(not_anew)[1], refused(why));
    }
}

#[test]
fn needles_go_to_the_group_that_sent_them_under_its_key() {
    let house = House::new(Kernel::default());
    let script = format!(
        "{HAND_SHAKE}\nsay(s, ask='register', needles=[dict(hash=2**64-1, spot=7, length=20, form=1)])\nsay(s, ask='confirm')"
    );
    let said = house.ask(&script);
    assert_eq!(said[3], json!({"said": "done"}));
    let kernel = house.played.0.lock().unwrap();
    let [(group, key, needles)] = &kernel.registered[..] else { panic!("{:?}", kernel.registered) };
    assert_eq!(
        (hex::encode(key), *group),
        (said[2]["key"].as_str().unwrap().to_owned(), house_group(&kernel))
    );
    assert_eq!(needles, &[Needle { hash: u64::MAX, spot: 7, length: 20, form: 1 }]);
    assert_eq!(said[4]["key"], said[2]["key"], "and it may ask again");
}

fn house_group(kernel: &Kernel) -> u64 {
    kernel.tags.values().next().unwrap().group
}

#[test]
fn before_it_is_confirmed_a_group_registers_nothing() {
    let house = House::new(Kernel::default());
    let said = house.ask("say(line(), ask='protect'); say(line(), ask='register', needles=[])");
    assert_eq!(said[1], refused("expected a group that is confirmed, found one that is not"));
    let many = format!(
        "{HAND_SHAKE}\nsay(s, ask='register', needles=[dict(hash=1, spot=1, length=9, form=0)] * 513)"
    );
    assert_eq!(house.ask(&many)[3], refused("expected at most 512 needles, found 513"));
}

#[test]
fn what_a_group_has_registered_ends_with_it() {
    let house = House::new(Kernel::default());
    house.ask(HAND_SHAKE);
    let group = house.tags()[0].group;
    let start = Instant::now();
    while house.played.0.lock().unwrap().forgotten != [group] {
        assert!(start.elapsed() < Duration::from_mins(1), "nobody looked");
        thread::sleep(Duration::from_millis(50));
    }
    assert!(house.news.lock().unwrap().contains(&News::Ended { group }));
}

/// What a process that an enforcer before us tagged is told: it asks for confirmation, and to keep.
fn of_before(house: &House, roles: u32) -> Vec<Value> {
    let script =
        "s = line(); say(s, ask='confirm')\ninput()\ns = line(); say(s, ask='confirm'); say(s, ask='keep')";
    let script = format!("{PRELUDE}\n{script}");
    let mut python = Command::new("python3");
    python.arg("-c").arg(&script).arg(house.socket()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = python.spawn().unwrap();
    house.played.0.lock().unwrap().tags.insert(child.id(), Tag { group: 99, roles, becoming: 0 });
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    output.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_tag_of_an_enforcer_before_us_is_taken_in() {
    let house = House::new(Kernel::default());
    let said = of_before(&house, role::PROTECTED);
    assert_eq!((&said[0]["said"], &said[1]), (&json!("clear"), &json!({"said": "done"})));
}

#[test]
fn a_group_that_registered_with_an_enforcer_before_us_has_its_key_and_its_keeper_and_no_other() {
    let kept = || BTreeMap::from([(99, [5; 32])]);
    let keeper = House::new(Kernel { kept: kept(), ..Kernel::default() });
    let said = of_before(&keeper, role::PROTECTED | role::KEEPER);
    assert_eq!((&said[0]["key"], &said[1]), (&json!("05".repeat(32)), &json!({"said": "done"})));
    // The program may be there before its wrapper is.
    let program = House::new(Kernel { kept: kept(), ..Kernel::default() });
    let said = of_before(&program, role::PROTECTED);
    assert_eq!(said[0]["key"], "05".repeat(32));
    assert_eq!(said[1], refused("expected who kept this group's secrets before, found another of it"));
    assert_eq!(program.tags().iter().map(|tag| tag.roles).collect::<Vec<_>>(), [role::PROTECTED]);
}

#[test]
fn what_a_group_registered_with_an_enforcer_before_us_ends_with_it() {
    let house = House::new(Kernel { kept: BTreeMap::from([(99, [5; 32])]), ..Kernel::default() });
    let start = Instant::now();
    while house.played.0.lock().unwrap().forgotten != [99] {
        assert!(start.elapsed() < Duration::from_mins(1), "nobody looked");
        thread::sleep(Duration::from_millis(50));
    }
    assert!(house.news.lock().unwrap().contains(&News::Ended { group: 99 }));
}

#[test]
fn who_hands_secrets_out_is_the_first_of_a_confirmed_group_alone() {
    let house = House::new(Kernel::default());
    let said = house.ask("say(line(), ask='keep'); say(line(), ask='protect'); say(line(), ask='keep')");
    let outside = "expected a protected process, found one that is not, or was not when it came";
    assert_eq!(said[0], refused(outside));
    assert_eq!(said[2], refused("expected a group that is confirmed, found one that is not"));
    let said = house.ask(&format!("{HAND_SHAKE}\nsay(s, ask='keep')"));
    assert_eq!(said[3], json!({"said": "done"}));
    let keepers = || house.tags().iter().filter(|tag| tag.is(role::KEEPER)).count();
    assert_eq!(keepers(), 1);
    // Another of a group that is confirmed: the kernel's side would have given it the group's tag when it was forked.
    let inherits = "
if is_anew:
    tag = ask(line(), ask='confirm'); child = os.fork()
    if child == 0: sys.stdin.readline(); say(line(), ask='keep'); os._exit(0)
    print(json.dumps(child), flush=True); os.waitpid(child, 0)
else: say(line(), ask='protect'); anew()";
    let script = format!("{PRELUDE}\n{inherits}");
    let mut python = Command::new("python3");
    python.arg("-c").arg(&script).arg(house.socket()).arg(&script);
    let mut parent = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = io::BufReader::new(parent.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), json!({"said": "tagged"}).to_string());
    let child: u32 = lines.next().unwrap().parse().unwrap();
    {
        let mut kernel = house.played.0.lock().unwrap();
        let tag = kernel.tags[&parent.id()];
        kernel.tags.insert(child, tag);
    }
    parent.stdin.take().unwrap().write_all(b"\n").unwrap();
    let said: Value = serde_json::from_str(&lines.next().unwrap()).unwrap();
    assert_eq!(said, refused("expected the process that asked for protection, found another of its group"));
    parent.wait().unwrap();
    assert_eq!(keepers(), 1);
}

#[test]
fn the_matrix_and_events_are_roots_alone() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIP the_matrix_and_events_are_roots_alone: only root becomes another user");
        return;
    }
    let house = House::new(Kernel::default());
    let [said] = &house.ask("say(line(), ask='matrix')")[..] else { panic!() };
    assert_eq!((&said["said"], &said["kernel"]), (&"matrix".into(), &"6.12.0".into()));
    let others = "os.setuid(65534); say(line(), ask='matrix'); say(line(), ask='watch')";
    assert_eq!(house.ask(others), [(); 2].map(|()| refused("expected root, found another user")));
    let anybody = "os.setuid(65534); say(line(), ask='protect')";
    assert_eq!(house.ask(anybody), [json!({"said": "tagged"})], "protection is for everybody");
}

#[test]
fn who_watches_slowly_is_told_how_much_was_missed() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIP who_watches_slowly_is_told_how_much_was_missed: only root watches");
        return;
    }
    let house = House::new(Kernel::default());
    let event = |number| notice("PROCMEM_READ", Severity::High, 1, Moment(number), "x".repeat(2000));
    house.events.lock().unwrap().extend((0..2000).map(event));
    let script = "
s = line(); say(s, ask='watch'); time.sleep(1)
got = [json.loads(s.recv(65536)) for _ in range(100)]
s.settimeout(1)
try:
    while True: got.append(json.loads(s.recv(65536)))
except TimeoutError: pass
print(json.dumps([got[0]['time'], sum(e['event'] == 'PROCMEM_READ' for e in got)]), flush=True)
s.settimeout(10)
print(json.dumps([(e['event'], e['count']) for e in (json.loads(s.recv(65536)) for _ in range(2))]))";
    let later = Arc::clone(&house.events);
    let late = thread::spawn(move || {
        thread::sleep(Duration::from_secs(4));
        later.lock().unwrap().push_back(event(2000));
    });
    let said = house.ask(script);
    late.join().unwrap();
    assert_eq!(said[0], json!({"said": "watching"}));
    let got = said[1][1].as_u64().unwrap();
    assert!(said[1][0] == Moment(0).to_string() && (100..2000).contains(&got), "{said:?}");
    assert_eq!(said[2], json!([["WATCHER_LOST", 2000 - got], ["PROCMEM_READ", 1]]));
}

#[test]
fn what_is_no_word_of_ours_ends_the_line() {
    let house = House::new(Kernel::default());
    let script = "
for bytes in [b'x', b'{\"ask\":\"protect\",\"group\":7}', b' ' * 65537]:
    s = line(); s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    s.send(bytes); print(s.recv(65536).decode(), flush=True); print(json.dumps(len(s.recv(10))))";
    let said = house.ask(script);
    let why = |at: usize| said[at]["why"].as_str().unwrap();
    assert!(why(0).starts_with("expected one of our words"), "{}", why(0));
    assert!(why(2).contains("unknown field `group`"), "{}", why(2));
    assert_eq!(why(4), "expected at most 65536 bytes, found 65537");
    assert_eq!([1, 3, 5].map(|at| said[at].clone()), [json!(0), json!(0), json!(0)]);
}

#[test]
fn who_says_nothing_keeps_nobody_out() {
    let house = House::new(Kernel::default());
    // The seventeenth of one control group finds no place; one that goes makes room.
    let script = "
held = [line() for _ in range(16)]
extra = line(); print(json.dumps(len(extra.recv(10))))
held.pop().close(); time.sleep(0.3)
say(line(), ask='confirm')";
    assert_eq!(house.ask(script), [json!(0), json!({"said": "unprotected"})]);
}

#[test]
fn another_enforcer_takes_the_door_over_and_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let first = Door::open(&path).unwrap();
    let second = Door::open(&path).unwrap();
    drop(first);
    assert!(fs::exists(&path).unwrap());
    drop(second);
    assert!(!fs::exists(&path).unwrap());
}
