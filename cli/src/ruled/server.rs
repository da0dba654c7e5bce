//! A mount on a server, as the verbs that rule it see it.
//!
//! Untrusted: every answer. A proposal is taken only if its id is the digest of its text and its content the one that
//! the text names.

use std::time::Duration;

use attest::crypto::AwsLcRs;
use attest::governance::{Change, Item, Kind, Proposal};
use attest::log::Text;
use attest::{Crypto, Digest, UnixTime};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Stopped;
use crate::answer::NotJudged;
use crate::openbao::{self, Client, Unseen};

/// Which mount.
#[derive(Debug, clap::Args)]
pub(crate) struct Where {
    #[command(flatten)]
    server: openbao::Server,
    /// The mount that is ruled
    #[arg(long, value_name = "PATH", default_value = "attest-keys")]
    mount: String,
}

/// Which thing of a mount.
#[derive(Debug, clap::Args)]
pub(crate) struct What {
    /// What changes: policy, approvers, roots, auth, workload-issuer, seal, collateral-signers, guard, role, attestation-keys,
    /// tpm-manufacturer
    #[arg(long, value_name = "KIND", default_value = "policy", value_parser = kind)]
    pub(crate) kind: Kind,
    /// The name in the mount, of a policy or an issuer; a policy's own unless given
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

fn kind(text: &str) -> Result<Kind, String> {
    let known = || Kind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
    Kind::named(text).ok_or_else(|| format!("expected one of {}", known()))
}

/// The mount, ready to be spoken with.
#[derive(Debug)]
pub(crate) struct Server {
    client: Client,
    mount: String,
}

/// What was approved last.
#[derive(Debug, Deserialize)]
pub(crate) struct InForce {
    pub(crate) content: Option<String>,
    pub(crate) version: u64,
}

impl InForce {
    pub(crate) fn digest(&self) -> Option<Digest<32>> {
        self.content.as_ref().map(|content| AwsLcRs.sha256(&[content.as_bytes()]))
    }

    pub(crate) fn text(&self) -> &str {
        self.content.as_deref().unwrap_or_default()
    }
}

/// A proposal as the server shows it.
#[derive(Debug, Deserialize)]
pub(crate) struct Shown {
    pub(crate) id: Digest<32>,
    pub(crate) proposal: Proposal,
    #[serde(default)]
    pub(crate) content: String,
    pub(crate) approved_by: Vec<String>,
    pub(crate) counted: Option<Vec<String>>,
    pub(crate) threshold: Option<usize>,
    pub(crate) applied: Option<UnixTime>,
}

/// The rule over a mount as the server shows it.
#[derive(Debug, Deserialize)]
pub(crate) struct Governance {
    pub(crate) mount: Text<128>,
    pub(crate) approvers: Option<Ruling>,
    pub(crate) open: Vec<Shown>,
    pub(crate) emergencies: Vec<Exception>,
}

/// Who approves.
#[derive(Debug, Deserialize)]
pub(crate) struct Ruling {
    pub(crate) document: String,
}

/// An emergency that holds.
#[derive(Debug, Deserialize)]
pub(crate) struct Exception {
    pub(crate) emergency: attest::governance::Emergency,
    pub(crate) approved_by: String,
}

impl Server {
    pub(crate) fn new(place: &Where) -> Result<Self, NotJudged> {
        let client = place.server.connect(PATIENCE)?;
        Ok(Self { client, mount: place.mount.trim_matches('/').to_owned() })
    }

    pub(crate) fn governance(&self) -> Result<Governance, Stopped> {
        self.read("governance")
    }

    pub(crate) fn in_force(&self, item: &Item) -> Result<InForce, Stopped> {
        self.read(&path("in-force", item))
    }

    /// The proposal of this id, if it is what the id says.
    pub(crate) fn proposal(&self, id: Digest<32>) -> Result<Shown, Stopped> {
        let shown: Option<Shown> =
            self.client.find(&format!("{}/proposal", self.mount), &id.to_string()).map_err(unseen)?;
        let unknown = || NotJudged::new("proposal.unknown", format!("no such proposal in this mount: {id}"));
        let shown = shown.ok_or_else(unknown)?;
        let found = shown.proposal.id(&AwsLcRs);
        if found != id || shown.id != id {
            return Err(
                forged(format!("expected a proposal whose text has digest {id}, found {found}")).into()
            );
        }
        let (expected, found) = (shown.proposal.change.content, AwsLcRs.sha256(&[shown.content.as_bytes()]));
        // What was applied is in force, and is not shown twice.
        if shown.applied.is_none() && expected != found {
            return Err(forged(format!("expected content with digest {expected}, found {found}")).into());
        }
        Ok(shown)
    }

    /// The change of `item` from what is in force to `content`.
    pub(crate) fn change(&self, item: Item, content: &str) -> Result<(Change, InForce), Stopped> {
        let in_force = self.in_force(&item)?;
        let version = match item.kind {
            Kind::Policy => attest::Policy::parse(&AwsLcRs, content).map_err(NotJudged::from)?.version(),
            Kind::Approvers
            | Kind::Roots
            | Kind::Auth
            | Kind::WorkloadIssuer
            | Kind::Seal
            | Kind::Guard
            | Kind::Role
            | Kind::AttestationKeys
            | Kind::TpmManufacturer
            | _ => in_force.version.saturating_add(1),
        };
        let mount = self.governance()?.mount;
        let replaces = in_force.digest();
        let content = AwsLcRs.sha256(&[content.as_bytes()]);
        Ok((Change { mount, item, content, version, replaces }, in_force))
    }

    pub(crate) fn propose(&self, body: &Value) -> Result<Shown, Stopped> {
        self.tell("proposal", body)
    }

    pub(crate) fn approve(&self, id: Digest<32>, body: &Value) -> Result<Shown, Stopped> {
        self.tell(&format!("proposal/{id}/approve"), body)
    }

    pub(crate) fn declare(&self, item: &Item, body: &Value) -> Result<Value, Stopped> {
        self.tell(&path("emergency", item), body)
    }

    fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Stopped> {
        Ok(self.client.read(&format!("{}/{path}", self.mount)).map_err(unseen)?)
    }

    fn tell<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, Stopped> {
        self.client.tell(&format!("{}/{path}", self.mount), body).map_err(not_done)
    }
}

fn path(folder: &str, item: &Item) -> String {
    let name = item.name.as_str();
    if name.is_empty() { format!("{folder}/{}", item.kind) } else { format!("{folder}/{}/{name}", item.kind) }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unseen(why: Unseen) -> NotJudged {
    NotJudged::new("source.unseen", why.to_string())
}

/// What a server says to somebody who may ask is its answer; what it says of itself is none.
fn not_done(why: Unseen) -> Stopped {
    if let Unseen::Answered { status: 400 | 404 | 409, text, .. } = why {
        return Stopped::Refused(text);
    }
    unseen(why).into()
}

fn forged(message: String) -> NotJudged {
    NotJudged::new("proposal.forged", message)
}

/// For each answer.
const PATIENCE: Duration = Duration::from_secs(30);
