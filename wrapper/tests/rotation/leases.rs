//! Credentials of a real database, under leases of seconds.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::bench::skip;
use crate::openbao::{OpenBao, eventually};

/// A database, run by its own user.
struct Postgres {
    server: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Postgres {
    fn start(test: &str) -> Option<Self> {
        let found =
            Command::new("sh").args(["-c", "ls -d /usr/lib/postgresql/*/bin | tail -1"]).output().unwrap();
        let place = String::from_utf8(found.stdout).unwrap().trim().to_owned();
        if place.is_empty() {
            skip(test, "postgres", "no PostgreSQL");
            return None;
        }
        if !rustix::process::geteuid().is_root() {
            skip(test, "root", "only root becomes PostgreSQL's user");
            return None;
        }
        let dir = tempfile::tempdir_in("/tmp").unwrap();
        let data = dir.path().join("data");
        assert!(Command::new("chown").arg("postgres").arg(dir.path()).status().unwrap().success());
        let made = as_postgres(&format!("{place}/initdb"), &["-A", "trust", "-D", data.to_str().unwrap()]);
        assert!({ made }.output().unwrap().status.success());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listens = [
            "-D",
            data.to_str().unwrap(),
            "-p",
            &port.to_string(),
            "-h",
            "127.0.0.1",
            "-k",
            path(dir.path()),
        ];
        let server = as_postgres(&format!("{place}/postgres"), &listens).spawn().unwrap();
        let postgres = Self { server, port, _dir: dir };
        eventually("PostgreSQL answers", || postgres.attempt("select 1").is_some());
        Some(postgres)
    }

    /// What it answers to its own user.
    fn attempt(&self, sql: &str) -> Option<String> {
        let port = self.port.to_string();
        let arguments = ["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-Atc", sql];
        let output = Command::new("psql").args(arguments).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
    }

    fn users(&self) -> Vec<String> {
        let text = self.attempt("select rolname from pg_roles where rolname like 'v-%'").unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGQUIT: at once, and with its children.
        let pid = rustix::process::Pid::from_child(&self.server);
        rustix::process::kill_process(pid, rustix::process::Signal::QUIT).unwrap();
        self.server.wait().unwrap();
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn as_postgres(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", program]).args(arguments);
    command.current_dir("/").stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn database(bao: &OpenBao, postgres: &Postgres, ttl: &str, max: &str) {
    let port = postgres.port;
    let url = format!("connection_url=postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=disable");
    bao.run(&["secrets", "enable", "database"]);
    let plugin = ["plugin_name=postgresql-database-plugin", "allowed_roles=app", &url];
    bao.run(&[&["write", "database/config/pg"][..], &plugin[..]].concat());
    let statement = r#"creation_statements=CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"#;
    let (ttl, max) = (format!("default_ttl={ttl}"), format!("max_ttl={max}"));
    bao.run(&["write", "database/roles/app", "db_name=pg", statement, &ttl, &max]);
}

const CREDENTIALS: [(&str, &str); 3] = [
    ("CLOUDTASER_SECRET_PATHS", "database/creds/app"),
    ("CLOUDTASER_ENV_MAP", "username=PASSWORD"),
    ("CLOUDTASER_REFRESH", "0"),
];
const LIVES: [&str; 3] = ["sh", "-c", "printenv PASSWORD >> $SEEN; exec sleep 1000"];

#[test]
fn credentials_are_renewed_and_replaced_when_they_cannot_be_renewed_any_more() {
    let test = "credentials_are_renewed";
    let (Some(bao), Some(postgres)) = (OpenBao::start(test), Postgres::start(test)) else { return };
    database(&bao, &postgres, "4s", "12s");
    let token = bao.token();
    let mut wrapper = bao.wrapper(&token, &CREDENTIALS, &LIVES);
    eventually("a user", || wrapper.seen().len() == 1);
    let first = wrapper.seen()[0].clone();
    let mut at_once = Vec::new();
    eventually("another user", || {
        at_once.push(postgres.users());
        wrapper.seen().len() == 2
    });
    // What the program had was good until it had another: the lease was renewed beyond its first end.
    assert!(at_once.iter().all(|users| users.contains(&first)), "{at_once:?}");
    assert!(!wrapper.said().contains("ended"), "{}", wrapper.said());
    assert!(wrapper.child.try_wait().unwrap().is_none());
}

#[test]
fn a_lease_that_is_revoked_ends_the_program() {
    let test = "a_lease_that_is_revoked";
    let (Some(bao), Some(postgres)) = (OpenBao::start(test), Postgres::start(test)) else { return };
    database(&bao, &postgres, "6s", "1h");
    let mut wrapper = bao.wrapper(&bao.token(), &CREDENTIALS, &LIVES);
    eventually("a user", || wrapper.seen().len() == 1);
    bao.run(&["lease", "revoke", "-prefix", "database/creds/app"]);
    let (code, said) = wrapper.ends();
    assert_eq!(code, Some(124), "{said}");
    assert!(said.contains("OpenBao has withdrawn what the program was given"), "{said}");
    assert_eq!(wrapper.seen().len(), 1);
}

#[test]
fn what_was_leased_is_given_back_when_the_program_ends() {
    let test = "what_was_leased_is_given_back";
    let (Some(bao), Some(postgres)) = (OpenBao::start(test), Postgres::start(test)) else { return };
    database(&bao, &postgres, "1h", "1h");
    let token = bao.token();
    let program = ["sh", "-c", "printenv PASSWORD >> $SEEN; exit 7"];
    let mut wrapper = bao.wrapper(&token, &CREDENTIALS, &program);
    let (code, said) = wrapper.ends();
    assert_eq!(code, Some(7), "{said}");
    assert_eq!(wrapper.seen().len(), 1);
    eventually("the user is gone", || postgres.users().is_empty());
    // The token was not ours.
    assert!(bao.attempt(&["token", "lookup", &token]));
}
