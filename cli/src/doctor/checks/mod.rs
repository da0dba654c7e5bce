//! The checks: facts in, findings out, in a fixed order and under stable ids.
//!
//! A [`Check`] says what is expected and what helps; its `judge` says what was found. A fact that was not seen
//! ends a judgement as *unknown*, by the question mark; there is no other way to say so by accident.
//!
//! Trusted: nothing; facts are what a server says of itself.

mod audit;
mod plugins;
mod policies;
mod quotas;
mod server;
mod storage;
mod tls;

use serde::Serialize;

use super::facts::{Facts, Mount, Plugin};
use crate::openbao::{Seen, Unseen};

/// Something that a well-kept OpenBao is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Check {
    /// Its stable name.
    pub(crate) id: &'static str,
    /// Which promise hangs on it.
    pub(crate) property: Property,
    /// What is right.
    pub(crate) expected: &'static str,
    /// What to do otherwise: a command, or a line of the configuration.
    pub(crate) remedy: &'static str,
    judge: fn(&Facts) -> Judged,
}

/// The four properties of sovereignty, which never stand for one another, and the rule over the server itself.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Property {
    /// Who can read what is stored.
    DataAtRest,
    /// Who can read what is sent.
    DataInTransit,
    /// Who can read the memory.
    DataInUse,
    /// Who decides what is released, and what is seen of it afterwards.
    Rule,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// As it should be.
    Pass,
    /// Worth a second look.
    Warn,
    /// Not seen.
    Unknown,
    /// Not as it should be.
    Fail,
}

/// What a person or a program is told of one check.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Finding {
    pub(crate) id: &'static str,
    pub(crate) property: Property,
    pub(crate) verdict: Verdict,
    pub(crate) expected: &'static str,
    pub(crate) found: String,
    pub(crate) remedy: &'static str,
}

type Judged = Result<(Verdict, String), Unseen>;

/// All checks, in the order in which they are told.
pub(crate) fn all() -> impl Iterator<Item = &'static Check> {
    let groups = [
        server::CHECKS,
        tls::CHECKS,
        storage::CHECKS,
        audit::CHECKS,
        plugins::CHECKS,
        policies::CHECKS,
        quotas::CHECKS,
    ];
    groups.into_iter().flatten()
}

/// Judges everything.
pub(crate) fn judge(facts: &Facts) -> Vec<Finding> {
    all().map(|check| check.finding(facts)).collect()
}

impl Check {
    fn finding(&self, facts: &Facts) -> Finding {
        let (verdict, found) =
            (self.judge)(facts).unwrap_or_else(|unseen| (Verdict::Unknown, unseen.to_string()));
        let Self { id, property, expected, remedy, .. } = *self;
        Finding { id, property, verdict, expected, found, remedy }
    }
}

fn seen<T>(fact: &Seen<T>) -> Result<&T, Unseen> {
    fact.as_ref().map_err(Clone::clone)
}

fn unclear<T>(why: impl Into<String>) -> Result<T, Unseen> {
    Err(Unseen::Unclear(why.into()))
}

/// `pass` without names, else this verdict with them.
fn named(verdict: Verdict, names: &[String], nobody: &str) -> (Verdict, String) {
    if names.is_empty() { (Verdict::Pass, nobody.to_owned()) } else { (verdict, names.join("; ")) }
}

/// Is this our plugin, in whatever version? `openbao-plugin-attest`, `openbao-plugin-attest-v0.2.0`.
fn is_attest(plugin: &Plugin) -> bool {
    let rest = plugin.command.strip_prefix(BINARY);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_', '.']))
}

/// The mounts of our plugins, by path.
fn attest_mounts(facts: &Facts) -> Result<Vec<(&String, &Mount)>, Unseen> {
    let (mounts, plugins) = (seen(&facts.mounts)?, seen(&facts.plugins)?);
    let ours = |path: &str, mount: &Mount| {
        let kind = if path.starts_with(AUTH) { "auth" } else { "secret" };
        plugins.iter().any(|plugin| is_attest(plugin) && plugin.kind == kind && plugin.name == mount.kind)
    };
    Ok(mounts.iter().filter(|(path, mount)| ours(path, mount)).collect())
}

/// The mounts of our secrets engine, which are those where rules and secrets are written.
fn engines(facts: &Facts) -> Result<Vec<&String>, Unseen> {
    let mounts = attest_mounts(facts)?.into_iter().map(|(path, _)| path);
    Ok(mounts.filter(|path| !path.starts_with(AUTH)).collect())
}

const BINARY: &str = "openbao-plugin-attest";
const AUTH: &str = "auth/";

#[cfg(test)]
mod tests;
