//! `cloudtaser run`: the words that the wrapper is given, and what is said before it.

use std::fs;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::install;

/// Shows what it was given, as the wrapper finds it.
const SHOWS: &str = "#!/bin/sh\nenv | grep -E '^(VAULT|BAO|CLOUDTASER)_' | sort\necho \"$@\"\nexit 7\n";

/// A folder with the program in it, and a wrapper or none.
fn folder(wrapper: Option<&str>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    install::cloudtaser(&folder.path().join("cloudtaser"));
    if let Some(script) = wrapper {
        install::script(&folder.path().join("cloudtaser-wrapper"), script);
    }
    folder
}

fn run(folder: &TempDir, words: &[&str]) -> Output {
    let mut command = Command::new(folder.path().join("cloudtaser"));
    command.arg("run").args(words).args(["--", "app", "-x"]);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", folder.path());
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_wrapper_gets_its_words_and_its_exit_code_is_ours() {
    let folder = folder(Some(SHOWS));
    fs::write(folder.path().join(".vault-token"), "s.token\n").unwrap();
    let words =
        ["--vault-address", "https://bao:8200", "-s", "secret/data/app:password=PGPASSWORD,user=PGUSER"];
    let told = run(&folder, &[&words[..], &["-s", "kv/x:key=@KEY_FILE"]].concat());
    let expected = "BAO_ADDR=https://bao:8200\nBAO_TOKEN=s.token\n\
        CLOUDTASER_ENV_MAP=password=PGPASSWORD,user=PGUSER;key=@KEY_FILE\n\
        CLOUDTASER_SECRET_PATHS=secret/data/app,kv/x\nVAULT_AUTH_METHOD=token\n-- app -x\n";
    assert_eq!((told.status.code(), text(&told.stdout)), (Some(7), expected));
}

#[test]
fn what_is_not_protected_here_is_said_first() {
    let folder = folder(Some("#!/bin/sh\n"));
    fs::write(folder.path().join(".vault-token"), "s.token\n").unwrap();
    let loud = run(&folder, &["-s", "a/b:c=D"]);
    for words in ["This machine has proved nothing", "\n  not protected: ", "a debugger of yours or of root"]
    {
        assert!(text(&loud.stderr).contains(words), "{words}: {}", text(&loud.stderr));
    }
    let attested = run(&folder, &["-s", "db:c=D", "--method", "attest"]);
    assert!(text(&attested.stderr).starts_with("cloudtaser run: This machine proves what it runs before"));
    assert_eq!(text(&run(&folder, &["--quiet", "-s", "a/b:c=D"]).stderr), "");
}

#[test]
fn without_a_token_nothing_is_started() {
    let folder = folder(Some(SHOWS));
    let told = run(&folder, &["-s", "a/b:c=D"]);
    let expected = format!(
        "not judged: {}/.vault-token: No such file or directory (os error 2); expected a token there, or in BAO_TOKEN (run.token)\n",
        folder.path().display()
    );
    assert_eq!(
        (told.status.code(), text(&told.stdout), text(&told.stderr)),
        (Some(2), "", expected.as_str())
    );
}

#[test]
fn without_a_wrapper_the_reason_is_told() {
    let told = run(&folder(None), &["--quiet", "-s", "db:c=D", "--method", "attest"]);
    let expected = "not judged: cloudtaser-wrapper: No such file or directory (os error 2); is the wrapper installed? (run.wrapper)\n";
    assert_eq!((told.status.code(), text(&told.stderr)), (Some(2), expected));
}

#[test]
fn words_that_make_no_sense_start_nothing() {
    let folder = folder(Some(SHOWS));
    for words in [
        vec![],
        vec!["-s", "secret/data/app"],
        vec!["-s", "a,b:c=D"],
        vec!["--method", "ldap", "-s", "a:b=C"],
    ] {
        let told = run(&folder, &words);
        assert_eq!((told.status.code(), text(&told.stdout)), (Some(2), ""), "{words:?}");
    }
}
