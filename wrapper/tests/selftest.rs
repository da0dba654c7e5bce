//! What the wrapper finds out about itself: each attack works on a process that nothing protects, and fails on the keeper.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test, which is another process by its environment"
)]

#[expect(dead_code, reason = "other test programs use the rest")]
mod bench;
#[expect(dead_code, reason = "other test programs use the rest")]
mod stage;

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use protocol::protection::{Assessment, Attack, By, Check, Outcome, Report, Score, State, Theft};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Resource, Rlimit, geteuid, getpid, setrlimit};
use secretmem::Shared;
use wrapper::line::Line;
use wrapper::selftest::{self, Attempt, Prey, Spoils};

use stage::{Answer, Stage, apart};

const ROLE: &str = "CLOUDTASER_TEST_ROLE";
const CANARY: [u8; 16] = *b"canary-open-2468";
const MARK: &str = "told ";

fn is_root() -> bool {
    geteuid().is_root()
}

/// This very program, as somebody else: the same test under another role.
fn other(role: &str, test: &str) -> Command {
    let mut other = Command::new(env::current_exe().unwrap());
    other.args(["--exact", "--nocapture", test]).env(ROLE, role).stdin(Stdio::null()).stdout(Stdio::piped());
    other
}

/// What another of us says behind the mark; it goes on running.
fn said(other: &mut Child) -> Vec<u8> {
    let mut lines = BufReader::new(other.stdout.take().unwrap()).lines().map(Result::unwrap);
    let told = lines.find_map(|line| line.split_once(MARK).map(|(_, told)| told.to_owned()));
    hex::decode(told.unwrap()).unwrap()
}

fn say(message: impl minicbor::Encode<()>) {
    println!("\n{MARK}{}", hex::encode(minicbor::to_vec(message).unwrap()));
    std::io::stdout().flush().unwrap();
}

/// A process that does nothing for its own protection: ordinary memory, its descriptor left open, a token in its environment.
fn be_careless() -> ! {
    let descriptor = memfd_create("careless", MemfdFlags::CLOEXEC).unwrap();
    let mut page = CANARY.to_vec();
    page.resize(4096, 0);
    rustix::io::write(&descriptor, &page).unwrap();
    let mapped: OwnedFd = descriptor.try_clone().unwrap();
    let memory = Shared::open(mapped, 4096).unwrap();
    let address = u64::try_from(memory.bytes().as_ptr().addr()).unwrap();
    say(Prey {
        pid: getpid().as_raw_pid(),
        address,
        end: address.checked_add(4096).unwrap(),
        canary: CANARY,
        left_open: Some(descriptor.as_raw_fd()),
    });
    thread::sleep(Duration::from_mins(1));
    panic!("nobody killed it");
}

/// An attacker whose own children may leave cores.
fn be_attacker(prey: &str) {
    let limit = Rlimit { current: Some(u64::MAX), maximum: None };
    let allowed = setrlimit(Resource::Core, limit);
    let (ours, theirs) = Line::pair().unwrap();
    ours.send(&hex::decode(prey).unwrap(), None).unwrap();
    selftest::attack(&theirs).unwrap();
    let spoils: Spoils = minicbor::decode(&ours.receive().unwrap().unwrap().bytes).unwrap();
    assert!(allowed.is_ok(), "cores are refused from above");
    say(spoils);
}

#[test]
fn every_attack_works_on_a_process_that_nothing_protects() {
    match env::var(ROLE).as_deref() {
        Ok("careless") => be_careless(),
        Ok(prey) => return be_attacker(prey),
        Err(_) => {}
    }
    if !is_root() {
        assert!(env::var_os("REQUIRE").is_none(), "the thefts need root");
        return println!("SKIP every_attack_works: only root may attack a process that is not its child");
    }
    let test = "every_attack_works_on_a_process_that_nothing_protects";
    let dir = tempfile::tempdir().unwrap();
    let mut careless = other("careless", test).env("VAULT_TOKEN", "s.canary").spawn().unwrap();
    let prey = said(&mut careless);
    let mut attacker = other(&hex::encode(prey), test).current_dir(&dir).spawn().unwrap();
    let spoils: Spoils = minicbor::decode(&said(&mut attacker)).unwrap();
    attacker.wait().unwrap();
    careless.kill().unwrap();
    careless.wait().unwrap();

    let bytes = |how: &str| Attempt::Took(format!("16 bytes of the canary {how}"));
    for (theft, expected) in [
        (Theft::ProcessVmReadv, bytes("read at once")),
        (Theft::ProcMem, bytes("read")),
        (Theft::PtracePeek, bytes("peeked")),
        (Theft::PidfdGetfdLeftOpen, bytes("mapped")),
        (Theft::MapFiles, bytes("read")),
        (Theft::Environ, Attempt::Took("the value of VAULT_TOKEN".to_owned())),
        (Theft::CoreDump, Attempt::Took("a core".to_owned())),
        (Theft::PtraceDuringGraft, Attempt::Refused(libc::EPERM)),
        (Theft::PtraceAfterGraft, Attempt::Took("control over the program".to_owned())),
    ] {
        assert_eq!(spoils.of(theft), Some(&expected), "{theft:?}");
    }
    // Its only memory is the one left open: opened by its link, and not counted among those that should not be there.
    let Some(Attempt::Took(how)) = spoils.of(Theft::ProcFd) else { panic!("{spoils:?}") };
    assert!(how.ends_with("which opens and reads"), "{how}");
    assert_eq!(spoils.untraceable, None);
}

/// What the wrapper presented, and what it told.
fn reported(spoil: impl FnOnce(&mut Command)) -> (Report, String) {
    let stage = Stage::new(vec![Answer::Release]);
    let mut wrapper = stage.wrapper("true", &[]);
    spoil(&mut wrapper);
    let output = wrapper.output().unwrap();
    let (rest, told) = apart(&String::from_utf8(output.stderr).unwrap());
    assert!(rest.lines().all(|line| line.starts_with("cloudtaser-wrapper: INSECURE: ")), "{rest}");
    assert_eq!(output.status.code(), Some(0));
    (stage.reports().remove(0), told)
}

fn of(report: &Report, theft: Theft) -> &Attack {
    report.attacks.iter().find(|attack| attack.theft == theft).unwrap_or_else(|| panic!("{theft:?}"))
}

#[track_caller]
fn refused(report: &Report, theft: Theft, by: By, found: &str) {
    let attack = of(report, theft);
    assert_eq!((attack.outcome, attack.by, attack.found.as_str()), (Outcome::Refused, Some(by), found));
}

#[test]
fn the_keeper_withstands_and_the_report_says_what_refused() {
    let (report, told) = reported(|_wrapper| ());
    assert_eq!(told, format!("cloudtaser-wrapper: protection {}\n", Score::of(&report.measures)));
    assert_eq!(report.attacks.len(), 11);
    if is_root() && report.attacker.contains("may trace (") {
        for (theft, errno) in [
            (Theft::ProcessVmReadv, "EFAULT"),
            (Theft::ProcMem, "EIO"),
            (Theft::PtracePeek, "EIO"),
            (Theft::ProcFd, "ENXIO"),
            (Theft::MapFiles, "ENXIO"),
        ] {
            refused(&report, theft, By::Kernel, errno);
        }
        // What secret memory does not withstand, and why no descriptor of it stays open.
        let left_open = of(&report, Theft::PidfdGetfdLeftOpen);
        assert_eq!(left_open.outcome, Outcome::Taken, "{left_open:?}");
        assert_eq!(left_open.found, "16 bytes of the canary mapped");
    }
    let really_open = of(&report, Theft::PidfdGetfd);
    assert_ne!(really_open.outcome, Outcome::Taken, "{really_open:?}");
    refused(&report, Theft::PtraceDuringGraft, By::Kernel, "EPERM: traced by us");
    let core = of(&report, Theft::CoreDump);
    assert_eq!((core.outcome, core.by), (Outcome::Refused, Some(By::Permissions)), "{core:?}");
    for check in [
        Check::MemfdSecret,
        Check::Mlock,
        Check::CoreDumpExclusion,
        Check::DumpableDisabled,
        Check::GuardPages,
        Check::TokenProtected,
        Check::EnvironScrubbed,
        Check::GetenvInterposer,
    ] {
        let measured = report.measure(check).unwrap();
        assert_eq!(measured.state, State::Reached, "{measured:?}");
    }
    assert_eq!(report.measure(Check::EbpfAgentConnected).unwrap().found, "no enforcer");
}

/// Nothing is said to be refused by permissions that root does not have to respect, nor the other way round.
#[test]
fn a_user_without_rights_is_refused_by_permissions() {
    if !is_root() {
        assert!(env::var_os("REQUIRE").is_none(), "setpriv needs root");
        return println!("SKIP a_user_without_rights: only root may become another user");
    }
    let stage = Stage::new(vec![Answer::Release]);
    // Readable and reachable for anybody, as a container's files are.
    let wrapper = stage.wrapper("true", &[]);
    let copied = tempfile::tempdir().unwrap();
    let program = copied.path().join("cloudtaser-wrapper");
    fs::copy(wrapper.get_program(), &program).unwrap();
    for path in [copied.path(), stage.certificate().parent().unwrap()] {
        Command::new("chmod").args(["-R", "a+rwX"]).arg(path).status().unwrap();
    }
    let mut user = Command::new("setpriv");
    user.args(["--reuid=65532", "--regid=65532", "--clear-groups"]).arg(program).args(wrapper.get_args());
    user.envs(wrapper.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = user.output().unwrap();
    let (rest, _told) = apart(&String::from_utf8(output.stderr).unwrap());
    assert_eq!((rest.as_str(), output.status.code()), ("", Some(0)));
    let report = stage.reports().remove(0);
    assert_eq!(report.attacker, "uid 65532, may not trace others");
    let why = "EPERM: not dumpable, and we lack CAP_SYS_PTRACE";
    for theft in [Theft::ProcessVmReadv, Theft::PtracePeek, Theft::PidfdGetfdLeftOpen] {
        refused(&report, theft, By::Permissions, why);
    }
    assert!(Score::of(&report.measures).reached.contains(&Check::MemfdSecret), "{report:#?}");
}

#[test]
fn a_credential_in_the_environment_is_found_and_costs_its_points() {
    let (clean, _) = reported(|_wrapper| ());
    let (report, told) = reported(|wrapper| {
        wrapper.env("VAULT_TOKEN", "s.canary");
    });
    assert!(!told.contains("s.canary"), "{told}");
    let environ = of(&report, Theft::Environ);
    if environ.outcome != Outcome::Taken {
        // Wiped before anybody could read it, or not readable: as good.
        return assert_eq!(Score::of(&report.measures), Score::of(&clean.measures));
    }
    assert_eq!(environ.found, "the value of VAULT_TOKEN");
    let missed = Score::of(&report.measures).missed;
    assert!(
        missed.contains(&Check::EnvironScrubbed) && missed.contains(&Check::TokenProtected),
        "{missed:?}"
    );
}

#[test]
fn values_that_are_to_go_in_clear_are_scored_as_that() {
    let (report, told) = reported(|wrapper| {
        wrapper.env("CLOUDTASER_DELIVERY", "environ");
    });
    assert!(told.contains("getenv_interposer"), "{told}");
    let measured = report.measure(Check::GetenvInterposer).unwrap();
    assert_eq!(measured.found, "plain environment: whoever reads it has the values");
}

/// The attacker stops the keeper for a moment; a keeper that stays stopped would never answer.
#[test]
fn nobody_is_left_behind_and_the_keeper_goes_on() {
    let begun = Instant::now();
    for _ in 0..3 {
        reported(|_wrapper| ());
    }
    assert!(begun.elapsed() < Duration::from_secs(30), "bounded, whatever the machine does");
}

/// Through the real socket, to a program that asks.
#[test]
fn the_status_shows_what_was_presented_with_the_way_that_was_taken() {
    let stage = Stage::new(vec![Answer::Release]);
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("wrapper.sock");
    let ask = "use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new($ENV{CLOUDTASER_SOCKET}) or die $!; \
        print $s \"GET $ARGV[0] HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n\"; print while <$s>";
    let asked = |path: &str| {
        let mut wrapper = stage.wrapper("perl", &["-e", ask, path]);
        let output = wrapper.env("CLOUDTASER_SOCKET", &socket).output().unwrap();
        let answer = String::from_utf8(output.stdout).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        body.to_owned()
    };
    let status: serde_json::Value = serde_json::from_str(&asked("/v1/status")).unwrap();
    let shown: Assessment = serde_json::from_value(status.get("protection").unwrap().clone()).unwrap();
    let presented = stage.reports().remove(0);
    assert_eq!(shown.score, Score::of(&presented.measures));
    assert_eq!(shown.report.attacks, presented.attacks);
    let delivered = shown.report.measure(Check::GetenvInterposer).unwrap();
    assert_eq!(delivered.found, "graft, as it was done");
}
