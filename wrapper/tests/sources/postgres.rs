//! A real database server.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use super::bao::open;

pub(crate) struct Postgres {
    programs: PathBuf,
    dir: tempfile::TempDir,
    pub(crate) port: u16,
}

impl Postgres {
    /// None where none is installed.
    pub(crate) fn start() -> Option<Self> {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
        let programs = versions.flatten().map(|entry| entry.path().join("bin")).max()?;
        let dir = tempfile::tempdir().unwrap();
        open(dir.path());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let postgres = Self { programs, dir, port };
        let data = postgres.dir.path().join("data");
        std::fs::create_dir(&data).unwrap();
        std::os::unix::fs::chown(&data, Some(65_534), Some(65_534)).unwrap();
        postgres.told("initdb", &["--auth=trust", "--username=root", "--no-sync"]);
        let options = format!("-p {port} -c listen_addresses=127.0.0.1 -k {} -F", data.display());
        postgres.told("pg_ctl", &["--silent", "--wait", "--log=/dev/null", "-o", &options, "start"]);
        let start = Instant::now();
        while postgres.asked("root", "", "select 1").is_none() {
            assert!(start.elapsed() < Duration::from_mins(1), "PostgreSQL does not start");
            thread::sleep(Duration::from_millis(50));
        }
        Some(postgres)
    }

    /// Its programs refuse to be run by root.
    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(self.programs.join(program));
        command
            .env("PGDATA", self.dir.path().join("data"))
            .current_dir(self.dir.path())
            .args(arguments)
            .output()
            .unwrap()
    }

    fn told(&self, program: &str, arguments: &[&str]) {
        let output = self.run(program, arguments);
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// What it answers to somebody, if he may ask.
    pub(crate) fn asked(&self, user: &str, password: &str, question: &str) -> Option<String> {
        let mut client = Command::new(self.programs.join("psql"));
        client.args([
            "-h",
            "127.0.0.1",
            "-p",
            &self.port.to_string(),
            "-U",
            user,
            "-d",
            "postgres",
            "-Atc",
            question,
        ]);
        let output = client.env("PGPASSWORD", password).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.told("pg_ctl", &["--silent", "--mode=immediate", "stop"]);
    }
}
