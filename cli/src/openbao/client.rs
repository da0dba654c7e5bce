//! Questions to OpenBao over HTTP, and the few things that it is told ([`Client::tell`]): capped in size and time.
//!
//! No redirect is followed and no proxy is used: the token goes to the named address and nowhere else, and
//! only where it is asked for.
//!
//! Untrusted: every answer.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};
use zeroize::Zeroizing;

use super::seen::{Seen, Unseen};
use super::settings::{Authority, Settings};
use crate::answer::NotJudged;
use crate::layout::printable;

/// A server that questions can be put to.
#[derive(Debug)]
pub(crate) struct Client {
    agent: ureq::Agent,
    base: String,
    namespace: Option<String>,
    token: Option<Zeroizing<String>>,
    /// When the last question is put.
    until: Instant,
}

/// The certificates in files that the settings name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Certificates {
    /// Who vouches for the server.
    pub(crate) roots: Vec<Certificate<'static>>,
    /// Ours, and its key.
    pub(crate) client: Option<ClientCert>,
}

/// Does a question carry the token?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum As {
    Anybody,
    Bearer,
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<String>,
}

#[derive(Default, Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<String>,
}

impl Client {
    pub(crate) fn new(
        settings: &Settings,
        certificates: &Certificates,
        token: Option<Zeroizing<String>>,
        patience: Duration,
    ) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
        let tls = tls.client_cert(certificates.client.clone());
        let tls = match settings.authority {
            Authority::InsecureNobody(_) => tls.disable_verification(true),
            Authority::Files(_) => tls.root_certs(RootCerts::Specific(Arc::new(certificates.roots.clone()))),
        };
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(patience))
            .user_agent("cloudtaser")
            .tls_config(tls.build())
            .build();
        let base = format!("{}/v1", settings.address);
        let began = Instant::now();
        let until = began.checked_add(patience.saturating_mul(PATIENT)).unwrap_or(began);
        Self { agent: config.new_agent(), base, namespace: settings.namespace.clone(), token, until }
    }

    /// What anybody may read; no envelope is around it, and any status may carry it.
    pub(crate) fn open<T: DeserializeOwned>(&self, path: &str) -> Result<Seen<T>, Unreachable> {
        let (_any_status, body) = self.ask(path, As::Anybody, None, MAX_ANSWER)?;
        Ok(parse(path, &body))
    }

    /// What the token may read.
    pub(crate) fn read<T: DeserializeOwned>(&self, path: &str) -> Seen<T> {
        self.data(path, path)
    }

    /// What the token may read of one thing of a kind.
    pub(crate) fn read_one<T: DeserializeOwned>(&self, kind: &str, name: &str) -> Seen<T> {
        self.data(&format!("{kind}/{name}"), &format!("{kind}/{}", escaped(name)))
    }

    /// The same, in one of its versions.
    pub(crate) fn read_version<T: DeserializeOwned>(&self, kind: &str, name: &str, version: &str) -> Seen<T> {
        let version =
            if version.is_empty() { String::new() } else { format!("?version={}", escaped(version)) };
        self.data(&format!("{kind}/{name}"), &format!("{kind}/{}{version}", escaped(name)))
    }

    /// Whether the server knows the token, if there is one. The list of mounts is open to every token, and shows each what
    /// it may see; a token of no policy may not even look itself up.
    pub(crate) fn is_known(&self) -> bool {
        let asked = self.token.as_ref().map(|_| self.answer(MOUNTS, MOUNTS, None));
        !matches!(asked, Some(Ok((403, _))))
    }

    /// The names in a folder; a folder that is not there is empty.
    pub(crate) fn list(&self, path: &str) -> Seen<Vec<String>> {
        match self.answer(path, &format!("{path}?list=true"), None)? {
            (404, body) if errors(&body).is_empty() => Ok(Vec::new()),
            (200, body) => parse::<Envelope<Keys>>(path, &body).map(|envelope| envelope.data.keys),
            (status, body) => Err(refused(path, status, &body)),
        }
    }

    /// What the token may look up by a POST, which is how OpenBao asks for it here. `None` if there is no such thing.
    pub(crate) fn look_up<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &serde_json::Value,
    ) -> Seen<Option<T>> {
        match self.answer(path, path, Some(body))? {
            (200, body) => parse::<Envelope<T>>(path, &body).map(|envelope| Some(envelope.data)),
            // It has expired since it was listed.
            (400 | 404, _) => Ok(None),
            (status, body) => Err(refused(path, status, &body)),
        }
    }

    /// What the token may read, as bytes. `None` if there is no such thing.
    pub(crate) fn bytes(&self, path: &str) -> Seen<Option<Vec<u8>>> {
        self.token_for(path)?;
        let answer = self.ask(path, As::Bearer, None, MAX_FILE);
        match answer.map_err(|Unreachable(why)| Unseen::Malformed { path: path.to_owned(), why })? {
            (200, body) => Ok(Some(body)),
            (404, body) if errors(&body).is_empty() => Ok(None),
            (status, body) => Err(refused(path, status, &body)),
        }
    }

    /// Tells the server something, as the token may; what it says to that.
    pub(crate) fn tell<T: DeserializeOwned>(&self, path: &str, body: &serde_json::Value) -> Seen<T> {
        match self.answer(path, path, Some(body))? {
            (200, body) => parse::<Envelope<T>>(path, &body).map(|envelope| envelope.data),
            (status, body) => Err(not_done(path, status, &body)),
        }
    }

    /// The same, where the server may have nothing to say.
    pub(crate) fn post<T: DeserializeOwned>(&self, path: &str, body: &serde_json::Value) -> Seen<Option<T>> {
        match self.answer(path, path, Some(body))? {
            (200, body) => parse::<Envelope<T>>(path, &body).map(|envelope| Some(envelope.data)),
            (204, _) => Ok(None),
            (status, body) => Err(not_done(path, status, &body)),
        }
    }

    /// Changes one thing of a kind, as the token may.
    pub(crate) fn update(&self, kind: &str, name: &str, body: &serde_json::Value) -> Seen<()> {
        let shown = format!("{kind}/{name}");
        match self.answer(&shown, &format!("{kind}/{}", escaped(name)), Some(body))? {
            (200 | 204, _) => Ok(()),
            (status, body) => Err(not_done(&shown, status, &body)),
        }
    }

    /// One thing of a kind, if there is one.
    pub(crate) fn find<T: DeserializeOwned>(&self, kind: &str, name: &str) -> Seen<Option<T>> {
        let shown = format!("{kind}/{name}");
        match self.answer(&shown, &format!("{kind}/{}", escaped(name)), None)? {
            (200, body) => parse::<Envelope<T>>(&shown, &body).map(|envelope| Some(envelope.data)),
            (404, body) if errors(&body).is_empty() => Ok(None),
            (status, body) => Err(refused(&shown, status, &body)),
        }
    }

    fn data<T: DeserializeOwned>(&self, name: &str, path: &str) -> Seen<T> {
        match self.answer(name, path, None)? {
            (200, body) => parse::<Envelope<T>>(name, &body).map(|envelope| envelope.data),
            (status, body) => Err(refused(name, status, &body)),
        }
    }

    fn answer(&self, name: &str, path: &str, body: Option<&serde_json::Value>) -> Seen<(u16, Vec<u8>)> {
        self.token_for(name)?;
        let answer = self.ask(path, As::Bearer, body, MAX_ANSWER);
        answer.map_err(|Unreachable(why)| Unseen::Malformed { path: name.to_owned(), why })
    }

    fn token_for(&self, name: &str) -> Seen<()> {
        let missing = || Unseen::NotAsked(format!("{name} needs a token, and BAO_TOKEN is not set"));
        self.token.as_ref().map(drop).ok_or_else(missing)
    }

    fn ask(
        &self,
        path: &str,
        who: As,
        body: Option<&serde_json::Value>,
        limit: u64,
    ) -> Result<(u16, Vec<u8>), Unreachable> {
        if Instant::now() >= self.until {
            return Err(Unreachable("no time left to ask: the server is slow".to_owned()));
        }
        let method = if body.is_some() { "POST" } else { "GET" };
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}/{path}", self.base))
            .header("X-Vault-Request", "true");
        if let (As::Bearer, Some(token)) = (who, &self.token) {
            request = request.header("X-Vault-Token", token.as_str());
        }
        if let (As::Bearer, Some(namespace)) = (who, &self.namespace) {
            request = request.header("X-Vault-Namespace", namespace);
        }
        let body = body.map(ToString::to_string).unwrap_or_default();
        let request = request.body(body).map_err(|error| Unreachable(printable(&error.to_string())))?;
        let mut answer = self.agent.run(request).map_err(|error| self.unreachable(&error))?;
        let status = answer.status().as_u16();
        let body = answer
            .body_mut()
            .with_config()
            .limit(limit)
            .read_to_vec()
            .map_err(|error| self.unreachable(&error))?;
        Ok((status, body))
    }

    fn unreachable(&self, error: &ureq::Error) -> Unreachable {
        if let ureq::Error::BodyExceedsLimit(limit) = error {
            return Unreachable(format!("an answer of more than {limit} bytes"));
        }
        Unreachable(printable(&format!("{}: {error}", self.base.trim_end_matches("/v1"))))
    }
}

impl Certificates {
    /// Reads what the settings name.
    pub(crate) fn read(settings: &Settings) -> Result<Self, NotJudged> {
        let roots = match &settings.authority {
            _ if !settings.address.encrypted => Vec::new(),
            Authority::Files(path) => authorities(path)?,
            // Whether they would vouch for the server is told; nothing hangs on it.
            Authority::InsecureNobody(path) => authorities(path).unwrap_or_default(),
        };
        let client = match &settings.client {
            Some((certificate, key)) => Some(own(certificate, key)?),
            None => None,
        };
        Ok(Self { roots, client })
    }
}

/// The certificates in a PEM file, or in the files of a directory.
pub(crate) fn authorities(path: &Path) -> Result<Vec<Certificate<'static>>, NotJudged> {
    let bad = |problem: String| NotJudged::new("source.authority", format!("{}: {problem}", path.display()));
    let files = if path.is_dir() {
        let entries = fs::read_dir(path).map_err(|error| bad(error.to_string()))?;
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect()
    } else {
        vec![path.to_owned()]
    };
    let mut certificates = Vec::new();
    for file in files {
        let pem = crate::input::read(&file, crate::input::LIMIT)?;
        for item in parse_pem(&pem) {
            if let PemItem::Certificate(certificate) = item.map_err(|error| bad(error.to_string()))? {
                certificates.push(certificate);
            }
        }
    }
    if certificates.is_empty() { Err(bad("no certificate in it".to_owned())) } else { Ok(certificates) }
}

fn own(certificate: &Path, key: &Path) -> Result<ClientCert, NotJudged> {
    let chain = authorities(certificate)?;
    let pem = Zeroizing::new(crate::input::read(key, crate::input::LIMIT)?);
    let key = PrivateKey::from_pem(&pem)
        .map_err(|error| NotJudged::new("source.client_key", format!("{}: {error}", key.display())))?;
    Ok(ClientCert::new_with_certs(&chain, key))
}

fn parse<T: DeserializeOwned>(path: &str, body: &[u8]) -> Seen<T> {
    serde_json::from_slice(body).map_err(|error| {
        // The position in an answer that nobody keeps helps nobody; names in it may be secrets.
        let why = match error.classify() {
            Category::Data => "an answer of another shape than expected",
            Category::Io | Category::Syntax | Category::Eof => "an answer that is not JSON",
        };
        Unseen::Malformed { path: path.to_owned(), why: why.to_owned() }
    })
}

fn refused(path: &str, status: u16, body: &[u8]) -> Unseen {
    let path = path.to_owned();
    if status == 403 {
        return Unseen::Denied { path };
    }
    Unseen::Answered { path, status, text: told(body) }
}

/// The same, of what was to be changed.
fn not_done(path: &str, status: u16, body: &[u8]) -> Unseen {
    if status == 403 {
        return Unseen::Forbidden { path: path.to_owned() };
    }
    refused(path, status, body)
}

/// The server's words, printable and short.
fn told(body: &[u8]) -> String {
    let text = errors(body).join("; ");
    let text: String = printable(text.trim()).chars().take(200).collect();
    if text.is_empty() { "no reason given".to_owned() } else { text }
}

fn errors(body: &[u8]) -> Vec<String> {
    serde_json::from_slice::<Errors>(body).unwrap_or_default().errors
}

/// A name as one segment of a path.
fn escaped(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') {
            out.push(char::from(byte));
        } else if byte == b'.' && name.bytes().any(|byte| byte != b'.') {
            out.push('.');
        } else {
            out.extend(['%'].into_iter().chain(hex::encode_upper([byte]).chars()));
        }
    }
    out
}

/// No connection, no TLS, no whole answer in time.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreachable(pub(crate) String);

/// All questions together get so many times the patience of one, and the last one its own.
const PATIENT: u32 = 12;
const MOUNTS: &str = "sys/internal/ui/mounts";
/// The longest answer that is read: thousands of accessors.
const MAX_ANSWER: u64 = 4 * 1024 * 1024;
/// A record with its objects, in base64.
const MAX_FILE: u64 = 8 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_segment() {
        assert_eq!(escaped("team-a_1.prod"), "team-a_1.prod");
        assert_eq!(escaped("../x?y#z"), "..%2Fx%3Fy%23z");
        assert_eq!(escaped(".."), "%2E%2E");
    }

    #[test]
    fn a_refusal_is_told_by_its_status_and_in_printable_words() {
        assert_eq!(refused("sys/audit", 403, b"{}"), Unseen::Denied { path: "sys/audit".to_owned() });
        let sealed = refused("sys/audit", 503, b"{\"errors\":[\"Vault is \\u001b[31msealed\"]}");
        assert_eq!(sealed.to_string(), "not seen: sys/audit answered 503: Vault is \\u{1b}[31msealed");
        assert_eq!(refused("x", 500, b"oops").to_string(), "not seen: x answered 500: no reason given");
    }

    #[test]
    fn what_is_malformed_is_not_repeated() {
        let error = parse::<Keys>("sys/x", br#"{"keys": "hunter2"}"#).map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), "not seen: sys/x: an answer of another shape than expected");
        let error = parse::<Keys>("sys/x", b"hunter2").map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), "not seen: sys/x: an answer that is not JSON");
    }
}
