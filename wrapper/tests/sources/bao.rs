//! A real OpenBao in development mode, with TLS, and something slow in front of it.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) struct Bao {
    server: Child,
    program: std::ffi::OsString,
    pub(crate) port: u16,
    pub(crate) dir: tempfile::TempDir,
}

/// Ends the server when its standard input ends: with the test, however that ends, or before.
const KEEPER: &str = r#""$@" </dev/null & read line; kill -9 $!; wait"#;

static COPIED: std::sync::Once = std::sync::Once::new();

impl Bao {
    /// None where there is no `bao`.
    pub(crate) fn start() -> Option<Self> {
        let program = std::env::var_os("CLOUDTASER_BAO").unwrap_or_else(|| "bao".into());
        let dir = tempfile::tempdir().unwrap();
        open(dir.path());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if Command::new(&program).arg("version").output().is_err() {
            return None;
        }
        let server = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(&program)
            .args(["server", "-dev", "-dev-tls", "-dev-no-store-token", "-dev-root-token-id=root"])
            .arg(format!("-dev-listen-address=127.0.0.1:{port}"))
            .arg(format!("-dev-tls-cert-dir={}", dir.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let bao = Self { server, program, port, dir };
        let start = Instant::now();
        while !bao.run(&["status"]).status.success() {
            assert!(start.elapsed() < Duration::from_mins(1), "bao does not start");
            thread::sleep(Duration::from_millis(50));
        }
        Command::new("chmod").arg("-R").arg("a+rX").arg(bao.dir.path()).status().unwrap();
        bao.say(&["secrets", "enable", "-path=kv1", "-version=1", "kv"]);
        Some(bao)
    }

    pub(crate) fn authority(&self) -> PathBuf {
        self.dir.path().join("vault-ca.pem")
    }

    /// As root of it; it must succeed.
    pub(crate) fn say(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        Command::new(&self.program)
            .args(arguments)
            .env("BAO_ADDR", format!("https://127.0.0.1:{}", self.port))
            .env("BAO_TOKEN", "root")
            .env("BAO_CACERT", self.authority())
            .output()
            .unwrap()
    }

    /// A secret of the first version of the engine, of any bytes that JSON can hold.
    pub(crate) fn put(&self, path: &str, json: &serde_json::Value) {
        let file = self.dir.path().join(path.replace('/', "-"));
        std::fs::write(&file, json.to_string()).unwrap();
        self.say(&["write", path, &format!("@{}", file.display())]);
    }

    /// The wrapper with a token, before a program that is told by the rest.
    pub(crate) fn wrapper(&self, paths: &str, map: &str, program: &[&str]) -> Command {
        self.set(Command::new(env!("CARGO_BIN_EXE_cloudtaser-wrapper")), paths, map, program)
    }

    /// The same as a user without rights, who may lock so many KiB.
    pub(crate) fn limited(&self, kib: u32, paths: &str, map: &str, program: &[&str]) -> Command {
        let mut shell = Command::new("setpriv");
        shell.args(["--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c"]);
        shell.arg(format!("ulimit -l {kib} && exec \"$0\" \"$@\""));
        // Where it was built the user may not look.
        let own = self.dir.path().join("wrapper");
        COPIED.call_once(|| {
            let built = env!("CARGO_BIN_EXE_cloudtaser-wrapper");
            assert!(Command::new("cp").arg(built).arg(&own).status().unwrap().success());
        });
        shell.arg(own);
        self.set(shell, paths, map, program)
    }

    fn set(&self, mut command: Command, paths: &str, map: &str, program: &[&str]) -> Command {
        command
            .env("VAULT_ADDR", format!("https://127.0.0.1:{}", self.port))
            .env("VAULT_CACERT", self.authority())
            .env("VAULT_AUTH_METHOD", "token")
            .env("VAULT_TOKEN", "root")
            .env("CLOUDTASER_SECRET_PATHS", paths)
            .env("CLOUDTASER_ENV_MAP", map)
            .env("CLOUDTASER_RELEASE_TIMEOUT", "1")
            .arg("--")
            .args(program);
        command
    }

    /// It leaves its certificates behind.
    pub(crate) fn end(&mut self) {
        drop(self.server.stdin.take());
        self.server.wait().unwrap();
    }

    pub(crate) fn seal(&self) {
        self.say(&["operator", "seal"]);
    }
}

impl Drop for Bao {
    fn drop(&mut self) {
        self.end();
    }
}

/// Lets other users look into a folder.
pub(crate) fn open(dir: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Something between wrapper and server that lets so many bytes of answers through, and no more until it is told.
pub(crate) struct Slow {
    pub(crate) port: u16,
    grant: Sender<usize>,
    /// A line whenever it waits to be told; closed when all is through.
    pub(crate) waits: Receiver<()>,
}

impl Slow {
    pub(crate) fn before(port: u16) -> Self {
        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = door.local_addr().unwrap().port();
        let (grant, granted) = channel::<usize>();
        let (wait, waits) = channel();
        thread::spawn(move || {
            let line = door.accept().unwrap().0;
            let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (mut from, mut to) = (line.try_clone().unwrap(), server.try_clone().unwrap());
            // A client that has gone is followed by its server, and the waiting is over.
            thread::spawn(move || {
                std::io::copy(&mut from, &mut to).unwrap_or_default();
                to.shutdown(Shutdown::Write)
            });
            pass(&server, &line, &granted, &wait);
        });
        Self { port: own, grant, waits }
    }

    pub(crate) fn let_through(&self, bytes: usize) {
        self.grant.send(bytes).unwrap_or_default();
    }
}

fn pass(mut server: &TcpStream, mut line: &TcpStream, granted: &Receiver<usize>, wait: &Sender<()>) {
    let mut left = 0;
    let mut byte = [0];
    loop {
        if left == 0 {
            wait.send(()).unwrap_or_default();
            let Ok(more) = granted.recv() else { return };
            left = more;
        }
        if server.read(&mut byte).unwrap_or(0) == 0 || line.write_all(&byte).is_err() {
            return;
        }
        left = left.saturating_sub(1);
    }
}
