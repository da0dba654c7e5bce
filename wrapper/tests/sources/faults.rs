//! What can stand in the way of a secret: each is told by its name, with a code of its own, and no program is started.

use serde_json::json;

use super::{CANARY, bao, errors};

/// One thing that is wrong.
struct Fault {
    path: &'static str,
    map: &'static str,
    /// A variable that is another than it should be.
    change: Option<(&'static str, &'static str)>,
    code: i32,
    told: &'static str,
}

const fn asking(path: &'static str, map: &'static str, code: i32, told: &'static str) -> Fault {
    Fault { path, map, change: None, code, told }
}

const fn with(name: &'static str, value: &'static str, code: i32, told: &'static str) -> Fault {
    Fault { path: "kv1/bad", map: "a=A", change: Some((name, value)), code, told }
}

const FAULTS: &[Fault] = &[
    asking("kv1/none", "a=A", 122, "secret kv1/none: OpenBao answered 404: no reason given"),
    asking("nowhere/x", "a=A", 122, "secret nowhere/x: OpenBao answered 404: no handler for route"),
    asking(
        "secret/both",
        "a=A",
        122,
        "secret secret/both: OpenBao answered 404: Invalid path for a versioned K/V secrets engine",
    ),
    asking("secret/data/gone", "a=A", 122, "secret secret/data/gone: version 1 was deleted"),
    asking("kv1/bad", "b=A", 122, "secret kv1/bad has no field b"),
    asking("kv1/bad", "off=A", 122, "secret kv1/bad has no field off"),
    asking(
        "kv1/bad",
        "nul=A",
        122,
        "the value for A contains a NUL byte, an environment variable cannot hold it",
    ),
    asking(
        "kv1/bad",
        "long=A",
        122,
        "the value for A has 200000 bytes, an environment variable holds 131069: use FIELD=@A for a file",
    ),
    asking("kv1/huge", "a=A", 125, "secret kv1/huge: answer of OpenBao too long: at most 2097152 bytes"),
    with("VAULT_TOKEN", "s.nobody", 1, "OpenBao answered 403: "),
    with("VAULT_TOKEN", "", 120, "VAULT_TOKEN: not set, and VAULT_AUTH_METHOD is token"),
    with("VAULT_CACERT", "/etc/hostname", 120, "/etc/hostname: no certificate in it"),
    with("VAULT_TLS_SERVER_NAME", "other.example", 121, "certificate not valid for name \"other.example\""),
    with("VAULT_ADDR", "https://127.0.0.1:1", 121, "Connection refused"),
];

#[test]
fn what_stands_in_the_way_is_told_by_its_name_and_nothing_is_started() {
    let Some(bao) = bao("what_stands_in_the_way_is_told_by_its_name_and_nothing_is_started") else { return };
    bao.put(
        "kv1/bad",
        &json!({ "a": CANARY, "nul": format!("{CANARY}\u{0}"), "long": "x".repeat(200_000), "off": null }),
    );
    bao.put("kv1/huge", &json!({ "a": CANARY.repeat(120_000) }));
    bao.put("secret/data/gone", &json!({ "data": { "a": CANARY } }));
    bao.say(&["kv", "delete", "-mount=secret", "gone"]);
    for Fault { path, map, change, code, told: expected } in FAULTS {
        let mut command = bao.wrapper(path, map, &["perl", "-e", "print 'started'"]);
        let output = command.envs(*change).output().unwrap();
        let told = errors(&output);
        assert!(told.contains(expected), "{expected}: {told}");
        assert!(!told.contains("canary"), "{told}");
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(*code), b"".as_slice()), "{told}");
    }
}

#[test]
fn a_token_that_may_not_read_is_refused() {
    let Some(bao) = bao("a_token_that_may_not_read_is_refused") else { return };
    let token = bao.say(&["token", "create", "-field=token", "-policy=default"]);
    let mut poor = bao.wrapper("kv1/bad", "a=A", &["true"]);
    let output = poor.env("VAULT_TOKEN", token.trim()).output().unwrap();
    assert!(errors(&output).contains("secret kv1/bad: OpenBao answered 403: "), "{}", errors(&output));
    assert_eq!(output.status.code(), Some(1));
}
