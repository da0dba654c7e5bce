//! Secrets that a token reads, from a real OpenBao over TLS; and what root finds of them in memory meanwhile.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

mod bao;
mod faults;
mod kubernetes;
mod postgres;
mod renew;
mod scan;

use std::fs;
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use serde_json::json;

use bao::{Bao, Slow};

/// One for all that do not seal it.
static BAO: LazyLock<Option<Bao>> = LazyLock::new(Bao::start);

const CANARY: &str = "canary-8d21f0aa-value";

fn skip(test: &str, feature: &str) {
    let required = std::env::var_os("REQUIRE").unwrap_or_default();
    let required = required.to_string_lossy().split(',').any(|required| required == feature);
    assert!(!required, "{test} needs {feature}");
    println!("SKIP {test}: no {feature}");
}

fn bao(test: &str) -> Option<&'static Bao> {
    if BAO.is_none() {
        skip(test, "bao");
    }
    BAO.as_ref()
}

/// What went wrong; how well the program is protected is told every time.
fn errors(output: &Output) -> String {
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    told.lines()
        .filter(|line| !line.starts_with("cloudtaser-wrapper: protection "))
        .collect::<Vec<_>>()
        .join("\n")
}

fn says(output: &Output) -> String {
    assert!(output.status.success(), "{:?}: {}", output.status, errors(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn secrets_of_both_versions_of_the_engine_reach_the_program() {
    let Some(bao) = bao("secrets_of_both_versions_of_the_engine_reach_the_program") else { return };
    bao.put("kv1/both", &json!({ "password": CANARY, "port": 5432, "on": true, "deep": { "a": [1] } }));
    bao.put(
        "secret/data/both",
        &json!({ "data": { "pem": "-----BEGIN X-----\nAA==\n-----END X-----\n", "odd": "é\"\\\t<&>" } }),
    );
    let print = "print join '|', map { $ENV{$_} } qw(A B C D E F G)";
    let map = "password=A,port=B,on=C,deep=D,password=E;pem=F,odd=G";
    let output = bao.wrapper("kv1/both,secret/data/both", map, &["perl", "-e", print]).output().unwrap();
    let expected = format!(
        "{CANARY}|5432|true|{{\"a\":[1]}}|{CANARY}|-----BEGIN X-----\nAA==\n-----END X-----\n|é\"\\\t<&>"
    );
    assert_eq!(says(&output), expected);
    assert_eq!(errors(&output), "");
}

/// A value is data, whatever it looks like; and only what was made by a write says itself when it ends.
#[test]
fn a_value_that_looks_like_an_answer_is_a_value() {
    let Some(bao) = bao("a_value_that_looks_like_an_answer_is_a_value") else { return };
    let odd = r#"x"},"lease_id":"forged","lease_duration":1,"data":{"y":""#;
    bao.put("kv1/odd", &json!({ "password": odd, "expiration": 1 }));
    let mut command = bao.wrapper("kv1/odd", "password=A", &["perl", "-e", "sleep 3; print $ENV{A}"]);
    assert_eq!(says(&command.output().unwrap()), odd);
}

/// No variable could hold it.
#[test]
fn a_value_of_a_mebibyte_is_read_from_a_file() {
    let Some(bao) = bao("a_value_of_a_mebibyte_is_read_from_a_file") else { return };
    bao.put("kv1/large", &json!({ "a": "x".repeat(1 << 20) }));
    let read = "open F, '<', $ENV{LARGE} or die $!; local $/; print length <F>";
    let output = bao.wrapper("kv1/large", "a=@LARGE", &["perl", "-e", read]).output().unwrap();
    assert_eq!(says(&output), (1 << 20).to_string());
}

#[test]
fn a_token_goes_along_where_the_program_takes_our_place() {
    let Some(bao) = bao("a_token_goes_along_where_the_program_takes_our_place") else { return };
    bao.put("kv1/place", &json!({ "a": CANARY }));
    let print = "print $ENV{A}, $ENV{VAULT_TOKEN} // ''";
    let mut wrapper = bao.wrapper("kv1/place", "a=A", &["perl", "-e", print]);
    let output = wrapper.env("CLOUDTASER_SUPERVISE", "false").output().unwrap();
    assert_eq!(says(&output), CANARY);
}

#[test]
fn a_certificate_is_issued_with_its_parameters() {
    let Some(bao) = bao("a_certificate_is_issued_with_its_parameters") else { return };
    bao.say(&["secrets", "enable", "pki"]);
    bao.say(&["write", "pki/root/generate/internal", "common_name=authority.example", "ttl=24h"]);
    bao.say(&["write", "pki/roles/web", "allow_any_name=true", "max_ttl=2h", "key_type=ec", "key_bits=256"]);
    let print = "print $ENV{KEY}, $ENV{CERTIFICATE}";
    let path = "pki/issue/web?common_name=app.example&ttl=1h";
    let output = bao
        .wrapper(path, "private_key=KEY,certificate=CERTIFICATE", &["perl", "-e", print])
        .output()
        .unwrap();
    let pems = says(&output);
    assert!(pems.contains("-----BEGIN EC PRIVATE KEY-----\n"), "{}", pems.len());
    let certificate = &pems[pems.find("-----BEGIN CERTIFICATE-----\n").unwrap()..];
    let mut read = Command::new("sh");
    read.arg("-c").arg("echo \"$0\" | openssl x509 -noout -ext subjectAltName").arg(certificate);
    let read = String::from_utf8(read.output().unwrap().stdout).unwrap();
    assert!(read.contains("DNS:app.example"), "{read}");
}

#[test]
fn an_openbao_that_is_sealed_is_told_as_such() {
    let Some(bao) = Bao::start() else { return skip("an_openbao_that_is_sealed_is_told_as_such", "bao") };
    bao.seal();
    let output = bao.wrapper("kv1/x", "a=A", &["echo", "started"]).output().unwrap();
    assert!(errors(&output).contains("OpenBao answered 503: Vault is sealed"), "{}", errors(&output));
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(121), b"".as_slice()));
}

#[test]
fn sixty_four_kib_of_locked_memory_do_and_less_is_told_with_both_figures() {
    let name = "sixty_four_kib_of_locked_memory_do_and_less_is_told_with_both_figures";
    let Some(bao) = bao(name) else { return };
    bao.put("kv1/small", &json!({ "a": CANARY, "more": "x".repeat(12_000) }));
    let print = ["perl", "-e", "print \"$ENV{A} \", length $ENV{B}"];
    let output = bao.limited(64, "kv1/small", "a=A,more=B", &print).output().unwrap();
    assert_eq!((says(&output), errors(&output)), (format!("{CANARY} 12000"), String::new()));
    let output = bao.limited(4, "kv1/small", "a=A,more=B", &print).output().unwrap();
    let told = errors(&output);
    assert!(told.contains("more locked bytes, RLIMIT_MEMLOCK allows 4096 in all"), "{told}");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(123), b"".as_slice()), "{told}");
    let mut degraded = bao.limited(4, "kv1/small", "a=A,more=B", &print);
    let output = degraded.env("CLOUDTASER_MEMORY", "locked").output().unwrap();
    assert!(errors(&output).contains("INSECURE: there was no secret memory"), "{}", errors(&output));
    assert_eq!(says(&output), format!("{CANARY} 12000"));
}

/// Bytes of answers that are let through between two looks. The handshake is in the first ones.
const STEP: usize = 3_000;

/// The server is slowed down, and stopped again and again in the middle of its answers; each time root looks at the memory
/// of every process of the wrapper for the value, which stands in the answer many times, and for the token.
#[test]
fn root_finds_neither_value_nor_token_while_they_are_fetched_nor_afterwards() {
    let name = "root_finds_neither_value_nor_token_while_they_are_fetched_nor_afterwards";
    let Some(bao) = bao(name) else { return };
    let token = "canary-token-77aa0b1c";
    bao.say(&["token", "create", &format!("-id={token}"), "-policy=root"]);
    bao.put("kv1/scanned", &json!({ "a": CANARY, "b": CANARY.repeat(1500), "c": format!("{CANARY}\n") }));
    let slow = Slow::before(bao.port);
    let mut command =
        bao.wrapper("kv1/scanned", "a=A,b=B,c=C", &["perl", "-e", "$| = 1; print 'ready'; sleep 60"]);
    command.env("VAULT_ADDR", format!("https://127.0.0.1:{}", slow.port)).env("VAULT_TOKEN", token);
    let mut wrapper = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut looks = 0;
    while slow.waits.recv_timeout(Duration::from_secs(30)).is_ok() {
        // What has come is worked on.
        thread::sleep(Duration::from_millis(20));
        look(wrapper.id(), token);
        looks += 1;
        slow.let_through(STEP);
    }
    assert!(looks > 10, "{looks} looks in the middle of about 35 kB");
    let mut ready = [0; 5];
    std::io::Read::read_exact(wrapper.stdout.as_mut().unwrap(), &mut ready).unwrap();
    look(wrapper.id(), token);
    Command::new("kill").arg(wrapper.id().to_string()).status().unwrap();
    wrapper.wait().unwrap();
}

fn look(pid: u32, token: &str) {
    let family = scan::family(pid, "cloudtaser-wrapper");
    assert!(!family.is_empty());
    for member in family {
        // It is told what to fetch in ordinary memory; on a busy machine some time after it is there.
        let finds = || !scan::places_of(member, "kv1/scanned").is_empty();
        let told = (0..500).any(|_| {
            finds() || {
                thread::sleep(Duration::from_millis(10));
                false
            }
        });
        assert!(told, "the scan works on ordinary memory");
        for secret in [CANARY, token, &CANARY[7..19]] {
            assert_eq!(scan::places_of(member, secret), Vec::<String>::new(), "{secret} in process {member}");
        }
    }
}

/// The scan is worth nothing if it finds nothing where there is something.
#[test]
fn the_scan_finds_what_is_on_the_heap_and_in_the_environment() {
    let script = "$a = join '-', qw(canary 5 heap); print 'ready'; $| = 1; sleep 60";
    let mut perl = Command::new("perl");
    let mut perl =
        perl.args(["-e", script]).env("HELD", "canary-6-environment").stdout(Stdio::piped()).spawn().unwrap();
    thread::sleep(Duration::from_millis(300));
    let exe = fs::read_link(format!("/proc/{}/exe", perl.id())).unwrap();
    assert_eq!(scan::family(perl.id(), exe.file_name().unwrap().to_str().unwrap()), [perl.id()]);
    let heap = scan::places_of(perl.id(), "canary-5-heap");
    let environment = scan::places_of(perl.id(), "canary-6-environment");
    perl.kill().unwrap();
    perl.wait().unwrap();
    assert!(heap.iter().any(|place| place.contains("[heap]")), "{heap:?}");
    assert!(environment.iter().any(|place| place.contains("[stack]")), "{environment:?}");
    assert!(environment.contains(&"environ".to_owned()), "{environment:?}");
}

#[test]
fn no_descriptor_of_secret_memory_is_open_while_an_answer_is_waited_for() {
    let name = "no_descriptor_of_secret_memory_is_open_while_an_answer_is_waited_for";
    let Some(bao) = bao(name) else { return };
    bao.put("kv1/waited", &json!({ "a": CANARY, "b": "x".repeat(20_000) }));
    let slow = Slow::before(bao.port);
    let mut command = bao.wrapper("kv1/waited", "a=A,b=B", &["true"]);
    command.env("VAULT_ADDR", format!("https://127.0.0.1:{}", slow.port));
    let mut wrapper = command.spawn().unwrap();
    for _ in 0..5 {
        slow.waits.recv_timeout(Duration::from_secs(30)).unwrap();
        thread::sleep(Duration::from_millis(20));
        for member in scan::family(wrapper.id(), "cloudtaser-wrapper") {
            assert_eq!(scan::open_secret_memory(member), 0, "process {member}");
        }
        slow.let_through(STEP);
    }
    slow.let_through(usize::MAX);
    assert!(wrapper.wait().unwrap().success());
}
