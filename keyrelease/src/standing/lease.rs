//! Leases: what was released holds as long as its machine goes on proving itself.
//!
//! A key may ask for a lease on each release by token, and a role for tokens that can be renewed. Either is prolonged only if the
//! machine has logged in again, with new evidence, within the interval, under the policy that is asked for, and nothing bars
//! it. Nothing has to be remembered for that: what the latest login found stands in the alias.
//!
//! Trusted: OpenBao's leases and aliases. Untrusted: nothing else is read here.

use std::time::Duration;

use attest::log::{Kind, Subject};
use attest::{Digest, UnixTime};
use minicbor::{Decode, Encode};
use openbao_plugin::{Entity, Error, Host, Lease};
use serde::{Deserialize, Serialize};

use crate::log::{Draft, Facts};
use crate::mount::Mount;
use crate::record::{DecisionId, Ledger};
use crate::state::random;
use crate::vouch::Login;

/// How long something holds, and how new the evidence has to be to prolong it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Decode, Deserialize, Encode, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LeaseTerms {
    /// How long, in seconds.
    #[n(0)]
    pub(crate) seconds: u64,
    /// How old the evidence may be at a renewal, in seconds.
    #[n(1)]
    pub(crate) reattest_interval: u64,
}

impl LeaseTerms {
    /// The terms, if they can be kept.
    pub(crate) fn checked(self) -> Result<Self, Error> {
        let Self { seconds, reattest_interval } = self;
        let good = 1..=MAX_SECONDS;
        if good.contains(&seconds) && good.contains(&reattest_interval) {
            return Ok(self);
        }
        Err(Error::BadRequest(format!(
            "lease: expected seconds and reattest_interval of 1 to {MAX_SECONDS}, found {seconds} and {reattest_interval}"
        )))
    }

    /// A lease from now on; the attestation's end is its end.
    pub(crate) fn lease(self, until: UnixTime, now: UnixTime) -> Lease {
        let ttl = Duration::from_secs(self.seconds.min(until.since(now)));
        Lease { ttl, renewable: true, ..Lease::default() }
    }
}

/// What is to be prolonged.
#[derive(Debug)]
pub(crate) struct Renewal<'a> {
    pub(crate) entity: &'a Entity,
    /// The auth mount whose logins count.
    pub(crate) accessor: &'a str,
    /// The policy that is asked for.
    pub(crate) policy: Digest<32>,
    pub(crate) terms: LeaseTerms,
    /// To whom it was given: the name of the guest, as [`guest`] writes it.
    pub(crate) guest: &'a str,
    /// What the log says.
    pub(crate) request: String,
}

/// The guest, enclave or node that something is given to. Others on the same hardware share its alias: their evidence
/// prolongs nothing of its. Empty where nothing tells them apart.
pub(crate) fn guest(whom: &Subject) -> String {
    whom.instance.map(|name| name.to_string()).unwrap_or_default()
}

/// Prolongs a lease or a token, or says why not. That it was prolonged is on record before it is.
pub(crate) async fn renew(mount: &Mount, host: &Host, renewal: Renewal<'_>) -> Result<Lease, Error> {
    let now = mount.now();
    let denied = |why: &dyn std::fmt::Display| Error::PermissionDenied(format!("refused: {why}"));
    let login =
        Login::find(renewal.entity, renewal.accessor, renewal.policy, now).map_err(|why| denied(&why))?;
    if guest(&login.whom) != renewal.guest {
        return Err(denied(&"the latest login on this hardware is another guest's: attest again"));
    }
    let (limit, age) = (renewal.terms.reattest_interval, now.since(login.at));
    if age >= limit {
        let why = format!("evidence: expected younger than {limit} s, found {age} s: attest again");
        return Err(denied(&why));
    }
    if let Some(bar) = mount.bars(host).await?.against(&login.whom) {
        return Err(denied(&bar));
    }
    let state = mount.state(host).await?;
    let facts = Facts {
        kind: Kind::Renewal,
        at: now,
        id: DecisionId(random()?),
        under: Some(login.id),
        request: renewal.request,
        subject: login.entry_subject(None),
    };
    mount.ledger(host, &state, now).append(Draft::statement(facts, &state.signer)?).await?;
    Ok(renewal.terms.lease(login.until, now))
}

/// A day: what holds longer is not coupled to anything.
const MAX_SECONDS: u64 = 86_400;
