//! One node as its clients see it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use attest::{UnixTime, VerifierKey};
use serde_json::Value;
use simulator::snp::{Chip, Product};

/// A node's API, for the holder of a token that may do everything.
#[derive(Clone)]
pub(crate) struct Server {
    address: String,
    namespace: &'static str,
    token: String,
    agent: ureq::Agent,
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) json: Value,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    /// Asserts success.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.json);
        self
    }

    /// The words of an error.
    pub(crate) fn errors(&self) -> String {
        let errors = self.json["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("; ")
    }

    /// The ids of the checks that a refusal names.
    #[track_caller]
    pub(crate) fn failing(&self) -> Vec<String> {
        assert_eq!(self.status, 403, "{}", self.json);
        let failing = self.json["data"]["failing"].as_array().cloned().unwrap_or_default();
        failing.iter().map(|check| check["id"].as_str().unwrap().to_owned()).collect()
    }
}

impl Server {
    pub(crate) fn new(port: u16) -> Self {
        let (address, agent) = (format!("http://127.0.0.1:{port}"), agent(Duration::from_secs(20)));
        Self { address, namespace: "", token: String::new(), agent }
    }

    /// The same node, for a client that gives up soon.
    pub(crate) fn hurried(&self) -> Self {
        Self { agent: agent(Duration::from_secs(3)), ..self.clone() }
    }

    /// The same node, for the holder of this token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// The same node, in a namespace.
    pub(crate) fn within(&self, namespace: &'static str) -> Self {
        Self { namespace, ..self.clone() }
    }

    pub(crate) fn read(&self, path: &str) -> Answer {
        self.call("GET", path, None, &self.token)
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, None, &self.token)
    }

    pub(crate) fn write(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, Some(body), &self.token)
    }

    pub(crate) fn try_read(&self, path: &str) -> Result<Answer, ureq::Error> {
        self.try_call("GET", path, None, &self.token)
    }

    pub(crate) fn try_write(&self, path: &str, body: &Value) -> Result<Answer, ureq::Error> {
        self.try_call("POST", path, Some(body), &self.token)
    }

    /// One call; an empty token is none.
    #[track_caller]
    pub(crate) fn call(&self, method: &str, path: &str, body: Option<&Value>, token: &str) -> Answer {
        self.try_call(method, path, body, token).unwrap()
    }

    /// One call to a server that may be dead.
    pub(crate) fn try_call(
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
        if !self.namespace.is_empty() {
            request = request.header("X-Vault-Namespace", self.namespace);
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut answer = self.agent.run(request.body(body).unwrap())?;
        let bytes = answer.body_mut().with_config().limit(64 << 20).read_to_vec()?;
        let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Ok(Answer { status: answer.status().as_u16(), json, bytes })
    }

    /// The key that signs the records of a mount.
    pub(crate) fn verifier_key(&self, mount: &str) -> VerifierKey {
        let answer = self.read(&format!("{mount}/config/verifier-key")).ok();
        let hex = answer.json["data"]["public_key"].as_str().unwrap().to_owned();
        VerifierKey(hex::decode(hex).unwrap().try_into().unwrap())
    }
}

fn agent(patience: Duration) -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        // A standby that cannot forward points to the active node it knew.
        .max_redirects(0)
        .timeout_global(Some(patience))
        .build()
        .into()
}

#[expect(clippy::disallowed_methods, reason = "the real server lives now, and so must the chips")]
pub(crate) fn now() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs())
}

/// The chip of most machines.
pub(crate) fn chip() -> Chip {
    Chip::new(7, Product::Genoa).at(now().0)
}

/// A strict policy for simulated chips, in a given version.
pub(crate) fn policy(version: u64) -> String {
    POLICY.replace("VERSION", &version.to_string())
}

/// The value that must be seen nowhere but in the hands of the machine.
pub(crate) const SECRET: &str = "canary-6b1f0d7e-open-sesame";

const POLICY: &str = include_str!("../release/policy.toml");
