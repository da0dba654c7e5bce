//! Workload: who asks on an admitted machine, by a token of somebody whom the verifier believes.
//!
//! Evidence says what a machine is, not which of its workloads asks. A workload brings a token of its own platform: a
//! projected service-account token, a JWT-SVID. The hardware signs the token's SHA-256 within the [`Purpose`], so that
//! token and key belong together. The caller verifies the token's signature, and is believed in that as it is in which keys
//! are enrolled; the token itself, which is a credential, is in no record. What it says is [`Workload`].
//!
//! Trusted: what the caller found in the token. Untrusted: nothing is read here that was not verified before.

use std::fmt;

use minicbor::{Decode, Encode};

use crate::check::Checks;
use crate::{Digest, UnixTime};

/// Whom a verified token names.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode, serde::Serialize)]
pub struct Workload {
    /// Who says so: the token's issuer, or the trust domain of a SPIFFE id.
    #[n(0)]
    pub issuer: String,
    /// The token's subject.
    #[n(1)]
    pub subject: String,
    /// The Kubernetes namespace.
    #[n(2)]
    pub namespace: Option<String>,
    /// The Kubernetes service account.
    #[n(3)]
    pub service_account: Option<String>,
    /// The unique id of the pod.
    #[n(4)]
    pub pod: Option<String>,
    /// The Kubernetes node that the pod is bound to.
    #[n(5)]
    pub node: Option<String>,
    /// The container image, `sha256:` and 64 hex digits.
    #[n(6)]
    pub image_digest: Option<String>,
    /// The SPIFFE id.
    #[n(7)]
    pub spiffe_id: Option<String>,
    /// The first second at which the token holds.
    #[n(8)]
    pub from: UnixTime,
    /// The first second at which it no longer does.
    #[n(9)]
    pub until: UnixTime,
}

/// A token that came with evidence.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub struct Presented {
    /// SHA-256 of the token.
    #[n(0)]
    pub token: Digest<32>,
    /// What it was found to be.
    #[n(1)]
    pub found: Found,
}

/// What a token was found to be.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub enum Found {
    /// Genuine, of a known issuer, and meant for this verifier.
    #[n(0)]
    Genuine(#[n(0)] Box<Workload>),
    /// Not that, and why.
    #[n(1)]
    Refused(#[n(0)] String),
}

/// What an answer is for: a path, and the token that goes with it, if one does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Purpose<'a> {
    /// The path, for example `attest-keys/release/db`.
    pub path: &'a str,
    /// SHA-256 of the workload's token.
    pub token: Option<Digest<32>>,
}

impl<'a> Purpose<'a> {
    /// Reads a challenge's context. There is one spelling: [`fmt::Display`]'s.
    #[must_use]
    pub fn parse(context: &'a str) -> Self {
        let parted = context.rsplit_once(MARK).and_then(|(path, digits)| {
            let token: Digest<32> = digits.parse().ok()?;
            (token.to_string() == digits).then_some(Self { path, token: Some(token) })
        });
        parted.unwrap_or(Self { path: context, token: None })
    }
}

impl fmt::Display for Purpose<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path)?;
        self.token.iter().try_for_each(|token| write!(f, "{MARK}{token}"))
    }
}

/// Asks about the token that came and the one that the hardware signed; the workload, if it is to be believed. An unbound
/// answer (no `purpose`) proves no purpose: the token alone is asked about.
pub(crate) fn ask<'w>(
    purpose: Option<Purpose<'_>>,
    presented: Option<&'w Presented>,
    now: UnixTime,
    checks: &mut Checks,
) -> Option<&'w Workload> {
    let bound = purpose.is_none_or(|purpose| binds(purpose.token, presented, checks));
    let workload = genuine(presented?, checks)?;
    let expected = format!("a token that holds at {now}");
    let found = format!("from {} until {}", workload.from, workload.until);
    let current = workload.from <= now.plus(SKEW) && now < workload.until;
    checks.ask("workload.current", current, expected, found);
    (bound && current && purpose.is_some()).then_some(workload)
}

fn binds(signed: Option<Digest<32>>, presented: Option<&Presented>, checks: &mut Checks) -> bool {
    let came = presented.map(|presented| presented.token);
    let (expected, found) = match (signed, came) {
        (None, None) => return true,
        (None, Some(came)) => ("a token that the hardware signed".to_owned(), format!("{came}, unsigned")),
        (Some(signed), None) => (format!("token {signed}, which the hardware signed"), "no token".to_owned()),
        (Some(signed), Some(came)) => {
            (format!("token {signed}, which the hardware signed"), format!("token {came}"))
        }
    };
    checks.ask("workload.bound", signed == came, expected, found)
}

fn genuine<'w>(presented: &'w Presented, checks: &mut Checks) -> Option<&'w Workload> {
    let expected = "a genuine token of a known issuer, for this verifier";
    match &presented.found {
        Found::Genuine(workload) => {
            checks.ask("workload.token", true, expected, workload.to_string());
            Some(workload)
        }
        Found::Refused(why) => {
            checks.ask("workload.token", false, expected, why.as_str());
            None
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.subject, self.issuer)?;
        for (name, value) in [
            ("namespace", &self.namespace),
            ("service account", &self.service_account),
            ("pod", &self.pod),
            ("node", &self.node),
            ("image", &self.image_digest),
            ("SPIFFE id", &self.spiffe_id),
        ] {
            value.iter().try_for_each(|value| write!(f, ", {name} {value}"))?;
        }
        Ok(())
    }
}

/// Parts the path of a purpose from the token. No name of a key or a role has a `#`.
const MARK: &str = "#workload=";
/// How far, in seconds, a verifier's clock may be behind the issuer's.
const SKEW: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purpose_with_a_token_has_one_spelling() {
        let token = Digest([0xab; 32]);
        let purpose = Purpose { path: "attest-keys/release/db", token: Some(token) };
        let text = purpose.to_string();
        assert_eq!(text, format!("attest-keys/release/db#workload={}", "ab".repeat(32)));
        assert_eq!(Purpose::parse(&text), purpose);
        for other in [text.to_uppercase(), text.replace("ab", "AB"), format!("{text}0"), text[1..80].into()] {
            assert_eq!(Purpose::parse(&other), Purpose { path: &other, token: None }, "{other}");
        }
    }
}
