//! What goes into the server's log: an event's name, with typed fields.
//!
//! Never secrets, evidence or what a caller wrote: ids, names of checks, numbers. What callers without a token can cause is
//! bounded: a refusal is logged if it is on record, and limits are summed up once a minute.

use attest::collateral::Kind;
use attest::{Refused, UnixTime};
use openbao_plugin::log;

use crate::record::DecisionId;

/// Somebody else's roots are believed.
pub(crate) fn insecure_roots() {
    log::warn("insecure-trust-root: simulated hardware is believed, AMD's roots are not", &[]);
}

/// A refusal that is on record.
pub(crate) fn refused(mount: &str, decision: DecisionId, refused: &Refused) {
    let appraisal = refused.appraisal();
    let failing: Vec<&str> = appraisal.failing().map(|check| check.id.as_str()).collect();
    log::info(
        "refused",
        &[
            ("decision", &decision),
            ("mount", &mount),
            ("platform", &appraisal.platform),
            ("policy_version", &appraisal.policy_version),
            ("failing", &failing.join(" ")),
        ],
    );
}

/// How many requests a limit has turned away since the last minute.
pub(crate) fn limited(mount: &str, limit: &str, requests: u64) {
    log::warn("limited", &[("limit", &limit), ("mount", &mount), ("requests", &requests)]);
}

/// Collateral that ends, or has ended.
pub(crate) fn collateral_ends(mount: &str, kind: Kind, key: &str, until: UnixTime, now: UnixTime) {
    let words = if until <= now { "collateral-ended" } else { "collateral-ends-soon" };
    log::warn(words, &[("kind", &kind), ("key", &key), ("mount", &mount), ("until", &until)]);
}

/// There is more of it than is named.
pub(crate) fn more_collateral_ends(mount: &str, count: usize) {
    log::warn("collateral-ends-soon", &[("mount", &mount), ("count", &count)]);
}

/// What an admitted machine brought is not kept.
pub(crate) fn collateral_not_kept(why: &dyn std::fmt::Display) {
    log::warn("collateral-not-kept", &[("why", why)]);
}

/// An object that the index names is not what it was.
pub(crate) fn collateral_damaged(name: &attest::Digest<32>) {
    log::error("collateral-damaged", &[("sha256", name)]);
}
