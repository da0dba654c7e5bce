//! Grants: what an admitted machine may ask for.
//!
//! A policy says which machines are good; its grants say for which purposes, and for which workloads. A policy
//! without grants leaves that to whoever stores it under a path. With grants, a purpose that none of them
//! covers is refused by the check `policy.grant`. Selectors of workloads are held against a *verified* workload: all
//! that one grant names, or the grant is none. Evidence has no workload; it comes by a token ([`Workload`]).
//!
//! Trusted: the policy, the challenge's purpose, which the verifier wrote, and the workload, which it verified.

use std::fmt;

use serde::Deserialize;

use crate::check::Checks;

use super::operators::AnyOf;
use crate::Workload;

/// One `[[grant]]`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Grant {
    /// Purposes: the paths of releases and logins, `*` for any text without a slash, `**` as the last part for
    /// anything below.
    paths: AnyOf<PathPattern>,
    /// Issuers of workload tokens: one cluster's namespaces are not another's.
    issuer: Option<AnyOf<String>>,
    /// Kubernetes namespaces.
    namespace: Option<AnyOf<String>>,
    /// Kubernetes service accounts.
    service_account: Option<AnyOf<String>>,
    /// Container images, `sha256:` and 64 hex digits.
    image_digest: Option<AnyOf<String>>,
    /// SPIFFE ids of workloads.
    spiffe_id: Option<AnyOf<String>>,
}

impl Grant {
    /// The first thing in this grant that no workload can have.
    pub(super) fn problem(&self) -> Option<String> {
        self.selectors().find_map(|selector| {
            let odd = selector.set.any_of.iter().find(|value| !(selector.fits)(value));
            odd.map(|value| format!("{} = {value:?}", selector.key))
        })
    }

    fn covers(&self, purpose: &str) -> bool {
        self.paths.any_of.iter().any(|pattern| pattern.matches(purpose))
    }

    /// Whether it is for this workload, or for any on the machine.
    fn is_for(&self, workload: Option<&Workload>) -> bool {
        self.selectors().all(|selector| {
            let value = workload.and_then(|workload| (selector.of)(workload));
            value.is_some_and(|value| selector.set.any_of.iter().any(|wanted| same(wanted, value)))
        })
    }

    /// What it asks of the workload; nothing if any on the machine will do.
    fn selectors(&self) -> impl Iterator<Item = Selector<'_>> {
        let all: [(&str, &Option<AnyOf<String>>, Fits, Of); 5] = [
            ("issuer", &self.issuer, is_issuer, |workload| Some(&workload.issuer)),
            ("namespace", &self.namespace, is_name, |workload| workload.namespace.as_deref()),
            ("service_account", &self.service_account, is_name, |workload| {
                workload.service_account.as_deref()
            }),
            ("image_digest", &self.image_digest, is_image_digest, |workload| {
                workload.image_digest.as_deref()
            }),
            ("spiffe_id", &self.spiffe_id, is_spiffe_id, |workload| workload.spiffe_id.as_deref()),
        ];
        all.into_iter()
            .filter_map(|(key, set, fits, of)| Some(Selector { key, set: set.as_ref()?, fits, of }))
    }

    fn words(&self) -> String {
        let words: Vec<String> = self.selectors().map(|one| format!("{} {}", one.key, one.set)).collect();
        words.join(" and ")
    }
}

/// One thing that a grant asks of a workload.
struct Selector<'a> {
    key: &'static str,
    set: &'a AnyOf<String>,
    fits: Fits,
    of: Of,
}

type Fits = fn(&str) -> bool;
type Of = fn(&Workload) -> Option<&str>;

/// Hex digits of an image go by their value, everything else by its letters.
fn same(wanted: &str, value: &str) -> bool {
    wanted == value || (is_image_digest(wanted) && wanted.eq_ignore_ascii_case(value))
}

/// Asks whether one of the grants covers the purpose for this workload. A policy without grants is asked nothing.
pub(super) fn ask(grants: &[Grant], purpose: &str, workload: Option<&Workload>, checks: &mut Checks) {
    if grants.is_empty() {
        return;
    }
    let covering: Vec<&Grant> = grants.iter().filter(|grant| grant.covers(purpose)).collect();
    let granting = covering.iter().find(|grant| grant.is_for(workload));
    let selective = granting.map_or(!covering.is_empty(), |grant| grant.selectors().next().is_some());
    let expected = if covering.is_empty() {
        let paths: Vec<String> = grants.iter().map(|grant| grant.paths.to_string()).collect();
        format!("a purpose that is granted: {}", paths.join(", "))
    } else if selective {
        let asking = granting.map_or(covering.as_slice(), std::slice::from_ref);
        let workloads: Vec<String> = asking.iter().map(|grant| grant.words()).collect();
        format!("a verified workload with {}", workloads.join(", or "))
    } else {
        "a purpose that is granted".to_owned()
    };
    let found = match workload {
        _ if !selective => purpose.to_owned(),
        Some(workload) => format!("{purpose}, and {workload}"),
        None => format!("{purpose}, and no verified workload"),
    };
    checks.ask("policy.grant", granting.is_some(), expected, found);
}

/// A path in which `*` stands for any text without a slash and a last `**` for all that is below.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String")]
pub(super) struct PathPattern(
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"^[^/\s]+(/[^/\s]+)*$")))] String,
);

impl PathPattern {
    fn matches(&self, path: &str) -> bool {
        let mut parts = path.split('/');
        for wanted in self.0.split('/') {
            if wanted == "**" {
                return parts.next().is_some();
            }
            if !parts.next().is_some_and(|part| part_matches(wanted, part)) {
                return false;
            }
        }
        parts.next().is_none()
    }
}

/// One part of a path: the text before the first `*`, the text after the last, and the rest in order between.
fn part_matches(wanted: &str, part: &str) -> bool {
    let Some((head, tail)) = wanted.split_once('*') else { return wanted == part };
    let Some(rest) = part.strip_prefix(head) else { return false };
    let (between, end) = tail.rsplit_once('*').unwrap_or(("", tail));
    let Some(mut rest) = rest.strip_suffix(end) else { return false };
    for piece in between.split('*') {
        let Some((_, after)) = rest.split_once(piece) else { return false };
        rest = after;
    }
    true
}

impl TryFrom<String> for PathPattern {
    type Error = BadPath;

    fn try_from(text: String) -> Result<Self, BadPath> {
        let parts: Vec<&str> = text.split('/').collect();
        let last = parts.len().saturating_sub(1);
        let odd = |(at, part): (usize, &&str)| {
            part.is_empty()
                || part.contains(char::is_whitespace)
                || (part.contains("**") && (at != last || *part != "**"))
        };
        if text.len() > MAX_PATH || parts.iter().enumerate().any(odd) {
            return Err(BadPath(text.chars().take(MAX_PATH).collect()));
        }
        Ok(Self(text))
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is not a pattern of paths.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected a path like attest-keys/release/db-*, with ** only as its last part, found {0:?}")]
pub(super) struct BadPath(String);

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 253 && !text.contains(|c: char| c.is_whitespace() || c == '/')
}

fn is_image_digest(text: &str) -> bool {
    let digits = text.strip_prefix("sha256:").unwrap_or_default();
    digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

fn is_issuer(text: &str) -> bool {
    !text.is_empty() && text.len() <= 512 && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

fn is_spiffe_id(text: &str) -> bool {
    text.starts_with("spiffe://") && !text.contains(char::is_whitespace)
}

const MAX_PATH: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        PathPattern::try_from(pattern.to_owned()).unwrap().matches(path)
    }

    #[test]
    fn a_star_stays_within_its_part() {
        assert!(matches("attest-keys/release/db", "attest-keys/release/db"));
        assert!(matches("attest-keys/release/db-*", "attest-keys/release/db-7"));
        assert!(matches("*/release/*-db-*", "attest-keys/release/eu-db-7"));
        assert!(matches("a/*b*c", "a/xbxc"));
        assert!(!matches("a/*b*c", "a/xcxb"));
        assert!(!matches("attest-keys/release/*", "attest-keys/release/db/open"));
        assert!(!matches("attest-keys/release/db", "attest-keys/release/db2"));
        assert!(!matches("attest-keys/release/db", "attest-keys/release"));
        assert!(!matches("a/aa*aa", "a/aaa"));
    }

    #[test]
    fn two_stars_at_the_end_reach_everything_below_and_not_the_path_itself() {
        assert!(matches("attest-keys/**", "attest-keys/release/db"));
        assert!(!matches("attest-keys/**", "attest-keys"));
        assert!(!matches("attest-keys/**", "other/release/db"));
    }

    #[test]
    fn a_pattern_that_could_be_read_in_two_ways_is_none() {
        for text in ["", "/a", "a//b", "a/", "a/**/b", "a/x**", "a b", "a/***"] {
            assert!(PathPattern::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
