//! A real OpenBao in development mode, and programs that live with it.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// An OpenBao.
pub(crate) struct OpenBao {
    server: Child,
    program: std::ffi::OsString,
    port: u16,
    unseal_key: String,
}

impl OpenBao {
    /// With a secret `secret/app` whose password is `one`; none where there is no OpenBao.
    pub(crate) fn start(test: &str) -> Option<Self> {
        let program = std::env::var_os("CLOUDTASER_BAO").unwrap_or_else(|| "bao".into());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listen = format!("-dev-listen-address=127.0.0.1:{port}");
        let arguments = ["server", "-dev", "-dev-no-store-token", "-dev-root-token-id=root", &listen];
        let mut command = Command::new(&program);
        let Ok(mut server) = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
        else {
            crate::bench::skip(test, "bao", "no OpenBao: set CLOUDTASER_BAO or put `bao` into PATH");
            return None;
        };
        let mut said = BufReader::new(server.stdout.take().unwrap()).lines();
        let unseal_key = said.find_map(|line| line.unwrap().strip_prefix("Unseal Key: ").map(str::to_owned));
        // It must not block on what nobody reads.
        thread::spawn(move || said.for_each(drop));
        let bao = Self { server, program, port, unseal_key: unseal_key.unwrap() };
        eventually("OpenBao answers", || bao.attempt(&["status"]));
        bao.put("one");
        Some(bao)
    }

    pub(crate) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What the client says to these words; it must succeed.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.client(arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn attempt(&self, arguments: &[&str]) -> bool {
        self.client(arguments).output().unwrap().status.success()
    }

    fn client(&self, arguments: &[&str]) -> Command {
        let mut client = Command::new(&self.program);
        client.args(arguments).env("BAO_ADDR", self.address()).env("BAO_TOKEN", "root");
        client
    }

    pub(crate) fn put(&self, password: &str) {
        self.run(&["kv", "put", "secret/app", &format!("password={password}")]);
    }

    /// A token that is no root token.
    pub(crate) fn token(&self) -> String {
        self.token_of(&["-ttl=1h"])
    }

    /// The same, with a time of its own.
    pub(crate) fn token_of(&self, times: &[&str]) -> String {
        let rules = r#"path "*" { capabilities = ["create", "read", "update", "list"] }"#;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), rules).unwrap();
        self.run(&["policy", "write", "app", file.path().to_str().unwrap()]);
        self.run(&[&["token", "create", "-policy=app", "-field=token"], times].concat())
    }

    pub(crate) fn seal(&self) {
        self.run(&["operator", "seal"]);
    }

    pub(crate) fn unseal(&self) {
        self.run(&["operator", "unseal", &self.unseal_key]);
    }

    pub(crate) fn stop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }

    /// A wrapper around `program`, which writes what it sees into the file that it is told last.
    pub(crate) fn wrapper(&self, token: &str, variables: &[(&str, &str)], program: &[&str]) -> Wrapper {
        let dir = tempfile::tempdir().unwrap();
        let seen = dir.path().join("seen");
        let said = std::fs::File::create(dir.path().join("said")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloudtaser-wrapper"));
        command
            .env("VAULT_ADDR", self.address())
            .env("VAULT_AUTH_METHOD", "token")
            .env("VAULT_TOKEN", token)
            .env("CLOUDTASER_SECRET_PATHS", "secret/data/app")
            .env("CLOUDTASER_ENV_MAP", "password=PASSWORD")
            .env("CLOUDTASER_REFRESH", "1")
            .env("CLOUDTASER_RELEASE_TIMEOUT", "5")
            .env("SEEN", &seen)
            .envs(variables.iter().copied())
            .arg("--")
            .args(program)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said);
        let child = command.spawn().unwrap();
        Wrapper { child, dir, code: None }
    }
}

impl Drop for OpenBao {
    fn drop(&mut self) {
        // It may be gone already.
        self.server.kill().unwrap_or_default();
        self.server.wait().unwrap();
    }
}

/// A wrapper that runs a program.
pub(crate) struct Wrapper {
    pub(crate) child: Child,
    dir: tempfile::TempDir,
    code: Option<i32>,
}

impl Wrapper {
    /// A file of this wrapper's directory.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What its program wrote, line by line.
    pub(crate) fn seen(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.file("seen")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// What the wrapper said.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.file("said")).unwrap()
    }

    /// Waits until the program has written this, and nothing else.
    pub(crate) fn sees(&self, expected: &[&str]) {
        eventually(&format!("{expected:?}, found {:?}, said {}", self.seen(), self.said()), || {
            let seen = self.seen();
            assert!(seen.len() <= expected.len(), "{seen:?}, expected {expected:?}: {}", self.said());
            seen == expected
        });
    }

    /// Waits until the wrapper has said this.
    pub(crate) fn says(&self, what: &str) {
        eventually(&format!("said: {what}; found: {}", self.said()), || self.said().contains(what));
    }

    /// Waits for its end: the code, and what it said.
    pub(crate) fn ends(&mut self) -> (Option<i32>, String) {
        let mut status = None;
        eventually("the wrapper's end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        self.code = status.unwrap().code();
        (self.code, self.said())
    }

    /// The states of the processes below it: `S`, `T` and so on.
    pub(crate) fn states(&self) -> Vec<(String, char)> {
        self.below().into_iter().map(|(_, name, state)| (name, state)).collect()
    }

    fn below(&self) -> Vec<(String, String, char)> {
        let output = Command::new("ps").args(["-eo", "pid=,ppid=,stat=,comm="]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        let mut unseen = vec![self.child.id().to_string()];
        let mut below = Vec::new();
        while let Some(parent) = unseen.pop() {
            for row in rows.iter().filter(|row| row[1] == parent) {
                unseen.push(row[0].to_owned());
                below.push((row[0].to_owned(), row[3].to_owned(), row[2].chars().next().unwrap()));
            }
        }
        below
    }
}

impl Drop for Wrapper {
    fn drop(&mut self) {
        if self.code.is_some() {
            return;
        }
        let below = self.below();
        // It may be gone already.
        self.child.kill().unwrap_or_default();
        self.child.wait().unwrap();
        for (pid, ..) in below {
            Command::new("kill").args(["-KILL", &pid]).stderr(Stdio::null()).status().unwrap();
        }
    }
}

pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_mins(1), "never came: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
