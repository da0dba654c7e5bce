//! A node agent and an OpenBao, played by threads: they answer as told, in real messages.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use hpke::aead::ChaCha20Poly1305;
use hpke::inout::InOutBuf;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{
    Deserializable as _, Kem as _, OpModeS, Serializable as _, single_shot_seal_inout_detached_with_rng,
};
use protocol::agent::{EvidenceReply, Failure, Reply, parse_request, to_frame};
use protocol::protection::Report;
use protocol::release::{Base64, Presentation, Refusal, RefusedCheck, SEAL_INFO, Sealed, seal_aad};

use crate::bench::CANARY;

/// What OpenBao does with a request to open.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Release,
    Refuse,
    Unavailable,
    HangUp,
    Text(&'static str),
    SealedToAnother,
    /// What somebody in between has if he keeps the answer to the first request for a later one.
    SealedToTheFirst,
    OtherLease,
    Endless,
    NoFields,
    NotASecret,
    /// These fields.
    Fields(&'static [(&'static str, &'static [u8])]),
}

pub(crate) struct Stage {
    dir: tempfile::TempDir,
    address: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    answers: Mutex<VecDeque<Answer>>,
    purposes: Mutex<Vec<String>>,
    offered: Mutex<Vec<Vec<u8>>>,
    workloads: Mutex<Vec<(Option<String>, Option<String>)>>,
    /// What the hardware signed last, with the digest of the report.
    signed: Mutex<String>,
    reports: Mutex<Vec<Report>>,
    challenges: AtomicUsize,
    broken: AtomicBool,
}

impl Stage {
    pub(crate) fn new(answers: Vec<Answer>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let shared = Arc::new(Shared { answers: Mutex::new(answers.into()), ..Shared::default() });
        let agent = UnixListener::bind(dir.path().join("agent.sock")).unwrap();
        let for_agent = Arc::clone(&shared);
        thread::spawn(move || play_agent(&agent, &for_agent));
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", server.local_addr().unwrap());
        let for_server = Arc::clone(&shared);
        thread::spawn(move || play_openbao(&server, &for_server));
        Self { dir, address, shared }
    }

    pub(crate) fn wrapper(&self, program: &str, arguments: &[&str]) -> Command {
        let mut wrapper = Command::new(env!("CARGO_BIN_EXE_cloudtaser-wrapper"));
        wrapper
            .env("VAULT_ADDR", &self.address)
            .env("VAULT_AUTH_METHOD", "attest")
            .env("VAULT_CACERT", self.certificate())
            .env("CLOUDTASER_AGENT_SOCKET", self.dir.path().join("agent.sock"))
            .env("CLOUDTASER_SECRET_PATHS", "db")
            .env("CLOUDTASER_ENV_MAP", "password=PGPASSWORD,user=PGUSER")
            .env("CLOUDTASER_RELEASE_TIMEOUT", "2")
            .arg("--")
            .arg(program)
            .args(arguments);
        wrapper
    }

    /// Some authority's certificate; it has signed nothing.
    pub(crate) fn certificate(&self) -> PathBuf {
        certificate(self.dir.path())
    }

    pub(crate) fn break_agent(&mut self) {
        self.shared.broken.store(true, Ordering::SeqCst);
    }

    pub(crate) fn purposes(&self) -> Vec<String> {
        self.shared.purposes.lock().unwrap().clone()
    }

    /// The public keys that secrets were to be sealed to.
    pub(crate) fn offered(&self) -> Vec<Vec<u8>> {
        self.shared.offered.lock().unwrap().clone()
    }

    /// The digests and tokens of workloads that were presented.
    pub(crate) fn workloads(&self) -> Vec<(Option<String>, Option<String>)> {
        self.shared.workloads.lock().unwrap().clone()
    }

    /// The reports of protection that were presented.
    pub(crate) fn reports(&self) -> Vec<Report> {
        self.shared.reports.lock().unwrap().clone()
    }

    pub(crate) fn challenges(&self) -> usize {
        self.shared.challenges.load(Ordering::SeqCst)
    }
}

/// What a wrapper told, and the line with its score.
pub(crate) fn apart(told: &str) -> (String, String) {
    let is_score = |line: &&str| line.starts_with("cloudtaser-wrapper: protection ");
    let (score, rest): (Vec<_>, Vec<_>) = told.split_inclusive('\n').partition(is_score);
    assert!(score.len() <= 1, "{told}");
    (rest.concat(), score.concat())
}

fn certificate(dir: &Path) -> PathBuf {
    let path = dir.join("ca.pem");
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(&path, certificate.pem()).unwrap();
    path
}

fn play_agent(listener: &UnixListener, shared: &Shared) {
    for line in listener.incoming() {
        let mut line = line.unwrap();
        let mut header = [0; 4];
        line.read_exact(&mut header).unwrap();
        let mut body = vec![0; u32::from_be_bytes(header).try_into().unwrap()];
        line.read_exact(&mut body).unwrap();
        let request = parse_request(&body).unwrap();
        assert_eq!(request.nonce, [5; 32]);
        let asked = request.context.split("#protection=").next().unwrap().to_owned();
        *shared.signed.lock().unwrap() = request.context;
        shared.purposes.lock().unwrap().push(asked);
        let reply = if shared.broken.load(Ordering::SeqCst) {
            Reply::Failed(Failure {
                code: "agent.platform".to_owned(),
                message: "no hardware here".to_owned(),
            })
        } else {
            let platform = serde_json::from_str("\"sev-snp\"").unwrap();
            Reply::Evidence(EvidenceReply {
                platform,
                evidence: vec![1, 2, 3],
                certificates: vec![],
                revocation_lists: vec![],
                documents: vec![],
                pod: None,
            })
        };
        line.write_all(&to_frame(&reply).unwrap()).unwrap();
    }
}

fn play_openbao(listener: &TcpListener, shared: &Shared) {
    for line in listener.incoming() {
        let line = line.unwrap();
        let (path, body) = read_request(&line);
        match path.as_str() {
            "/v1/attest-keys/challenge" => {
                shared.challenges.fetch_add(1, Ordering::SeqCst);
                let nonce = "05".repeat(32);
                answer(
                    &line,
                    200,
                    &format!(
                        r#"{{"data":{{"challenge":"AAAA","nonce":"{nonce}","expires":"2100-01-01T00:00:00Z"}}}}"#
                    ),
                );
            }
            "/v1/attest-keys/release/db/open" | "/v1/attest-keys/release/api/open" => {
                let next = shared.answers.lock().unwrap().pop_front().unwrap();
                let presentation: Presentation = serde_json::from_slice(&body).unwrap();
                let digest = presentation.workload_digest.map(|digest| digest.to_string());
                let token = presentation.workload_token.map(|token| token.0);
                shared.workloads.lock().unwrap().push((digest, token));
                let report = presentation.protection_digest.unwrap();
                assert!(shared.signed.lock().unwrap().ends_with(&format!("#protection={report}")));
                let report = Report::parse(&presentation.protection.unwrap().0).unwrap();
                shared.reports.lock().unwrap().push(report);
                let mut offered = shared.offered.lock().unwrap();
                offered.push(presentation.public_key.0);
                open(&line, next, &offered);
            }
            other => answer(&line, 404, &format!(r#"{{"errors":["no handler for {other}"]}}"#)),
        }
    }
}

fn read_request(line: &TcpStream) -> (String, Vec<u8>) {
    let mut reader = BufReader::new(line);
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        if header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (first.split(' ').nth(1).unwrap().to_owned(), body)
}

fn answer(mut line: &TcpStream, status: u16, body: &str) {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    // A wrapper that hangs up early is part of some tests.
    line.write_all(format!("{head}{body}").as_bytes()).unwrap_or_default();
}

fn open(line: &TcpStream, next: Answer, offered: &[Vec<u8>]) {
    let fields = [("password", CANARY.as_bytes()), ("user", b"app")];
    let good = protocol::secret::encode(fields).unwrap();
    let [first, own] = [offered.first(), offered.last()].map(Option::unwrap);
    match next {
        Answer::Release => answer_sealed(line, &sealed(own, &good)),
        Answer::SealedToAnother => {
            let (_, other) = XWing::derive_keypair(&[3; 32]);
            answer_sealed(line, &sealed(&other.to_bytes(), &good));
        }
        Answer::SealedToTheFirst => answer_sealed(line, &sealed(first, &good)),
        Answer::OtherLease => answer_sealed(line, &Sealed { lease_seconds: 61, ..sealed(own, &good) }),
        Answer::Fields(fields) => {
            let these = protocol::secret::encode(fields.iter().copied()).unwrap();
            answer_sealed(line, &sealed(own, &these));
        }
        Answer::NoFields => answer_sealed(line, &sealed(own, &[0, 0])),
        Answer::NotASecret => answer_sealed(line, &sealed(own, b"\x00\x05")),
        Answer::Refuse => answer(line, 403, &serde_json::to_string(&refusal()).unwrap()),
        Answer::Unavailable => answer(line, 503, r#"{"errors":["Vault is sealed"]}"#),
        Answer::HangUp => {}
        Answer::Text(text) => answer(line, 200, text),
        Answer::Endless => answer(line, 200, &" ".repeat(3 << 20)),
    }
}

fn answer_sealed(line: &TcpStream, sealed: &Sealed) {
    answer(line, 200, &format!(r#"{{"request_id":"x","data":{}}}"#, serde_json::to_string(sealed).unwrap()));
}

fn refusal() -> Refusal {
    let check = |id: &str, expected: &str, found: &str| RefusedCheck {
        id: id.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
    };
    let failing =
        vec![check("snp.policy.debug", "off", "on"), check("snp.measurement", "one of 2", "ff\u{1b}[0m")];
    Refusal { decision: "abab".to_owned(), failing }
}

fn sealed(public: &[u8], plaintext: &[u8]) -> Sealed {
    let public = <XWing as hpke::Kem>::PublicKey::from_bytes(public).unwrap();
    let mut body = plaintext.to_vec();
    let (enc, tag) = single_shot_seal_inout_detached_with_rng::<ChaCha20Poly1305, HkdfSha256, XWing>(
        &OpModeS::Base,
        &public,
        SEAL_INFO,
        InOutBuf::from(body.as_mut_slice()),
        &seal_aad(&[7; 32], 1, 60),
        &mut Fixed,
    )
    .unwrap();
    body.extend(tag.to_bytes());
    let enc = Base64(enc.to_bytes().to_vec());
    Sealed { decision: "07".repeat(32), version: 1, lease_seconds: 60, enc, ciphertext: Base64(body) }
}

/// Not random: nobody attacks this stage.
struct Fixed;

impl hpke::rand_core::TryRng for Fixed {
    type Error = std::convert::Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(4)
    }
    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(4)
    }
    fn try_fill_bytes(&mut self, place: &mut [u8]) -> Result<(), Self::Error> {
        place.fill(9);
        Ok(())
    }
}

impl hpke::rand_core::TryCryptoRng for Fixed {}

/// A real OpenBao in development mode.
pub(crate) struct RealOpenBao {
    server: Child,
    program: std::ffi::OsString,
    port: u16,
    authority: Option<PathBuf>,
}

/// With `tls`, it serves TLS and leaves its authority's certificate there.
pub(crate) fn real_openbao(tls: Option<&Path>) -> Option<RealOpenBao> {
    let program = std::env::var_os("CLOUDTASER_BAO").unwrap_or_else(|| "bao".into());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = format!("-dev-listen-address=127.0.0.1:{port}");
    let mut command = Command::new(&program);
    command.args(["server", "-dev", "-dev-no-store-token", "-dev-root-token-id=root", &listen]);
    if let Some(dir) = tls {
        command.arg("-dev-tls").arg(format!("-dev-tls-cert-dir={}", dir.display()));
    }
    let server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
    let bao = RealOpenBao { server, program, port, authority: tls.map(|dir| dir.join("vault-ca.pem")) };
    let start = Instant::now();
    while !bao.run(&["status"]) {
        assert!(start.elapsed() < Duration::from_mins(1), "bao does not start");
        thread::sleep(Duration::from_millis(50));
    }
    Some(bao)
}

impl RealOpenBao {
    pub(crate) fn address(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    pub(crate) fn seal(&self) {
        assert!(self.run(&["operator", "seal"]));
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> bool {
        let mut client = Command::new(&self.program);
        client.args(arguments).env("BAO_ADDR", self.address()).env("BAO_TOKEN", "root");
        if let Some(authority) = &self.authority {
            client.env("BAO_CACERT", authority);
        }
        client.output().unwrap().status.success()
    }
}

impl Drop for RealOpenBao {
    fn drop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}
