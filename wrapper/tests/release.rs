//! The whole wrapper against a node agent and an OpenBao that are played by threads of this test, and
//! against a real OpenBao that is sealed or gone. The whole path with a real plugin is `cargo xtask demo`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

#[expect(dead_code, reason = "other test programs use the rest")]
mod bench;
#[expect(dead_code, reason = "other test programs use the rest")]
mod stage;
#[expect(dead_code, reason = "other test programs use the rest")]
mod theft;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::FileExt as _;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use hpke::kem::XWing;
use hpke::{Deserializable as _, Kem as _, Serializable as _};

use bench::{CANARY, skip};
use stage::{Answer, Stage, apart};

fn told(output: &Output) -> String {
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(!told.contains(CANARY), "{told}");
    apart(&told).0
}

#[test]
fn a_released_secret_reaches_the_program_and_no_log() {
    let stage = Stage::new(vec![Answer::Release]);
    let output = stage.wrapper("perl", &["-e", "print \"$ENV{PGPASSWORD} $ENV{PGUSER}\""]).output().unwrap();
    assert_eq!(told(&output), "");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{CANARY} app"));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn who_asks_for_help_gets_it_and_nothing_is_started() {
    let output = Command::new(env!("CARGO_BIN_EXE_cloudtaser-wrapper")).arg("--help").output().unwrap();
    assert_eq!((told(&output).as_str(), output.status.code()), ("", Some(0)));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("cloudtaser-wrapper [--] PROGRAM") && said.contains("  VAULT_ADDR "), "{said}");
}

#[test]
fn several_secrets_are_released_each_for_its_own_purpose() {
    let stage = Stage::new(vec![Answer::Release, Answer::Release]);
    let mut wrapper = stage.wrapper("perl", &["-e", "print \"$ENV{A} $ENV{B}\""]);
    wrapper
        .env("CLOUDTASER_SECRET_PATHS", "db,attest-keys/release/api")
        .env("CLOUDTASER_ENV_MAP", "user=A;password=B");
    let output = wrapper.output().unwrap();
    assert_eq!(told(&output), "");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("app {CANARY}"));
    assert_eq!(stage.purposes(), ["attest-keys/release/db", "attest-keys/release/api"]);
}

/// RFC 6234's `abc`; the line's end is the file's, not the token's.
#[test]
fn a_workloads_token_goes_along_and_the_hardware_signs_its_digest() {
    let stage = Stage::new(vec![Answer::Release, Answer::Release]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    fs::write(&file, "abc\n").unwrap();
    let mut wrapper = stage.wrapper("perl", &["-e", "print $ENV{PGUSER}"]);
    wrapper.env("CLOUDTASER_WORKLOAD_TOKEN_FILE", &file);
    let output = wrapper.output().unwrap();
    assert_eq!(told(&output), "");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "app");
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(stage.purposes(), [format!("attest-keys/release/db#workload={digest}")]);
    assert_eq!(stage.workloads(), [(Some(digest.to_owned()), Some("abc".to_owned()))]);
    // It is nobody's business unless it was named.
    stage.wrapper("true", &[]).output().unwrap();
    assert_eq!(stage.workloads()[1..], [(None, None)]);
}

#[test]
fn without_the_workloads_token_that_was_named_nothing_is_asked_for() {
    let stage = Stage::new(vec![]);
    let mut wrapper = stage.wrapper("touch", &["/nonexistent/started"]);
    wrapper.env("CLOUDTASER_WORKLOAD_TOKEN_FILE", "/nonexistent/token");
    let output = wrapper.output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    let told = told(&output);
    assert!(told.contains("workload token /nonexistent/token: No such file or directory"), "{told}");
    assert_eq!(stage.purposes(), [""; 0]);
}

#[test]
fn a_secret_is_not_taken_for_another_that_was_released_before() {
    let stage = Stage::new(vec![Answer::Release, Answer::SealedToTheFirst]);
    let mut wrapper = stage.wrapper("touch", &["/nonexistent/started"]);
    wrapper.env("CLOUDTASER_SECRET_PATHS", "db,api").env("CLOUDTASER_ENV_MAP", "password=ONE;password=TWO");
    let output = wrapper.output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    let told = told(&output);
    assert!(told.contains("the sealed secret does not open with our key"), "{told}");
}

#[test]
fn the_child_keeps_its_environment_but_no_token_of_ours() {
    let stage = Stage::new(vec![Answer::Release]);
    let mut wrapper = stage.wrapper(
        "perl",
        &["-e", "print join ' ', map { \"$_=\" . ($ENV{$_} // '') } qw(OTHER VAULT_TOKEN BAO_TOKEN)"],
    );
    wrapper.env("OTHER", "kept").env("VAULT_TOKEN", "s.one").env("BAO_TOKEN", "s.two");
    let output = wrapper.output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "OTHER=kept VAULT_TOKEN= BAO_TOKEN=");
}

#[test]
fn the_wrapper_that_stays_holds_nothing_that_root_can_read() {
    let stage = Stage::new(vec![Answer::Release]);
    let mut command = stage.wrapper("sh", &["-c", "exec perl -e '$| = 1; print \"ready\\n\"; sleep 60'"]);
    let mut wrapper = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(wrapper.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let pid = wrapper.id().try_into().unwrap();
    assert!(theft::whole_memory_holds(pid, "attest-keys"), "the search works on ordinary memory");
    assert!(!theft::whole_memory_holds(pid, CANARY));
    assert_eq!(theft::mappable_secret(pid, CANARY), None);
    let kill = Command::new("kill").arg(wrapper.id().to_string()).status().unwrap();
    assert!(kill.success());
    wrapper.wait().unwrap();
    let mut errors = String::new();
    wrapper.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(apart(&errors).0, "");
}

/// The main stack of a process, as root reads it.
fn stack(pid: i32) -> Vec<u8> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let range = maps.lines().find(|line| line.ends_with("[stack]")).unwrap().split(' ').next().unwrap();
    let (from, to) = range.split_once('-').unwrap();
    let [from, to] = [from, to].map(|end| u64::from_str_radix(end, 16).unwrap());
    let mut bytes = vec![0; to.checked_sub(from).unwrap().try_into().unwrap()];
    fs::File::open(format!("/proc/{pid}/mem")).unwrap().read_exact_at(&mut bytes, from).unwrap();
    bytes
}

/// A private key of X-Wing is 32 bytes; every word of the stack is tried as the beginning of one.
#[test]
fn the_half_that_fetches_leaves_no_private_key_on_its_stack() {
    let stage = Stage::new(vec![Answer::HangUp; 50]);
    let mut wrapper = stage.wrapper("true", &[]);
    wrapper.env("CLOUDTASER_RELEASE_TIMEOUT", "30").stderr(Stdio::null());
    let mut wrapper = wrapper.spawn().unwrap();
    while stage.offered().is_empty() {
        thread::sleep(Duration::from_millis(10));
    }
    let id = wrapper.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    // The first is the stem.
    let stack = stack(children.split_whitespace().nth(1).unwrap().parse().unwrap());
    assert!(Command::new("kill").arg(id.to_string()).status().unwrap().success());
    assert_eq!(wrapper.wait().unwrap().code(), Some(143));

    let public = &stage.offered()[0];
    let looks_random = |bytes: &&[u8]| bytes.windows(3).all(|bytes| bytes != [0; 3]);
    let candidates = stack.windows(32).step_by(4).filter(looks_random);
    let found = candidates.filter(|bytes| {
        let private = <XWing as hpke::Kem>::PrivateKey::from_bytes(bytes).unwrap();
        XWing::sk_to_pk(&private).to_bytes().as_slice() == public
    });
    assert_eq!(found.count(), 0);
}

#[test]
fn a_refusal_is_told_check_by_check_and_the_program_not_started() {
    let stage = Stage::new(vec![Answer::Refuse]);
    let output = stage.wrapper("perl", &["-e", "print 'started'"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"");
    let expected = "cloudtaser-wrapper: OpenBao refused the release, decision abab\n\
        cloudtaser-wrapper:   snp.policy.debug: expected off, found on\n\
        cloudtaser-wrapper:   snp.measurement: expected one of 2, found ff?[0m\n\
        cloudtaser-wrapper: nothing was released\n";
    assert_eq!(told(&output), expected);
}

#[test]
fn an_openbao_that_comes_back_is_waited_for_with_a_fresh_challenge() {
    let stage = Stage::new(vec![Answer::Unavailable, Answer::HangUp, Answer::Release]);
    let output = stage.wrapper("perl", &["-e", "print $ENV{PGUSER}"]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout.clone()).unwrap(), "app");
    let told = told(&output);
    assert!(told.contains("OpenBao answered 503: Vault is sealed; asking again in "), "{told}");
    assert_eq!(stage.challenges(), 3);
}

#[test]
fn malformed_answers_are_refused_by_name() {
    for (answer, expected) in [
        (Answer::Text("{"), "malformed answer of OpenBao: EOF while parsing an object at line 1 column 1"),
        (Answer::Text("{\"data\":{}}"), "malformed answer of OpenBao: missing field `decision`"),
        (
            Answer::SealedToAnother,
            "the sealed secret does not open with our key, its decision, version and lease",
        ),
        (Answer::OtherLease, "the sealed secret does not open with our key, its decision, version and lease"),
        (Answer::Endless, "answer of OpenBao too long: at most 2097152 bytes"),
        (
            Answer::Fields(&[("password", b"a\0b"), ("user", b"app")]),
            "the value for PGPASSWORD contains a NUL byte, an environment variable cannot hold it",
        ),
        (Answer::NoFields, "secret db has no field password"),
        (Answer::NotASecret, "released secret: secret is truncated"),
    ] {
        let stage = Stage::new(vec![answer]);
        let output = stage.wrapper("perl", &["-e", "print 'started'"]).output().unwrap();
        let told = told(&output);
        assert!(told.contains(expected), "{expected}: {told}");
        let of_the_secret = matches!(answer, Answer::Fields(_) | Answer::NoFields | Answer::NotASecret);
        let code = if of_the_secret { 122 } else { 125 };
        assert_eq!(
            (output.status.code(), output.stdout.as_slice()),
            (Some(code), b"".as_slice()),
            "{expected}"
        );
    }
}

#[test]
fn an_agent_that_is_absent_is_told_with_its_path() {
    let stage = Stage::new(vec![]);
    let mut wrapper = stage.wrapper("perl", &["-e", "print 'started'"]);
    let output = wrapper.env("CLOUDTASER_AGENT_SOCKET", "/nowhere/agent.sock").output().unwrap();
    let told = told(&output);
    let expected = "node agent at /nowhere/agent.sock: No such file or directory (os error 2); is it running";
    assert!(told.contains(expected), "{told}");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(121), b"".as_slice()));
}

#[test]
fn an_agent_without_hardware_is_believed_at_once() {
    let mut stage = Stage::new(vec![]);
    stage.break_agent();
    let output = stage.wrapper("perl", &["-e", "print 'started'"]).output().unwrap();
    let expected = "cloudtaser-wrapper: node agent: agent.platform: no hardware here\ncloudtaser-wrapper: nothing was released\n";
    assert_eq!(told(&output), expected);
    assert_eq!(output.status.code(), Some(125));
}

#[test]
fn sigterm_while_waiting_ends_the_wrapper_at_once() {
    let stage = Stage::new(vec![]);
    let mut command = stage.wrapper("perl", &["-e", "print 'started'"]);
    command.env("CLOUDTASER_AGENT_SOCKET", "/nowhere/agent.sock").env("CLOUDTASER_RELEASE_TIMEOUT", "60");
    let mut wrapper = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(wrapper.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(told.any(|line| line.contains("asking again")));
    let start = Instant::now();
    assert!(Command::new("kill").arg(wrapper.id().to_string()).status().unwrap().success());
    assert_eq!(wrapper.wait().unwrap().code(), Some(143));
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn all_configuration_problems_are_printed_together() {
    let output = Command::new(env!("CARGO_BIN_EXE_cloudtaser-wrapper")).env_clear().output().unwrap();
    let expected = "cloudtaser-wrapper: 5 problem(s) in the configuration\n  \
        VAULT_AUTH_ROLE: not set, and VAULT_AUTH_METHOD kubernetes logs in\n  \
        VAULT_ADDR: not set\n  CLOUDTASER_SECRET_PATHS: not set\n  CLOUDTASER_ENV_MAP: not set\n  \
        command: no program to run\n";
    assert_eq!(told(&output), expected);
    assert_eq!(output.status.code(), Some(120));
}

#[test]
fn unverified_servers_are_announced_loudly() {
    let stage = Stage::new(vec![Answer::Release]);
    let output = stage.wrapper("true", &[]).env("VAULT_SKIP_VERIFY", "true").output().unwrap();
    let expected =
        "cloudtaser-wrapper: INSECURE: VAULT_SKIP_VERIFY is set, any server can answer for OpenBao\n";
    assert_eq!(told(&output), expected);
}

#[test]
fn a_real_openbao_that_is_sealed_and_then_gone_is_told_as_such() {
    let Some(bao) = stage::real_openbao(None) else {
        return skip(
            "a_real_openbao_that_is_sealed_and_then_gone_is_told_as_such",
            "bao",
            "no bao in PATH or CLOUDTASER_BAO",
        );
    };
    let stage = Stage::new(vec![]);
    let run = |code| {
        let mut wrapper = stage.wrapper("perl", &["-e", "print 'started'"]);
        let output = wrapper.env("VAULT_ADDR", bao.address()).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(code), b"".as_slice()));
        told(&output)
    };
    let unmounted = run(125);
    assert!(unmounted.contains("OpenBao answered 4"), "{unmounted}");
    bao.seal();
    let sealed = run(121);
    assert!(sealed.contains("OpenBao answered 503: Vault is sealed"), "{sealed}");
    let address = bao.address();
    drop(bao);
    let output = stage.wrapper("true", &[]).env("VAULT_ADDR", address).output().unwrap();
    assert!(told(&output).contains("Connection refused"), "{output:?}");
}

#[test]
fn a_server_that_nobody_vouches_for_is_not_asked() {
    let stage = Stage::new(vec![]);
    let dir = tempfile::tempdir().unwrap();
    let Some(bao) = stage::real_openbao(Some(dir.path())) else {
        return skip(
            "a_server_that_nobody_vouches_for_is_not_asked",
            "bao",
            "no bao in PATH or CLOUDTASER_BAO",
        );
    };
    let run = |authority: &std::path::Path, code| {
        let mut wrapper = stage.wrapper("perl", &["-e", "print 'started'"]);
        let output =
            wrapper.env("VAULT_ADDR", bao.address()).env("VAULT_CACERT", authority).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(code), b"".as_slice()));
        told(&output)
    };
    let known = run(&dir.path().join("vault-ca.pem"), 125);
    assert!(known.contains("OpenBao answered 4"), "{known}");
    let unknown = run(&stage.certificate(), 121);
    assert!(unknown.contains("invalid peer certificate: UnknownIssuer"), "{unknown}");
}

/// Seeds and values share a page: in the fetcher, in the keeper, and in the program.
#[test]
fn one_page_of_locked_memory_is_enough_for_several_sealed_secrets() {
    use std::os::unix::fs::PermissionsExt as _;
    let stage = Stage::new(vec![Answer::Release, Answer::Release]);
    let dir = stage.certificate().parent().unwrap().to_owned();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(dir.join("agent.sock"), fs::Permissions::from_mode(0o777)).unwrap();
    let full = stage.wrapper("perl", &["-e", "print \"$ENV{A} $ENV{B}\""]);
    let mut limited = Command::new("setpriv");
    limited.args(["--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c"]);
    // Where it was built the user may not look.
    let own = dir.join("wrapper");
    assert!(Command::new("cp").arg(full.get_program()).arg(&own).status().unwrap().success());
    limited.arg("ulimit -l 4 && exec \"$0\" \"$@\"").arg(own).args(full.get_args());
    limited.envs(full.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited
        .env("CLOUDTASER_SECRET_PATHS", "db,api")
        .env("CLOUDTASER_ENV_MAP", "user=A;password=B")
        .env("CLOUDTASER_ROTATION_STRATEGY", "none");
    let output = limited.output().unwrap();
    assert_eq!(told(&output), "");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("app {CANARY}"));
}
