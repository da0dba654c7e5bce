//! What a client of a failing cluster gets for a request, and when it gives up.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use protocol::release::{Base64, ChallengeReply, Presentation, Sealed, login_context, open_context};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::machine::{Key, Machine, challenge};
use crate::server::{Answer, Server};

/// What became of one request for a secret.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// The sealed secret arrived.
    Released(Box<Sealed>),
    /// Judged, and refused for these checks; by token, in these words.
    Refused(Vec<String>),
    /// No judgement arrived: this is what did.
    Unanswered(String),
}

impl Outcome {
    fn of(answer: Result<Answer, ureq::Error>) -> Self {
        match answer {
            Ok(answer) if answer.status == 200 => {
                Self::Released(serde_json::from_value(answer.json["data"].clone()).unwrap())
            }
            Ok(answer) if answer.status == 403 && answer.json["data"]["failing"].is_array() => {
                Self::Refused(answer.failing())
            }
            Ok(answer) if answer.status == 403 => Self::Refused(vec![answer.errors()]),
            Ok(answer) => Self::Unanswered(format!("{} {}", answer.status, answer.errors())),
            // The addresses and numbers of connections are of no interest.
            Err(ureq::Error::Io(error)) => Self::Unanswered(error.kind().to_string()),
            Err(error) => Self::Unanswered(error.to_string()),
        }
    }

    pub(crate) fn is_answer(&self) -> bool {
        !matches!(self, Self::Unanswered(_))
    }
}

/// Draws a challenge, if the node gives one.
pub(crate) fn draw(server: &Server) -> Result<ChallengeReply, String> {
    draw_from(server, "attest-keys")
}

fn draw_from(server: &Server, mount: &str) -> Result<ChallengeReply, String> {
    let answer = server.try_call("POST", &format!("{mount}/challenge"), Some(&json!({})), "");
    match answer {
        Ok(answer) if answer.status == 200 => {
            Ok(serde_json::from_value(answer.json["data"].clone()).unwrap())
        }
        Ok(answer) => Err(format!("{} {}", answer.status, answer.errors())),
        Err(ureq::Error::Io(error)) => Err(error.kind().to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// Draws a challenge and answers it for `db`.
pub(crate) fn prepare(machine: &Machine, server: &Server) -> Presentation {
    machine.answer(&draw(server).unwrap(), &open_context("attest-keys", "db"))
}

/// Asks for a key of any name in any mount, wherever it is.
pub(crate) fn open(machine: &Machine, server: &Server, mount: &str, key: &str) -> Answer {
    let presentation = machine.answer(&challenge(server, mount), &open_context(mount, key));
    present_at(server, mount, key, &presentation)
}

/// Presents evidence for a key of any name in any mount.
pub(crate) fn present_at(server: &Server, mount: &str, key: &str, presentation: &Presentation) -> Answer {
    let body = serde_json::to_value(presentation).unwrap();
    server.call("POST", &format!("{mount}/release/{key}/open"), Some(&body), "")
}

/// Logs in as `node`; the token.
pub(crate) fn log_in(machine: &Machine, server: &Server, mount: &str) -> String {
    let presentation = machine.answer(&challenge(server, mount), &login_context(mount, "node"));
    let mut body = serde_json::to_value(presentation).unwrap();
    body["role"] = Value::from("node");
    let answer = server.call("POST", &format!("{mount}/login"), Some(&body), "").ok();
    answer.json["auth"]["client_token"].as_str().unwrap().to_owned()
}

/// Bars whom a selector names; the decision, once it is acknowledged.
pub(crate) fn revoke(server: &Server, selector: &str) -> String {
    let body = json!({ "selector": selector, "reason": "ticket 7" });
    let answer = server.write("attest-keys/revoke", &body).ok();
    answer.json["data"]["decision"].as_str().unwrap().to_owned()
}

/// Lifts a bar.
pub(crate) fn reinstate(server: &Server, cause: &str, selector: &str) {
    let body = json!({ "selector": selector, "cause": cause, "reason": "looked at it" });
    server.write("attest-keys/reinstate", &body).ok();
}

/// Asks for `db` with a token.
pub(crate) fn release(server: &Server, mount: &str, token: &str, key: &Key) -> Answer {
    server.call("POST", &format!("{mount}/release/db"), Some(&offer(key)), token)
}

/// Likewise, with a token that is new: OpenBao's access control on a standby may not know whose it is, for long on a busy machine
/// (docs/cluster.md). So it is asked again, and at last the active node.
pub(crate) fn release_once_known(
    cluster: &Cluster,
    server: &Server,
    mount: &str,
    token: &str,
    key: &Key,
) -> Answer {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(15) {
        let answer = release(server, mount, token, key);
        if answer.status != 403 || !answer.errors().contains("permission denied") {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    release(cluster.node(cluster.leader()), mount, token, key)
}

fn offer(key: &Key) -> Value {
    json!({ "kem": key.offered.kem.name(), "public_key": Base64(key.offered.public.clone()) })
}

/// Logs in as `node`, at a server that may be dead.
pub(crate) fn try_log_in(machine: &Machine, server: &Server) -> Result<String, Outcome> {
    let challenge = draw_from(server, "auth/attest").map_err(Outcome::Unanswered)?;
    let presentation = machine.answer(&challenge, &login_context("auth/attest", "node"));
    let mut body = serde_json::to_value(presentation).unwrap();
    body["role"] = Value::from("node");
    match server.try_call("POST", "auth/attest/login", Some(&body), "") {
        Ok(answer) if answer.status == 200 => {
            Ok(answer.json["auth"]["client_token"].as_str().unwrap().to_owned())
        }
        other => Err(Outcome::of(other)),
    }
}

/// Asks for `db` with a token, at a server that may be dead.
pub(crate) fn try_release(server: &Server, token: &str, key: &Key) -> Outcome {
    Outcome::of(server.try_call("POST", "attest-keys/release/db", Some(&offer(key)), token))
}

/// What came instead of answers, and how often.
pub(crate) fn unanswered<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for outcome in outcomes {
        if let Outcome::Unanswered(what) = outcome {
            *counts.entry(what.as_str()).or_default() += 1;
        }
    }
    counts
}

/// Presents evidence once.
pub(crate) fn present_once(server: &Server, presentation: &Presentation) -> Outcome {
    let body = serde_json::to_value(presentation).unwrap();
    Outcome::of(server.try_call("POST", "attest-keys/release/db/open", Some(&body), ""))
}

/// Presents the same evidence, to one node after the other, until a node has judged it; all that it got.
pub(crate) fn present_until_answered(nodes: &[Server], presentation: &Presentation) -> Vec<Outcome> {
    let began = Instant::now();
    let mut outcomes = Vec::new();
    for node in nodes.iter().cycle() {
        outcomes.push(present_once(node, presentation));
        if outcomes.last().is_some_and(Outcome::is_answer) {
            break;
        }
        assert!(began.elapsed() < Duration::from_mins(1), "no answer in a minute: {outcomes:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    outcomes
}
