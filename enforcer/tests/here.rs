//! The real program on this machine's own kernel, whatever that lets it load: it says what is defended, claims no more, and stays.
//!
//! In detection and without pins: nobody is refused anything, and nothing stays. Needs root and the object that `cargo xtask bpf`
//! makes (`CLOUDTASER_BPF_OBJECT`); `REQUIRE=attacks` turns a skip into a failure.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test may fail, and says what it skips")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use protocol::enforcer::{Heartbeat, Verified};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};

#[test]
fn a_kernel_that_refuses_to_load_makes_it_say_so_and_stay() {
    let Some(object) = object("here.refused") else { return };
    let place = Place::new();
    // Without this right no kernel loads anything.
    let mut enforcer = place.start(&object, &[CapabilitySet::BPF]);
    let said = place.wait_for(&mut enforcer, "NOTHING IS REFUSED: ");
    assert!(said.contains("Operation not permitted"), "{said}");
    let beat = place.beat();
    for defence in &beat.matrix.vectors {
        assert_eq!(
            (defence.tier.as_str(), defence.verified),
            ("none", Verified::Untried),
            "{}",
            defence.vector
        );
        assert!(
            defence.why.as_ref().is_some_and(|why| why.contains("Operation not permitted")),
            "{defence:?}"
        );
    }
    end(enforcer);
}

#[test]
fn on_this_kernel_it_claims_what_it_proved_and_stays() {
    let Some(object) = object("here.tier") else { return };
    let place = Place::new();
    let mut enforcer = place.start(&object, &[]);
    let said = place.wait_for(&mut enforcer, ": ready\n");
    assert!(said.contains("what only loading takes is given up"), "{said}");
    for defence in place.beat().matrix.vectors {
        // Nothing is refused in detection, so nothing may be said to be proved.
        assert_ne!(defence.verified, Verified::Yes, "{defence:?}");
        if defence.tier == "none" {
            assert!(defence.why.is_some(), "{defence:?}");
        }
    }
    let status = fs::read_to_string(format!("/proc/{}/status", enforcer.id())).unwrap();
    let field =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!((field("Seccomp:"), field("NoNewPrivs:")), ("2".into(), "1".into()));
    let kept = CapabilitySet::BPF | CapabilitySet::SYS_PTRACE;
    assert_eq!(u64::from_str_radix(&field("CapPrm:"), 16).unwrap() & !kept.bits(), 0, "{status}");
    end(enforcer);
}

#[test]
fn an_enforcer_that_is_taken_over_executes_mounts_loads_and_traces_nothing() {
    let Some(object) = object("here.filter") else { return };
    let place = Place::new();
    let mut enforcer = place.start(&object, &[]);
    place.wait_for(&mut enforcer, ": ready\n");
    place.beat();
    let refused = injected(enforcer.id());
    let mut other = Command::new("sleep").arg("1000").spawn().unwrap();
    let let_through = injected(other.id());
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(refused.len(), 16);
    for ((call, error), (_, elsewhere)) in refused.iter().zip(&let_through) {
        assert_eq!(*error, EPERM, "{call}");
        assert_ne!(*elsewhere, EPERM, "{call}: who has no filter comes as far as its arguments");
    }
    // It goes on as if nothing had been.
    let before = place.beat();
    while place.beat().uptime == before.uptime {
        assert_eq!(enforcer.try_wait().unwrap(), None);
        std::thread::sleep(Duration::from_millis(200));
    }
    end(enforcer);
}

/// Where it runs.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self, object: &Path, without: &'static [CapabilitySet]) -> Child {
        let log = fs::File::create(self.file("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloudtaser-enforcer"));
        command.args(["run", "--mode", "detect", "--no-pins", "--object"]).arg(object);
        for (word, name) in
            [("--socket", "socket"), ("--heartbeat", "beat.json"), ("--trusted", "absent.toml")]
        {
            command.arg(word).arg(self.file(name));
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        // A child has what the thread has that starts it.
        let thread = std::thread::spawn(move || {
            for right in without {
                remove_capability_from_bounding_set(*right).unwrap();
            }
            command.spawn().unwrap()
        });
        thread.join().unwrap()
    }

    /// What it said until then; it must not end before.
    fn wait_for(&self, enforcer: &mut Child, what: &str) -> String {
        loop {
            let said = fs::read_to_string(self.file("log")).unwrap();
            if said.contains(what) {
                assert_eq!(enforcer.try_wait().unwrap(), None, "it stays: {said}");
                return said;
            }
            assert_eq!(enforcer.try_wait().unwrap(), None, "expected {what:?}: {said}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Its first sign of life, which comes after what it says.
    fn beat(&self) -> Heartbeat {
        loop {
            let beat = fs::read(self.file("beat.json")).ok();
            if let Some(beat) = beat.and_then(|text| serde_json::from_slice(&text).ok()) {
                return beat;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// What calls answer in another process that waits: error numbers by name.
fn injected(pid: u32) -> Vec<(String, u32)> {
    // It waits by now.
    std::thread::sleep(Duration::from_millis(500));
    let mut said = Vec::new();
    attacks::inject::Inject { pid: pid.try_into().unwrap() }.run(&mut said).unwrap();
    let said = String::from_utf8(said).unwrap();
    let pairs = said.lines().filter_map(|line| line.split_once(' '));
    pairs.map(|(call, error)| (call.to_owned(), error.parse().unwrap())).collect()
}

const EPERM: u32 = 1;

/// It ends in good order when it is told to.
fn end(mut enforcer: Child) {
    let pid = Pid::from_raw(enforcer.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert!(enforcer.wait().unwrap().success());
}

/// The programs, where this machine can be asked to load them.
fn object(test: &str) -> Option<PathBuf> {
    let object = std::env::var_os("CLOUDTASER_BPF_OBJECT").map(PathBuf::from).filter(|path| path.is_file());
    let why = if object.is_none() {
        "CLOUDTASER_BPF_OBJECT names no object of the enforcer"
    } else if !geteuid().is_root() {
        "only root may ask the kernel"
    } else if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        "this kernel does not tell its types"
    } else {
        return object;
    };
    let required = std::env::var_os("REQUIRE").unwrap_or_default();
    let required = required.to_string_lossy();
    assert!(!required.split(',').any(|word| word == "attacks"), "REQUIRE=attacks: {why}");
    eprintln!("SKIP {test}: {why}");
    None
}
