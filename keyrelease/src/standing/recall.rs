//! What the log says of a selection: whom it reached, with which secrets, until when.
//!
//! The report of [`attest::log`] with the names of secrets that this mount still has: in its own answer an operator may read
//! them; the log has only salted hashes.

use std::collections::{BTreeMap, BTreeSet};

use attest::log::{Entry, Recall, Report, SaltedName, Selector};
use openbao_plugin::{Error, Host};
use serde_json::{Value, json};

use crate::log::bundles;
use crate::mount::salted;
use crate::state::State;

/// What a selection touches.
#[derive(Debug)]
pub(super) struct Touched {
    report: Report,
    /// The names of the secrets that this mount still has.
    names: BTreeMap<SaltedName, String>,
}

impl Touched {
    /// Reads the whole log of the mount.
    pub(super) async fn by(host: &Host, state: &State, selector: Selector) -> Result<Self, Error> {
        let mut recall = Recall::of(selector);
        let mut log = bundles(host).await?;
        while let Some(entries) = log.next(host).await? {
            for bytes in entries {
                let entry =
                    Entry::decode(&bytes).map_err(|why| Error::Internal(format!("log entry: {why}")))?;
                recall.see(&entry);
            }
        }
        let keys = host.storage().list("keys/").await?;
        let names = keys.into_iter().map(|name| (salted(state, &name), name)).collect();
        Ok(Self { report: recall.report(), names })
    }

    /// The secrets that were released in a version that they still have.
    pub(super) fn secrets(&self) -> BTreeSet<&str> {
        let touched = self.report.secrets.iter().filter_map(|secret| self.names.get(&secret.name));
        touched.map(String::as_str).collect()
    }

    /// As an answer. Of the decisions only the latest: all of them are in the log.
    pub(super) fn to_json(&self) -> Value {
        let report = &self.report;
        let secrets: Vec<Value> = report
            .secrets
            .iter()
            .map(|secret| {
                let name = self.names.get(&secret.name);
                json!({
                    "name": name, "salted_name": secret.name.to_string(), "releases": secret.exposed.releases,
                    "versions": secret.exposed.versions, "valid_until": secret.exposed.valid_until,
                })
            })
            .collect();
        json!({
            "selector": report.selector, "entries": report.entries, "admissions": report.admissions,
            "releases": report.releases, "renewals": report.renewals, "refusals": report.refusals,
            "valid_until": report.valid_until, "recipient_count": report.recipients.len(),
            "recipients": report.recipients.iter().take(MOST_SHOWN).collect::<Vec<_>>(),
            "secrets": secrets,
            "decisions": report.decisions.iter().rev().take(MOST_SHOWN).collect::<Vec<_>>(),
        })
    }
}

/// The most machines and decisions in one answer.
const MOST_SHOWN: usize = 1000;
