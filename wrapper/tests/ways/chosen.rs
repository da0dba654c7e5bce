//! Which way is taken where some are refused or do not reach the program, and what is said of it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};

use crate::bench::{CANARY, installed, skip};
use crate::stage::{self, Answer, Stage};
use crate::{CONSTRUCTOR, Found, GETENV, HOLDER, by, found, said, theft, told, ways};
use Found::Value;

const SHOW: [&str; 2] = ["-e", "print $ENV{PASSWORD}"];

/// As on a machine whose rules let nobody trace.
fn untraced(mut command: Command) -> Output {
    // SAFETY: between fork and exec the closure makes system calls alone.
    unsafe { command.pre_exec(theft::refuse_ptrace) };
    command.output().unwrap()
}

#[test]
fn where_tracing_is_refused_the_next_way_is_taken_and_said() {
    let bench = ways();
    let output = untraced(by(&bench, "graft,constructor,getenv", "perl", &SHOW));
    assert_eq!(
        (output.status.code(), found(&String::from_utf8_lossy(&output.stdout))),
        (Some(0), Some(Value))
    );
    assert_eq!(
        told(&output),
        "cloudtaser-wrapper: values reach the program by constructor (graft: tracing is refused, perhaps by the \
         seccomp filter that is on us)\n"
    );
    let output = by(&bench, "graft,constructor", "perl", &SHOW).output().unwrap();
    assert_eq!((told(&output).as_str(), output.stdout.as_slice()), ("", CANARY.as_bytes()));
}

/// A sandbox that lets a child ask to be traced, and then does not let its parent trace.
fn half_a_sandbox() -> std::io::Result<()> {
    let step = |code: u32, jt, jf, k| libc::sock_filter { code: code.try_into().unwrap(), jt, jf, k };
    let (load, compare) =
        (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K);
    let mut program = [
        step(load, 0, 0, 0),
        step(compare, 0, 3, libc::SYS_ptrace.try_into().unwrap()),
        // The low half of the first argument: the request.
        step(load, 0, 0, 16),
        step(compare, 0, 1, libc::PTRACE_SETOPTIONS),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned()),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: 6, filter: program.as_mut_ptr() };
    // SAFETY: no pointers are passed.
    let code = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(code, 0);
    // SAFETY: `filter` describes `program`, which outlives the call.
    let code = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) };
    if code == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[test]
fn where_tracing_is_refused_half_way_the_next_way_is_taken() {
    let bench = ways();
    let mut command = by(&bench, "graft,constructor", "perl", &["-e", "print $ENV{PASSWORD}; exit 3"]);
    // SAFETY: between fork and exec the closure makes system calls alone.
    unsafe { command.pre_exec(half_a_sandbox) };
    let output = command.output().unwrap();
    assert_eq!((output.status.code(), said_of(&output).as_str()), (Some(3), CANARY), "{}", told(&output));
    assert!(told(&output).contains("by constructor (graft: tracing is refused"), "{}", told(&output));
}

#[test]
fn where_no_way_is_left_nothing_is_started() {
    let bench = ways();
    let output = untraced(by(&bench, "graft", "touch", &["started"]));
    assert_eq!(output.status.code(), Some(123));
    assert_eq!(
        told(&output),
        "no way that CLOUDTASER_DELIVERY allows reaches the program (graft: tracing is refused, perhaps by the \
         seccomp filter that is on us)\n"
    );
    assert!(!bench.path("started").exists());
}

#[test]
fn a_static_program_is_refused_by_name_unless_a_later_way_reaches_it() {
    let bench = ways();
    let Some(program) = bench.compiled("static", GETENV, &["-static"]) else {
        return skip("a_static_program_is_refused_by_name", "cc", "no C compiler here");
    };
    let file = fs::canonicalize(&program).unwrap();
    let reason = format!("{} is linked statically", file.display());
    let script = bench.script("by-static", &format!("#!{program}\n"));
    for program in [&program, &script] {
        let output = by(&bench, "constructor,getenv", program, &[]).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(123), &b""[..]));
        let expected = format!(
            "no way that CLOUDTASER_DELIVERY allows reaches the program (constructor: {reason}; getenv: {reason})\n"
        );
        assert_eq!(told(&output), expected);
    }
    let output = by(&bench, "constructor,graft", &program, &[]).output().unwrap();
    assert_eq!(found(String::from_utf8_lossy(&output.stdout).trim_end()), Some(Value));
    let expected = format!("cloudtaser-wrapper: values reach the program by graft (constructor: {reason})\n");
    assert_eq!(told(&output), expected);
}

#[test]
fn in_clear_only_where_it_is_named_and_never_in_silence() {
    let bench = ways();
    let look = "open F, '</proc/self/environ'; local $/; $e = <F>; print \"$ENV{PASSWORD} \", $e =~ /PASSWORD=(.*?)\\0/";
    let output = untraced(by(&bench, "graft,environ", "perl", &["-e", look]));
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{CANARY} {CANARY}"));
    let said = told(&output);
    assert!(
        said.starts_with("cloudtaser-wrapper: INSECURE: values stand in the program's environment in clear")
    );
    assert!(
        said.ends_with("(graft: tracing is refused, perhaps by the seccomp filter that is on us)\n"),
        "{said}"
    );
    let mut command = by(&bench, "environ", "env", &[]);
    command.env("PASSWORD", "of the image");
    let shown = said_of(&command.output().unwrap());
    let entries: Vec<&str> = shown.lines().filter(|line| line.starts_with("PASSWORD=")).collect();
    assert_eq!(entries, [format!("PASSWORD={CANARY}")]);
}

fn said_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_static_program_behind_a_script_is_seen_and_told() {
    let bench = ways();
    let Some(program) = bench.compiled("holder", HOLDER, &["-static"]) else {
        return skip("a_static_program_behind_a_script", "cc", "no C compiler here");
    };
    let mut command = by(&bench, CONSTRUCTOR, "sh", &["-c", &format!("{program}; true")]);
    let mut wrapper =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(wrapper.stderr.take().unwrap()).lines();
    let told = lines.map(Result::unwrap).find(|line| line.contains("has references and no values"));
    drop(wrapper.stdin.take());
    assert!(wrapper.wait().unwrap().success());
    let told = told.unwrap();
    let expected = format!("({program}) has references and no values: it is linked statically");
    assert!(told.starts_with("cloudtaser-wrapper: process ") && told.ends_with(&expected), "{told}");
}

#[test]
fn a_program_that_a_script_kept_from_our_library_is_seen_and_told() {
    let bench = ways();
    let Some(program) = bench.compiled("holder", HOLDER, &[]) else {
        return skip("a_program_that_a_script_kept_from_our_library", "cc", "no C compiler here");
    };
    for script in [format!("LD_PRELOAD= {program}; true"), format!("exec 199<&-; {program} 2>&-; true")] {
        // dash knows descriptors of one digit alone.
        let mut command = by(&bench, CONSTRUCTOR, "bash", &["-c", &script]);
        let mut wrapper =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(wrapper.stderr.take().unwrap()).lines();
        let told = lines.map(Result::unwrap).find(|line| line.contains("has references and no values"));
        drop(wrapper.stdin.take());
        wrapper.wait().unwrap();
        let expected = format!(
            "({program}) has references and no values: it did not load our library (LD_PRELOAD changed, or \
             descriptors closed)"
        );
        assert!(told.as_ref().is_some_and(|told| told.ends_with(&expected)), "{script}: {told:?}");
    }
}

#[test]
fn a_process_that_is_not_of_the_tree_is_not_answered() {
    let bench = ways();
    let ask = r"
import glob, os, socket, sys
names = {line.split()[-1] for line in open('/proc/net/unix') if len(line.split()) == 8}
names = [name for name in names if len(name) == 33 and name[0] == '@']
answers = 0
for name in names:
    line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    # Others of this machine have names of that length too, and need not answer.
    line.settimeout(1)
    try:
        line.connect('\0' + name[1:])
        line.send(sys.argv[1].encode() + b'\0')
        answers += len(line.recv(100)) > 0
    except OSError:
        pass
print(len(names) > 0, answers)
";
    if !installed("python3") {
        return skip("a_process_that_is_not_of_the_tree", "python3", "it is not installed");
    }
    let mut command = by(&bench, CONSTRUCTOR, "sh", &["-c", "echo $PASSWORD; read x"]);
    let mut wrapper = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut reference = String::new();
    BufReader::new(wrapper.stdout.take().unwrap()).read_line(&mut reference).unwrap();
    let entry = format!("PASSWORD={}", reference.trim_end());
    let stranger = Command::new("python3").args(["-c", ask, &entry]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&stranger.stdout), "True 0\n");
    drop(wrapper.stdin.take());
    wrapper.wait().unwrap();
    let own = r#"exec python3 -c "$ASK" "PASSWORD=$PASSWORD""#;
    let mut command = by(&bench, CONSTRUCTOR, "sh", &["-c", own]);
    command.env("ASK", ask);
    assert_eq!(said(command), "True 1", "one of the tree is");
}

/// The whole wrapper, with what it gave up and what it may still do.
#[test]
fn a_released_secret_reaches_a_program_that_may_not_be_traced() {
    for (delivery, program) in [("graft,constructor", "perl"), ("graft,getenv", "node")] {
        if !installed(program) {
            skip("a_released_secret_reaches_a_program", program, "it is not installed");
            continue;
        }
        let stage = Stage::new(vec![Answer::Release]);
        let script = if program == "perl" {
            "print $ENV{PGPASSWORD}"
        } else {
            "process.stdout.write(process.env.PGPASSWORD)"
        };
        let mut wrapper = stage.wrapper("sh", &["-c", &format!("sleep 1.2; exec {program} -e '{script}'")]);
        wrapper.env("CLOUDTASER_DELIVERY", delivery);
        let output = untraced(wrapper);
        assert_eq!(said_of(&output), CANARY, "{delivery}: {}", told(&output));
        assert!(told(&output).contains("(graft: tracing is refused"), "{}", told(&output));
        assert_eq!(stage::apart(&told(&output)).0.lines().count(), 1, "{}", told(&output));
    }
    let stage = Stage::new(vec![Answer::Release]);
    let mut wrapper = stage.wrapper("perl", &["-e", "print $ENV{PGPASSWORD}"]);
    wrapper.env("CLOUDTASER_DELIVERY", "environ");
    let output = wrapper.output().unwrap();
    assert_eq!(said_of(&output), CANARY);
    assert!(told(&output).contains("INSECURE: values stand"), "{}", told(&output));
}

/// What a container of the restricted kind has: no user of consequence, a file system that cannot be written to, no
/// directory to run anything from, one page of locked memory to spare, and memory that may not be executed.
#[test]
fn a_strict_container_is_no_obstacle() {
    if !installed("unshare") || !makes_namespaces() {
        return skip("a_strict_container_is_no_obstacle", "unshare", "namespaces are refused to this user");
    }
    let bench = ways();
    let strict = "mount --make-rprivate / && mount -t tmpfs -o noexec,nosuid tmpfs /run && mount -o remount,ro,bind / \
                  && echo 2 > /proc/sys/vm/memfd_noexec; ulimit -l 64; exec setpriv --reuid 65534 --regid 65534 \
                  --clear-groups --bounding-set -all --no-new-privs \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", strict, "sh"]);
    command.arg(bench.path("interpose")).arg(bench.path("secrets")).args([CONSTRUCTOR, "sh", "-c"]);
    command.arg("perl -e 'print \"$> $ENV{PASSWORD}\"'");
    assert_eq!(said(command), format!("65534 {CANARY}"));
}

fn makes_namespaces() -> bool {
    let tried = Command::new("unshare").args(["--mount", "--pid", "--fork", "--mount-proc", "true"]).output();
    tried.is_ok_and(|tried| tried.status.success())
}

#[test]
fn files_are_answered_to_a_program_that_fetches_its_values_itself() {
    let stage = Stage::new(vec![Answer::Release]);
    let read = "open F, '<', $ENV{PGPASSWORD_FILE} or die $!; print <F>, \" $ENV{PGUSER}\"";
    let mut wrapper = stage.wrapper("perl", &["-e", read]);
    wrapper.env("CLOUDTASER_ENV_MAP", "password=@PGPASSWORD_FILE,user=PGUSER");
    let output = untraced({
        wrapper.env("CLOUDTASER_DELIVERY", "graft,constructor");
        wrapper
    });
    assert_eq!(said_of(&output), format!("{CANARY} app"), "{}", told(&output));
}
