//! A real OpenBao, as badly or as well set up as a test asks for, and a client for it.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A running server; gone when dropped, or when the test's process ends.
pub(crate) struct Server {
    shell: Child,
    pub(crate) dir: TempDir,
    pub(crate) address: String,
    pub(crate) root: String,
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) json: Value,
}

impl Answer {
    /// Asserts success.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert!((200..300).contains(&self.status), "{self:?}");
        self
    }
}

impl Server {
    /// A development server: everything in memory, no TLS, the token `root`.
    pub(crate) fn dev() -> Self {
        let dir = TempDir::new().unwrap();
        let port = free_port();
        let words =
            ["-dev".to_owned(), "-dev-root-token-id=root".to_owned(), "-dev-no-store-token".to_owned()];
        let listen = format!("-dev-listen-address=127.0.0.1:{port}");
        let address = format!("http://127.0.0.1:{port}");
        let shell = start(dir.path(), &bao(), words.into_iter().chain([listen]), &[]);
        let server = Self { shell, dir, address, root: "root".to_owned() };
        server.wait(200);
        server
    }

    /// A development server with our secrets engine at `attest-keys`.
    pub(crate) fn attest() -> Self {
        let (server, sha256) = Self::with_plugin();
        server.mount_face("secrets", &sha256, &[]);
        server
    }

    /// The same with both faces, which believe these roots.
    pub(crate) fn attest_believing(roots: &[Vec<u8>]) -> Self {
        let (server, sha256) = Self::with_plugin();
        let root = |(number, der): (usize, &Vec<u8>)| {
            let file = server.dir.path().join(format!("root{number}.der"));
            fs::write(&file, der).unwrap();
            format!("--insecure-trust-root={}", file.display())
        };
        let roots: Vec<String> = roots.iter().enumerate().map(root).collect();
        server.mount_face("secrets", &sha256, &roots);
        server.mount_face("auth", &sha256, &roots);
        server
    }

    /// A development server with our plugin in its directory, and the plugin's digest.
    fn with_plugin() -> (Self, String) {
        let dir = TempDir::new().unwrap();
        let plugins = dir.path().join("plugins");
        fs::create_dir(&plugins).unwrap();
        let installed = plugins.join("openbao-plugin-attest");
        fs::copy(plugin(), &installed).unwrap();
        let config = dir.path().join("bao.hcl");
        fs::write(&config, format!("plugin_directory = {:?}\n", plugins.display().to_string())).unwrap();
        let port = free_port();
        let words = ["-dev", "-dev-root-token-id=root", "-dev-no-store-token"].map(str::to_owned);
        let listen = format!("-dev-listen-address=127.0.0.1:{port}");
        let config = format!("-config={}", config.display());
        let shell = start(dir.path(), &bao(), words.into_iter().chain([listen, config]), &[]);
        let address = format!("http://127.0.0.1:{port}");
        let server = Self { shell, dir, address, root: "root".to_owned() };
        server.wait(200);
        (server, sha256(&installed))
    }

    fn mount_face(&self, kind: &str, sha256: &str, more: &[String]) {
        let args: Vec<String> = [format!("--kind={kind}")].into_iter().chain(more.iter().cloned()).collect();
        let (catalogue, mount) =
            if kind == "auth" { ("auth", "sys/auth/attest") } else { ("secret", "sys/mounts/attest-keys") };
        let body = json!({ "sha256": sha256, "command": "openbao-plugin-attest", "args": args });
        self.write(&format!("sys/plugins/catalog/{catalogue}/attest-{kind}"), &body).ok();
        self.write(mount, &json!({ "type": format!("attest-{kind}") })).ok();
    }

    pub(crate) fn read(&self, path: &str) -> Answer {
        self.call("GET", path, None, &self.root)
    }

    /// A server with this configuration, in which `{dir}`, `{port}` and `{cluster}` are replaced; not initialised.
    pub(crate) fn configured(dir: TempDir, configuration: &str) -> Self {
        let (port, cluster) = (free_port(), free_port());
        let configuration = configuration
            .replace("{dir}", &dir.path().display().to_string())
            .replace("{port}", &port.to_string())
            .replace("{cluster}", &cluster.to_string());
        let file = dir.path().join("bao.hcl");
        fs::write(&file, configuration).unwrap();
        let words = [format!("-config={}", file.display())];
        Self::run(dir, words.into_iter(), &[], format!("https://127.0.0.1:{port}"))
    }

    /// `bao server` with these words in this environment; not initialised.
    pub(crate) fn run(
        dir: TempDir,
        words: impl Iterator<Item = String>,
        environment: &[(String, String)],
        address: String,
    ) -> Self {
        let shell = start(dir.path(), &bao(), words, environment);
        let server = Self { shell, dir, address, root: String::new() };
        server.wait(501);
        server
    }

    /// Initialises it with 2 of 3 shares and unseals it. Returns the two.
    pub(crate) fn initialise(&mut self) -> Vec<Value> {
        let shares = json!({ "secret_shares": 3, "secret_threshold": 2 });
        let keys = self.call("PUT", "sys/init", Some(&shares), "").ok().json;
        let shares = keys["keys_base64"].as_array().unwrap()[..2].to_vec();
        keys["root_token"].as_str().unwrap().clone_into(&mut self.root);
        self.unseal(&shares);
        self.wait_until_active();
        shares
    }

    /// Unseals it and waits until it answers.
    pub(crate) fn unseal(&self, shares: &[Value]) {
        for share in shares {
            self.call("PUT", "sys/unseal", Some(&json!({ "key": share })), "").ok();
        }
        self.wait(200);
    }

    /// Mounts both faces of the plugin, tuned and limited as the documentation has it.
    pub(crate) fn mount_attest(&self) {
        let tuned = json!({
            "max_lease_ttl": "1h", "audit_non_hmac_response_keys": ["decision"], "plugin_version": "v0.1.0"
        });
        let mount = |kind: &str| json!({ "type": kind, "config": tuned, "plugin_version": "v0.1.0" });
        self.write("sys/mounts/attest-keys", &mount("attest-secrets")).ok();
        self.write("sys/auth/attest", &mount("attest-auth")).ok();
        self.write("sys/quotas/rate-limit/open", &json!({ "path": "attest-keys", "rate": 100 })).ok();
        self.write("sys/quotas/rate-limit/login", &json!({ "path": "auth/attest", "rate": 100 })).ok();
    }

    pub(crate) fn write(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, Some(body), &self.root)
    }

    /// A token with these policies and no other.
    pub(crate) fn token(&self, policies: &[&str]) -> String {
        let body = json!({ "policies": policies, "no_default_policy": true, "no_parent": true, "ttl": "1h" });
        let answer = self.write("auth/token/create", &body).ok();
        answer.json["auth"]["client_token"].as_str().unwrap().to_owned()
    }

    /// What a client of this server has in its environment.
    pub(crate) fn environment<'a>(&'a self, token: &'a str, ca: &'a str) -> [(&'a str, &'a str); 3] {
        [("BAO_ADDR", &self.address), ("BAO_CACERT", ca), ("BAO_TOKEN", token)]
    }

    /// The certificate that clients trust.
    pub(crate) fn ca(&self) -> String {
        self.dir.path().join("ca.pem").display().to_string()
    }

    pub(crate) fn call(&self, method: &str, path: &str, body: Option<&Value>, token: &str) -> Answer {
        self.try_call(method, path, body, token).unwrap()
    }

    fn try_call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        token: &str,
    ) -> Result<Answer, ureq::Error> {
        let uri = format!("{}/v1/{path}", self.address);
        let mut request = ureq::http::Request::builder().method(method).uri(uri);
        if !token.is_empty() {
            request = request.header("X-Vault-Token", token);
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut answer = self.agent().run(request.body(body).unwrap())?;
        let text = answer.body_mut().read_to_string()?;
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Answer { status: answer.status().as_u16(), json })
    }

    fn agent(&self) -> ureq::Agent {
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = ureq::tls::TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
        if let Ok(pem) = fs::read(self.ca()) {
            let ca = ureq::tls::Certificate::from_pem(&pem).unwrap();
            tls = tls.root_certs(ureq::tls::RootCerts::new_with_certs(&[ca]));
        }
        ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .timeout_global(Some(Duration::from_mins(1)))
            .tls_config(tls.build())
            .build()
            .into()
    }

    /// All that the server has logged.
    pub(crate) fn log(&self) -> String {
        let mut log = String::new();
        fs::File::open(self.dir.path().join("log")).unwrap().read_to_string(&mut log).unwrap();
        log
    }

    /// Waits until `sys/health` answers this; 200 is said by standbys, too.
    pub(crate) fn wait(&self, status: u16) {
        self.wait_for("sys/health?standbyok=true", status);
    }

    /// Waits until it is the one that writes.
    pub(crate) fn wait_until_active(&self) {
        self.wait_for("sys/health", 200);
    }

    fn wait_for(&self, path: &str, status: u16) {
        let answers = || self.try_call("GET", path, None, "").is_ok_and(|health| health.status == status);
        eventually("OpenBao's answer", || self.log(), answers);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        drop(self.shell.wait());
    }
}

/// Waits for a minute at most: machines that test are busy.
pub(crate) fn eventually(what: &str, why: impl Fn() -> String, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_mins(1), "{what} did not come:\n{}", why());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Writes `ca.pem`, `server.pem` and `server.key` for 127.0.0.1 that end after so many days.
pub(crate) fn certificates(dir: &Path, days: u32) {
    certificates_for(dir, &["127.0.0.1", "localhost"], days);
}

/// The same, for a server of these names.
pub(crate) fn certificates_for(dir: &Path, names: &[&str], days: u32) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, format!("CA of {}", dir.display()));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params =
        CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.not_after = rcgen::date_time_ymd(1970, 1, 1);
    params.not_after += since_1970();
    params.not_after += Duration::from_hours(24).saturating_mul(days);
    let server = params.signed_by(&key, &ca).unwrap();
    fs::write(dir.join("ca.pem"), ca.pem()).unwrap();
    fs::write(dir.join("server.pem"), server.pem()).unwrap();
    fs::write(dir.join("server.key"), key.serialize_pem()).unwrap();
}

#[expect(clippy::disallowed_methods, reason = "the real server lives now, and so must its certificate")]
pub(crate) fn since_1970() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap()
}

/// The plugin, which cargo builds for us: it is another package's program.
pub(crate) fn plugin() -> &'static Path {
    static PLUGIN: OnceLock<PathBuf> = OnceLock::new();
    PLUGIN.get_or_init(|| {
        // Of the whole workspace, so that the dependencies are those that the tests were built with.
        let words = ["build", "--quiet", "--workspace", "--bin", "openbao-plugin-attest"];
        let built = Command::new(env!("CARGO")).args(words).current_dir(env!("CARGO_MANIFEST_DIR")).status();
        assert!(built.unwrap().success(), "the plugin does not build");
        let cli = Path::new(env!("CARGO_BIN_EXE_cloudtaser"));
        cli.with_file_name("openbao-plugin-attest")
    })
}

pub(crate) fn sha256(file: &Path) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &fs::read(file).unwrap());
    hex::encode(digest.as_ref())
}

/// OpenBao's one program.
pub(crate) fn bao() -> PathBuf {
    std::env::var_os("CLOUDTASER_BAO").map_or_else(|| PathBuf::from("bao"), PathBuf::from)
}

// The shell ends the server when its own standard input ends, however the test ends.
fn start(
    dir: &Path,
    bao: &Path,
    words: impl Iterator<Item = String>,
    environment: &[(String, String)],
) -> Child {
    Command::new("sh")
        .args(["-c", KEEPER, "keeper"])
        .arg(bao)
        .arg("server")
        .args(words)
        .current_dir(dir)
        .env("LOG", dir.join("log"))
        .env("HOME", dir)
        .envs(environment.iter().cloned())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap()
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

const KEEPER: &str = r#"
"$@" </dev/null >"$LOG" 2>&1 &
read line
kill $! 2>/dev/null
wait
"#;
