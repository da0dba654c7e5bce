//! Roles: which attestation policy stands before which policies of OpenBao.
//!
//! Whoever writes a role decides what evidence is worth, as a policy does: where several rule the mount, a role is changed by
//! proposal. To delete one only takes away.
//!
//! Trusted: the operator, or those who approved.

use attest::governance::Kind;
use attest::node::Rule;
use openbao_plugin::{Error, Host, Storage};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::governance::items;
use crate::mount::Mount;
use crate::nodes::Enrol;
use crate::policies;
use crate::reply::{self, bad_request};
use crate::standing::LeaseTerms;

/// What a role gives to the machines that its policy admits.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Role {
    /// The attestation policy that judges.
    pub(crate) policy: String,
    /// The OpenBao policies of the token.
    pub(crate) token_policies: Vec<String>,
    /// How long a token lives, in seconds: at most 15 minutes, and never longer than the verdict.
    pub(crate) token_ttl_seconds: u64,
    /// `batch`, or `service`: stored, and renewed as long as the machine goes on proving itself.
    #[serde(default)]
    pub(crate) token_type: RoleToken,
    /// How old the evidence may be when a token is renewed, in seconds; as long as a token lives unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reattest_interval: Option<u64>,
    /// Networks that the token may be used from; empty is anywhere.
    #[serde(default)]
    pub(crate) token_bound_cidrs: Vec<String>,
    /// Which machines may log in: any, those in the register, or under a free name whichever comes first.
    #[serde(default)]
    pub(crate) nodes: Rule,
    /// Whether a manufacturer's certificate enrols the attestation key of a TPM.
    #[serde(default)]
    pub(crate) enrol: Enrol,
}

/// The kinds of tokens that a role may give.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RoleToken {
    #[default]
    Batch,
    Service,
}

impl Role {
    pub(crate) fn terms(&self) -> LeaseTerms {
        let seconds = self.token_ttl_seconds;
        LeaseTerms { seconds, reattest_interval: self.reattest_interval.unwrap_or(seconds) }
    }

    /// The role of this name.
    pub(crate) async fn load(host: &Host, name: &str) -> Result<Option<Self>, Error> {
        let Some(bytes) = host.storage().get(&format!("{FOLDER}{name}")).await? else { return Ok(None) };
        let damaged = |error: serde_json::Error| Error::Internal(format!("stored role {name:?}: {error}"));
        serde_json::from_slice(&bytes).map(Some).map_err(damaged)
    }

    /// Writes a role, where nobody has to approve it.
    pub(crate) async fn store(
        mount: &Mount,
        host: &Host,
        name: &str,
        body: Map<String, Value>,
    ) -> Result<(), Error> {
        let role: Self = reply::body(body)?;
        let content = serde_json::to_string(&role).map_err(|error| Error::Internal(error.to_string()))?;
        items::write(mount, host, Kind::Role, name, &content).await
    }
}

/// Whether this content may be stored; nothing takes a role away.
pub(crate) async fn fits(storage: &Storage, content: &str) -> Result<(), Error> {
    if content.is_empty() {
        return Ok(());
    }
    let role: Role = serde_json::from_str(content).map_err(|why| bad_request(format!("role: {why}")))?;
    if role.token_ttl_seconds == 0 || role.token_ttl_seconds > MAX_TTL {
        let found = role.token_ttl_seconds;
        return Err(bad_request(format!("token_ttl_seconds: expected 1 to {MAX_TTL}, found {found}")));
    }
    // OpenBao refuses such a token at each login.
    if role.token_policies.iter().any(|policy| policy == "root") {
        return Err(bad_request("token_policies: expected policies of machines, found \"root\""));
    }
    // Without the register nobody remembers which TPM a key was proven to be in.
    if role.enrol == Enrol::Manufacturer && role.nodes == Rule::Any {
        return Err(bad_request("enrol: manufacturer goes with nodes registered or first-come, found any"));
    }
    role.terms().checked()?;
    policies::is_stored(storage, &role.policy).await
}

/// Where roles are.
const FOLDER: &str = "role/";
/// Fifteen minutes: a machine that stopped being what it proved must not hold a token for long.
const MAX_TTL: u64 = 900;
