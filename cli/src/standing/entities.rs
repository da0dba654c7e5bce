//! The tokens that OpenBao has given already: closed by disabling the identities that they stand for.
//!
//! The plugin refuses releases and renewals of a barred machine at once; an OpenBao token lives on until its time is over, 15
//! minutes at most. Identities are the hardware's: whoever shares a chip shares one, and a machine whose identity is
//! disabled cannot log in, whatever it runs by then. So only those are disabled whose token may still live, and each is
//! marked with the selector, by which a reinstatement finds it.
//!
//! Untrusted: the server's answers.

use std::collections::{BTreeMap, BTreeSet};

use attest::crypto::AwsLcRs;
use attest::log::Selector;
use attest::{Crypto, Digest, UnixTime};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::mounts::{Report, is_decision};
use crate::openbao::{Client, Seen};

/// What became of the identities of the machines that one auth mount knows.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Entities {
    /// By the ids of entities.
    pub(crate) changed: Vec<String>,
    /// Were so before.
    pub(crate) unchanged: Vec<String>,
    /// Machines that OpenBao knows no identity of.
    pub(crate) unknown: usize,
    /// What could not be done.
    pub(crate) problems: Vec<String>,
}

/// What is to become of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Become {
    /// Their tokens yield nothing, and they cannot log in.
    Disabled,
    /// As before.
    Enabled,
}

#[derive(Debug, Deserialize)]
struct Method {
    accessor: String,
}

#[derive(Debug, Deserialize)]
struct Entity {
    id: String,
    disabled: bool,
    metadata: Option<BTreeMap<String, String>>,
}

/// Changes the identities that `names` are aliases of, in the auth mount at `path`.
pub(crate) fn change(
    client: &Client,
    path: &str,
    names: &Names,
    selector: &Selector,
    to: Become,
) -> Entities {
    let mut found = Entities::default();
    if names.cut {
        found.problems.push(format!("{path} told only of the first machines: narrow the selector"));
    }
    let accessor = match client.read::<Method>(&format!("sys/{path}")) {
        Ok(method) => method.accessor,
        Err(why) => {
            found.problems.push(why.to_string());
            return found;
        }
    };
    for name in &names.aliases {
        let alias = Alias { client, accessor: &accessor, name: *name };
        match alias.change(&selector.to_string(), to) {
            Ok(Outcome::Changed(id)) => found.changed.push(id),
            Ok(Outcome::AsBefore(id)) => found.unchanged.push(id),
            Ok(Outcome::Unknown) => found.unknown = found.unknown.saturating_add(1),
            Err(why) => found.problems.push(why.to_string()),
        }
    }
    found
}

/// One machine's name in an auth mount.
struct Alias<'a> {
    client: &'a Client,
    accessor: &'a str,
    name: Digest<32>,
}

enum Outcome {
    Changed(String),
    AsBefore(String),
    Unknown,
}

impl Alias<'_> {
    fn change(&self, selector: &str, to: Become) -> Seen<Outcome> {
        let whom = json!({ "alias_name": self.name.to_string(), "alias_mount_accessor": self.accessor });
        let Some(entity) = self.client.post::<Entity>("identity/lookup/entity", &whom)? else {
            return Ok(Outcome::Unknown);
        };
        let mut metadata = entity.metadata.unwrap_or_default();
        let body = match to {
            Become::Disabled if entity.disabled => return Ok(Outcome::AsBefore(entity.id)),
            Become::Disabled => {
                metadata.insert(MARK.to_owned(), selector.to_owned());
                json!({ "disabled": true, "metadata": metadata })
            }
            // Somebody else disabled it, or for another reason.
            Become::Enabled if !entity.disabled || metadata.get(MARK).is_none_or(|mark| mark != selector) => {
                return Ok(Outcome::AsBefore(entity.id));
            }
            Become::Enabled => {
                metadata.remove(MARK);
                json!({ "disabled": false, "metadata": metadata })
            }
        };
        self.client.update("identity/entity/id", &entity.id, &body)?;
        Ok(Outcome::Changed(entity.id))
    }
}

/// The names that machines have in an auth mount.
#[derive(Debug, Default)]
pub(crate) struct Names {
    aliases: BTreeSet<Digest<32>>,
    /// Whether there are more than were told.
    cut: bool,
}

impl Names {
    /// Of the machines whose tokens may still live.
    pub(crate) fn alive(report: &Report, now: UnixTime) -> Self {
        let alive = |at: UnixTime| at.plus(TOKEN_LIFE) >= now;
        let named = report.recipients.iter().filter(|machine| machine.last.is_some_and(alive));
        // Where the hardware hides its name, each login has its own.
        let nameless =
            report.decisions.iter().filter(|decision| alive(decision.at) && decision.is_admission());
        let nameless = nameless.filter(|decision| is_decision(&decision.id));
        let after = nameless
            .map(|decision| AwsLcRs.sha256(&[b"cloudtaser/machine/v1", decision.id.as_bytes()]))
            .filter(|_| report.recipients.iter().any(|machine| machine.hardware.is_none()));
        let aliases = named.filter_map(|machine| machine.hardware).chain(after).collect();
        Self { aliases, cut: is_cut(report) }
    }

    /// Of all machines with a name.
    pub(crate) fn all(report: &Report) -> Self {
        let aliases = report.recipients.iter().filter_map(|machine| machine.hardware).collect();
        Self { aliases, cut: is_cut(report) }
    }
}

fn is_cut(report: &Report) -> bool {
    u64::try_from(report.recipients.len()).is_ok_and(|shown| shown < report.recipient_count)
}

/// The entity's metadata that says which revocation disabled it.
const MARK: &str = "cloudtaser-revoked";
/// The longest life of a token, with five minutes by which clocks may differ.
const TOKEN_LIFE: u64 = 900 + 300;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::standing::mounts::{Decision, Machine};

    fn report(hardware: Option<Digest<32>>, last: u64) -> Report {
        let machine = Machine {
            platform: None,
            product_line: None,
            hardware,
            instance: None,
            measurement: None,
            releases: 0,
            last: Some(UnixTime(last)),
        };
        let decision =
            |kind: &str, at| Decision { at: UnixTime(at), kind: kind.to_owned(), id: "ab".repeat(32) };
        Report {
            admissions: 1,
            releases: 0,
            renewals: 0,
            refusals: 0,
            valid_until: None,
            recipient_count: 1,
            recipients: vec![machine],
            secrets: Vec::new(),
            decisions: vec![decision("admission", last), decision("renewal", last)],
        }
    }

    #[test]
    fn a_machine_whose_token_is_over_keeps_its_identity() {
        let name = Digest([1; 32]);
        let found = |now| Names::alive(&report(Some(name), 10_000), UnixTime(now)).aliases;
        assert_eq!(found(11_200), BTreeSet::from([name]));
        assert_eq!(found(11_201), BTreeSet::new());
        assert_eq!(Names::all(&report(Some(name), 1)).aliases, BTreeSet::from([name]));
    }

    #[test]
    fn hardware_that_hides_its_name_is_found_by_its_login() {
        let found = Names::alive(&report(None, 10_000), UnixTime(10_000)).aliases;
        let expected = AwsLcRs.sha256(&[b"cloudtaser/machine/v1", "ab".repeat(32).as_bytes()]);
        assert_eq!(found, BTreeSet::from([expected]));
    }

    #[test]
    fn machines_that_were_not_told_are_a_problem() {
        let more = Report { recipient_count: 2, ..report(None, 1) };
        assert!(Names::alive(&more, UnixTime(1)).cut);
    }
}
