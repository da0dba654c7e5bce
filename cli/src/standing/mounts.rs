//! The mounts of the plugin on one server, each asked and told for itself.
//!
//! Untrusted: every answer.

use std::collections::BTreeSet;
use std::time::Duration;

use attest::log::{DecisionId, Kind, Selector};
use attest::{Bar, Cause, Digest, UnixTime};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::answer::NotJudged;
use crate::openbao::{self, Client, Seen, Server};

/// Which mounts of which server.
#[derive(Debug, clap::Args)]
pub(crate) struct Where {
    #[command(flatten)]
    server: Server,
    /// A mount of the plugin; named several times, each of them
    #[arg(long = "mount", value_name = "PATH", default_values = ["attest-keys", "auth/attest"], value_parser = openbao::mount)]
    pub(crate) mounts: Vec<String>,
}

/// A server with its mounts.
#[derive(Debug)]
pub(crate) struct Mounts {
    pub(crate) client: Client,
    pub(crate) paths: BTreeSet<String>,
}

/// What a selection touched, as a mount tells it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Report {
    pub(crate) admissions: u64,
    pub(crate) releases: u64,
    pub(crate) renewals: u64,
    pub(crate) refusals: u64,
    pub(crate) valid_until: Option<UnixTime>,
    pub(crate) recipient_count: u64,
    pub(crate) recipients: Vec<Machine>,
    pub(crate) secrets: Vec<Secret>,
    pub(crate) decisions: Vec<Decision>,
}

/// A machine that was given something.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Machine {
    pub(crate) platform: Option<String>,
    pub(crate) product_line: Option<String>,
    pub(crate) hardware: Option<Digest<32>>,
    pub(crate) instance: Option<Digest<32>>,
    pub(crate) measurement: Option<String>,
    pub(crate) releases: u64,
    pub(crate) last: Option<UnixTime>,
}

/// A secret that was released.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Secret {
    /// Its name, if the mount still has it.
    pub(crate) name: Option<String>,
    pub(crate) salted_name: String,
    pub(crate) releases: u64,
    pub(crate) versions: Vec<u64>,
}

/// A decision that was selected.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Decision {
    pub(crate) at: UnixTime,
    pub(crate) kind: String,
    #[serde(rename = "decision")]
    pub(crate) id: String,
}

impl Decision {
    pub(crate) fn is_admission(&self) -> bool {
        self.kind == Kind::Admission.name()
    }
}

/// What a mount says to a revocation.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Revoked {
    pub(crate) decision: String,
    pub(crate) drawn_anew: Vec<String>,
    pub(crate) change_by_hand: Vec<String>,
    pub(crate) touched: Report,
}

/// What a mount says to a reinstatement.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Lifted {
    pub(crate) decision: String,
}

impl Mounts {
    pub(crate) fn new(place: &Where) -> Result<Self, NotJudged> {
        Ok(Self { client: place.server.connect(PATIENCE)?, paths: place.mounts.iter().cloned().collect() })
    }

    /// What was given to whom.
    pub(crate) fn recall(&self, mount: &str, selector: &Selector) -> Seen<Report> {
        self.client.tell(&format!("{mount}/recall"), &json!({ "selector": selector }))
    }

    /// Bars the machines.
    pub(crate) fn revoke(&self, mount: &str, selector: &Selector, reason: &str) -> Seen<Revoked> {
        let body = json!({ "selector": selector, "reason": reason });
        self.client.tell(&format!("{mount}/revoke"), &body)
    }

    /// Lifts a bar.
    pub(crate) fn reinstate(
        &self,
        mount: &str,
        selector: &Selector,
        cause: Cause,
        reason: &str,
    ) -> Seen<Lifted> {
        let body = json!({ "selector": selector, "cause": cause, "reason": reason });
        self.client.tell(&format!("{mount}/reinstate"), &body)
    }

    /// The bar of this selector, if there is one.
    pub(crate) fn bar(&self, mount: &str, cause: Cause, selector: &Selector) -> Seen<Option<Bar>> {
        let folder = match cause {
            Cause::Revoked => "revocation",
            Cause::Failed => "failure",
        };
        self.client.find(&format!("{mount}/{folder}"), &selector.to_string())
    }
}

/// Is this the id of a decision? It becomes part of what is looked for.
pub(crate) fn is_decision(text: &str) -> bool {
    text.parse::<DecisionId>().is_ok()
}

/// For each answer: a mount reads its whole log for a report.
const PATIENCE: Duration = Duration::from_mins(1);
