//! `cloudtaser run` against a real OpenBao, with the real wrapper.

use std::path::Path;
use std::process::{Command, Output};

use crate::server::Server;

/// The command, with the wrapper beside it.
fn cloudtaser() -> &'static Path {
    let words = ["build", "--quiet", "--workspace", "--bin", "cloudtaser-wrapper"];
    let built = Command::new(env!("CARGO")).args(words).current_dir(env!("CARGO_MANIFEST_DIR")).status();
    assert!(built.unwrap().success(), "the wrapper does not build");
    Path::new(env!("CARGO_BIN_EXE_cloudtaser"))
}

fn run(server: &Server, token: &str, words: &[&str]) -> Output {
    let mut command = Command::new(cloudtaser());
    command.args(["run", "--vault-address", &server.address, "-s", "secret/data/db:password=PGPASSWORD"]);
    command.env("BAO_TOKEN", token).arg("--").args(words).output().unwrap()
}

fn server() -> Server {
    let server = Server::dev();
    let secret = serde_json::json!({ "data": { "password": "canary-of-a-developer" } });
    server.write("secret/data/db", &secret).ok();
    server
}

#[test]
fn a_program_runs_with_its_secret_and_without_the_token() {
    let server = server();
    let script = "import os; print(os.environ['PGPASSWORD'], [n for n in os.environ if 'TOKEN' in n])";
    let told = run(&server, "root", &["python3", "-c", script]);
    let errors = String::from_utf8_lossy(&told.stderr);
    assert_eq!(String::from_utf8_lossy(&told.stdout), "canary-of-a-developer []\n", "{errors}");
    assert!(errors.contains("anywhere.\n  protected:     the values are in no file"), "{errors}");
    assert_eq!(run(&server, "root", &["sh", "-c", "exit 9"]).status.code(), Some(9));
}

#[test]
fn the_environ_file_of_the_program_shows_no_value() {
    let told = run(&server(), "root", &["cat", "/proc/self/environ"]);
    let shown = String::from_utf8_lossy(&told.stdout);
    assert!(shown.contains("PGPASSWORD=ctref:"), "{shown}");
    assert!(!shown.contains("canary-of-a-developer"));
}

#[test]
fn a_token_that_may_not_read_starts_nothing() {
    let told = run(&server(), "s.nobody", &["echo", "started"]);
    let errors = String::from_utf8_lossy(&told.stderr);
    assert_eq!(
        (told.status.code(), String::from_utf8_lossy(&told.stdout).as_ref()),
        (Some(1), ""),
        "{errors}"
    );
    assert!(errors.contains("permission denied"), "{errors}");
    assert!(!errors.contains("s.nobody"));
}
