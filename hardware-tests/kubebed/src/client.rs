//! Plain REST and JSON with the API server, as whoever a token says.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use ureq::http::Request;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use crate::Error;

/// Someone who asks.
#[derive(Debug)]
pub struct Client {
    agent: ureq::Agent,
    url: String,
    token: String,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The object, or the `Status` that says why there is none.
    pub body: Value,
}

/// How a patch is meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Patch {
    /// RFC 7386.
    Merge,
    /// Lists with keys are merged.
    Strategic,
    /// RFC 6902.
    Json,
    /// Server-side apply, forced, as field manager `kubebed`; also creates.
    Apply,
}

impl Client {
    pub(crate) fn new(url: &str, ca: &Path, token: &str) -> Result<Self, Error> {
        let pem = std::fs::read(ca)?;
        let items = parse_pem(&pem).filter_map(Result::ok);
        let certificates = items.filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            PemItem::PrivateKey(_) | _ => None,
        });
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(provider)
            .root_certs(RootCerts::Specific(Arc::new(certificates.collect())))
            .build();
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(Duration::from_mins(1)))
            .tls_config(tls)
            .build();
        Ok(Self { agent: config.new_agent(), url: url.to_owned(), token: token.to_owned() })
    }

    /// Reads an object or a list.
    pub fn get(&self, path: &str) -> Result<Answer, Error> {
        self.send("GET", path, "application/json", Vec::new())
    }

    /// Makes an object in the collection at `path`.
    pub fn create(&self, path: &str, object: &Value) -> Result<Answer, Error> {
        self.send("POST", path, "application/json", serde_json::to_vec(object)?)
    }

    /// Replaces the object at `path`.
    pub fn replace(&self, path: &str, object: &Value) -> Result<Answer, Error> {
        self.send("PUT", path, "application/json", serde_json::to_vec(object)?)
    }

    /// Changes the object at `path`.
    pub fn patch(&self, path: &str, how: Patch, change: &Value) -> Result<Answer, Error> {
        let change = serde_json::to_vec(change)?;
        match how {
            Patch::Merge => self.send("PATCH", path, "application/merge-patch+json", change),
            Patch::Strategic => self.send("PATCH", path, "application/strategic-merge-patch+json", change),
            Patch::Json => self.send("PATCH", path, "application/json-patch+json", change),
            Patch::Apply => {
                let path = format!("{path}?fieldManager=kubebed&force=true");
                self.send("PATCH", &path, "application/apply-patch+yaml", change)
            }
        }
    }

    /// Removes the object at `path`.
    pub fn delete(&self, path: &str) -> Result<Answer, Error> {
        self.send("DELETE", path, "application/json", Vec::new())
    }

    /// Puts an object, such as one of a rendered chart, where its kind and name say.
    pub fn apply(&self, object: &Value) -> Result<Answer, Error> {
        let (version, kind) = (at(object, "/apiVersion"), at(object, "/kind"));
        let root = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
        let known = self.get(&root)?.expect(200)?;
        let resources = known.body.get("resources").and_then(Value::as_array);
        let has_kind = |one: &&Value| at(one, "/kind") == kind && !at(one, "/name").contains('/');
        let resource = resources.and_then(|all| all.iter().find(has_kind)).unwrap_or(&Value::Null);
        let scope = match at(object, "/metadata/namespace") {
            "" => String::new(),
            _ if resource.get("namespaced") != Some(&Value::Bool(true)) => String::new(),
            namespace => format!("/namespaces/{namespace}"),
        };
        let (plural, name) = (at(resource, "/name"), at(object, "/metadata/name"));
        self.patch(&format!("{root}{scope}/{plural}/{name}"), Patch::Apply, object)
    }

    fn send(&self, method: &str, path: &str, kind: &str, body: Vec<u8>) -> Result<Answer, Error> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("Authorization", format!("Bearer {}", self.token))
            .header("Content-Type", kind)
            .body(body)
            .map_err(ureq::Error::from)?;
        let mut answer = self.agent.run(request)?;
        let status = answer.status().as_u16();
        let text = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_string()?;
        Ok(Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) })
    }
}

impl Answer {
    /// This answer, if it has that status.
    pub fn expect(self, status: u16) -> Result<Self, Error> {
        if self.status == status {
            return Ok(self);
        }
        Err(Error::Answer { status: self.status, body: self.body.to_string() })
    }

    /// Why it was refused.
    #[must_use]
    pub fn message(&self) -> &str {
        at(&self.body, "/message")
    }
}

/// The text at a JSON pointer, or none.
fn at<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

const MAX_ANSWER: u64 = 32 * 1024 * 1024;
